"""What the trials that a study stopped would have ended at, and what every pruner would have cost that study.

    python benchmarks/stopped.py [--study NAME] [--storage sqlite:///optuna.db] [--orders 20] [--rows 8]

The first time it queues the stopped trials in a study of their own, NAME-stopped, and prints the command that trains
them to their ends: the same schedules and rates, with other initial weights and another order of the images. When
they are trained, it prints what each family's best kept trial lost to its best one, and replays every pruner over
the curves, now whole.

The sampler chose these trials after what the pruner let it see, so this is no unpruned study. But it is another one
than that by which a pruner was chosen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace

from study.audit import print_replay
from study.core.errors import InputError
from study.core.records import CHANCE, StudyConfig, StudyRecord, TrialRecord, best_of
from study.page.reproduce import search_command
from study.store import optuna_storage as store


def key(trial: TrialRecord) -> tuple[tuple[str, object], ...]:
    """Return what tells one trial from another across studies: what was drawn for it."""
    return tuple(sorted(trial.spec.params.items()))


def queue(url: str, config: StudyConfig, stopped: Sequence[TrialRecord]) -> None:
    """Make a study in which the stopped trials wait to be trained."""
    study = store.open_study(url, config)
    for trial in stopped:
        study.enqueue_trial(dict(key(trial)))
    store.close(study)


def whole(record: StudyRecord, again: Sequence[TrialRecord]) -> StudyRecord:
    """Return the study with its stopped trials trained to their ends, each where it began."""
    ended = {key(t): t for t in again if t.outcome in {"finished", "diverged"}}

    def full(trial: TrialRecord) -> TrialRecord:
        if trial.outcome != "pruned":
            return trial
        other = ended[key(trial)]
        return replace(trial, epochs=other.epochs, outcome=other.outcome, value=other.value)

    config = replace(record.config, pruner="none")
    return StudyRecord(config, tuple(full(t) for t in record.trials), record.attributes)


def compare(pruned: StudyRecord, completed: StudyRecord) -> None:
    """Print each family's best trial as it was kept, and as it would have been."""
    print(
        f"{'family':20} {'best kept':>10} {'best of all':>12} {'points lost':>12}  stopped ones above the best kept"
    )
    for family, trials in pruned.by_family.items():
        kept = best_of(trials)
        ends = {t.number: t.value for t in completed.by_family[family] if t.value is not None}
        score = CHANCE if kept is None else kept.score
        best = max(ends.values(), default=score)
        above = [f"#{n} {v:.4f}" for n, v in ends.items() if v > score]
        print(f"{family:20} {score:10.4f} {best:12.4f} {100 * (best - score):12.2f}  {', '.join(above)}")


def main() -> int:
    """Queue, ask for the training, or tell; exit with 1 while there is something to train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", default="lr-schedules", help="the pruned study")
    parser.add_argument("--storage", default="sqlite:///optuna.db")
    parser.add_argument(
        "--orders", type=int, default=20, help="shuffled orders that settings are replayed in"
    )
    parser.add_argument("--rows", type=int, default=8, help="settings shown of each pruner, keep and signal")
    options = parser.parse_args()
    try:
        record = store.load(options.storage, options.study)
    except InputError as error:
        parser.error(str(error))
    stopped = [t for t in record.trials if t.outcome == "pruned"]
    config = replace(record.config, name=f"{record.config.name}-stopped", pruner="none")
    try:
        again = store.load(options.storage, config.name).trials
    except InputError:
        queue(options.storage, config, stopped)
        again = ()
    missing = {key(t) for t in stopped} - {key(t) for t in again if t.outcome in {"finished", "diverged"}}
    if missing:
        print(f"{len(missing)} of {len(stopped)} stopped trials are to be trained to their ends:\n")
        print(f"{search_command(config, len(stopped))} \\\n    --storage {options.storage}")
        return 1
    completed = whole(record, again)
    compare(record, completed)
    print()
    print_replay(completed, rows=options.rows, orders=options.orders, out=None, markdown=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
