"""``python -m study.problem FILE.py:name --check``: try a problem of one's own before a study is spent on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from study.terminal.command import command, device_option, option

if TYPE_CHECKING:
    from study.problems.loading import Loaded
    from study.training.general.trial_run import TrialRun


@command(
    "problem",
    examples=[
        ("what a file holds", "examples/digits_mlp.py:problem"),
        (
            "try it: is it fused, how long does an epoch take, which rates train?",
            "examples/digits_mlp.py:problem --check",
        ),
    ],
    interrupted="interrupted; nothing was written",
)
@click.argument("reference", metavar="FILE.py:NAME|MODULE:NAME")
@option("--check", is_flag=True, group="Try", help="Train 20 steps at each of 12 rates.")
@device_option
def main(*, reference: str, check: bool, device: str) -> int:
    """Show a problem, and try it: the file is run, nothing is written.

    A problem is a network, its data, loss, metric and optimizer: see docs/your-own-problem.md.
    """
    from study.problems.fashion_mnist import choose_device
    from study.problems.loading import load_problem
    from study.problems.probe import probe
    from study.training.process import prepare_process

    prepare_process()
    where = choose_device(device)
    loaded = load_problem(reference)
    network = probe(loaded.problem, where)
    weights = sum(p.numel() for p in network.parameters() if p.requires_grad)
    _describe(loaded, weights, where)
    if check:
        _check(loaded, where)
    return 0


def _describe(loaded: Loaded, weights: int, device: Any) -> None:
    """Print what the problem is."""
    problem = loaded.problem
    metric = problem.measured
    train, validation = problem.examples("train", device), problem.examples("validation", device)
    click.echo(f"{problem.name}: {weights:,} weights, source {loaded.source[:12]}")
    for name, part in (("train", train), ("validation", validation)):
        inputs, targets = (f"{list(t.shape[1:])} {str(t.dtype).removeprefix('torch.')}" for t in part)
        click.echo(
            f"{name}: {len(part):,} examples, inputs {inputs}, targets {targets}, data {part.digest()[:12]}"
        )
    click.echo(
        f"test: {'none, so study.confirm cannot judge' if problem.test is None else 'opened by study.confirm alone'}"
    )
    click.echo(f"metric: {metric.name}, {metric.direction}; chance level {metric.value(metric.chance)}")
    low, high = problem.base_rate
    click.echo(f"{problem.epochs} epochs, batches of {problem.batch_size}, base rates {low:g} to {high:g}")


def _check(loaded: Loaded, device: Any) -> None:
    """Train a few steps and print what they show."""
    from study.training.general.proof import prove
    from study.training.general.trial_run import trial_run

    problem = loaded.problem
    proof = prove(problem, device)
    click.echo(str(proof))
    run = trial_run(problem, device, fused=proof.fused)
    memory = "" if run.memory is None else f"; largest memory so far {run.memory / 1e6:,.0f} MB"
    click.echo(
        f"an epoch takes a lane {run.seconds:.2g} s among {len(run.rates)} lanes, a trial "
        f"{run.seconds * problem.epochs:.2g} s{memory}"
    )
    _say_rates(run, problem.base_rate)


def _say_rates(run: TrialRun, base_rate: tuple[float, float]) -> None:
    for rate, loss in zip(run.rates, run.losses, strict=True):
        click.echo(f"  rate {rate:9.3g}: loss {run.before:.4g} to {loss:.4g}")
    if run.trains is None:
        click.echo("no rate trains within these steps: check the loss, the data and the optimizer")
        return
    low, high = run.trains
    click.echo(f"rates {low:.2g} to {high:.2g} train; the loss falls most at {run.best:.2g}")
    if base_rate[1] < low or base_rate[0] > high:
        click.echo(f"base_rate=({base_rate[0]:g}, {base_rate[1]:g}) lies outside of them: widen it")


if __name__ == "__main__":
    main()
