"""Numbers that are exact, expected from a measurement, an upper bound, or not known."""

from dataclasses import dataclass
from enum import IntEnum


class Certainty(IntEnum):
    """How sure a number is; of two that are added or multiplied, the less sure one counts."""

    EXACT = 0
    MEASURED = 1
    AT_MOST = 2
    UNKNOWN = 3


@dataclass(frozen=True)
class Amount:
    """A number and how sure it is; an unknown one has no value, so that none can be shown."""

    value: float = 0
    certainty: Certainty = Certainty.EXACT

    def __add__(self, other: "Amount") -> "Amount":
        """Add; the sum with something unknown is unknown."""
        return _made(self.value + other.value, self, other)

    def __mul__(self, other: "Amount") -> "Amount":
        """Multiply; nothing at all of something unknown is nothing."""
        if EXACTLY_NOTHING in (self, other):
            return EXACTLY_NOTHING
        return _made(self.value * other.value, self, other)

    def text(self, decimals: int = 0) -> str:
        """Return "1,234", "~1,234" (measured), "<=1,234" (at most) or "?"."""
        if self.certainty is Certainty.UNKNOWN:
            return "?"
        sign = {Certainty.EXACT: "", Certainty.MEASURED: "~", Certainty.AT_MOST: "<="}[
            self.certainty
        ]
        return f"{sign}{self.value:,.{decimals}f}"


def _made(value: float, *of: Amount) -> Amount:
    certainty = max(amount.certainty for amount in of)
    return UNKNOWN if certainty is Certainty.UNKNOWN else Amount(value, certainty)


EXACTLY_NOTHING = Amount()
UNKNOWN = Amount(float("nan"), Certainty.UNKNOWN)
