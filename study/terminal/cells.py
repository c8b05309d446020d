"""How figures are written into the cells of any table: one mark for what is missing, one format a kind."""

from __future__ import annotations

#: What stands where there is no value.
MISSING = "–"


def cell(value: float | None, form: str = ".4f") -> str:
    """Return a figure as a table shows it, or the mark of a missing one; a minus is a minus sign."""
    return MISSING if value is None else minus(format(value, form))


def minus(number: str) -> str:
    """Return a written number with a true minus sign, but for that of an exponent."""
    return f"−{number[1:]}" if number.startswith("-") else number


def accuracy(value: float | None) -> str:
    """Return an accuracy in four digits, with a true minus sign."""
    return MISSING if value is None else f"{value:.4f}".replace("-", "−")


def percent(share: float | None) -> str:
    """Return a share as whole per cent."""
    return MISSING if share is None else f"{100 * share:.0f} %"


def parameter(value: object) -> str:
    """Return a parameter's value in three digits, each of several."""
    if isinstance(value, list | tuple):
        return f"({', '.join(map(parameter, value))})"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
