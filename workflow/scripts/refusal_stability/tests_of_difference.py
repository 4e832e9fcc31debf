"""Tests whose blocks or pairs are prompts, and Holm's correction; nan is no value.

From their definitions, on distributions of ``scipy.special``: ``scipy.stats`` has them too, and
its import would take longer than any table (tests compare the two).
"""

import numpy as np
from scipy.special import bdtr, chdtrc, ndtr


def friedman(blocks: np.ndarray) -> tuple[float, float]:
    """Return Friedman's (1937) chi-square with ties, and its p; nan if all blocks are tied.

    Args:
        blocks: (n, k), k of at least 2.
    """
    k = blocks.shape[1]
    deviation = _ranks(blocks) - (k + 1) / 2
    variance = (deviation**2).sum() / (k - 1)
    if variance == 0:
        return float("nan"), float("nan")
    chi2 = (deviation.sum(axis=0) ** 2).sum() / variance
    return float(chi2), float(chdtrc(k - 1, chi2))


def page(blocks: np.ndarray) -> tuple[float, float]:
    """Return z and one-sided p of Page's (1963) test that the columns descend from left to right.

    The variance is that of the ranks of each block under permutation, ties included (Hollander,
    Wolfe and Chicken 2014, section 7.2); scipy's ``page_trend_test`` has none for ties, which
    fill a table of SSI. nan if all blocks are tied.
    """
    k = blocks.shape[1]
    predicted = np.arange(k, 0, -1) - (k + 1) / 2
    deviation = _ranks(blocks) - (k + 1) / 2
    variance = (deviation**2).sum() * (predicted**2).sum() / (k - 1)
    if variance == 0:
        return float("nan"), float("nan")
    z = float((deviation @ predicted).sum() / np.sqrt(variance))
    return z, float(ndtr(-z))


def signed_rank(differences: np.ndarray) -> float:
    """Return the two-sided p of Wilcoxon's (1945) signed-rank test; 1 without a difference.

    Zeros are dropped, as Wilcoxon did; with many ties the normal approximation is used, its
    variance corrected for them (Hollander, Wolfe and Chicken 2014, section 3.1). nan where there
    is no pair.
    """
    # Shares differ in their last digits although they are equal: such would not tie.
    differences = np.round(differences[~np.isnan(differences)], 12)
    if differences.size == 0:
        return float("nan")
    if not differences.any():
        return 1.0
    differences = differences[differences != 0]
    _, place, tied = np.unique(np.abs(differences), return_inverse=True, return_counts=True)
    # Tied differences share the mean of their ranks.
    ranks = (np.cumsum(tied) - (tied - 1) / 2)[place]
    n = differences.size
    deviation = ranks[differences > 0].sum() - n * (n + 1) / 4
    variance = n * (n + 1) * (2 * n + 1) / 24 - (tied**3 - tied).sum() / 48
    return float(2 * ndtr(-abs(deviation) / np.sqrt(variance)))


def mcnemar(differences: np.ndarray) -> float:
    """Return the exact two-sided p of McNemar's (1947) test of paired differences -1, 0 or 1."""
    up, down = (differences > 0).sum(), (differences < 0).sum()
    # Even chances: both tails are alike, and meet where as many go up as down.
    return min(1.0, float(2 * bdtr(min(up, down), up + down, 0.5)))


def holm(p: np.ndarray) -> np.ndarray:
    """Return p values corrected by Holm (1979) for their number; nan stays and does not count."""
    corrected = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return corrected


def _ranks(blocks: np.ndarray) -> np.ndarray:
    """Return the ranks of (n, k) values within each block, from 1; ties share their mean."""
    # Means over models differ in their last digits although they are equal.
    blocks = np.round(blocks, 12)
    ranks = np.full(blocks.shape, 0.5)
    for other in blocks.T:
        ranks += (blocks > other[:, None]) + 0.5 * (blocks == other[:, None])
    return ranks
