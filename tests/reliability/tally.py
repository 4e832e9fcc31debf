"""What every script here prints at its end: how many cases it tried, and how many it lost."""

import sys
from collections import Counter
from dataclasses import dataclass, field

# Of the lost cases, so many are shown.
_SHOWN = 20


@dataclass
class Tally:
    """Counts the cases of one item by what became of them."""

    item: str
    kinds: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)

    def add(self, kind: str, loss: str | None = None) -> None:
        """Count a case; ``loss`` says what went wrong, if something did."""
        self.kinds[kind] += 1
        if loss is not None:
            self.losses.append(f"{kind}: {loss}")

    def report(self) -> None:
        """Print the counts; end with exit code 1 if a case was lost."""
        for kind, count in sorted(self.kinds.items()):
            print(f"{self.item}: {kind}: {count}")
        for loss in self.losses[:_SHOWN]:
            print(f"LOST {loss}")
        print(f"{self.item}: {self.kinds.total()} cases tried, {len(self.losses)} lost")
        if self.losses:
            sys.exit(1)
