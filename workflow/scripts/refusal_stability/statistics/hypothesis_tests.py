"""Tests whose blocks or pairs are prompts, and Holm's correction; nan is no value.

From their definitions, on distributions of ``scipy.special``: ``scipy.stats`` has them too, and
its import would take longer than any table (tests compare the two). Where few prompts differ, p is
exact: that of all orders of each block, or signs of each difference, ties included. Only the
prompts that differ count for that, and a safe model has few of them, however many there are.
"""

import functools
import math
from collections import Counter

import numpy as np
from scipy.special import bdtr, chdtrc, ndtr

# Differences, and blocks, for which p is exact; beyond, distributions are near their limits.
EXACT_DIFFERENCES, EXACT_BLOCKS = 200, 1000
# Blocks whose sums of ranks are counted at most, orders of all blocks, and sums at any step.
_MOST_SUMMED = 100
_MOST_ORDERS, _MOST_SUMS = 500_000, 100_000


def friedman(blocks: np.ndarray) -> tuple[float, float]:
    """Return Friedman's (1937) chi-square with ties, and its p; nan if all blocks are tied.

    p is exact where few blocks differ, which for two columns is the sign test's, and else of the
    chi-square distribution.

    Args:
        blocks: (n, k), k of at least 2.
    """
    k = blocks.shape[1]
    # Twice the ranks' deviations from their mean: whole numbers.
    deviation = _untied(blocks)
    variance = (deviation**2).sum() / (k - 1)
    if variance == 0:
        return float("nan"), float("nan")
    sums = deviation.sum(axis=0)
    chi2 = float((sums**2).sum() / variance)
    if k == 2:
        return chi2, mcnemar(deviation[:, 1])
    p = _orders_with_larger_sums(deviation) if _can_be_counted(deviation) else None
    return chi2, float(chdtrc(k - 1, chi2)) if p is None else p


def page(blocks: np.ndarray) -> tuple[float, float]:
    """Return z and one-sided p of Page's (1963) test that the columns descend from left to right.

    z has the variance of the ranks of each block under permutation, ties included (Hollander,
    Wolfe and Chicken 2014, section 7.2); scipy's ``page_trend_test`` has none for ties, which
    fill a table of SSI. p is exact where few blocks differ, and else normal. nan if all blocks are
    tied.
    """
    k = blocks.shape[1]
    predicted = np.arange(k, 0, -1)
    deviation = _untied(blocks)
    centred = predicted - (k + 1) / 2
    variance = (deviation**2).sum() * (centred**2).sum() / (k - 1)
    if variance == 0:
        return float("nan"), float("nan")
    z = float((deviation @ centred).sum() / np.sqrt(variance))
    if k == 2:
        rises = np.count_nonzero(deviation[:, 1] > 0)
        return z, float(bdtr(rises, len(deviation), 0.5))
    if not _can_be_counted(deviation):
        return z, float(ndtr(-z))
    chances, lowest = np.ones(1), 0
    for block in deviation:
        of_block, start = _predicted_sums(tuple(sorted(block.tolist())))
        chances, lowest = np.convolve(chances, of_block), lowest + start
    found = int((deviation @ predicted).sum()) - lowest
    return z, min(1.0, float(chances[found:].sum()))


def signed_rank(differences: np.ndarray) -> float:
    """Return the two-sided p of Wilcoxon's (1945) signed-rank test; 1 without a difference.

    Zeros are dropped, as Wilcoxon did. For few differences p is the share of all choices of signs
    whose sum of ranks lies as far from its mean, ties included; for many it is normal, with the
    variance corrected for ties (Hollander, Wolfe and Chicken 2014, section 3.1). nan where there is
    no pair.
    """
    # Shares differ in their last digits although they are equal: such would not tie.
    differences = np.round(differences[~np.isnan(differences)], 12)
    if differences.size == 0:
        return float("nan")
    if not differences.any():
        return 1.0
    differences = differences[differences != 0]
    _, place, tied = np.unique(np.abs(differences), return_inverse=True, return_counts=True)
    # Tied differences share the mean of their ranks: twice that is a whole number.
    ranks = (2 * np.cumsum(tied) - tied + 1)[place]
    n = differences.size
    distance = abs(2 * ranks[differences > 0].sum() - n * (n + 1))
    if n > EXACT_DIFFERENCES:
        variance = n * (n + 1) * (2 * n + 1) / 24 - (tied**3 - tied).sum() / 48
        return float(2 * ndtr(-distance / 4 / np.sqrt(variance)))
    chances = np.ones(1)
    for rank in ranks:
        with_it = np.zeros(len(chances) + rank)
        with_it[: len(chances)] = chances / 2
        with_it[rank:] += chances / 2
        chances = with_it
    away = np.abs(2 * np.arange(len(chances)) - n * (n + 1))
    return min(1.0, float(chances[away >= distance].sum()))


def mcnemar(differences: np.ndarray) -> float:
    """Return the exact two-sided p of McNemar's (1947) test of paired differences by their sign."""
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


def _untied(blocks: np.ndarray) -> np.ndarray:
    """Return twice the deviations of the ranks within each block, (m, k), of blocks that differ.

    Ties share their mean rank, so that twice it is a whole number.
    """
    # Means over models differ in their last digits although they are equal.
    blocks = np.round(blocks, 12)
    deviation = np.zeros(blocks.shape, dtype=np.int64)
    for other in blocks.T:
        deviation += np.sign(blocks - other[:, None]).astype(np.int64)
    return deviation[deviation.any(axis=1)]


def _can_be_counted(deviation: np.ndarray) -> bool:
    if len(deviation) > EXACT_BLOCKS:
        return False
    orders = 0
    for block in deviation:
        ties = np.unique(block, return_counts=True)[1]
        orders += math.factorial(len(block)) // math.prod(map(math.factorial, ties.tolist()))
    return orders <= _MOST_ORDERS


@functools.cache
def _orders(block: tuple[int, ...]) -> np.ndarray:
    """Return the different orders of a block, (orders, k); all are equally likely."""
    orders: list[tuple[int, ...]] = [()]
    left = [Counter(block)]
    for _ in block:
        longer = [
            ((*order, value), rest - Counter([value]))
            for order, rest in zip(orders, left, strict=True)
            for value in rest
        ]
        orders, left = (list(part) for part in zip(*longer, strict=True))
    return np.array(orders)


@functools.cache
def _predicted_sums(block: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """Return the chances of the sums of a block's order times k ... 1, and the lowest sum."""
    sums = _orders(block) @ np.arange(len(block), 0, -1)
    lowest = int(sums.min())
    return np.bincount(sums - lowest) / len(sums), lowest


def _orders_with_larger_sums(deviation: np.ndarray) -> float | None:
    """Return the share of all orders whose column sums have squares of at least the same sum.

    None where these are too many to count.

    Args:
        deviation: twice the deviations of the ranks of blocks that differ, (m, k).
    """
    m, k = deviation.shape
    reach = m * (k - 1)
    if m > _MOST_SUMMED:
        return None
    # If they fit into 64 bits, the sums of all columns are compared as one number.
    fits = k * math.log2(2 * reach + 1) < 62
    base = (2 * reach + 1) ** np.arange(k if fits else 0, dtype=np.int64)
    # Every order is as likely as any other: which column has which sum makes no difference.
    sums, chances = np.zeros((1, k), dtype=np.int64), np.ones(1)
    for block in deviation:
        orders = _orders(tuple(sorted(block.tolist())))
        if len(sums) * len(orders) > _MOST_SUMS:
            return None
        following = np.sort((sums[:, None] + orders).reshape(-1, k), axis=1)
        rows = following @ base if fits else following
        _, first, number = np.unique(rows, axis=0, return_index=True, return_inverse=True)
        weights = np.repeat(chances / len(orders), len(orders))
        chances = np.bincount(number.ravel(), weights=weights)
        sums = following[first]
    observed = (deviation.sum(axis=0) ** 2).sum()
    return min(1.0, float(chances[(sums**2).sum(axis=1) >= observed].sum()))
