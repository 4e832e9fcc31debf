"""Pages of made-up runs."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from helpers.label_grids import SETTINGS, parts, prompts_of, verdicts_of_codes
from helpers.workspace import REPOSITORY
from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.report.embedded_data import page_labels
from refusal_stability.report.page import Run, page
from refusal_stability.schemas.tables import TABLES
from refusal_stability.statistics.tables import Settings, make_tables

RESOURCES = REPOSITORY / "resources/report"
ABOUT = {
    "statistics": {"unstable_below": 0.8, "bootstrap_resamples": 200, "bootstrap_seed": 1},
    "shared_scope": [],
    "self_judging": [],
    "from_labels": True,
}


def run_of(
    table: pl.DataFrame,
    settings: Settings = SETTINGS,
    of_prompts: pl.DataFrame | None = None,
    **more: Any,
) -> Run:
    """Return the run of verdicts with columns judge and model."""
    stability, verdicts = parts(table)
    prompts = prompts_of(table) if of_prompts is None else of_prompts
    made = make_tables(stability, verdicts, prompts, settings)
    tables = {name: contract.validate(made[name], cast=True) for name, contract in TABLES.items()}
    return Run(
        **{
            "name": "made-up",
            "about": ABOUT,
            "prompts": prompts,
            "labels": page_labels(
                (((judge, model), with_chances(of)) for judge, model, of in verdicts),
                prompts["prompt_id"].to_list(),
            ),
            "stability": stability[0][1],
            "tables": tables,
        }
        | more
    )


def with_chances(verdicts: pl.DataFrame) -> pl.DataFrame:
    """Add the probabilities of a judge who is 90% sure."""
    return verdicts.with_columns(
        pl.when(pl.col("label") == label).then(0.9).otherwise(0.05).alias(f"p_{label.lower()}")
        for label in VALID_LABELS
    )


def codes(judges: int, models: int, prompts: int, temperatures: int, seeds: int) -> np.ndarray:
    """Return labels of a made-up study, of which the second judge reads one in fifty otherwise.

    A prompt has a leaning of its own, and the more the higher the temperature: most are always
    refused, some waver.
    """
    rng = np.random.default_rng(0)
    leaning = rng.normal(-2.5, 2, (1, models, prompts, 1, 1))
    heat = np.linspace(0, 1, temperatures).reshape(1, 1, 1, -1, 1)
    drawn = leaning + heat * rng.normal(0, 1.5, (1, models, prompts, temperatures, seeds))
    labels = np.digitize(drawn, [-0.7, 0.7])
    labels = np.repeat(labels, judges, axis=0)
    misread = rng.random(labels.shape) < 0.02
    misread[:1] = False
    return np.where(misread, rng.integers(0, 3, labels.shape), labels)


def write_page(file: Path, run: Run) -> Path:
    file.write_text(page(run, RESOURCES), encoding="utf-8")
    return file


def small_run(**more: Any) -> Run:
    """Two judges, two models, 30 prompts, 3 temperatures x 3 seeds."""
    return run_of(verdicts_of_codes(codes(2, 2, 30, 3, 3)), **more)
