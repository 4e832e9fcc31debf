"""95% intervals. Every one of them resamples, or counts, prompts: the independent units."""

import warnings
from collections.abc import Callable

import numpy as np
from scipy import stats

CONFIDENCE = 0.95


def bootstrap_interval(
    per_prompt: np.ndarray,
    statistic: Callable[[np.ndarray], np.ndarray],
    resamples: int,
    seed: int,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a statistic of whole prompts.

    Percentile rather than BCa, which is undefined on constant data: every greedy cell of a
    deterministic model is constant. Source: Efron and Tibshirani (1993), chapter 13.

    Args:
        per_prompt: (n_prompts, k), one row of numbers a prompt.
        statistic: maps (..., n_prompts, k) to (...).
        resamples: number of bootstrap resamples.
        seed: seed of the generator; equal seeds give equal intervals.

    Returns:
        (low, high), of the resamples in which the statistic is defined; (nan, nan) if there
        are none, or fewer than two prompts.
    """
    n_prompts = len(per_prompt)
    if n_prompts < 2:
        # One prompt says nothing of how prompts differ.
        return float("nan"), float("nan")

    # scipy hands over indices of prompts, (..., n_prompts), and names their axis.
    def of_resampled(index: np.ndarray, axis: int = -1) -> np.ndarray:  # noqa: ARG001
        return statistic(per_prompt[index])

    with warnings.catch_warnings():
        # Constant data are no fault here: their percentile interval is that constant.
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)
        distribution = stats.bootstrap(
            (np.arange(n_prompts),),
            of_resampled,
            vectorized=True,
            axis=-1,
            n_resamples=resamples,
            batch=max(1, 10_000_000 // per_prompt.size),
            method="percentile",
            rng=np.random.default_rng(seed),
        ).bootstrap_distribution
    defined = distribution[~np.isnan(distribution)]
    if defined.size == 0:
        return float("nan"), float("nan")
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def mean_interval(values: np.ndarray, resamples: int, seed: int) -> tuple[float, float]:
    """Return the bootstrap interval of a mean over prompts; ``values`` is (n_prompts,)."""
    return bootstrap_interval(
        values[:, None], lambda sample: sample.mean(axis=(-2, -1)), resamples, seed
    )


def share_interval(count: int, total: int) -> tuple[float, float]:
    """Return Wilson's (1927) interval of a share of prompts; (nan, nan) without prompts.

    Unlike the bootstrap's, it does not shrink to a point where no prompt, or every one, counts.
    """
    if total == 0:
        return float("nan"), float("nan")
    interval = stats.binomtest(count, total).proportion_ci(CONFIDENCE, method="wilson")
    # Rounding leaves 1e-17 where the bound is 0, and the like at 1.
    return max(0.0, round(float(interval.low), 12)), min(1.0, round(float(interval.high), 12))
