"""One recorded trial trained again, alone: do its numbers come back?"""

from __future__ import annotations

import click

from study.core.errors import InputError
from study.core.records import EpochMetrics, TrialRecord
from study.problems.fashion_mnist import choose_device
from study.store import optuna_storage as store
from study.terminal.cells import cell
from study.terminal.progress import Progress
from study.terminal.tables import Column, print_table
from study.training.process import prepare_process
from study.training.rates import Rates
from study.training.reopening import reopen_workload
from study.training.side_by_side import SideBySide

#: Largest difference of the first epoch's training loss, as a share of it. One lane adds up in another
#: order than many, so that the last bits differ from the first step on.
FIRST_LOSS = 0.02
#: Largest difference of the final validation accuracy. Those bits grow over thousands of steps until the
#: two runs are as different as two seeds are; measured differences stand in docs/results.md.
FINAL_ACCURACY = 0.02


def rerun_trial(
    storage: str, study: str, number: int, device: str, data_dir: str | None, problem: str | None = None
) -> int:
    """Train a recorded trial again from its seed and its place in the data order, and compare.

    Returns:
        The exit code: 0 if the numbers agree within the stated tolerance, 1 if not.

    Raises:
        InputError: There is no such trial, it has no epochs to compare with, or the data differ.
    """
    prepare_process()
    record = store.load(storage, study)
    trial = next((t for t in record.trials if t.number == number), None)
    if trial is None or not trial.epochs:
        last = max((t.number for t in record.trials), default=None)
        raise InputError(f"`rerun` {number}: study {study} has no such ended trial; its last is {last}")
    config = record.config
    recorded = record.attributes.get("problem_reference", "")
    workload = reopen_workload(
        config, problem, recorded, choose_device(device), data_dir=data_dir, at_most=config.train_images
    )
    lane = workload.lanes(
        batch_size=config.batch_size,
        order_seed=config.seed,
        bfloat16=config.precision == "bfloat16",
        clock=trial.spec.offset,
    )
    return _compare(trial, _train(trial, lane))


def _train(trial: TrialRecord, lane: SideBySide) -> list[EpochMetrics]:
    """Train as many epochs as were recorded."""
    spec = trial.spec
    lane.add(trial.number, spec.seed, spec)
    rates = Rates(spec.schedule, spec.base_rate, lane.steps)
    again: list[EpochMetrics] = []
    with Progress(len(trial.epochs), f"trial {trial.number} again") as progress:
        for _ in trial.epochs:
            epoch = lane.train_epoch({trial.number: rates.current()})[trial.number]
            rates.observe(epoch.train_loss)
            again.append(epoch)
            progress.update(len(again), {"val_accuracy": cell(epoch.val_accuracy)})
    return again


def _compare(trial: TrialRecord, again: list[EpochMetrics]) -> int:
    columns = [
        Column(t, "right")
        for t in ("epoch", "rate", "train loss", "again", f"val {trial.metric.name}", "again")
    ]
    rows = [
        [str(then.epoch + 1), f"{then.rate:.4g}", cell(then.train_loss), cell(now.train_loss),
         cell(then.val_accuracy), cell(now.val_accuracy)]
        for then, now in zip(trial.epochs, again, strict=True)
    ]  # fmt: skip
    print_table(columns, rows, title=f"trial {trial.number}, then and again")
    if trial.outcome == "diverged":
        click.echo("the trial diverged; nothing to compare")
        return 0
    loss = abs(again[0].train_loss / trial.epochs[0].train_loss - 1)
    progress = trial.metric.progress
    accuracy = abs(progress(again[-1].val_accuracy or 0.0) - progress(trial.epochs[-1].val_accuracy or 0.0))
    agrees = loss <= FIRST_LOSS and accuracy <= FINAL_ACCURACY
    click.echo(
        f"first training loss differs by {loss:.2%} (tolerance {FIRST_LOSS:.0%}), final validation {trial.metric.name} by "
        f"{100 * accuracy:.2f} points (tolerance {100 * FINAL_ACCURACY:g}): "
        f"{'agrees' if agrees else 'DOES NOT AGREE'}"
    )
    return 0 if agrees else 1
