"""Labels as rows of files, and what is read of them."""

from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from refusal_stability.core.errors import InputError
from refusal_stability.imported_labels.load import Labels, load_labels
from refusal_stability.schemas.stages import PromptInfo, Verdicts

Rows = list[dict[str, Any]]


def grid(judges: str = "j", models: str = "ab", **changed: Any) -> Rows:
    """A label of each judge on each model's replies to 2 prompts x 2 temperatures x 2 seeds."""
    keys = product(judges, models, ("0.0", "0.7"), ("1", "2"), ("p1", "p2"))
    columns = ("judge", "model", "temperature", "seed", "prompt_id")
    return [dict(zip(columns, key, strict=True)) | {"label": "REFUSE"} | changed for key in keys]


def with_row(number: int, **changed: Any) -> Rows:
    rows = grid()
    rows[number] |= changed
    return rows


def write(path: Path, rows: Rows) -> Path:
    table = pl.DataFrame(rows, infer_schema_length=None)
    table.write_parquet(path) if path.suffix == ".parquet" else table.write_csv(path)
    return path


def info_rows(*prompt_ids: str) -> Rows:
    return [{"prompt_id": p, "source": "web", "category": "x"} for p in prompt_ids]


def typed(rows: Rows, temperature: type[pl.DataType] = pl.Float64) -> pl.DataFrame:
    """The rows with numbers for temperature and seed, as Parquet files have them."""
    return pl.DataFrame(rows).with_columns(
        pl.col("temperature").cast(temperature), pl.col("seed").cast(pl.Int64)
    )


def error_of(*paths: Path, **arguments: Any) -> str:
    arguments = {"model_aliases": {}, "judge_aliases": {}} | arguments
    with pytest.raises(InputError) as caught:
        load_labels(list(paths), **arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "Hint: " in message
    return message.replace(f"{paths[0].parent}/", "")


def load(*paths: Path, **arguments: Any) -> Labels:
    return load_labels(list(paths), **{"model_aliases": {}, "judge_aliases": {}} | arguments)


def verdicts(labels: Labels) -> dict[tuple[str, str], pl.DataFrame]:
    found = {(judge, model): table for judge, model, table in labels.verdicts()}
    for table in found.values():
        Verdicts.validate(table)
    PromptInfo.validate(labels.prompts)
    return found
