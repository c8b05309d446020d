"""Against torch's own schedulers: the same rate at each of 500 steps, and every quirk decided."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as theirs

import lrsched as ours
from lrsched.pytorch import from_torch, peak_rates

SETTINGS = 200
STEPS = 500


@dataclass
class Case:
    """One setting: torch's scheduler, ours, and the steps at which they must agree; after them ours stays."""

    scheduler: Any
    schedule: ours.Schedule
    steps: int = STEPS

    def expected(self) -> np.ndarray[Any, Any]:
        """Return torch's rate at each of 500 steps; after the last one that counts, that one's."""
        known = rates(self.scheduler, self.steps)
        return np.concatenate([known, np.full(STEPS - self.steps, known[-1])])


def optimizer(rate: float = 0.1) -> torch.optim.SGD:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate, momentum=0.9)


def rates(scheduler: Any, steps: int) -> np.ndarray[Any, Any]:
    """Return torch's rate at steps 0, 1, ..."""
    group = scheduler.optimizer.param_groups[0]
    out = np.empty(steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no training here: the optimizer never steps
        for step in range(steps):
            out[step] = group["lr"]
            if step < steps - 1:
                scheduler.step()
    return out


def lambda_lr(rng: np.random.Generator) -> Case:
    a, b = rng.uniform(0.9, 0.999), rng.uniform(0, 0.01)
    f = lambda n: a**n + b  # noqa: E731  # the same object for both
    return Case(theirs.LambdaLR(optimizer(), f), ours.Function(f, whole=True))


def multiplicative(rng: np.random.Generator) -> Case:
    a = rng.uniform(0.9, 1.0)
    f = lambda n: a if n % 3 else 1.0  # noqa: E731  # the same object for both
    return Case(theirs.MultiplicativeLR(optimizer(), f), ours.Multiplicative(f))


def step(rng: np.random.Generator) -> Case:
    size, gamma = int(rng.integers(1, 200)), rng.uniform(0.3, 1)
    return Case(theirs.StepLR(optimizer(), size, gamma), ours.Step(size, gamma))


def multi_step(rng: np.random.Generator) -> Case:
    milestones = sorted(int(m) for m in rng.choice(STEPS, size=rng.integers(1, 8), replace=False))
    gamma = rng.uniform(0.1, 1)
    return Case(theirs.MultiStepLR(optimizer(), milestones, gamma), ours.MultiStep(tuple(milestones), gamma))


def constant(rng: np.random.Generator) -> Case:
    factor, length = rng.uniform(0.01, 1), int(rng.integers(1, 600))
    return Case(theirs.ConstantLR(optimizer(), factor, length), ours.Hold(factor, length))


def linear(rng: np.random.Generator) -> Case:
    start, end, length = rng.uniform(0.01, 1), rng.uniform(0.01, 1), int(rng.integers(1, 600))
    return Case(theirs.LinearLR(optimizer(), start, end, length), ours.Linear(length, start, end))


def exponential(rng: np.random.Generator) -> Case:
    gamma = rng.uniform(0.9, 1)
    return Case(theirs.ExponentialLR(optimizer(), gamma), ours.Exponential(gamma))


def polynomial(rng: np.random.Generator) -> Case:
    length, power = int(rng.integers(1, 600)), rng.uniform(0.2, 4)
    return Case(theirs.PolynomialLR(optimizer(), length, power), ours.Polynomial(length, power))


def cosine(rng: np.random.Generator) -> Case:
    T_max, final = int(rng.integers(2, 600)), rng.uniform(0.001, 0.9)
    # Beyond T_max torch rises again: a quirk, tested below.
    scheduler = theirs.CosineAnnealingLR(optimizer(), T_max, 0.1 * final)
    return Case(scheduler, ours.Cosine(T_max, 0.1 * final / 0.1), min(STEPS, T_max + 1))


def restarts(rng: np.random.Generator) -> Case:
    T_0, T_mult, final = int(rng.integers(1, 200)), int(rng.integers(1, 4)), rng.uniform(0.001, 0.9)
    scheduler = theirs.CosineAnnealingWarmRestarts(optimizer(), T_0, T_mult, 0.1 * final)
    return Case(scheduler, ours.CosineRestarts(T_0, T_mult, final=0.1 * final / 0.1))


def cyclic(rng: np.random.Generator) -> Case:
    up, down, low = int(rng.integers(1, 150)), int(rng.integers(1, 150)), rng.uniform(0.1, 0.9)
    mode = str(rng.choice(["triangular", "triangular2", "exp_range"]))
    gamma = float(rng.uniform(0.99, 1))
    scheduler = theirs.CyclicLR(optimizer(), 0.1 * low, 0.1, up, down, mode, gamma)  # type: ignore[arg-type]  # a drawn mode
    return Case(scheduler, ours.Cyclic(up, down, 0.1 * low / 0.1, mode, gamma))


def one_cycle(rng: np.random.Generator) -> Case:
    total = int(rng.integers(20, 600))
    phases, shape = int(rng.choice([2, 3])), str(rng.choice(["cosine", "linear"]))
    pct = float(rng.uniform(0.1, 0.5 if phases == 3 else 0.9))
    div, final_div = rng.uniform(1, 50), rng.uniform(1, 1e4)
    scheduler = theirs.OneCycleLR(
        optimizer(),
        0.1,
        total,
        pct_start=pct,
        anneal_strategy="cos" if shape == "cosine" else "linear",
        div_factor=div,
        final_div_factor=final_div,
        three_phase=phases == 3,
    )
    peak, start = (pct * total - 1) / (total - 1), 0.1 / div
    schedule = ours.OneCycle(total - 1, peak, start / 0.1, start / final_div / 0.1, shape, phases)
    return Case(scheduler, schedule, min(STEPS, total))


KINDS: dict[str, Callable[[np.random.Generator], Case]] = {
    "LambdaLR": lambda_lr,
    "MultiplicativeLR": multiplicative,
    "StepLR": step,
    "MultiStepLR": multi_step,
    "ConstantLR": constant,
    "LinearLR": linear,
    "ExponentialLR": exponential,
    "PolynomialLR": polynomial,
    "CosineAnnealingLR": cosine,
    "CosineAnnealingWarmRestarts": restarts,
    "CyclicLR": cyclic,
    "OneCycleLR": one_cycle,
}


def cases(kind: str) -> Iterator[Case]:
    rng = np.random.default_rng(sorted(KINDS).index(kind))
    for _ in range(SETTINGS):
        case = KINDS[kind](rng)
        assert type(case.scheduler).__name__ == kind
        yield case


@pytest.mark.parametrize("kind", KINDS)
def test_equals_torch(kind: str) -> None:
    """200 random settings, 500 steps each: the same rates to 1e-12."""
    for case in cases(kind):
        values = peak_rates(case.scheduler)[0] * case.schedule(np.arange(STEPS))
        # Next to nothing is left of the peak where a decay has nearly ended: there rounding is absolute.
        np.testing.assert_allclose(
            values, case.expected(), rtol=1e-12, atol=1e-16, err_msg=str(case.schedule)
        )


@pytest.mark.parametrize("kind", KINDS)
def test_from_torch_reads_what_torch_was_given(kind: str) -> None:
    for case in cases(kind):
        assert from_torch(case.scheduler) == case.schedule


def test_plateau_equals_torch() -> None:
    """200 random settings on 500 random metrics, with cooldowns, floors, both modes and thresholds."""
    rng = np.random.default_rng(0)
    for _ in range(SETTINGS):
        setting: dict[str, Any] = {
            "mode": str(rng.choice(["min", "max"])),
            "factor": float(rng.uniform(0.1, 0.95)),
            "patience": int(rng.integers(0, 12)),
            "threshold": float(rng.uniform(0, 0.05)),
            "threshold_mode": str(rng.choice(["rel", "abs"])),
            "cooldown": int(rng.integers(0, 6)),
        }
        floor = float(rng.uniform(0, 0.3))
        eps = float(rng.choice([0.0, 1e-8, 1e-3]))
        scheduler = theirs.ReduceLROnPlateau(optimizer(), **setting, min_lr=0.1 * floor, eps=eps)
        if setting["threshold_mode"] == "rel":
            setting["threshold_mode"] = "signed_rel"
        schedule = ours.Plateau(**setting, floor=0.1 * floor / 0.1, eps=eps / 0.1)
        assert from_torch(scheduler) == schedule
        metrics = np.exp(-np.arange(STEPS) / rng.uniform(20, 300)) + rng.normal(0, 0.02, STEPS)
        state = schedule.initial()
        for metric in metrics:
            scheduler.step(metric)
            state = schedule.observe(state, metric)
            rate = scheduler.optimizer.param_groups[0]["lr"]
            assert 0.1 * schedule.at(0.0, state) == pytest.approx(rate, rel=1e-12, abs=0)


def test_sequences_equal_torch() -> None:
    """SequentialLR of up to four random parts is Join, at each of 500 steps."""
    rng = np.random.default_rng(1)
    makers = [step, multi_step, constant, linear, exponential, polynomial, restarts, lambda_lr]
    for _ in range(SETTINGS):
        shared = optimizer()
        parts = []
        for maker in rng.choice(np.array(makers, dtype=object), size=rng.integers(2, 5)):
            part = maker(rng)
            parts.append(Case(rebuilt(part.scheduler, shared), part.schedule))
        milestones = sorted(
            int(m) for m in rng.choice(np.arange(1, STEPS), size=len(parts) - 1, replace=False)
        )
        scheduler = theirs.SequentialLR(shared, [p.scheduler for p in parts], milestones)
        schedule = ours.Join(tuple(p.schedule for p in parts), tuple(milestones))
        assert from_torch(scheduler) == schedule
        expected = rates(scheduler, STEPS)
        np.testing.assert_allclose(0.1 * schedule(np.arange(STEPS)), expected, rtol=1e-12, atol=1e-16)


#: Attributes of torch's schedulers that are arguments of their constructors.
ARGUMENTS = {
    *("lr_lambdas", "step_size", "gamma", "milestones", "factor", "total_iters", "start_factor"),
    *("end_factor", "power", "T_0", "T_mult", "eta_min"),
}


def rebuilt(scheduler: Any, shared: torch.optim.Optimizer) -> Any:
    """Return a like scheduler on another optimizer, which has had its rate put back."""
    given = {name: value for name, value in vars(scheduler).items() if name in ARGUMENTS}
    if "lr_lambdas" in given:
        given["lr_lambda"] = given.pop("lr_lambdas")
    if "milestones" in given:
        given["milestones"] = sorted(given["milestones"].elements())
    shared.param_groups[0]["lr"] = 0.1
    return type(scheduler)(shared, **given)


def test_chains_equal_torch() -> None:
    """ChainedScheduler of schedulers that multiply is Product."""
    rng = np.random.default_rng(2)
    for _ in range(50):
        shared = optimizer()
        first, second = linear(rng), step(rng)
        parts = [theirs.LinearLR(shared, first.scheduler.start_factor, first.scheduler.end_factor, 40)]
        scheduler = theirs.ChainedScheduler([*parts, theirs.StepLR(shared, 30, second.scheduler.gamma)])
        schedule = from_torch(scheduler)
        assert isinstance(schedule, ours.Product)
        np.testing.assert_allclose(
            0.1 * schedule(np.arange(STEPS)), rates(scheduler, STEPS), rtol=1e-12, atol=1e-18
        )


# torch's quirks, one by one.


def test_quirk_cosine_rises_again_and_ours_stays() -> None:
    scheduler = theirs.CosineAnnealingLR(optimizer(), 20, 0.01)
    expected = rates(scheduler, 41)
    schedule = from_torch(theirs.CosineAnnealingLR(optimizer(), 20, 0.01))
    assert expected[40] == pytest.approx(0.1)
    assert 0.1 * schedule(40) == pytest.approx(0.01)


def test_quirk_one_cycle_leaves_its_range_at_one_step_too_many_and_ours_stays() -> None:
    scheduler = theirs.OneCycleLR(optimizer(), 0.1, 10, anneal_strategy="linear")
    schedule = from_torch(scheduler)
    assert rates(scheduler, 11)[10] < 0
    assert schedule(10) == schedule(9) > 0


@pytest.mark.parametrize("kind", [theirs.LinearLR, theirs.ConstantLR])
def test_quirk_total_iters_0_never_leaves_the_first_factor(kind: Any) -> None:
    first = {"LinearLR": "start_factor", "ConstantLR": "factor"}[kind.__name__]
    scheduler = kind(optimizer(), **{first: 0.25}, total_iters=0)
    schedule = from_torch(scheduler)
    assert schedule == ours.ByHand((0,), (0.25,))
    np.testing.assert_allclose(0.1 * schedule(np.arange(9)), rates(scheduler, 9), rtol=1e-12)
    assert ours.Hold(0.25, 0)(0) == ours.Linear(0, 0.25, 1.0)(0) == 1.0


def test_quirk_polynomial_total_iters_0_stays_at_1() -> None:
    scheduler = theirs.PolynomialLR(optimizer(), 0)
    assert from_torch(scheduler) == ours.Constant()
    assert (rates(scheduler, 5) == 0.1).all()
    assert ours.Polynomial(0)(0) == 0.0


def test_quirk_constant_factor_0_divides_by_zero_and_ours_does_not() -> None:
    scheduler = theirs.ConstantLR(optimizer(), 0.0, 3)
    with pytest.raises(ZeroDivisionError):
        rates(scheduler, 5)
    assert from_torch(scheduler)(np.arange(5)).tolist() == [0, 0, 0, 1, 1]


def test_quirk_milestones_unsorted_repeated_or_zero() -> None:
    scheduler = theirs.MultiStepLR(optimizer(), [8, 0, 3, 8], 0.5)
    schedule = from_torch(scheduler)
    assert schedule == ours.ByHand((0, 3, 8), (0.5, 0.25, 0.0625))
    np.testing.assert_allclose(0.1 * schedule(np.arange(12)), rates(scheduler, 12), rtol=1e-12)
    assert from_torch(theirs.MultiStepLR(optimizer(), [], 0.5)) == ours.Constant()


def test_quirk_one_cycle_without_a_whole_step_of_rise_is_refused() -> None:
    scheduler = theirs.OneCycleLR(optimizer(), 0.1, 10, pct_start=0.05)
    with pytest.raises(ValueError, match="rises in less than one step"):
        from_torch(scheduler)


def test_quirk_plateau_eps_skips_small_reductions_as_ours_can() -> None:
    scheduler = theirs.ReduceLROnPlateau(optimizer(1e-7), patience=0, factor=0.95)
    schedule = from_torch(scheduler)
    for _ in range(3):
        scheduler.step(1.0)
    assert scheduler.optimizer.param_groups[0]["lr"] == 1e-7
    assert ours.follow(schedule, [1.0] * 4)[-1] == 1.0
    assert ours.follow(ours.Plateau(0.95, patience=0), [1.0] * 4)[-1] == pytest.approx(0.95**2)


def test_quirk_plateau_takes_the_sign_along_and_ours_only_when_asked() -> None:
    """Below zero torch's bar lies on the wrong side: the same metric again, and a little worse, is an improvement."""
    scheduler = theirs.ReduceLROnPlateau(optimizer(), patience=0, factor=0.5, threshold=0.01)
    for metric in (-5.0, -5.0, -4.96):
        scheduler.step(metric)
    assert scheduler.optimizer.param_groups[0]["lr"] == 0.1
    signed = ours.Plateau(0.5, patience=0, threshold=0.01, threshold_mode="signed_rel")
    assert ours.follow(signed, [-5.0, -5.0, -4.96, 0.0]) == [1, 1, 1, 1]
    assert ours.follow(ours.Plateau(0.5, patience=0, threshold=0.01), [-5.0, -5.0, -5.06, 0.0]) == [
        1,
        1,
        0.5,
        0.5,
    ]


def test_growing_schedules_are_refused() -> None:
    with pytest.raises(ValueError, match="gamma must be a number in"):
        from_torch(theirs.ExponentialLR(optimizer(), 1.1))


def test_cosine_chain_with_a_floor_is_no_product() -> None:
    shared = optimizer()
    parts = [theirs.ConstantLR(shared, 0.5, 4), theirs.CosineAnnealingLR(shared, 9, 0.01)]
    with pytest.raises(ValueError, match="CosineAnnealingLR sets the rate instead of multiplying it"):
        from_torch(theirs.ChainedScheduler(parts))


def test_groups_that_differ_must_be_read_one_by_one() -> None:
    a, b = torch.nn.Parameter(torch.zeros(1)), torch.nn.Parameter(torch.zeros(1))
    two = torch.optim.SGD([{"params": [a], "lr": 0.1}, {"params": [b], "lr": 0.4}])
    scheduler = theirs.CosineAnnealingLR(two, 10, eta_min=0.04)
    with pytest.raises(ValueError, match=r"give group="):
        from_torch(scheduler)
    assert from_torch(scheduler, group=1)(10) == pytest.approx(0.1)
    assert peak_rates(scheduler) == [0.1, 0.4]


def test_groups_that_cannot_be_read_are_refused() -> None:
    scheduler = theirs.StepLR(optimizer(), 3)
    for group in (1, -1):
        with pytest.raises(
            ValueError, match=f"group must be one of the 1, counted from 0, got group={group}"
        ):
            from_torch(scheduler, group=group)
    with pytest.raises(ValueError, match="group 0 has the peak rate 0"):
        from_torch(theirs.CosineAnnealingLR(optimizer(0.0), 9))


def test_strangers_are_refused() -> None:
    with pytest.raises(TypeError, match="int is not a scheduler that can be read"):
        from_torch(3)


def random_part(shared: torch.optim.Optimizer, rng: np.random.Generator) -> Any:
    """Build any of torch's schedulers on an optimizer, as a user would, one after another."""

    def r(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    makers: list[Callable[[], Any]] = [
        lambda: theirs.MultiplicativeLR(shared, lambda _: 0.9),
        lambda: theirs.StepLR(shared, r(1, 10), rng.choice([0.5, 1.0, 0.1])),
        lambda: theirs.MultiStepLR(shared, rng.integers(0, 60, 3).tolist(), 0.5),
        lambda: theirs.ConstantLR(shared, rng.choice([0.5, 0.25, 1.0]), r(0, 20)),
        lambda: theirs.LinearLR(shared, rng.choice([0.1, 1.0]), rng.choice([1.0, 0.3, 0.0]), r(0, 30)),
        lambda: theirs.ExponentialLR(shared, 0.9),
        lambda: theirs.PolynomialLR(shared, r(0, 30), rng.choice([1.0, 2.0, 0.5])),
        lambda: theirs.CosineAnnealingLR(shared, r(2, 40), rng.choice([0.0, 0.01])),
        lambda: theirs.CosineAnnealingWarmRestarts(shared, r(1, 9), r(1, 4), 0.001),
        lambda: theirs.LambdaLR(shared, lambda n: 1 / (1 + n)),
        lambda: theirs.CyclicLR(shared, 0.01, 0.1, r(1, 9), cycle_momentum=False),
        lambda: theirs.OneCycleLR(shared, 0.1, 99, cycle_momentum=False),
    ]
    return makers[r(0, len(makers))]()


@pytest.mark.filterwarnings("ignore")
def test_what_is_read_is_right_and_the_rest_is_refused() -> None:
    """Law: sequences and chains of anything, 400 of them, are torch's at each step (until a cosine rises), or refused."""
    rng, read, refused = np.random.default_rng(3), 0, 0
    while read + refused < 400:
        shared = optimizer()
        parts = [random_part(shared, rng) for _ in range(rng.integers(1, 4))]
        milestones = sorted(rng.integers(1, 60, len(parts) - 1).tolist())
        chain = rng.random() < 0.5
        scheduler: Any = (
            theirs.ChainedScheduler(parts) if chain else theirs.SequentialLR(shared, parts, milestones)
        )
        try:
            schedule, peak = from_torch(scheduler), peak_rates(scheduler)[0]
        except ValueError:
            refused += 1
            continue
        begins = [0] * len(parts) if chain else [0, *milestones]
        rises = [
            b + p.T_max
            for b, p in zip(begins, parts, strict=True)
            if isinstance(p, theirs.CosineAnnealingLR) and (chain or p is parts[-1])
        ]
        steps = min([59, *rises]) + 1
        try:
            expected = rates(scheduler, steps)
        except ZeroDivisionError:  # torch's own, where a factor is 0
            continue
        np.testing.assert_allclose(
            peak * schedule(np.arange(steps)), expected, rtol=1e-9, atol=1e-15, err_msg=str(schedule)
        )
        read += 1
    assert read > 100
    assert refused > 100


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: [theirs.ExponentialLR(o, 0.5), theirs.MultiplicativeLR(o, abs)], "goes on from the rate"),
        (lambda o: [theirs.CosineAnnealingLR(o, 2), theirs.StepLR(o, 3)], "rises again"),
        (lambda o: [theirs.StepLR(o, 3), theirs.OneCycleLR(o, 0.1, 9)], "has replaced the first rate"),
        (
            lambda o: [theirs.StepLR(o, 3), theirs.ChainedScheduler([theirs.StepLR(o, 3)])],
            "is a ChainedScheduler, which torch does not restart",
        ),
    ],
)
def test_sequences_that_are_no_join_are_refused_by_name(
    make: Callable[[torch.optim.Optimizer], list[Any]], message: str
) -> None:
    shared = optimizer()
    parts = make(shared)
    with pytest.raises(ValueError, match=rf"part \d of this SequentialLR.*{message}"):
        from_torch(theirs.SequentialLR(shared, parts, [3]))


def test_subclasses_that_change_what_torch_does_are_refused_by_name() -> None:
    class Jumpy(theirs.StepLR):
        def get_lr(self) -> list[float | torch.Tensor]:
            return [0.5 for _ in self.base_lrs]

    class Named(theirs.StepLR):
        """One that only fixes its arguments."""

        def __init__(self, opt: torch.optim.Optimizer) -> None:
            super().__init__(opt, 3, 0.5)

    with pytest.raises(TypeError, match=r"^Jumpy has a get_lr of its own: .* what StepLR does"):
        from_torch(Jumpy(optimizer(), 3))
    assert from_torch(Named(optimizer())) == ours.Step(3, 0.5)
    patched: Any = theirs.StepLR(optimizer(), 3)
    patched.get_lr = lambda: [0.1]
    with pytest.raises(TypeError, match="has a get_lr of its own"):
        from_torch(patched)


def test_what_was_loaded_is_read_as_loaded() -> None:
    """The saved scheduler's settings and base rate, not those that this one was made with."""
    saved = theirs.CosineAnnealingLR(optimizer(0.2), 10, eta_min=0.05).state_dict()
    scheduler = theirs.CosineAnnealingLR(optimizer(0.1), 7)
    scheduler.load_state_dict(saved)
    assert from_torch(scheduler) == ours.Cosine(10, 0.25)
    assert peak_rates(scheduler) == [0.2]


def test_a_plateau_that_has_been_stepped_has_lost_its_first_rate() -> None:
    scheduler = theirs.ReduceLROnPlateau(optimizer(), patience=0, min_lr=0.01)
    scheduler.step(1.0)
    with pytest.raises(ValueError, match="has been stepped, and its first rate is not kept"):
        from_torch(scheduler)
