"""Two runs side by side in the page of one of them: the experiment `compare`, model by model."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from refusal_stability.core.names import ALL_MODELS
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.statistics.paired_responses import ALL, compare

# {(judge, model): verdicts}
Judged = Mapping[tuple[str, str], pl.DataFrame]


def page_compare(
    run: str,
    other: str,
    verdicts: Judged,
    other_verdicts: Judged,
    other_models: pl.DataFrame,
    prompts: pl.DataFrame,
    bootstrap: tuple[int, int],
) -> dict[str, Any]:
    """Return what the page shows of two runs.

    Args:
        run, other: names of this run and of the other one.
        other_models: the other run's table `models`.
        prompts: keeps the contract :class:`~schemas.stages.PromptInfo`.
        bootstrap: the number of resamples and their seed.

    Returns:
        "run": the other's name; "models": its table; "differences" and "prompts": the tables of
        the experiment for the models and judges of both runs, on the responses of both.
    """
    contracts = [EXPERIMENT_TABLES[name] for name in ("compare", "compare_prompts")]
    tables = [[contract.create_empty()] for contract in contracts]
    for model in dict.fromkeys(model for _, model in verdicts):
        here, there = (
            {judge: table for (judge, of), table in judged.items() if of == model}
            for judged in (verdicts, other_verdicts)
        )
        # The page shows invalid labels of both sides, and fails for none.
        found = compare(
            here, there, (f"{run}/{model}", f"{other}/{model}"), prompts, bootstrap, 1.0
        )
        for whole, part, contract in zip(tables, found, contracts, strict=True):
            whole.append(contract.validate(part, cast=True).with_columns(model_a=pl.lit(model)))
    differences, changes = (pl.concat(parts) for parts in tables)
    shown = ["judge", "model_a", "prompt_id", "n_a", "n_b", "ssi_a", "ssi_b", "change"]
    return {
        "run": other,
        "models": other_models.filter(pl.col("model") != ALL_MODELS),
        "differences": differences.filter(category=ALL).drop("category", "model_b"),
        "prompts": changes.select(shown),
    }
