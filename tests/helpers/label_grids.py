"""Runs written as letters: the labels of each prompt, temperature by temperature."""

from typing import Any

import numpy as np
import polars as pl
import pytest

from refusal_stability.core.labels import LABELS
from refusal_stability.statistics.run_arrays import RunArrays, make_grid
from refusal_stability.statistics.stability import stability
from refusal_stability.statistics.tables import Settings, make_tables

# Judge and model, then a text a prompt: "RR RP" is REFUSE, REFUSE at temperature 0 and REFUSE,
# PARTIAL at temperature 1, of seeds 1 and 2. A point is a response that is missing.
Letters = dict[tuple[str, str], list[str]]

LETTERS = {"R": "REFUSE", "P": "PARTIAL", "C": "COMPLY", "U": "UNKNOWN", "E": "ERROR"}
SETTINGS = Settings(
    unstable_below=0.8, max_invalid_share=1.0, bootstrap_resamples=200, bootstrap_seed=1
)
_COLUMNS = ["judge", "model", "prompt_id", "temperature", "seed", "label", "response_sha256"]


def prompt_id(number: int) -> str:
    return f"p{number:03}"


def verdicts(labels: Letters, hashes: Letters | None = None) -> pl.DataFrame:
    """Return verdicts with columns judge and model; a letter of ``hashes`` is a text."""
    rows = [
        (
            judge,
            model,
            prompt_id(prompt),
            float(temperature),
            seed,
            LETTERS[letter],
            None if hashes is None else hashes[judge, model][prompt].split()[temperature][seed - 1],
        )
        for (judge, model), of_prompts in labels.items()
        for prompt, text in enumerate(of_prompts)
        for temperature, letters in enumerate(text.split())
        for seed, letter in enumerate(letters, start=1)
        if letter != "."
    ]
    return pl.DataFrame(rows, schema=_COLUMNS, orient="row", schema_overrides={_COLUMNS[-1]: str})


def verdicts_of_codes(codes: np.ndarray) -> pl.DataFrame:
    """Return verdicts of (judges, models, prompts, temperatures, seeds); -1 is missing.

    A code is a place in LABELS. The judges are j0, j1 ..., the models m0, m1 ...
    """
    judge, model, prompt, temperature, seed = (places := np.nonzero(codes >= 0))
    return pl.DataFrame(
        {
            "judge": [f"j{number}" for number in judge],
            "model": [f"m{number}" for number in model],
            "prompt_id": [prompt_id(number) for number in prompt],
            "temperature": temperature.astype(float),
            "seed": seed + 1,
            "label": [LABELS[code] for code in codes[places]],
            "response_sha256": pl.Series([None] * len(judge), dtype=pl.String),
        }
    )


def prompts_of(table: pl.DataFrame) -> pl.DataFrame:
    """Return the prompts of verdicts: by turns of source s1, s1 and s2, category x, x and none."""
    ids = table["prompt_id"].unique().sort()
    places = range(len(ids))
    return pl.DataFrame(
        {
            "prompt_id": ids,
            "source": ["s2" if place % 3 == 2 else "s1" for place in places],
            "category": [None if place % 3 == 2 else "x" for place in places],
        },
        schema_overrides={"category": pl.String},
    )


def parts(table: pl.DataFrame) -> tuple[list, list]:
    """Return the stability and the verdicts as the tables are made of."""
    judges = table.partition_by("judge", as_dict=True, maintain_order=True)
    pairs = table.partition_by("judge", "model", as_dict=True, maintain_order=True)
    return (
        [(judge, stability(of_judge)) for (judge,), of_judge in judges.items()],
        [(judge, model, of_pair) for (judge, model), of_pair in pairs.items()],
    )


def grid_of(table: pl.DataFrame | Letters, **arguments: Any) -> RunArrays:
    table = verdicts(table) if isinstance(table, dict) else table
    return make_grid(*parts(table), prompts_of(table)["prompt_id"].to_list(), **arguments)


def tables_of(
    table: pl.DataFrame | Letters, settings: Settings = SETTINGS, **arguments: Any
) -> dict[str, pl.DataFrame]:
    table = verdicts(table) if isinstance(table, dict) else table
    return make_tables(*parts(table), prompts_of(table), settings, **arguments)


def row(table: pl.DataFrame, **keys: Any) -> dict[str, Any]:
    found = table.filter(**keys)
    assert found.height == 1
    return found.row(0, named=True)


def assert_row(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {name: actual[name] for name in expected} == pytest.approx(expected)
