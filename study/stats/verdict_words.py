"""A verdict in words, for terminal, report and certificate: a headline of at most ten words, then the figures."""

from __future__ import annotations

from collections.abc import Sequence

from study.stats.verdict_record import Difference, Verdict


def sentences(v: Verdict) -> tuple[str, ...]:
    """Return the verdict in words; the first sentence is the headline."""
    parts = (_headline(v), *_seeds(v), *_examples(v), *_too_small(v), *_bad_runs(v), *_dropped(v), *_next(v))
    return tuple(part for part in parts if part)


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence has them: ``a, b and c``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def closest(v: Verdict) -> Difference | None:
    """Return the rival whom the leader is least ahead of; of those who remain, if anybody does."""
    compared = [d for d in v.looks[-1].differences if d.lead is not None]
    remaining = [d for d in compared if not d.excluded]
    every = remaining or compared or [d for d in v.differences if d.lead is not None]
    return min(every, key=lambda d: d.lead or 0.0, default=None)


def _headline(v: Verdict) -> str:
    rival = closest(v)
    if v.outcome == "winner":
        if rival is None:
            return f"{v.leader} wins: all others failed."
        if rival.by_failing:
            return f"{v.leader} wins: {rival.name} fails too often."
        return f"{v.leader} wins, {v.metric.difference(rival.lead or 0.0)} ahead of {rival.name}."
    if v.outcome == "equal":
        among = listed(v.contenders) if len(v.contenders) == 2 else f"{len(v.contenders)} finalists"
        return f"No difference that matters between {among}."
    if not _kept_by_failures(v):
        return f"Undecided between {len(v.contenders)}: {v.leader} leads."
    return f"Undecided: {v.leader} leads, but fails too often."


def _seeds(v: Verdict) -> tuple[str, ...]:
    """Say how sure the lead is over seeds."""
    rival = closest(v)
    basis = f"{v.seeds} seeds"
    surely = f"{100 * v.plan.level:g} % over all looks and finalists"
    if v.outcome == "equal":
        within = f"the leader's lead over each lies within {v.metric.difference(v.plan.margin)}, both ways"
        return (f"{listed(v.contenders)}: {within}, after {basis} ({surely}). Take the simplest.",)
    if rival is None or rival.low is None or rival.high is None:
        return ()
    told = (
        f"The lead of {v.leader} over {rival.name} is {v.metric.number(rival.lead or 0.0)}{v.metric.named_unit}, over seeds "
        f"{v.metric.span(rival.low, rival.high)} ({surely}); it was ahead on {rival.ahead} of {rival.shared} seeds."
    )
    if rival.fails_p is not None:
        told = _in_typical_runs(v, rival, surely)
    if v.outcome == "winner":
        return (told,)
    return (f"After {basis}, {listed(v.contenders)} cannot be told apart as the best. {told}",)


def _in_typical_runs(v: Verdict, rival: Difference, surely: str) -> str:
    """Compare the leader with a rival that fails too often, as if neither did."""
    lead = rival.lead or 0.0
    ahead = "ahead of" if lead > 0 else "behind"
    return (
        f"In a typical run {v.leader} is {v.metric.difference(abs(lead))} {ahead} {rival.name}, its lead over seeds "
        f"{v.metric.span(rival.low or 0.0, rival.high or 0.0)} ({surely}); it was ahead on {rival.ahead} of the {rival.shared} seeds "
        "with which both ran well."
    )


def _examples(v: Verdict) -> tuple[str, ...]:
    """Say whether the decision holds for new examples as well, or that this is not known."""
    if v.examples is None:
        alone = f"The {v.metric.name} is one number for all test {v.noun}, so that only seeds count as chance here"
        return (f"{alone}: what other {v.noun} would say is not known.",)
    rivals = v.differences if v.outcome == "winner" else v.looks[-1].differences
    spans = [
        (d.name, d.examples.low, d.examples.high)
        for d in rivals
        if d.examples is not None and not d.by_failing and (v.outcome == "winner" or not d.excluded)
    ]
    if not spans:
        return ()
    on_these = f"That is for these {v.examples:,} test {v.noun}"
    too = f"It holds on new {v.noun} of this kind too"
    if v.outcome == "winner":
        open_to = [f"{name} {v.metric.span(low, high)}" for name, low, high in spans if low <= 0]
        name, low, high = min(spans, key=lambda span: span[1])
        sure = f"{too}: over {name}, {v.metric.span(low, high)} over seeds and {v.noun}."
        gone = (
            f"{on_these}; on new {v.noun} of this kind the lead may be gone: over {listed(open_to or [''])}."
        )
        return (gone if open_to else sure,)
    low, high = min(low for _, low, _ in spans), max(high for _, _, high in spans)
    if v.outcome == "equal":
        within = -v.plan.margin < low and high < v.plan.margin
        possible = (
            f"{on_these}; on new {v.noun} of this kind leads of {v.metric.span(low, high)} are possible."
        )
        return (f"{too}." if within else possible,)
    return (f"Over seeds and {v.noun}, leads of {v.metric.span(low, high)} are possible.",)


def _too_small(v: Verdict) -> tuple[str, ...]:
    """Say it where a win is smaller than what matters."""
    below = [d.name for d in v.differences if d.high is not None and d.excluded and d.high < v.plan.margin]
    if v.outcome != "winner" or not below:
        return ()
    return (
        f"The lead over {listed(below)} is real, but below {v.metric.difference(v.plan.margin)}: too small to matter.",
    )


def _bad_runs(v: Verdict) -> tuple[str, ...]:
    """Name the contenders that fail now and then, and the rivals that bad runs keep in."""
    said = [
        f"{f.name} failed in {f.bad_runs} of {f.runs} runs"
        + (f" ({f.diverged} diverged)" if f.diverged else "")
        + f": its mean is {v.metric.said(f.mean)}, "
        f"a typical run gives {v.metric.said(f.typical or 0.0)}."
        for f in v.finalists
        if f.bad_runs and f.name in v.contenders
    ]
    said += _fail_more(v)
    kept = _kept_by_failures(v)
    if kept:
        said.append(
            f"{v.leader} is ahead of {listed(kept)} in a typical run, but counting bad runs it fails more "
            "often or has the lower mean: that is no win."
        )
    return tuple(said)


def _fail_more(v: Verdict) -> list[str]:
    """Say who is judged by how often it fails, for it fails too often to lead."""
    runs = {f.name: f"{f.bad_runs} of {f.runs} runs" for f in v.finalists}
    said = []
    for look in v.looks:
        for d in look.differences:
            if d.fails_p is None or not (d.excluded or look == v.looks[-1]) or (d.low or 0.0) > 0:
                continue
            often = "more often" if d.by_failing else "too often to lead, but not surely more often"
            # Two questions share the allowance: how often it fails, and how it does in a typical run.
            short = "" if d.by_failing or d.needed is None else f"; below {d.needed / 2:.2g} would be sure"
            said.append(
                f"{d.name} fails {often} than {look.leader}: {runs[d.name]} against {runs[look.leader]} "
                f"(p = {d.fails_p:.2g}, sign test over seeds{short})."
            )
    return said


def _kept_by_failures(v: Verdict) -> list[str]:
    """Return the rivals that are behind in a typical run and stay in only for the leader's bad runs."""
    return [d.name for d in v.looks[-1].differences if d.told_apart and not d.excluded]


def _dropped(v: Verdict) -> tuple[str, ...]:
    """Say who was dropped when, where there was more than one look."""
    gone = [f"{listed(look.dropped)} after {look.seeds} seeds" for look in v.looks if look.dropped]
    return (f"Excluded: {'; '.join(gone)}.",) if gone and len(v.finalists) > 2 else ()


def _next(v: Verdict) -> tuple[str, ...]:
    """Say what an undecided confirmation needs."""
    if v.outcome != "undecided":
        return ()
    if not v.final:
        after = next(seeds for seeds in v.plan.looks if seeds > v.seeds)
        return (f"The next look is at {after} seeds, the last at {v.plan.seeds}: the same command goes on.",)
    if _kept_by_failures(v):
        return ("More seeds may not settle it: first find out why runs fail.",)
    unseen = [d.name for d in v.looks[-1].differences if d.lead is None and not d.out]
    if unseen:
        return (f"Too few seeds ran well to compare {v.leader} with {listed(unseen)}.",)
    rest = [d for d in v.looks[-1].differences if not d.excluded and d.low is not None and d.high is not None]
    widest = max((max(-(d.low or 0.0), d.high or 0.0) for d in rest), default=0.0)
    as_equals = f"Only a margin above {v.metric.difference(widest)} would call them equal now"
    if v.settled_at is None:
        return (f"That is the plan's end. More seeds would probably name no winner. {as_equals}.",)
    said = (
        f"That is the plan's end. About {v.settled_at} seeds in all would probably name a winner, if the leads stay as "
        f"they are; they must be planned before the first look (--max-seeds). {as_equals}."
    )
    return (said,)
