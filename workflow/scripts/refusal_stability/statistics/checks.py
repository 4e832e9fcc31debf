"""Whether a run may have tables."""

import numpy as np

from refusal_stability.core.errors import InvalidVerdictsError
from refusal_stability.statistics.run_arrays import RunArrays


def check_invalid_share(grid: RunArrays, limit: float) -> None:
    """Raise InvalidVerdictsError if a (judge, model) has more than ``limit`` invalid verdicts."""
    over = []
    for judge in grid.judges:
        valid, invalid = (
            np.nansum(grid.measure(judge, name)[:, 0], axis=-1) for name in ("n", "n_invalid")
        )
        for model, few, n in zip(grid.models, invalid, valid + invalid, strict=True):
            if n and few / n > limit:
                over.append(f"judge {judge} on model {model}: {few / n:.2%} ({few:.0f} of {n:.0f})")
    if not over:
        return
    named = "; ".join(over)
    raise InvalidVerdictsError(
        f"too many invalid verdicts, the limit is {limit:.2%}: {named}. Hint: the column "
        "`reason` of the verdicts says why; fix the judge or its rubric, or raise "
        "statistics.max_invalid_share"
    )
