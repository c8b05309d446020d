"""What a schedule is: a pure multiplier of the base rate over time, with JSON and a registry.

Time is real, in any unit that the caller likes (the study uses epochs), and the same unit for all time
fields of a schedule. Every schedule obeys one domain rule: it is defined for all finite t; it is constant
before 0 and after its ``duration``; its values are finite and lie in [0, 1], so that the base rate is
the peak rate (a user's own function may go higher if it asks to).

A jump comes on the step that it is meant for, whatever step / steps_per_epoch is rounded to: a time that lies within 1e-10
of its size before a jump counts as at it.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, Self, TypeAlias, dataclass_transform, overload

import numpy as np
from numpy.typing import NDArray

from lrsched.names import nearest, own_names
from lrsched.parameter import Parameter, is_number, parameter, plain

Array: TypeAlias = NDArray[np.float64]
#: What a metric-driven schedule remembers: plain data that JSON can hold. ``None`` for closed forms.
State: TypeAlias = Any

#: Times evaluated at once: their temporaries fit the second-level cache.
_BLOCK = 16_384

#: Every schedule by its name.
REGISTRY: dict[str, type[Schedule]] = {}


@dataclass_transform(frozen_default=True, field_specifiers=(parameter,))
class Schedule:
    """A pure function of time: ``rate(t) = base_rate * schedule(t)``.

    Subclasses are frozen dataclasses (made so here), declare their fields with ``parameter(...)``, are
    registered by ``class Cosine(Schedule, name="cosine")``, and state their value in ``_value``; those that
    depend on metrics state it in ``_at``.

    Raises:
        TypeError: A field is of another kind than declared.
        ValueError: A field lies outside its domain, or fields contradict each other.

    >>> from lrsched import Cosine
    >>> Cosine(T_max=20, final=0.1)(10)
    0.55
    """

    name: ClassVar[str] = ""
    _parameters: ClassVar[tuple[Parameter, ...]] = ()

    def __init_subclass__(cls, name: str | None = None, **kwargs: Any) -> None:
        """Make the subclass a frozen dataclass and, if it has a name, register it."""
        super().__init_subclass__(**kwargs)
        own = "__init__" in vars(cls)
        dataclass(frozen=True)(cls)
        cls._parameters = tuple(replace(f.metadata["parameter"], name=f.name) for f in fields(cls))  # type: ignore[arg-type]  # made a dataclass one line above
        cls.__doc__ = _with_fields(cls.__doc__ or "", cls._parameters)
        if not own:
            cls.__init__ = _knowing_names(cls.__init__, cls)  # type: ignore[method-assign]  # the generated one, with a word on wrong names
        if name is not None:
            if name in REGISTRY:
                raise ValueError(f"a schedule named {name!r} is already registered: {REGISTRY[name]}")
            cls.name = name
            REGISTRY[name] = cls

    def __post_init__(self) -> None:
        """Check every field against its declaration, then what the fields demand of each other."""
        for declared in self._parameters:
            # Frozen: the checked, immutable form of the value can only be stored this way.
            object.__setattr__(self, declared.name, declared.check(getattr(self, declared.name)))
        self._check()

    def _check(self) -> None:
        """Raise ValueError where fields contradict each other."""

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        """Return the declared fields, in order."""
        return cls._parameters

    @classmethod
    def searchable(cls) -> bool:
        """Whether a study can search this family: each field has a default or a search range."""
        known = all(p.search is not None or not p.required for p in cls._parameters)
        return bool(cls.name) and known and all(p.plain for p in cls._parameters)

    @classmethod
    def example(cls) -> Self:
        """Return a typical instance, from the fields' examples."""
        return cls(**{p.name: p.example for p in cls._parameters})

    @classmethod
    def formula(cls) -> str:
        """Return the lines that the docstring gives as the formula."""
        _, _, after = (cls.__doc__ or "").partition("Formula::\n")
        block = itertools.takewhile(lambda line: not line or line.startswith(" "), after.splitlines())
        return inspect.cleandoc("\n".join(block))

    @property
    def duration(self) -> float:
        """Time after which the value no longer changes; infinite if there is none."""
        return math.inf

    @property
    def metric_driven(self) -> bool:
        """Whether the value depends on metrics, which ``observe`` is told once an epoch."""
        return False

    def _value(self, t: Array) -> Array:
        """Return the multiplier at ``t``, which is finite and inside [0, duration].

        ``t`` is an array of any shape or, for speed in a training loop, a Python float.
        """
        # Either of the two will do, which abstract methods cannot say.
        raise NotImplementedError(f"{type(self).__name__} must state its value in _value or _at")

    @overload
    def __call__(self, t: float) -> float: ...
    @overload
    def __call__(self, t: NDArray[Any]) -> Array: ...
    def __call__(self, t: float | NDArray[Any]) -> float | Array:
        """Return the multiplier at time ``t``: a float for a number, an array for an array.

        Raises:
            TypeError: ``t`` is neither a number nor an array of numbers.
            ValueError: ``t`` is not finite.
        """
        return self.at(t, self.initial())

    @overload
    def at(self, t: float, state: State) -> float: ...
    @overload
    def at(self, t: NDArray[Any], state: State) -> Array: ...
    def at(self, t: float | NDArray[Any], state: State) -> float | Array:
        """Return the multiplier at time ``t`` after the metrics that ``state`` has observed.

        Args:
            t: Time: a number of Python, numpy or torch, or an array of them (numpy's, or a torch tensor).
            state: What ``initial`` or ``observe`` returned; closed forms ignore it.

        Raises:
            TypeError: ``t`` is neither a number nor an array of numbers; truth values and lists are neither.
            ValueError: ``t`` is not finite.
        """
        if type(t) is not float:
            t = _time(t)
            if isinstance(t, np.ndarray):
                return self._at_each(t, state)
        if not math.isfinite(t):
            raise ValueError(f"t must be finite, got t={t}")
        end = self.duration
        clamped: Any = 0.0 if t < 0.0 else t if t < end else float(end)
        return float(self._at(clamped, state))

    def _at_each(self, t: Array, state: State) -> Array:
        """Return the multiplier at each time of an array.

        Long arrays are evaluated piece by piece, so that the formulas' temporaries stay in the cache.
        """
        if t.ndim == 0:
            return np.asarray(self.at(t.item(), state))
        if t.size > _BLOCK:
            values, times = np.empty(t.size), t.ravel()
            for begin in range(0, t.size, _BLOCK):
                piece = slice(begin, begin + _BLOCK)
                values[piece] = self._at_each(times[piece], state)
            return values.reshape(t.shape)
        if not np.isfinite(t).all():
            raise ValueError("t must be finite, got an array with nan or infinite times")
        with np.errstate(
            over="ignore"
        ):  # what is more than a number can hold is infinite, as for a single one
            return np.asarray(self._at(np.clip(t, 0.0, self.duration), state))

    def _at(self, t: Array, state: State) -> Array:  # noqa: ARG002  # for those driven by metrics
        """Return the multiplier at a clamped ``t``; closed forms ignore the state."""
        return self._value(t)

    def initial(self) -> State:
        """Return the state before any metric was observed; ``None`` for closed forms."""
        return None

    def observe(self, state: State, metric: float, t: float | None = None) -> State:  # noqa: ARG002  # likewise
        """Return the state after one more metric (once an epoch); closed forms return it unchanged.

        Args:
            state: What ``initial`` or ``observe`` returned.
            metric: The epoch's metric.
            t: Time of the epoch's end, by which ``Join`` knows whose metric it is; unless given, metrics are counted,
                and the unit of time is the epoch.

        Raises:
            TypeError: The metric is no number.
        """
        return state

    def _repr_html_(self) -> str:
        """Return a small picture, which notebooks show."""
        from lrsched.picture import svg

        return svg(self)

    def to_json(self) -> dict[str, Any]:
        """Return plain data that ``lrsched.from_json`` reads back.

        Raises:
            TypeError: The schedule holds a user's function, which JSON cannot carry, or its class is not
                registered.
        """
        kind = type(self)
        if REGISTRY.get(self.name) is not kind:
            raise TypeError(
                f"{kind.__name__} has no name of its own to be read back by; "
                f"declare it as class {kind.__name__}(Schedule, name=...)"
            )
        plain = {p.name: _to_plain(getattr(self, p.name), p) for p in self._parameters}
        return {"schedule": self.name, **plain}


def _with_fields(text: str, parameters: tuple[Parameter, ...]) -> str:
    """Return a docstring with the declared fields at its end, so that nobody writes them down twice."""
    lines = [f"    {p.name}: {p.summary}" for p in parameters]
    return "\n".join([inspect.cleandoc(text), *(["", "Attributes:", *lines] if lines else [])])


def _to_plain(value: Any, declared: Parameter) -> Any:
    """Return a field's value as JSON can hold it."""
    if declared.unit == "function":
        raise TypeError(
            f"{declared.name}={value!r} is a function and cannot be written as JSON; "
            "use a schedule of the catalogue, or keep the function in code"
        )
    if declared.many:
        return [v.to_json() if isinstance(v, Schedule) else v for v in value]
    return value.to_json() if isinstance(value, Schedule) else value


def _time(t: Any) -> float | Array:
    """Return a time as a Python float, or times as an array of float64: the one rule of what counts as a time."""
    if hasattr(t, "detach"):  # a torch tensor, wherever it lies
        t = t.detach().cpu().numpy() if t.ndim else t
    if not isinstance(t, np.ndarray):
        t = plain(t)
    if is_number(t):
        try:
            return float(t)
        except OverflowError:
            return math.inf
    if not (isinstance(t, np.ndarray) and t.dtype.kind in "iuf"):
        raise TypeError(f"t must be a number or a numpy array, got t={t!r}")
    return t.astype(np.float64, copy=False)


def _knowing_names(made: Callable[..., None], cls: type[Schedule]) -> Callable[..., None]:
    """Return a constructor that knows the fields' other names, and names the field that a wrong one may mean."""

    @functools.wraps(made)
    def init(self: Schedule, *values: Any, **named: Any) -> None:
        made(self, *values, **_own_names(cls, named))

    return init


def _own_names(cls: type[Schedule], named: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a class under their own names, or raise TypeError: see ``own_names``."""
    others = (p for kind in REGISTRY.values() for p in kind.parameters())
    return own_names(cls.name or cls.__name__, cls.parameters(), named, others)


def schedule_class(name: str) -> type[Schedule]:
    """Return the schedule class registered under ``name``.

    Raises:
        ValueError: There is none; the message names the nearest one.
    """
    if name not in REGISTRY:
        raise ValueError(f"unknown schedule {name!r}{nearest(name, sorted(REGISTRY))}")
    return REGISTRY[name]


def from_json(data: Mapping[str, Any]) -> Schedule:
    """Return the schedule that ``Schedule.to_json`` wrote.

    Raises:
        TypeError: ``data`` is not a mapping, or a field is of the wrong kind.
        ValueError: Unknown schedule or field (the nearest name is given), a field missing, or a value
            outside its domain.
    """
    if not isinstance(data, Mapping):
        raise TypeError(f"a schedule is read from a mapping with the key 'schedule', got {data!r}")
    if "schedule" not in data:
        raise ValueError(
            f"a schedule is read from a mapping with the key 'schedule', got keys {sorted(data)}"
        )
    cls = schedule_class(data["schedule"])
    known = {p.name: p for p in cls.parameters()}
    try:
        given = _own_names(cls, {key: value for key, value in data.items() if key != "schedule"})
    except TypeError as error:
        raise ValueError(str(error)) from None
    missing = [p.name for p in known.values() if p.required and p.name not in given]
    if missing:
        raise ValueError(f"{cls.name} needs the field {missing[0]!r} ({known[missing[0]].meaning})")
    return cls(**{key: _from_plain(value, known[key]) for key, value in given.items()})


def _from_plain(value: Any, declared: Parameter) -> Any:
    """Read a field's value back from JSON's kinds."""
    if declared.unit != "schedule":
        return value
    if not declared.many:
        return from_json(value)
    return [from_json(v) for v in value] if isinstance(value, (list, tuple)) else value


def kinds_of(schedule: Schedule) -> list[type[Schedule]]:
    """Return the classes of a schedule and of all its parts."""
    kinds = [type(schedule)]
    for p in schedule.parameters():
        if p.unit == "schedule":
            held = getattr(schedule, p.name)
            kinds += [kind for s in (held if p.many else [held]) for kind in kinds_of(s)]
    return kinds
