"""What a random part of a prompt's samples shows: exact by counting, no simulation."""

from collections.abc import Callable

import numpy as np
from scipy.special import gammaln

# So many numbers at once, to bound the memory.
_BLOCK = 5_000_000


def expectation(
    counts: np.ndarray,
    drawn: np.ndarray,
    of: Callable[[np.ndarray, np.ndarray], dict[str, np.ndarray]],
) -> dict[str, np.ndarray]:
    """Return expectations over all ways to draw samples of each prompt without replacement.

    Args:
        counts: (prompts, 3), each prompt's number of REFUSE, PARTIAL and COMPLY.
        drawn: (prompts,), how many of them are drawn; below 1 or above their number gives nan.
        of: maps the counts drawn and the counts left, each (..., 3), to {name: (...)}.

    Returns:
        {name: (prompts,)}
    """
    rows, back = distinct_rows(np.column_stack([counts, drawn]))
    results: dict[str, np.ndarray] = {}
    for n in np.unique(rows[:, 3]):
        of_n = np.flatnonzero(rows[:, 3] == n)
        possible = of_n[rows[of_n, :3].sum(axis=1) >= n] if n > 0 else of_n[:0]
        ways = compositions(n)
        size = max(1, _BLOCK // len(ways))
        # At least once, so that the names are known where nothing can be drawn.
        for start in range(0, max(1, len(possible)), size):
            block = possible[start : start + size]
            held = rows[block, None, :3]
            chance = _chance(held, ways[None])
            left = np.maximum(held - ways[None], 0)
            for name, values in of(np.broadcast_to(ways[None], left.shape), left).items():
                result = results.setdefault(name, np.full(len(rows), np.nan))
                # Where the chance is 0, the value may be undefined.
                result[block] = np.where(chance > 0, chance * values, 0.0).sum(axis=1)
    return {name: values[back] for name, values in results.items()}


def distinct_rows(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct rows of (n, k) counts, and each row's place among them, (n,).

    As numpy's ``unique`` along an axis, which compares bytes; one number a row sorts sooner.
    """
    rows = rows.astype(np.int64)
    limits = tuple(rows.max(axis=0, initial=0) + 1)
    codes = np.ravel_multi_index(tuple(rows.T), limits)
    found, back = np.unique(codes, return_inverse=True)
    return np.column_stack(np.unravel_index(found, limits)), back


def compositions(n: int) -> np.ndarray:
    """Return all ways to write n as a sum of three counts, (ways, 3)."""
    first, second = np.indices((n + 1, n + 1)).reshape(2, -1)
    fits = first + second <= n
    first, second = first[fits], second[fits]
    return np.column_stack([first, second, n - first - second])


def majority_overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the chance that the majorities of counts a and b, (..., 3), are one label.

    Tie rule: of labels tied for the majority, each is it with equal chance.
    """
    top_a, top_b = (c == c.max(axis=-1, keepdims=True) for c in (a, b))
    return (top_a & top_b).sum(axis=-1) / (top_a.sum(axis=-1) * top_b.sum(axis=-1))


def _chance(held: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return the multivariate hypergeometric probability of ``drawn`` from ``held``."""
    total, n = held.sum(axis=-1), drawn.sum(axis=-1)
    log = _log_choose(held, drawn).sum(axis=-1) - _log_choose(total, n)
    return np.where((drawn <= held).all(axis=-1), np.exp(log), 0.0)


def _log_choose(n: np.ndarray, k: np.ndarray) -> np.ndarray:
    # Looked up: few numbers occur, many times each.
    log_factorial = gammaln(np.arange(n.max(initial=0) + 1) + 1)
    k = np.minimum(k, n)
    return log_factorial[n] - log_factorial[k] - log_factorial[n - k]
