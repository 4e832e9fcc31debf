"""The labels and measures of a run as dense arrays: what every table is computed from."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from refusal_stability.core.cells import temperature_text
from refusal_stability.core.labels import LABELS, SCORINGS, VALID_LABELS
from refusal_stability.core.names import ALL_MODELS
from refusal_stability.schemas.stages import POOLED
from refusal_stability.statistics.stability import stability

MISSING = 255
_MEASURES = ("n", "n_invalid", "ssi", "flip", "hard_flip", "pair_disagreement")
_COUNTS = tuple(f"n_{label.lower()}" for label in VALID_LABELS)


@dataclass
class RunArrays:
    """A run as arrays; nan, or :data:`MISSING`, where there is nothing.

    Attributes:
        judges, models, temperatures, seeds, prompt_ids: what the axes stand for; temperatures
            and seeds ascend.
        stability: {judge: {scoring: {column: (models, 1 + temperatures, prompts)}}}, the columns
            of the contract Stability; of the scopes, the pooled one is the first.
        labels: {judge: (models, prompts, temperatures, seeds)}, an index into
            :data:`~core.labels.LABELS`.
        same_text: {judge: (models, prompts, 2)}, where hashes of responses are known: pairs of
            verdicts on the same text to the same prompt, and of these with two valid labels
            that differ.
        truncated: (models, prompts), replies cut at the token limit; empty where unknown.
    """

    judges: list[str]
    models: list[str]
    temperatures: list[float]
    seeds: list[int]
    prompt_ids: list[str]
    stability: dict[str, dict[str, dict[str, np.ndarray]]]
    labels: dict[str, np.ndarray]
    same_text: dict[str, np.ndarray]
    truncated: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))

    @property
    def models_and_all(self) -> list[str]:
        """The models, then the word for their mean, prompt by prompt."""
        return [*self.models, ALL_MODELS]

    @property
    def scopes(self) -> list[str]:
        """The scopes of the stability arrays: the pooled one, then each temperature."""
        return [POOLED, *map(temperature_text, self.temperatures)]

    def judged(self, judge: str) -> np.ndarray:
        """Return which models have any verdict of a judge, (models,); labels may lack a pair."""
        return (self.labels[judge] != MISSING).any(axis=(1, 2, 3))

    def measure(self, judge: str, column: str, scoring: str = "three_way") -> np.ndarray:
        """Return one column of the stability, (models, scopes, prompts)."""
        return self.stability[judge][scoring][column]

    def counts(self, judge: str) -> np.ndarray:
        """Return the number of each valid label, (models, scopes, prompts, 3); 0 where none."""
        columns = [self.measure(judge, column) for column in _COUNTS]
        return np.nan_to_num(np.stack(columns, axis=-1)).astype(np.int64)


def make_grid(
    stability: Iterable[tuple[str, pl.DataFrame]],
    verdicts: Iterable[tuple[str, str, pl.DataFrame]],
    prompt_ids: list[str],
    truncated: Iterable[tuple[str, pl.DataFrame]] = (),
) -> RunArrays:
    """Return the arrays of a run.

    Args:
        stability: (judge, table), a table keeps the contract Stability.
        verdicts: (judge, model, table), a table keeps the contract Verdicts.
        prompt_ids: the order of the prompts; those without a verdict are left out.
        truncated: (model, table), a table has the prompt_id of each reply that was cut.
    """
    tables: dict[tuple[str, str], pl.DataFrame] = {}
    same: dict[tuple[str, str], np.ndarray] = {}
    for judge, model, table in verdicts:
        codes = table.select(
            prompt=_position(pl.col("prompt_id"), prompt_ids),
            temperature=pl.col("temperature"),
            seed=pl.col("seed"),
            label=pl.col("label").cast(pl.Enum(LABELS)).to_physical(),
        )
        tables[judge, model] = codes
        if table.height and not table["response_sha256"].has_nulls():
            hashed = codes.with_columns(text=table["response_sha256"])
            same[judge, model] = _same_text(hashed, len(prompt_ids))
    asked = np.zeros(len(prompt_ids), dtype=bool)
    for codes in tables.values():
        asked[codes["prompt"].to_numpy()] = True
    place = np.cumsum(asked) - 1
    judges = list(dict.fromkeys(judge for judge, _ in tables))
    models = list(dict.fromkeys(model for _, model in tables))
    every = tables.values()
    temperatures = sorted(set().union(*(table["temperature"].unique() for table in every)))
    seeds = sorted(set().union(*(table["seed"].unique() for table in every)))
    labels = {
        judge: np.full(
            (len(models), asked.sum(), len(temperatures), len(seeds)), MISSING, dtype=np.uint8
        )
        for judge in judges
    }
    for (judge, model), table in tables.items():
        at = (
            place[table["prompt"].to_numpy()],
            np.searchsorted(temperatures, table["temperature"].to_numpy()),
            np.searchsorted(seeds, table["seed"].to_numpy()),
        )
        labels[judge][models.index(model)][at] = table["label"].to_numpy()
    grid = RunArrays(
        judges=judges,
        models=models,
        temperatures=temperatures,
        seeds=seeds,
        prompt_ids=[prompt_id for prompt_id, one in zip(prompt_ids, asked, strict=True) if one],
        stability={},
        labels=labels,
        same_text={
            judge: np.stack(
                # A model that this judge has not seen has no pair.
                [same.get((judge, model), np.zeros((len(asked), 2)))[asked] for model in models]
            )
            for judge in judges
            if all(key in same for key in tables if key[0] == judge)
        },
        truncated=_truncated(truncated, models, prompt_ids)[:, asked],
    )
    for judge, of_judge in stability:
        grid.stability[judge] = {
            scoring: _measures(of_judge.filter(pl.col("scoring") == scoring), grid)
            for scoring in SCORINGS
        }
    return grid


def _position(column: pl.Expr, values: list[str]) -> pl.Expr:
    return column.cast(pl.Enum(values)).to_physical().cast(pl.Int64)


def _measures(table: pl.DataFrame, grid: RunArrays) -> dict[str, np.ndarray]:
    shape = (len(grid.models), len(grid.scopes), len(grid.prompt_ids))
    index = table.select(
        _position(pl.col("model"), grid.models),
        _position(pl.col("scope"), grid.scopes),
        _position(pl.col("prompt_id"), grid.prompt_ids),
    )
    at = tuple(column.to_numpy() for column in index)
    arrays = {}
    for name in (*_MEASURES, *_COUNTS):
        arrays[name] = np.full(shape, np.nan)
        arrays[name][at] = table[name].cast(pl.Float64).to_numpy()
    return arrays


def _same_text(codes: pl.DataFrame, n_prompts: int) -> np.ndarray:
    """Return (prompts, 2): pairs of verdicts on one text, and those with differing labels."""
    n = pl.col("n").cast(pl.Int64)
    pairs = (
        # An invalid verdict says nothing of how the judge reads the text.
        codes.filter(pl.col("label") < len(VALID_LABELS))
        .group_by("prompt", "text", "label")
        .len("n")
        .group_by("prompt", "text")
        .agg(n=n.sum(), alike=(n * (n - 1) // 2).sum())
        .group_by("prompt")
        .agg(pairs=(n * (n - 1) // 2).sum(), alike=pl.col("alike").sum())
    )
    found = np.zeros((n_prompts, 2))
    found[pairs["prompt"].to_numpy(), 0] = pairs["pairs"].to_numpy()
    found[pairs["prompt"].to_numpy(), 1] = (pairs["pairs"] - pairs["alike"]).to_numpy()
    return found


def _truncated(
    tables: Iterable[tuple[str, pl.DataFrame]], models: list[str], prompt_ids: list[str]
) -> np.ndarray:
    cut = np.zeros((len(models), len(prompt_ids)))
    known = False
    for model, table in tables:
        known = True
        at = table.select(_position(pl.col("prompt_id"), prompt_ids)).to_series().to_numpy()
        np.add.at(cut[models.index(model)], at, 1)
    return cut if known else cut[:0]


# Verdicts by judge and model, each table keeps the contract Verdicts.
Judged = dict[tuple[str, str], pl.DataFrame]


def grid_of(judged: Judged, prompt_ids: list[str]) -> RunArrays:
    """Return the arrays of some verdicts; their prompts must be among ``prompt_ids``."""
    stable = []
    for judge in dict.fromkeys(judge for judge, _ in judged):
        tables = [
            table.with_columns(model=pl.lit(model))
            for (name, model), table in judged.items()
            if name == judge
        ]
        stable.append((judge, stability(pl.concat(tables))))
    verdicts = ((judge, model, table) for (judge, model), table in judged.items())
    return make_grid(stable, verdicts, prompt_ids)


def categories_of(grid: RunArrays, prompts: pl.DataFrame, column: str = "category") -> np.ndarray:
    """Return the category, or source, of each prompt of ``grid``, (prompts,); "(none)" if none."""
    known = dict(prompts.select("prompt_id", column).iter_rows())
    return np.array([known[prompt_id] or "(none)" for prompt_id in grid.prompt_ids], dtype=object)


def label_shares(counts: np.ndarray) -> np.ndarray:
    """Return the shares of the valid labels, (..., 3), of their counts; nan where there is none."""
    assert counts.shape[-1] == len(VALID_LABELS)
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=-1, keepdims=True)
