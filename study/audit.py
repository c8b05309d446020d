"""``python -m study.audit``: what pruning cost a study, or what each pruner would have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from study.core.errors import InputError
from study.terminal.command import command, option, storage_option, study_option
from study.terminal.problem_option import problem_option
from study.terminal.values import Whole

if TYPE_CHECKING:
    from study.core.records import StudyRecord
    from study.stats.pruning_cost import Cost
    from study.stats.replay import Curves, Replay, Setting
    from study.terminal.tables import Column

#: Settings replayed: first decision as a fraction of the run, epochs between decisions likewise, others needed.
AFTER = (0.1, 1 / 6, 1 / 4, 1 / 2)
EVERY = (1 / 30, 1 / 6)
STARTUP = (2, 3, 4, 6)
#: Best trials of a family that are never stopped. Below its family's median none is the best: there 0 is as good as 1.
KEEP = {"family-median": (0,), "median": (0, 1, 2)}
#: The rule that knows the schedule: the same, earlier, and finished trials needed.
PREDICT_AFTER, PREDICT_STARTUP, PREDICT_KEEP = (0.1, 1 / 8, 1 / 6, 1 / 4), (8, 16), (1, 2)


@dataclass(frozen=True)
class Options:
    """What the command was asked, an attribute an option."""

    study: str | None
    problem: str | None
    storage: str
    rows: int
    orders: int
    out: Path | None
    markdown: bool


@command(
    "audit",
    examples=[
        ("the latest study", ""),
        ("an unpruned study: which pruner should be the default?", "--study control --out audit.html"),
        ("the same as Markdown, for a document", "--study control --markdown"),
    ],
    interrupted="interrupted; nothing was changed",
)
@study_option
@problem_option
@storage_option
@option(
    "--rows",
    metavar="N",
    type=Whole(1),
    default=2,
    group="Output",
    help="Settings shown of each pruner, --keep-best and signal, the best ones; all are in the figure.",
)
@option(
    "--orders",
    metavar="N",
    type=Whole(0),
    default=20,
    group="Output",
    help="Shuffled orders of each family's trials in which settings are replayed as well.",
)
@option(
    "--out",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    group="Output",
    help="Also write the replay as a figure into this HTML file.",
)
@option("--markdown", is_flag=True, group="Output", help="Print the tables as Markdown.")
def main(**options: Any) -> None:
    """Tell what pruning cost a study. Nothing is trained.

    A study that was pruned: how often a stopped trial would have ended above the best that was kept,
    estimated from the trials that were reprieved by chance and trained to the end.

    A study that was not pruned (--pruner none): every pruner and setting is replayed over its curves, in
    the order in which the trials ran. The one is recommended that saves most epochs among those that keep
    the winner and cost no family more than a point, in this order and in the shuffled ones.
    """
    audit(Options(**options))


def audit(options: Options) -> None:
    """Estimate what pruning cost a study, or replay pruners over one that was not pruned."""
    from study.core.files import require_writable
    from study.store.optuna_storage import load

    out = options.out
    if out is not None:
        require_writable(out, "`out`")
    record = load(options.storage, options.study)
    if options.problem is not None:
        from study.training.reopening import require_problem

        require_problem(record.config, options.problem)
    if record.config.pruner == "none":
        print_replay(record, options.rows, options.orders, out, markdown=options.markdown)
    elif out is not None:
        raise InputError(f"study {record.config.name!r} was pruned: `out` draws a study of --pruner none")
    else:
        _print_costs(record, markdown=options.markdown)


def _print_costs(record: StudyRecord, *, markdown: bool) -> None:
    """Print what the reprieved trials say about the stopped ones."""
    from study.page.text import pruning_sentences
    from study.stats.pruning_cost import cost_of_pruning

    costs = cost_of_pruning(record)
    columns, rows = cost_table(costs)
    said = [*pruning_sentences(costs)]
    if costs[-1].reprieved:
        said.append(f"Reprieves took {costs[-1].spent:,} epochs that it would have saved too.")
    title = f"What pruning cost study {record.config.name}"
    _print(title, columns, rows, " ".join(said), markdown=markdown)


def cost_table(costs: Sequence[Cost]) -> tuple[list[Column], list[list[str]]]:
    """Return the estimate's table: a row a family, then all."""
    from study.terminal.cells import MISSING
    from study.terminal.tables import Column

    titles = ("trials", "stopped", "reprieved", "above family's best", "above study's best", "epochs saved")
    columns = [Column("family"), *(Column(title, "right") for title in titles)]
    rows = []
    for cost in costs:
        above = [str(share) if cost.stopped else MISSING for share in (cost.beat_family, cost.beat_study)]
        counts = [str(n) for n in (cost.trials, cost.stopped, cost.reprieved)]
        rows.append([cost.family, *counts, *above, str(cost.saved)])
    return columns, rows


def print_replay(record: StudyRecord, rows: int, orders: int, out: Path | None, *, markdown: bool) -> None:
    """Replay every setting over whole curves; print the table, draw it, recommend one."""
    from study.stats.replay import curves, in_other_orders, judge, leaders, recommend
    from study.terminal.progress import Progress

    data = curves(record)

    @cache
    def shuffled(setting: Setting) -> list[Replay]:
        return in_other_orders(setting, data, orders)

    settings = list(settings_of(data, record.config.epochs))
    replays = []
    with Progress(len(settings), "replay", unit="settings", aside=True) as progress:
        for number, setting in enumerate(settings, start=1):
            replays.append(judge(setting, data))
            progress.update(number, {"pruner": setting.pruner})
    chosen = recommend(replays, lambda replay: shuffled(replay.setting))
    shown = leaders(replays, rows, also=chosen)
    columns, cells = replay_table(shown, [shuffled(r.setting) for r in shown])
    title = (
        f"{len(replays)} pruners replayed over study {record.config.name}: {len(data.families)} trials of "
        f"{record.config.epochs} epochs"
    )
    advice = "Every setting loses the winner or costs a family more than a point: search with --pruner none."
    if chosen is not None:
        advice = f"Recommended: {chosen.setting.flags}"
    _print(title, columns, cells, advice, markdown=markdown)
    if chosen is not None:
        _print_false_stops(chosen, markdown=markdown)
    if out is not None:
        from study.core.files import whole_file
        from study.page.plots.audit_scatter import audit_figure

        with whole_file(out, "`out`") as part:
            audit_figure(replays, shown, chosen).write_html(part, include_plotlyjs=True)
        click.echo(f"wrote {out}")


def settings_of(data: Curves, epochs: int) -> Iterator[Setting]:
    """Yield every setting that is replayed: all pruners, every signal recorded, the grids above."""
    from study.core.rules.median_rule import MedianRule
    from study.core.rules.predict_rule import PredictRule
    from study.stats.replay import Setting

    afters = sorted({max(1, round(epochs * share)) for share in AFTER})
    everies = sorted({max(1, round(epochs * share)) for share in EVERY})
    for pruner, signal in product(KEEP, data.signals):
        for after, every, startup, keep in product(afters, everies, STARTUP, KEEP[pruner]):
            yield Setting(pruner, signal, MedianRule(after, every, startup, epochs, keep))
    for signal, keep, startup in product(data.traits, PREDICT_KEEP, PREDICT_STARTUP):
        for after in sorted({max(1, -round(-epochs * share // 1)) for share in PREDICT_AFTER}):
            yield Setting("predict", signal, PredictRule(after, 1, startup, epochs, keep))


def replay_table(
    replays: Sequence[Replay], others: Sequence[Sequence[Replay]]
) -> tuple[list[Column], list[list[str]]]:
    """Return the replay's table: a row a setting.

    Args:
        replays: The settings shown.
        others: Each of them in as many other orders, or in none.
    """
    from statistics import mean

    from study.terminal.cells import percent
    from study.terminal.tables import Column

    names = ("after", "every", "startup", "keep", "stopped", "epochs saved")
    losses = ("winner", "families' best", "worst family's loss")
    columns = [Column("pruner"), Column("signal"), *(Column(name, "right") for name in (*names, *losses))]
    if any(others):
        again = ("winner", "saved", "families' best", "worst family's loss")
        columns += [Column(f"{name} in other orders", "right") for name in again]
    rows = []
    for r, shuffled in zip(replays, others, strict=True):
        rule = r.setting.rule
        options = (rule.n_warmup_steps, rule.interval_steps, rule.n_startup_trials, rule.keep_best)
        row = [r.setting.pruner, r.setting.prune_on, *(str(n) for n in (*options, r.stopped))]
        row += [percent(r.saved), "kept" if r.winner_kept else f"lost by {r.regret:.2f}"]
        row += [f"{r.families_kept} of {r.families}", f"{r.worst_loss:.2f}"]
        if shuffled:
            row.append(f"{sum(other.winner_kept for other in shuffled)} of {len(shuffled)}")
            row.append(f"{100 * mean(other.saved for other in shuffled):.1f} %")
            row.append(f"{mean(other.families_kept for other in shuffled):.1f}")
            row.append(f"{max(other.worst_loss for other in shuffled):.2f}")
        rows.append(row)
    return columns, rows


def _print_false_stops(replay: Replay, *, markdown: bool) -> None:
    from study.terminal.cells import percent
    from study.terminal.tables import Column

    rows = [
        [family, "none stopped" if share is None else percent(share)]
        for family, share in replay.false_prunes.items()
    ]
    columns = [Column("family"), Column("would have ended above the family's best", "right")]
    _print("Of the trials that the recommended setting stops", columns, rows, None, markdown=markdown)


def _print(
    title: str, columns: Sequence[Column], rows: Sequence[Sequence[str]], note: str | None, *, markdown: bool
) -> None:
    if not markdown:
        from study.terminal.tables import print_table

        print_table(columns, rows, title=title, note=note)
        return
    from study.terminal.markdown import markdown_table

    click.echo(f"{title}\n\n{markdown_table(columns, rows)}")
    click.echo(f"\n{note}\n" if note else "")


if __name__ == "__main__":
    main()
