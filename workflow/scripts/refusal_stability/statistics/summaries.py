"""How stable the prompts of a group are: means and shares over prompts, with intervals."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from refusal_stability.core.labels import SCORINGS, VALID_LABELS
from refusal_stability.statistics.bootstrap import Resamples, interval, prompt_share_interval
from refusal_stability.statistics.frames import (
    each_judge,
    estimate,
    frame,
    prompt_mean,
    with_all,
    with_sum,
)
from refusal_stability.statistics.run_arrays import RunArrays

# The estimates of every table of this kind; the shares of prompts come first.
SHARES = ("flip_rate", "hard_flip_rate", "unstable_rate")
MEANS = ("mean_ssi", "refusal_rate", "partial_rate", "comply_rate", "pair_disagreement")
SMALL_N = 20


def models(grid: RunArrays, resamples: Resamples, unstable_below: float) -> pl.DataFrame:
    """Return one row a judge and model, all temperatures pooled."""
    return each_judge(
        grid,
        lambda judge: _summary(grid, resamples, judge, unstable_below, scopes=slice(0, 1)).drop(
            "scope"
        ),
    )


def within_temperature(
    grid: RunArrays, resamples: Resamples, unstable_below: float
) -> pl.DataFrame:
    """Return one row a judge, model and temperature."""
    temperatures = dict(zip(grid.scopes[1:], grid.temperatures, strict=True))
    return each_judge(
        grid,
        lambda judge: (
            _summary(grid, resamples, judge, unstable_below, scopes=slice(1, None))
            .with_columns(pl.col("scope").replace_strict(temperatures, return_dtype=pl.Float64))
            .rename({"scope": "temperature"})
        ),
    )


def categories(
    grid: RunArrays, resamples: Resamples, prompts: pl.DataFrame, unstable_below: float
) -> pl.DataFrame:
    """Return one row a judge, model and source or category of prompts, pooled.

    Args:
        prompts: columns prompt_id, source and category, one row a prompt of ``grid``, in order.
    """
    tables = []
    for judge in grid.judges:
        for grouping in ("source", "category"):
            groups = prompts[grouping].fill_null("(none)")
            for group in groups.unique(maintain_order=True):
                table = _summary(
                    grid,
                    resamples,
                    judge,
                    unstable_below,
                    scopes=slice(0, 1),
                    of=(groups == group).to_numpy(),
                ).drop("scope")
                keys = {"judge": judge, "grouping": grouping, "group": group}
                tables.append(table.with_columns(**{k: pl.lit(v) for k, v in keys.items()}))
    return pl.concat(tables).with_columns(small_n=pl.col("n_prompts") < SMALL_N)


def scoring(grid: RunArrays, resamples: Resamples, unstable_below: float) -> pl.DataFrame:
    """Return one row a judge, model and way of scoring, pooled."""
    return each_judge(
        grid,
        lambda judge: pl.concat(
            _summary(
                grid, resamples, judge, unstable_below, scopes=slice(0, 1), scoring=name
            ).with_columns(scoring=pl.lit(name))
            for name in SCORINGS
        ),
    )


def thresholds(grid: RunArrays, limits: Sequence[float]) -> pl.DataFrame:
    """Return the unstable rate at each limit of SSI, one row a judge, model and limit."""

    def of_judge(judge: str) -> pl.DataFrame:
        ssi = grid.measure(judge, "ssi")[:, 0]
        below = np.stack([np.where(np.isnan(ssi), np.nan, ssi < limit) for limit in limits], axis=1)
        values = with_all(below)
        n = (~np.isnan(values)).sum(axis=-1)
        rates = prompt_mean(values)
        low, high = prompt_share_interval(values)
        invalid = with_sum(grid.measure(judge, "n_invalid")[:, 0])
        return frame(
            {"model": grid.models_and_all, "threshold": list(limits)},
            n_prompts=n,
            n_invalid=np.broadcast_to(np.nansum(invalid, axis=-1)[:, None], n.shape),
            **estimate("unstable_rate", rates, low, high),
        )

    return each_judge(grid, of_judge)


def rates(
    grid: RunArrays, judge: str, unstable_below: float, scoring: str
) -> dict[str, np.ndarray]:
    """Return what is averaged over prompts, each (models, scopes, prompts)."""
    column = grid.stability[judge][scoring]
    ssi, n = column["ssi"], column["n"]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = [column[f"n_{label.lower()}"] / n for label in VALID_LABELS]
    return {
        "flip_rate": column["flip"],
        "hard_flip_rate": column["hard_flip"],
        "unstable_rate": np.where(np.isnan(ssi), np.nan, ssi < unstable_below),
        "mean_ssi": ssi,
        **dict(zip(("refusal_rate", "partial_rate", "comply_rate"), shares, strict=True)),
        "pair_disagreement": column["pair_disagreement"],
    }


def _summary(
    grid: RunArrays,
    resamples: Resamples,
    judge: str,
    unstable_below: float,
    scopes: slice,
    of: np.ndarray | None = None,
    scoring: str = "three_way",
) -> pl.DataFrame:
    """Return one row a model, and all, and a scope; ``of`` is a mask of prompts."""
    of = np.ones(len(grid.prompt_ids), dtype=bool) if of is None else of
    places = None if of.all() else np.flatnonzero(of)
    names = [*SHARES, *MEANS]
    every = rates(grid, judge, unstable_below, scoring)
    # (measures, models + 1, scopes, prompts)
    values = np.stack([with_all(every[name][:, scopes][..., of]) for name in names])
    means = prompt_mean(values)
    n = (~np.isnan(values)).sum(axis=-1)
    shares = len(SHARES)
    bounds = [
        np.concatenate(ends)
        for ends in zip(
            prompt_share_interval(values[:shares]),
            interval(resamples.means(values[shares:], places), n[shares:]),
            strict=True,
        )
    ]
    n_valid, n_invalid = (
        with_sum(np.nansum(grid.measure(judge, name)[:, scopes][..., of], axis=-1))
        for name in ("n", "n_invalid")
    )
    cells = np.array([len(grid.temperatures), *[1] * len(grid.temperatures)])[scopes]
    expected = of.sum() * len(grid.seeds) * cells * grid.judged(judge)[:, None]
    columns = {}
    for place, name in enumerate(names):
        columns |= estimate(name, means[place], bounds[0][place], bounds[1][place])
    return frame(
        {"model": grid.models_and_all, "scope": grid.scopes[scopes]},
        n_prompts=n[names.index("mean_ssi")],
        n_responses=n_valid + n_invalid,
        n_invalid=n_invalid,
        n_missing=with_sum(expected) - n_valid - n_invalid,
        **columns,
    )
