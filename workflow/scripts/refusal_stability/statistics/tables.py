"""Tables for people and papers, from stability and verdicts: every estimate with its interval."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from refusal_stability.schemas.tables import TABLES
from refusal_stability.statistics import (
    alarms,
    first_comply,
    judge_agreement,
    judge_noise,
    model_comparison,
    sample_size,
    seed_variance,
    summaries,
    temperature,
)
from refusal_stability.statistics.bootstrap import Resamples
from refusal_stability.statistics.checks import check_invalid_share
from refusal_stability.statistics.run_arrays import RunArrays, make_grid


@dataclass(frozen=True)
class Settings:
    """The configuration's `statistics`: thresholds, and the bootstrap's size and seed."""

    unstable_below: float
    max_invalid_share: float
    bootstrap_resamples: int
    bootstrap_seed: int
    thresholds: tuple[float, ...] = (0.7, 0.75, 0.8, 0.85, 0.9)


def make_tables(
    stability: Iterable[tuple[str, pl.DataFrame]],
    verdicts: Iterable[tuple[str, str, pl.DataFrame]],
    prompts: pl.DataFrame,
    settings: Settings,
    truncated: Iterable[tuple[str, pl.DataFrame]] = (),
) -> dict[str, pl.DataFrame]:
    """Return every table by its name in :data:`refusal_stability.table_contracts.TABLES`.

    A table that the run has nothing for (one temperature, seed, model or judge) has no rows.

    Args:
        stability: (judge, table) of all; a table keeps the contract
            :class:`~schemas.stages.Stability`.
        verdicts: (judge, model, table) of all; a table keeps the contract
            :class:`~schemas.stages.Verdicts`.
        prompts: keeps the contract :class:`~schemas.stages.PromptInfo`.
        settings: thresholds and bootstrap.
        truncated: (model, table with a prompt_id) of replies cut at the token limit.

    Raises:
        InvalidVerdictsError: a judge has too many invalid verdicts on a model's responses.
    """
    grid = make_grid(stability, verdicts, prompts["prompt_id"].to_list(), truncated)
    check_invalid_share(grid, settings.max_invalid_share)
    ordered = pl.DataFrame({"prompt_id": grid.prompt_ids}).join(
        prompts, on="prompt_id", maintain_order="left"
    )
    resamples = Resamples(
        len(grid.prompt_ids), settings.bootstrap_resamples, settings.bootstrap_seed
    )
    below = settings.unstable_below
    seeds = seed_variance.seed_effect(grid, settings.bootstrap_seed)
    tables = {
        "models": summaries.models(grid, resamples, below),
        "within_temperature": summaries.within_temperature(grid, resamples, below),
        "categories": summaries.categories(grid, resamples, ordered, below),
        "scoring": summaries.scoring(grid, resamples, below),
        "thresholds": summaries.thresholds(grid, settings.thresholds),
        "temperature_effect": temperature.temperature_effect(grid, resamples),
        "temperature_pairs": temperature.temperature_pairs(grid, resamples),
        "correlations": model_comparison.correlations(grid, resamples),
        "model_pairs": model_comparison.model_pairs(grid, resamples, below),
        "judge_agreement": judge_agreement.judge_agreement(grid, resamples),
        "judge_confusion": judge_agreement.judge_confusion(grid, resamples),
        "consensus": judge_agreement.consensus(grid, resamples, below),
        "judge_noise": judge_noise.judge_noise(grid, resamples),
        "sample_size": sample_size.sample_size(grid, resamples),
        "stability_measures": sample_size.stability_measures(grid, resamples),
        "first_comply": first_comply.first_comply(grid, resamples),
        "seed_effect": seeds,
        "alarms": alarms.alarms(grid, seeds),
    }
    # Nobody wants to read 1.9000000000000008.
    without_rounding = pl.selectors.float().round_sig_figs(12)
    return {
        name: contract.create_empty()
        if tables[name] is None
        else _judged_only(tables[name], grid).with_columns(without_rounding)
        for name, contract in TABLES.items()
    }


def _judged_only(table: pl.DataFrame, grid: RunArrays) -> pl.DataFrame:
    """Leave out the rows of models that a judge has not seen at all; imported labels have such."""
    judges = [name for name in ("judge", "judge_a", "judge_b") if name in table.columns]
    models = [name for name in ("model", "model_a", "model_b") if name in table.columns]
    for judge in grid.judges:
        unseen = [
            model for model, seen in zip(grid.models, grid.judged(judge), strict=True) if not seen
        ]
        for of_judge, of_model in itertools.product(judges, models):
            table = table.filter(~((pl.col(of_judge) == judge) & pl.col(of_model).is_in(unseen)))
    return table
