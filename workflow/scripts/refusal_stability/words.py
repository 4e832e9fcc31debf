"""Numbers and lists in sentences."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal


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
