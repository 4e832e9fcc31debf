"""Do the draws of all prompts move together, as shared sampling seeds make them?"""

from itertools import combinations
from math import comb

import numpy as np
import polars as pl

from refusal_stability.core.labels import LABELS, REFUSE, VALID_LABELS
from refusal_stability.statistics.run_arrays import MISSING, RunArrays

PERMUTATIONS = 999
# Up to so many ways to place a prompt's refusals among the seeds, they are counted, not shuffled.
_MAX_PATTERNS = 1000


def seed_effect(grid: RunArrays, seed: int) -> pl.DataFrame | None:
    """Return the variance over seeds of the number of refusals against independent draws.

    Only prompts with a valid label under every seed that a (model, temperature) was run with
    count, so that every run is of the same prompts. If prompts are independent draws, a run's
    number of refusals has the variance sum_i s_i^2, s_i^2 being the variance of a prompt's
    refusals over its seeds; p is the share of random orders of each prompt's labels among the
    seeds with at least the observed variance of runs. None with a single seed.
    """
    if len(grid.seeds) < 2:
        return None
    rng = np.random.default_rng(seed)
    rows = []
    for judge in grid.judges:
        for place, model in enumerate(grid.models):
            for at, temperature in enumerate(grid.temperatures):
                labels = grid.labels[judge][place, :, at]
                labels = labels[:, (labels != MISSING).any(axis=0)]
                n_seeds = labels.shape[1]
                complete = labels[(labels < len(VALID_LABELS)).all(axis=1) & (n_seeds > 1)]
                refused = complete == LABELS.index(REFUSE)
                rows.append(
                    {
                        "judge": judge,
                        "model": model,
                        "temperature": temperature,
                        "n_seeds": n_seeds,
                        "n_prompts": len(complete),
                        "n_invalid": ((labels >= len(VALID_LABELS)) & (labels != MISSING)).sum(),
                    }
                    | variance_inflation(refused, rng)
                )
    return pl.DataFrame(rows).fill_nan(None)


def variance_inflation(refused: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """Return observed and expected variance of the column sums, their ratio, and its p.

    nan without a prompt.

    Args:
        refused: (prompts, seeds), true where the prompt was refused.
    """
    if len(refused) == 0:
        return dict.fromkeys(("variance", "expected_variance", "variance_inflation", "p"), np.nan)
    mixed = refused[refused.any(axis=1) & ~refused.all(axis=1)]
    if len(mixed) == 0:
        # No prompt depends on the seed, so nothing can move together.
        return {"variance": 0.0, "expected_variance": 0.0, "variance_inflation": np.nan, "p": 1.0}
    observed = mixed.sum(axis=0).var(ddof=1)
    expected = mixed.var(axis=1, ddof=1).sum()
    permuted = _permuted_sums(mixed, rng).var(axis=1, ddof=1)
    # The observed order is one of the orders; a tolerance for sums in another order.
    p = (1 + (permuted >= observed - 1e-9).sum()) / (PERMUTATIONS + 1)
    return {
        "variance": float(observed),
        "expected_variance": float(expected),
        "variance_inflation": float(observed / expected),
        "p": float(p),
    }


def _permuted_sums(mixed: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return column sums, (permutations, seeds), with each row in a random order."""
    n_seeds = mixed.shape[1]
    per_row = mixed.sum(axis=1)
    sums = np.zeros((PERMUTATIONS, n_seeds))
    for ones in np.unique(per_row):
        rows = int((per_row == ones).sum())
        if comb(n_seeds, ones) <= _MAX_PATTERNS:
            # All prompts with so many refusals: how many of them have each pattern.
            patterns = np.zeros((comb(n_seeds, ones), n_seeds))
            for line, places in enumerate(combinations(range(n_seeds), int(ones))):
                patterns[line, list(places)] = 1
            chance = np.full(len(patterns), 1 / len(patterns))
            sums += rng.multinomial(rows, chance, size=PERMUTATIONS) @ patterns
        else:
            row = np.arange(n_seeds) < ones
            for permutation in range(PERMUTATIONS):
                block = np.broadcast_to(row, (rows, n_seeds))
                sums[permutation] += rng.permuted(block, axis=1).sum(axis=0)
    return sums
