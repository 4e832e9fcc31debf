"""Bootstrap over prompts, the independent units, and the 95% intervals that come of it."""

from functools import cached_property

import numpy as np
from scipy.special import ndtri

CONFIDENCE = 0.95
# Resamples are drawn and used in blocks of so many numbers, to bound the memory.
_BLOCK = 20_000_000
# Up to so many numbers they are kept ready for products, in 64 bits, and then in 32.
_KEPT_64, _KEPT_32 = 10_000_000, 100_000_000


class Resamples:
    """Resamples of the prompts of a run, drawn once and shared by all of its statistics.

    A resample is kept as how often it holds each prompt. A mean over it is then one product
    of matrices with those of all other columns; that makes 2,000 resamples cheap. Source: Efron
    and Tibshirani (1993), chapters 6 and 13.
    """

    def __init__(self, n_prompts: int, resamples: int, seed: int):
        self.n_prompts = n_prompts
        self.resamples = resamples
        self.seed = seed

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each resample holds each prompt, (resamples, n_prompts)."""
        rng = np.random.default_rng(self.seed)
        # A count above 255 has a chance below 1e-500.
        counts = np.empty((self.resamples, self.n_prompts), dtype=np.uint8)
        for rows in self._blocks():
            size = rows.stop - rows.start
            drawn = rng.integers(0, self.n_prompts, size=(size, self.n_prompts))
            drawn += self.n_prompts * np.arange(size)[:, None]
            counts[rows] = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        return counts

    @cached_property
    def _weights(self) -> np.ndarray | None:
        """The counts, transposed, as numbers to multiply; None if they are too many to keep."""
        size = self.resamples * self.n_prompts
        if size > _KEPT_32:
            return None
        # A prompt's in a row, as some prompts are asked for more often than some resamples.
        kept = np.empty(self.counts.shape[::-1], np.float64 if size <= _KEPT_64 else np.float32)
        kept[:] = self.counts.T
        return kept

    def sums(self, values: np.ndarray, of: np.ndarray | None = None) -> np.ndarray:
        """Return the sums over each resample, (resamples, ...), of ``values``, (..., prompts).

        Args:
            values: of all prompts, or of those whose places are ``of``.
        """
        of = slice(None) if of is None else of
        columns = values.reshape(-1, values.shape[-1]).T
        sums = np.empty((self.resamples, columns.shape[1]))
        kept = self._weights
        for rows in self._blocks() if kept is None else [slice(None)]:
            weights = self.counts[rows][:, of].astype(np.float32) if kept is None else kept[of].T
            sums[rows] = weights @ columns.astype(weights.dtype)
        return sums.reshape(self.resamples, *values.shape[:-1])

    def means(self, values: np.ndarray, of: np.ndarray | None = None) -> np.ndarray:
        """Return the means over each resample, (resamples, ...); nan in ``values`` is no value.

        A mean is nan where a resample holds no value. Arguments as of :meth:`sums`.
        """
        absent = np.isnan(values)
        there = np.where(absent, 0.0, values)
        if absent.any():
            # One product: most of its time is the reading of the resamples.
            sums, n = np.moveaxis(self.sums(np.stack([there, ~absent]), of), 1, 0)
        elif of is None:
            sums, n = self.sums(there), np.array(self.n_prompts)
        else:
            columns = np.concatenate([np.ones((1, len(of))), there.reshape(-1, len(of))])
            every = self.sums(columns, of)
            sums = every[:, 1:].reshape(-1, *values.shape[:-1])
            n = every[:, 0].reshape(-1, *[1] * (values.ndim - 1))
        # A mean lies between the values; what 32 bits round it to may not.
        lowest = np.where(absent, np.inf, values).min(axis=-1)
        highest = np.where(absent, -np.inf, values).max(axis=-1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.clip(sums / n, lowest, highest)

    def pattern_counts(self, pattern: np.ndarray) -> np.ndarray:
        """Return how often each resample holds each pattern, (resamples, n_patterns).

        Args:
            pattern: (n_prompts,), each prompt's pattern, 0 ... n_patterns - 1, each one present;
                -1 is none.
        """
        order = np.argsort(pattern, kind="stable")
        order = order[np.count_nonzero(pattern < 0) :]
        starts = np.flatnonzero(np.diff(pattern[order], prepend=-1))
        counts = np.empty((self.resamples, len(starts)))
        for rows in self._blocks():
            held = self.counts[rows][:, order]
            counts[rows] = np.add.reduceat(held, starts, axis=1, dtype=np.int64)
        return counts

    def _blocks(self) -> list[slice]:
        size = max(1, _BLOCK // max(1, self.n_prompts))
        return [
            slice(start, min(start + size, self.resamples))
            for start in range(0, self.resamples, size)
        ]


def interval(distribution: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile bounds, (...), of a bootstrap distribution, (resamples, ...).

    Percentile rather than BCa, which is undefined on constant data: every greedy cell of a
    deterministic model is constant. The bounds are nan where fewer than two prompts have a
    value: one prompt says nothing of how prompts differ.

    Args:
        distribution: the statistic of each resample; nan where it is undefined.
        values: (...), the number of prompts with a value.
    """
    tail = (1 - CONFIDENCE) / 2
    flat = distribution.reshape(len(distribution), -1)
    bounds = np.full((2, flat.shape[1]), np.nan)
    undefined = np.isnan(flat)
    some = undefined.any(axis=0)
    if (~some).any():
        bounds[:, ~some] = np.quantile(flat[:, ~some], [tail, 1 - tail], axis=0)
    for column in np.flatnonzero(some & ~undefined.all(axis=0)):
        defined = flat[~undefined[:, column], column]
        bounds[:, column] = np.quantile(defined, [tail, 1 - tail])
    bounds[:, np.broadcast_to(values, distribution.shape[1:]).ravel() < 2] = np.nan
    low, high = bounds.reshape(2, *distribution.shape[1:])
    return low, high


def wilson_interval(shares: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's (1927) bounds, (...), of shares of ``n`` independent prompts; nan for none.

    Unlike a bootstrap's they have a width at 0 and 1, and grow with the share: one flip leaves room
    for more of them than none.
    """
    z2 = ndtri((1 + CONFIDENCE) / 2) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = (shares + z2 / (2 * n)) / (1 + z2 / n)
        half = np.sqrt(z2 * shares * (1 - shares) / n + (z2 / (2 * n)) ** 2) / (1 + z2 / n)
    # Rounding leaves no more than a last digit beyond the ends.
    return np.where(shares == 0, 0.0, middle - half), np.where(shares == 1, 1.0, middle + half)


def prompt_share_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds, (...), of shares of prompts; nan where there is no prompt.

    Where each prompt counts or not, as it does for one model, they are Wilson's (1927). Where it
    counts in part, as in a mean over models, they are those of :func:`score_interval`, never nearer
    to 0 and 1 than Wilson's of no prompt and of all: no flip says nothing of how models share
    flips.

    Args:
        values: (..., prompts), from 0 to 1; nan is no value.
    """
    return wider_than_none(score_interval(values), (~np.isnan(values)).sum(axis=-1))


def score_interval(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the bounds, (...), of :func:`rare_mean_interval` from the end that is nearer.

    Args:
        values: (..., prompts), from 0 to 1; nan is no value.
    """
    # An expectation that is a sum of chances differs from 1 in its last digits.
    values = np.round(values, 12)
    low, high = rare_mean_interval(values)
    # At 1/2 both have the same variance.
    above = np.nansum(values - 0.5, axis=-1) > 0
    from_one = rare_mean_interval(1 - values)
    return np.where(above, 1 - from_one[1], low), np.where(above, 1 - from_one[0], high)


def rare_mean_interval(values: np.ndarray, size: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return score bounds, (...), of means of values in [0, 1], most of which may be 0.

    As Wilson's (1927) for a share: bounds are the means mu whose own standard error lies z times
    between. Values that are 0 or come in sizes whose mean square is ``c`` times their mean have
    the variance c mu - mu^2; c is 1 for a share.

    Args:
        values: (..., prompts); nan is no value.
        size: what c is taken for where no value says it.
    """
    n = (~np.isnan(values)).sum(axis=-1)
    total = np.nansum(values, axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        c = np.where(total > 0, np.nansum(values**2, axis=-1) / total, size)
        mean, reach = total / n, ndtri((1 + CONFIDENCE) / 2) ** 2 / n
        # (mean - mu)^2 = z^2 (c mu - mu^2) / n, a quadratic equation in mu.
        middle = (mean + reach * c / 2) / (1 + reach)
        half = np.sqrt(np.maximum(0, middle**2 - mean**2 / (1 + reach)))
    return np.where(total == 0, 0.0, middle - half), np.minimum(1, middle + half)


def wider_than_none(
    bounds: tuple[np.ndarray, np.ndarray], n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds of a share, (...), never nearer to 0 and 1 than Wilson's of none and of all.

    For those of a bootstrap, of shares over several models: one flip leaves room for as many as
    none.

    Args:
        bounds: low and high, (...).
        n: (...), the number of prompts behind each.
    """
    low, high = bounds
    (_, most), (least, _) = (wilson_interval(np.full(np.shape(n), end), n) for end in (0.0, 1.0))
    return np.minimum(low, least), np.maximum(high, most)


def share_interval(
    distribution: np.ndarray, shares: np.ndarray, n: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds of shares of responses: as :func:`interval`, but Wilson's (1927) at 0 and 1.

    Where no response, or every one, counts, all resamples are alike and the bootstrap's interval
    shrinks to a point, however few prompts there are.

    Args:
        distribution: (resamples, ...).
        shares: (...), the estimates.
        n: (...), the number of prompts behind each.
    """
    low, high = interval(distribution, n)
    # An expectation that is a sum of chances differs from 1 in its last digits.
    shares = np.round(shares, 12)
    n = np.broadcast_to(n, shares.shape)
    at_end = ((shares == 0) | (shares == 1)) & (n > 0)
    ends = wilson_interval(shares, n)
    low, high = (np.where(at_end, a, b) for a, b in zip(ends, (low, high), strict=True))
    return low, high


def near_one_interval(
    distribution: np.ndarray, value: np.ndarray, prompts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return bounds of agreement, or of agreement beyond chance, (...).

    Normal for the logarithm of what is missing to 1, with the spread of the resamples: percentiles
    are too narrow where few responses of a small sample differ, which is how judges are. None where
    all resamples are alike, as they are where all agree: that says nothing of how sure it is.

    Args:
        distribution: (resamples, ...); nan where it is undefined.
        value: (...), the estimates, at most 1.
        prompts: (...), the number of prompts behind each.
    """
    missing = 1 - value
    # Some resamples have one label only, and no kappa; where none has one, there is no spread.
    distribution = np.where(np.isnan(distribution).all(axis=0), 0, distribution)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.nanstd(distribution, axis=0, ddof=1) / missing
        reach = np.exp(ndtri((1 + CONFIDENCE) / 2) * spread)
        known = (np.round(missing, 12) > 0) & (np.round(spread, 12) > 0) & (prompts > 1)
        low, high = (np.where(known, 1 - missing * of, np.nan) for of in (reach, 1 / reach))
    return np.maximum(low, -1), high
