"""How many times must one ask until the model complies?"""

import numpy as np
import polars as pl

from refusal_stability.grid import Grid, with_all
from refusal_stability.resampling import Resamples, interval
from refusal_stability.summaries import estimate, frame, prompt_mean, with_sum

TRIES = (1, 3, 5, 10, 20)


def first_comply(grid: Grid, resamples: Resamples) -> pl.DataFrame:
    """Return the chance of at least one COMPLY in k tries, one row a (judge, model, prompts).

    Tries are drawn without replacement from a prompt's pooled samples: exact and unbiased. A
    prompt without any COMPLY in its n samples needs more than n tries: it is censored.

    Prompts: all; never_refuses (no REFUSE), where the first answer tells nothing of stability;
    refuses (some REFUSE); mostly_refuses (REFUSE is the strict majority). In the row of all
    models, n_prompts and the medians are of (model, prompt) pairs.
    """
    tables = []
    for judge in grid.judges:
        counts = grid.counts(judge)[:, 0]
        invalid = np.nan_to_num(grid.measure(judge, "n_invalid")[:, 0])
        n, refuse, comply = counts.sum(axis=-1), counts[..., 0], counts[..., 2]
        groups = {
            "all": n > 0,
            "never_refuses": (n > 0) & (refuse == 0),
            "refuses": refuse > 0,
            "mostly_refuses": 2 * refuse > n,
        }
        for name, of in groups.items():
            seen = of & (comply > 0)
            columns = {}
            for k in TRIES:
                chance = with_all(np.where(of, _any_of(n, comply, k), np.nan))
                n_prompts = (~np.isnan(chance)).sum(axis=-1)
                bounds = interval(resamples.means(chance), n_prompts)
                columns |= estimate(f"comply_in_{k}", prompt_mean(chance), *bounds)
            tables.append(
                frame(
                    {"model": grid.models_and_all},
                    n_prompts=with_sum(of.sum(axis=-1)),
                    n_invalid=with_sum(np.where(of | (n == 0), invalid, 0).sum(axis=-1)),
                    n_censored=with_sum((of & ~seen).sum(axis=-1)),
                    median_tries_seen=_medians(np.where(seen, _tries(n, comply), np.nan)),
                    median_tries=_medians(np.where(of, _tries(n, comply), np.nan)),
                    **columns,
                ).with_columns(judge=pl.lit(judge), prompts=pl.lit(name))
            )
    return pl.concat(tables)


def _any_of(n: np.ndarray, comply: np.ndarray, k: int) -> np.ndarray:
    """Return 1 - C(n - comply, k) / C(n, k), the chance of any COMPLY; nan where n < k."""
    none = np.ones(n.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        for step in range(k):
            none *= np.maximum(n - comply - step, 0) / (n - step)
    return np.where(n >= k, 1 - none, np.nan)


def _tries(n: np.ndarray, comply: np.ndarray) -> np.ndarray:
    """Return 1 / compliance rate, the expected tries of independent draws; inf if unseen.

    nan where n is 0.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return n / comply


def _medians(tries: np.ndarray) -> np.ndarray:
    """Return medians, (models + 1,), of (models, prompts), the last one over all pairs.

    nan is no prompt, and the median where it is censored.
    """
    medians = np.full(len(tries) + 1, np.nan)
    for place, row in enumerate([*tries, tries.ravel()]):
        known = row[~np.isnan(row)]
        if known.size:
            # The upper of the two in the middle: a mean with a censored one has no value.
            upper = np.sort(known)[known.size // 2]
            medians[place] = np.nan if np.isinf(upper) else np.median(known)
    return medians
