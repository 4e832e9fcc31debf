"""Repeated requests for verdicts on the same texts, a round each."""

import random
from collections.abc import Iterator
from dataclasses import dataclass

ONE_BATCH, SHUFFLED, ONE_BY_ONE, SAMPLED = CONDITIONS = (
    "one_batch",
    "shuffled",
    "one_by_one",
    "sampled",
)
_SIZES = (2, 3, 5, 8, 13, 21, 34)


@dataclass(frozen=True)
class Round:
    """One labelling of all texts.

    Attributes:
        batches: places of the texts that the judge is given at once, one after the other.
        temperature: of sampling; None is as the judge is asked in the run.
    """

    condition: str
    repeat: int
    batches: list[list[int]]
    temperature: float | None


def rounds(n: int, repeats: int, temperature: float) -> Iterator[Round]:
    """Yield every labelling of ``n`` texts: ``repeats`` under each condition."""
    everything = list(range(n))
    for repeat in range(repeats):
        yield Round(ONE_BATCH, repeat, [everything], None)
    for repeat in range(repeats):
        rng = random.Random(repeat)
        order, batches = rng.sample(everything, n), []
        while order:
            size = rng.choice(_SIZES)
            batches.append(order[:size])
            order = order[size:]
        yield Round(SHUFFLED, repeat, batches, None)
    for repeat in range(repeats):
        yield Round(ONE_BY_ONE, repeat, [[place] for place in everything], None)
    for repeat in range(repeats):
        yield Round(SAMPLED, repeat, [everything], temperature)
