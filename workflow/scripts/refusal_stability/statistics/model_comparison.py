"""Models against each other, and SSI against compliance, on the same prompts."""

import itertools

import numpy as np
import polars as pl

from refusal_stability.statistics.bootstrap import Resamples, interval
from refusal_stability.statistics.frames import estimate, prompt_mean
from refusal_stability.statistics.hypothesis_tests import holm, mcnemar, signed_rank
from refusal_stability.statistics.run_arrays import RunArrays
from refusal_stability.statistics.summaries import rates

# What is compared, and the test of paired differences that fits it.
_MEASURES = {
    "mean_ssi": signed_rank,
    "flip_rate": mcnemar,
    "refusal_rate": signed_rank,
}
ALL_PROMPTS, ANY_COMPLY = "all", "any_comply"


def model_pairs(
    grid: RunArrays, resamples: Resamples, unstable_below: float
) -> pl.DataFrame | None:
    """Return paired differences between models, pooled; None with a single model.

    Holm's correction is over the pairs of models of one judge and measure.
    """
    pairs = list(itertools.combinations(range(len(grid.models)), 2))
    if not pairs:
        return None
    first, second = np.array(pairs).T
    names = np.array(grid.models)
    tables = []
    for judge in grid.judges:
        every = rates(grid, judge, unstable_below, "three_way")
        invalid = np.nansum(grid.measure(judge, "n_invalid")[:, 0], axis=-1)
        for measure, test in _MEASURES.items():
            values = every[measure][:, 0]
            # (pairs, prompts)
            differences = values[first] - values[second]
            n = (~np.isnan(differences)).sum(axis=-1)
            p = np.array(
                [test(row) if any_ else np.nan for row, any_ in zip(differences, n, strict=True)]
            )
            low, high = interval(resamples.means(differences), n)
            tables.append(
                pl.DataFrame(
                    {
                        "model_a": names[first],
                        "model_b": names[second],
                        "n": n,
                        "n_invalid": invalid[first] + invalid[second],
                        **estimate("difference", prompt_mean(differences), low, high),
                        "p": p,
                        "p_holm": holm(p),
                    }
                ).with_columns(judge=pl.lit(judge), measure=pl.lit(measure))
            )
    return pl.concat(tables).fill_nan(None)


def correlations(grid: RunArrays, resamples: Resamples) -> pl.DataFrame:
    """Return Spearman's correlation of SSI and compliance rate over prompts, pooled.

    One row a judge, model and set of prompts: all, and those with any COMPLY, as prompts that
    never comply are mostly stable by refusing.
    """
    rows = []
    for judge in grid.judges:
        ssi, n, comply = (grid.measure(judge, name)[:, 0] for name in ("ssi", "n", "n_comply"))
        invalid = np.nan_to_num(grid.measure(judge, "n_invalid")[:, 0])
        with np.errstate(invalid="ignore", divide="ignore"):
            rate = comply / n
        for place, model in enumerate(grid.models):
            valid = n[place] > 0
            for prompts, of in ((ALL_PROMPTS, valid), (ANY_COMPLY, valid & (comply[place] > 0))):
                value, low, high = spearman(ssi[place], rate[place], of, resamples)
                of_invalid = invalid[place] if prompts == ALL_PROMPTS else invalid[place][of]
                rows.append(
                    {"judge": judge, "model": model, "prompts": prompts, "n": of.sum()}
                    | {"n_invalid": of_invalid.sum()}
                    | {"spearman": value, "spearman_low": low, "spearman_high": high}
                )
    return pl.DataFrame(rows).fill_nan(None)


def spearman(
    x: np.ndarray, y: np.ndarray, of: np.ndarray, resamples: Resamples
) -> tuple[float, float, float]:
    """Return Spearman's (1904) correlation over the prompts of the mask ``of``, and its interval.

    Few values occur, so a resample is a table of how often each pair of them does; its ranks
    come from the sums along the table. nan where x or y is constant.
    """
    if of.sum() < 2:
        return (float("nan"),) * 3
    # Shares differ in their last digits although they are equal.
    points, pattern = np.unique(
        np.round(np.stack([x[of], y[of]], axis=1), 12), axis=0, return_inverse=True
    )
    place = np.full(x.shape, -1)
    place[of] = pattern.ravel()
    drawn = resamples.pattern_counts(place)
    once = np.bincount(pattern.ravel(), minlength=len(points))[None].astype(float)
    axes = [np.unique(points[:, axis], return_inverse=True)[1] for axis in (0, 1)]
    value = float(_rank_correlation(once, *axes)[0])
    low, high = interval(_rank_correlation(drawn, *axes), of.sum())
    return round(value, 12), round(float(low), 12), round(float(high), 12)


def _rank_correlation(counts: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the correlation of ranks; ``counts`` (..., k) of points with places x and y, (k,)."""
    deviations, variances = [], 1.0
    n = counts.sum(axis=-1, keepdims=True)
    for places in (x, y):
        one_hot = places[:, None] == np.arange(places.max() + 1)
        at = counts @ one_hot
        of_value = np.cumsum(at, axis=-1) - (at - 1) / 2 - (n + 1) / 2
        deviations.append(of_value[..., places])
        variances = variances * (at * of_value**2).sum(axis=-1)
    of_x, of_y = deviations
    covariance = np.einsum("...i,...i,...i", counts, of_x, of_y)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(variances > 0, covariance / np.sqrt(variances), np.nan)
