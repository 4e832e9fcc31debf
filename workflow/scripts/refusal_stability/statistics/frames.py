"""Tables of estimates with their intervals, made of arrays."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from refusal_stability.statistics.run_arrays import RunArrays


def frame(keys: dict[str, Sequence], **columns: np.ndarray) -> pl.DataFrame:
    """Return the product of ``keys`` as rows, and ``columns`` of that shape; nan becomes null."""
    rows = zip(*itertools.product(*keys.values()), strict=True)
    return pl.DataFrame(
        {name: list(values) for name, values in zip(keys, rows, strict=True)}
        | {
            name: pl.Series(np.ascontiguousarray(values).ravel(), nan_to_null=True)
            for name, values in columns.items()
        }
    )


def estimate(
    name: str, value: np.ndarray, low: np.ndarray, high: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the three columns of an estimate, free of the last digits of rounding."""
    columns = {name: value, f"{name}_low": low, f"{name}_high": high}
    # Plus 0, as a rounded zero may be negative.
    return {column: np.round(values, 12) + 0.0 for column, values in columns.items()}


def each_judge(grid: RunArrays, table: Callable[[str], pl.DataFrame]) -> pl.DataFrame:
    """Return the rows that ``table`` makes of each judge, with a column judge."""
    return pl.concat(table(judge).with_columns(judge=pl.lit(judge)) for judge in grid.judges)


def prompt_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the last axis, the prompts; nan is no value."""
    return mean_over_models(np.moveaxis(values, -1, 0))


def with_sum(values: np.ndarray) -> np.ndarray:
    """Add to (models, ...) their sum, (models + 1, ...)."""
    return np.concatenate([values, np.nansum(values, axis=0, keepdims=True)])


def with_all(values: np.ndarray) -> np.ndarray:
    """Add to (models, ...) their mean, (models + 1, ...); nan is no value."""
    return np.concatenate([values, mean_over_models(values)[None]])


def mean_over_models(values: np.ndarray) -> np.ndarray:
    """Return the mean over the first axis; nan is no value, and the mean of none."""
    n = (~np.isnan(values)).sum(axis=0)
    with np.errstate(invalid="ignore"):
        return np.nansum(values, axis=0) / n
