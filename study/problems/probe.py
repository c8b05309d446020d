"""Try a problem on a few examples before anything is created: does each part fit the others?

Notation: B examples of the first minibatch, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

import torch
from torch import nn

from study.core.errors import InputError
from study.problems.definition import Measure, Part, Problem
from study.problems.user_code import named, user_code

#: Examples that are tried: enough for a batch norm, few enough for any memory.
TRIED = 16


def probe(problem: Problem, device: torch.device) -> nn.Module:
    """Train a network for one step on a few examples and measure it; return it.

    Raises:
        InputError: Something does not fit; one line that says what, with the value and the rule.
    """
    train = problem.examples("train", device)
    validation = problem.examples("validation", device)
    inputs, targets = train.part(0, min(len(train), problem.batch_size, TRIED))
    with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []):
        network = problem.build(0).to(device)
        outputs = _outputs(problem, network.train(), inputs, "train")
        if problem.metric == "accuracy":
            _check_classes(problem, outputs, ("train", "validation"), device)
        _check_loss(problem, outputs, targets)
        _check_optimizer(problem, network, _loss(problem, outputs, targets))
        rest = len(train) % problem.batch_size
        if rest == 1:
            _check_last_batch(problem, network, inputs[:1])
        few = validation.part(0, min(len(validation), TRIED))
        with torch.no_grad():
            shown = _outputs(problem, network.eval(), few.inputs, "validation")
        _loss(problem, shown, few.targets)
        if not isinstance(problem.metric, str):
            own_values(problem, problem.metric, shown, few.targets)
    _ = problem.measured
    return network


def own_values(
    problem: Problem, metric: Measure, outputs: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Return a user's metric: one number an example, ``[B]``, or one for all.

    Raises:
        InputError: It fails or returns something else.
    """
    what = f"problem {problem.name!r}: metric {problem.metric_name}"
    with user_code(what):
        value = metric(outputs, targets)
    try:
        # A Python number would become float32 on its way.
        numbers = torch.as_tensor(value, dtype=torch.float64).detach().cpu()
    except (TypeError, ValueError, RuntimeError):
        raise InputError(f"{what} must return a number, got {named(value)}") from None
    if numbers.dim() == 0 or tuple(numbers.shape) == (len(targets),):
        return numbers
    raise InputError(
        f"{what} must return one number, or one an example [{len(targets)}], got shape {list(numbers.shape)}"
    )


def _outputs(problem: Problem, network: nn.Module, inputs: torch.Tensor, part: Part) -> torch.Tensor:
    shape = list(inputs.shape)
    with user_code(f"problem {problem.name!r}: the network, given {part} inputs {shape},"):
        outputs: Any = network(inputs)
    if not isinstance(outputs, torch.Tensor):
        _refuse(problem, f"the network must return one tensor, got a {type(outputs).__name__}")
    if outputs.dim() == 0 or len(outputs) != len(inputs):
        _refuse(
            problem,
            f"the network must return one row an example: given {shape} it returned {list(outputs.shape)}",
        )
    if not outputs.is_floating_point():
        _refuse(problem, f"the network must return floating-point numbers, got {outputs.dtype}")
    if not bool(torch.isfinite(outputs).all()):
        _refuse(problem, "the network returns NaN or infinite numbers before it is trained")
    return outputs


def _loss(problem: Problem, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    shapes = f"outputs {list(outputs.shape)} and targets {list(targets.shape)}"
    with user_code(f"problem {problem.name!r}: loss, given {shapes},"), warnings.catch_warnings():
        # A regression on [B, 1] against [B] compares every output with every target; torch only warns.
        warnings.filterwarnings("error", message="Using a target size")
        loss: Any = problem.loss(outputs, targets)
    if not isinstance(loss, torch.Tensor):
        _refuse(problem, f"loss must return a tensor with one number, got {named(loss)}")
    if loss.dim() != 0:
        _refuse(
            problem,
            f"loss must return one number, the mean over the minibatch, got shape {list(loss.shape)}; "
            "for torch's losses reduction='mean'",
        )
    if not bool(torch.isfinite(loss)):
        _refuse(problem, f"loss is {float(loss.detach())} before any training")
    return loss


def _check_loss(problem: Problem, outputs: torch.Tensor, targets: torch.Tensor) -> None:
    """Refuse a loss that no gradient flows through, or that is a sum over the minibatch."""
    once = _loss(problem, outputs, targets)
    if not once.requires_grad:
        _refuse(problem, "loss must be differentiable: no gradient flows from it to the weights")
    alone = float(once.detach())
    with torch.no_grad():
        twice = float(_loss(problem, torch.cat([outputs, outputs]), torch.cat([targets, targets])))
    if abs(twice) > 1e-6 and abs(twice - 2 * alone) < 1e-3 * abs(twice):
        _refuse(
            problem,
            "loss must be the mean over the minibatch, not the sum: every example given twice doubles it "
            f"({alone:.4g} to {twice:.4g}); for torch's losses reduction='mean'",
        )


def _check_optimizer(problem: Problem, network: nn.Module, loss: torch.Tensor) -> None:
    """Refuse an optimizer that cannot take a step, or whose rate is not the one it is given."""
    trainable = [p for p in network.parameters() if p.requires_grad]
    groups = [_groups(problem, trainable, rate) for rate in (problem.base_rate[0], 2 * problem.base_rate[0])]
    same = [one["lr"] == other["lr"] for one, other in zip(*groups, strict=True)]
    if all(same):
        _refuse(
            problem, "optimizer(parameters, lr) must use its lr: its groups have the same rate whatever lr is"
        )
    with user_code(f"problem {problem.name!r}: optimizer"):
        optimizer = problem.optimizer(trainable, problem.base_rate[0])
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        try:
            optimizer.step()
        except TypeError as error:
            if "closure" in str(error):
                _refuse(
                    problem, f"optimizer {type(optimizer).__name__} needs a closure, which lanes do not have"
                )
            raise


def _groups(problem: Problem, trainable: Sequence[nn.Parameter], rate: float) -> list[dict[str, Any]]:
    with user_code(f"problem {problem.name!r}: optimizer(parameters, lr={rate:g})"):
        optimizer: Any = problem.optimizer(list(trainable), rate)
    if not isinstance(optimizer, torch.optim.Optimizer):
        _refuse(problem, f"optimizer must return a torch.optim.Optimizer, got {named(optimizer)}")
    if not all("lr" in group for group in optimizer.param_groups):
        _refuse(problem, f"optimizer {type(optimizer).__name__} has no rate 'lr' that a schedule could drive")
    known = {id(p) for p in trainable}
    if not all(id(p) in known for group in optimizer.param_groups for p in group["params"]):
        _refuse(problem, "optimizer must train the parameters that it is given, got others")
    return list(optimizer.param_groups)


def _check_last_batch(problem: Problem, network: nn.Module, one: torch.Tensor) -> None:
    try:
        network(one)
    except Exception as error:
        raise InputError(
            f"problem {problem.name!r}: with batch_size={problem.batch_size} the last minibatch of an epoch holds 1 "
            f"example, on which the network raised {type(error).__name__}; choose another batch_size"
        ) from error


def _check_classes(
    problem: Problem, outputs: torch.Tensor, parts: Sequence[Part], device: torch.device
) -> None:
    """Refuse labels that are no classes of the network's."""
    for part in parts:
        targets = problem.examples(part, device).targets
        if targets.is_floating_point():
            _refuse(problem, f"metric 'accuracy' needs whole numbers as {part} targets, got {targets.dtype}")
        expected = [len(targets), *outputs.shape[2:]]
        if outputs.dim() < 2 or list(targets.shape) != expected:
            _refuse(
                problem,
                f"metric 'accuracy' needs outputs [B, classes, ...] and targets [B, ...], got outputs "
                f"{['B', *outputs.shape[1:]]} and {part} targets {['B', *targets.shape[1:]]}".replace(
                    "'B'", "B"
                ),
            )
        low, high = int(targets.min()), int(targets.max())
        if low < 0 or high >= outputs.shape[1]:
            wrong = low if low < 0 else high
            _refuse(
                problem,
                f"{part} targets must be classes 0 to {outputs.shape[1] - 1}, as many as the network has outputs, "
                f"got {wrong}",
            )


def _refuse(problem: Problem, fault: str) -> NoReturn:
    raise InputError(f"problem {problem.name!r}: {fault}")
