"""Numbers and lists in sentences, and the level of significance."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

# Of all tests, after Holm's correction.
SIGNIFICANCE = 0.05


def listed(words: Sequence[str]) -> str:
    """Return "a", "a and b" or "a, b and c"."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def counted(n: int, word: str) -> str:
    """Return "1 prompt" or "1,200 prompts"."""
    return f"{n:,} {word}" if n == 1 else f"{n:,} {word}s"


def decimals(value: float, places: int = 3) -> str:
    """Return a number with so many decimals, the same for what was computed as for what was read.

    It is rounded from the twelve digits that tables have, as a browser does by `toFixed`.
    """
    of_table = Decimal(float(f"{value:.12g}"))
    return str(of_table.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP))


def percent(share: float | None) -> str:
    """Return a share as a whole percentage, with a decimal where it would round to 0 or 100."""
    if share is None:
        return "an unknown share"
    whole = f"{100 * share:.0f}"
    rough = whole in ("0", "-0", "100") and share not in (0, 1)
    return (f"{100 * share:.1f}%" if rough else f"{whole}%").replace("-", "\N{MINUS SIGN}")


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its class where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]


def format_p_value(value: float | None) -> str:
    """Return "p = 0.012", or what else there is to say of it."""
    if value is None:
        return "p undefined"
    return "p < 0.001" if value < 0.001 else f"p = {decimals(value)}"


def format_number(value: float | None) -> str:
    """Return a number with three decimals, or "undefined" where there is none."""
    return "undefined" if value is None else decimals(value)


def format_percent(value: float | None) -> str:
    """Return a share as a percentage with a decimal, or "undefined" where there is none."""
    return "undefined" if value is None else f"{100 * value:.1f}%"


def format_estimate(row: Mapping[str, Any], name: str) -> str:
    """Return an estimate of a table's row and its interval, "0.912 [0.875, 0.946]"."""
    if row[name] is None or row[f"{name}_low"] is None:
        return format_number(row[name])
    value, low, high = (decimals(row[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]"
