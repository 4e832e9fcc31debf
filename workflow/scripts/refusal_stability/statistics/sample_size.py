"""How many samples a prompt needs: majorities, first COMPLY, and measures that depend on n."""

from collections.abc import Callable

import numpy as np
import polars as pl

from refusal_stability.statistics.bootstrap import Resamples, interval, prompt_share_interval
from refusal_stability.statistics.frames import (
    each_judge,
    estimate,
    frame,
    prompt_mean,
    with_all,
    with_sum,
)
from refusal_stability.statistics.hypergeometric import expectation, majority_overlap
from refusal_stability.statistics.run_arrays import RunArrays

SIZES = (1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50)
FEW = 5


def sample_size(grid: RunArrays, resamples: Resamples) -> pl.DataFrame:
    """Return how often the majority of n samples is that of all, or of those left over."""

    def of_judge(judge: str) -> pl.DataFrame:
        counts = grid.counts(judge)
        most = counts.sum(axis=-1).max(axis=(0, 2))
        invalid = with_sum(np.nansum(grid.measure(judge, "n_invalid"), axis=-1))
        tables = []
        for scope, name in enumerate(grid.scopes):
            # At least one row, of nothing, where no prompt has a valid label.
            sizes = [n for n in SIZES if n <= max(1, most[scope])]
            found = [_agreement(counts[:, scope], n) for n in sizes]
            names = ("agreement", "out_of_sample")
            # (models + 1, sizes, prompts) of each
            values = np.stack(
                [np.stack([with_all(each[name]) for each in found], axis=1) for name in names]
            )
            n_prompts = (~np.isnan(values)).sum(axis=-1)
            low, high = interval(resamples.means(values), n_prompts)
            means = prompt_mean(values)
            columns = {"n_prompts": n_prompts[0]}
            for place, column in enumerate(names):
                columns |= estimate(column, means[place], low[place], high[place])
            tables.append(
                frame(
                    {"model": grid.models_and_all, "n": sizes},
                    n_invalid=np.repeat(invalid[:, scope, None], len(sizes), axis=1),
                    **columns,
                ).with_columns(scope=pl.lit(name))
            )
        return pl.concat(tables)

    return each_judge(grid, of_judge)


def stability_measures(grid: RunArrays, resamples: Resamples) -> pl.DataFrame:
    """Return measures of stability side by side, on all samples and on a random few of them."""

    def of_judge(judge: str) -> pl.DataFrame:
        invalid = with_sum(np.nansum(grid.measure(judge, "n_invalid")[:, 0], axis=-1))
        counts = grid.counts(judge)[:, 0]
        n = counts.sum(axis=-1)
        tables = []
        for samples, drawn in (("all", n), (str(FEW), np.where(n >= FEW, FEW, 0))):
            values = _measures_of(counts, drawn)
            per_prompt = np.stack([with_all(values[name]) for name in values])
            names = list(values)
            distribution = resamples.means(per_prompt)
            means = prompt_mean(per_prompt)
            n_prompts = (~np.isnan(per_prompt[names.index("mean_ssi")])).sum(axis=-1)
            columns = {}
            for place, name in enumerate(names):
                if name.startswith("share_"):
                    continue
                at = distribution[:, place]
                if name == "flip_rate":
                    bounds = prompt_share_interval(per_prompt[place])
                else:
                    bounds = interval(at, n_prompts)
                columns |= estimate(name, means[place], *bounds)
            pick = {name: place for place, name in enumerate(names)}
            for name, chance in (("fleiss_kappa", _fleiss_chance), ("gwet_ac1", _gwet_chance)):
                value = _corrected(means, pick, chance)
                # Along the resamples, the axis of measures is the second.
                resampled = _corrected(np.moveaxis(distribution, 1, 0), pick, chance)
                columns |= estimate(name, value, *interval(resampled, n_prompts))
            tables.append(
                frame(
                    {"model": grid.models_and_all},
                    n_prompts=n_prompts,
                    n_invalid=invalid,
                    **columns,
                ).with_columns(samples=pl.lit(samples))
            )
        return pl.concat(tables)

    return each_judge(grid, of_judge)


def _agreement(counts: np.ndarray, n: int) -> dict[str, np.ndarray]:
    flat = counts.reshape(-1, 3)

    def overlaps(drawn: np.ndarray, left: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "agreement": majority_overlap(drawn, drawn + left),
            # Nothing is left where all samples are drawn.
            "out_of_sample": np.where(left.sum(axis=-1) > 0, majority_overlap(drawn, left), np.nan),
        }

    found = expectation(flat, np.full(len(flat), n), overlaps)
    return {name: values.reshape(counts.shape[:-1]) for name, values in found.items()}


def _measures_of(counts: np.ndarray, drawn: np.ndarray) -> dict[str, np.ndarray]:
    flat = counts.reshape(-1, 3)

    def measures(held: np.ndarray, _: np.ndarray) -> dict[str, np.ndarray]:
        n = held.sum(axis=-1)
        shares = held / n[..., None]
        with np.errstate(divide="ignore", invalid="ignore"):
            entropy = -np.where(held > 0, shares * np.log2(shares), 0).sum(axis=-1)
            disagreement = np.where(n > 1, 1 - (held * (held - 1)).sum(-1) / (n * (n - 1)), np.nan)
        return {
            "mean_ssi": held.max(axis=-1) / n,
            "flip_rate": (held.max(axis=-1) < n).astype(float),
            "pair_disagreement": disagreement,
            "entropy": entropy,
            # Of the prompts that have a pair, as agreement by chance is set against theirs.
            **{f"share_{c}": np.where(n > 1, shares[..., c], np.nan) for c in range(3)},
        }

    found = expectation(flat, drawn.ravel(), measures)
    return {name: values.reshape(counts.shape[:-1]) for name, values in found.items()}


def _corrected(
    means: np.ndarray, pick: dict[str, int], chance: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    observed = 1 - means[pick["pair_disagreement"]]
    expected = chance(np.stack([means[pick[f"share_{place}"]] for place in range(3)]))
    with np.errstate(divide="ignore", invalid="ignore"):
        # All labels alike: agreement by chance is certain, and a correction has no meaning.
        return np.where(expected < 1 - 1e-12, (observed - expected) / (1 - expected), np.nan)


def _fleiss_chance(shares: np.ndarray) -> np.ndarray:
    return (shares**2).sum(axis=0)


def _gwet_chance(shares: np.ndarray) -> np.ndarray:
    return (shares * (1 - shares)).sum(axis=0) / (len(shares) - 1)
