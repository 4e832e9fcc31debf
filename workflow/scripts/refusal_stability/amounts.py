"""Numbers that are exact, expected from a measurement, an upper bound, or not known."""

from dataclasses import dataclass
from enum import IntEnum


class Grade(IntEnum):
    """How sure a number is; of two that are added or multiplied, the less sure one counts."""

    EXACT = 0
    MEASURED = 1
    AT_MOST = 2
    UNKNOWN = 3


@dataclass(frozen=True)
class Amount:
    """A number and how sure it is; an unknown one has no value, so that none can be shown."""

    value: float = 0
    grade: Grade = Grade.EXACT

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
        if self.grade is Grade.UNKNOWN:
            return "?"
        sign = {Grade.EXACT: "", Grade.MEASURED: "~", Grade.AT_MOST: "<="}[self.grade]
        return f"{sign}{self.value:,.{decimals}f}"


def _made(value: float, *of: Amount) -> Amount:
    grade = max(amount.grade for amount in of)
    return UNKNOWN if grade is Grade.UNKNOWN else Amount(value, grade)


EXACTLY_NOTHING = Amount()
UNKNOWN = Amount(float("nan"), Grade.UNKNOWN)
