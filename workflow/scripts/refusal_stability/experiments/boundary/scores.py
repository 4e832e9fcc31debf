"""How well a score forecasts what happens or not, with intervals over prompts; nan is no value."""

import numpy as np

from refusal_stability.statistics.bootstrap import Resamples, interval

Estimate = tuple[float, float, float]
_NONE = (float("nan"),) * 3


def auc(score: np.ndarray, happens: np.ndarray, resamples: Resamples) -> Estimate:
    """Return the chance that a prompt where it happens has the higher score, and its interval.

    The area under the ROC curve, by ranks; of equal scores half of the pairs count (Hanley and
    McNeil 1982). nan where it happens always or never.

    Args:
        score: (prompts,).
        happens: 0 or 1, (prompts,).
        resamples: of all prompts.
    """
    there = np.flatnonzero(~np.isnan(score) & ~np.isnan(happens))
    if not len(there):
        return _NONE
    # Forecasts differ in their last digits although they are equal.
    _, place = np.unique(np.round(score[there], 9), return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    yes = happens[there][order]

    def area(counts: np.ndarray) -> np.ndarray:
        with_it, without = (np.add.reduceat(counts * of, starts, axis=1) for of in (yes, 1 - yes))
        below = np.cumsum(without, axis=1) - without / 2
        pairs = with_it.sum(axis=1) * without.sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (with_it * below).sum(axis=1) / pairs

    value = area(np.ones((1, len(there))))[0]
    return _estimate(value, area(resamples.counts[:, there[order]].astype(float)), there)


def slope(forecast: np.ndarray, happens: np.ndarray, resamples: Resamples) -> Estimate:
    """Return the slope of what happens, 0 or 1, on its forecast chance, and its interval.

    By least squares: 1 where chances are right, below 1 where they are too far apart. nan where all
    are alike. Arguments as of :func:`auc`.
    """
    there = np.flatnonzero(~np.isnan(forecast) & ~np.isnan(happens))
    if not len(there):
        return _NONE
    x, y = forecast[there], happens[there]

    def of_sums(sums: np.ndarray) -> np.ndarray:
        n, sum_x, sum_y, sum_xx, sum_xy = sums.T
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = sum_xx - sum_x**2 / n
            return np.where(spread > 1e-12, (sum_xy - sum_x * sum_y / n) / spread, np.nan)

    terms = np.stack([np.ones_like(x), x, y, x * x, x * y])
    value = of_sums(terms.sum(axis=1)[None])[0]
    return _estimate(value, of_sums(resamples.sums(terms, there)), there)


def _estimate(value: float, distribution: np.ndarray, there: np.ndarray) -> Estimate:
    if np.isnan(value):
        return _NONE
    low, high = interval(distribution, np.array(len(there)))
    return tuple(round(float(number), 12) for number in (value, low, high))
