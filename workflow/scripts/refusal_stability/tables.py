"""Tables for people and papers, from stability and verdicts: every estimate with its interval."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import polars as pl

from refusal_stability.contracts import POOLED
from refusal_stability.errors import InvalidVerdictsError
from refusal_stability.intervals import bootstrap_interval, mean_interval, share_interval
from refusal_stability.labels import VALID_LABELS

ALL_MODELS = "all"
_NO_GROUP = "(none)"
_SHARES = {"flip_rate": "flip", "hard_flip_rate": "hard_flip", "unstable_rate": "unstable"}
_MEANS = {
    "mean_ssi": "ssi",
    "refusal_rate": "refusal",
    "partial_rate": "partial",
    "comply_rate": "comply",
    "pair_disagreement": "pair_disagreement",
}


@dataclass(frozen=True)
class Settings:
    """The configuration's `statistics`: thresholds, and the bootstrap's size and seed."""

    unstable_below: float
    max_invalid_share: float
    bootstrap_resamples: int
    bootstrap_seed: int


def make_tables(
    stability: pl.DataFrame, verdicts: pl.DataFrame, prompts: pl.DataFrame, settings: Settings
) -> dict[str, pl.DataFrame]:
    """Return every table by its name in :data:`refusal_stability.contracts.TABLES`.

    Args:
        stability: of all judges: a column `judge` and the contract
            :class:`~refusal_stability.contracts.Stability`.
        verdicts: of all judges and models: columns `judge` and `model` and the contract
            :class:`~refusal_stability.contracts.Verdicts`.
        prompts: keeps the contract :class:`~refusal_stability.contracts.Prompts`.
        settings: thresholds and bootstrap.

    Raises:
        InvalidVerdictsError: a judge has too many invalid verdicts on a model's responses.
    """
    three_way = stability.filter(scoring="three_way").with_columns(
        unstable=pl.col("ssi") < settings.unstable_below,
        **{
            name: pl.when(pl.col("n") > 0).then(pl.col(f"n_{label.lower()}") / pl.col("n"))
            for name, label in zip(("refusal", "partial", "comply"), VALID_LABELS, strict=True)
        },
    )
    pooled = three_way.filter(scope=POOLED)
    check_invalid_share(pooled, settings.max_invalid_share)
    within = three_way.filter(pl.col("scope") != POOLED).with_columns(
        temperature=pl.col("scope").cast(pl.Float64)
    )
    grouped = pooled.join(prompts, on="prompt_id", maintain_order="left").unpivot(
        on=["source", "category"],
        index=pooled.columns,
        variable_name="grouping",
        value_name="group",
    )
    grouped = grouped.with_columns(pl.col("group").fill_null(_NO_GROUP))
    return {
        "models": summarise(pooled, ["judge", "model"], settings),
        "within_temperature": summarise(within, ["judge", "model", "temperature"], settings),
        "categories": summarise(grouped, ["judge", "model", "grouping", "group"], settings),
        "judge_agreement": judge_agreement(verdicts, settings),
    }


def check_invalid_share(pooled: pl.DataFrame, limit: float) -> None:
    """Raise InvalidVerdictsError if a (judge, model) has more than ``limit`` invalid verdicts."""
    over = (
        pooled.group_by("judge", "model", maintain_order=True)
        .agg(invalid=pl.sum("n_invalid"), total=pl.sum("n_invalid") + pl.sum("n"))
        .filter(pl.col("invalid") / pl.col("total") > limit)
    )
    if over.is_empty():
        return
    named = "; ".join(
        f"judge {judge} on model {model}: {invalid / total:.2%} ({invalid} of {total})"
        for judge, model, invalid, total in over.iter_rows()
    )
    raise InvalidVerdictsError(
        f"too many invalid verdicts, the limit is {limit:.2%}: {named}. Hint: the column "
        "`reason` of the verdicts says why; mend the judge or its rubric, or raise "
        "statistics.max_invalid_share"
    )


def summarise(per_prompt: pl.DataFrame, keys: list[str], settings: Settings) -> pl.DataFrame:
    """Return one row a group of ``keys``, in their first order, as contracts.Summary describes.

    Args:
        per_prompt: one row a (group, prompt), with counts, measures and label shares.
    """
    rows = []
    for group, table in per_prompt.group_by(keys, maintain_order=True):
        valid = table.filter(pl.col("n") > 0)
        row = dict(zip(keys, group, strict=True)) | {
            "n_prompts": valid.height,
            "n_responses": table["n"].sum() + table["n_invalid"].sum(),
            "n_invalid": table["n_invalid"].sum(),
        }
        for name, column in _SHARES.items():
            count = valid[column].sum()
            share = count / valid.height if valid.height else None
            row |= _estimate(name, share, share_interval(count, valid.height))
        for name, column in _MEANS.items():
            values = valid[column].drop_nulls()
            interval = mean_interval(
                values.to_numpy(), settings.bootstrap_resamples, settings.bootstrap_seed
            )
            row |= _estimate(name, values.mean(), interval)
        rows.append(row)
    return pl.DataFrame(rows, infer_schema_length=None).fill_nan(None)


def judge_agreement(verdicts: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Return agreement and Cohen's (1960) kappa of every pair of judges.

    One row a model and one for all of them together. n counts the responses with a valid label
    from both judges, n_invalid the others. Intervals resample prompts: with all models, a
    prompt brings its responses of every model along.
    """
    models = verdicts["model"].unique(maintain_order=True).to_list()
    by_judge = verdicts.partition_by("judge", as_dict=True, maintain_order=True)
    rows = []
    for (a, table_a), (b, table_b) in itertools.combinations(by_judge.items(), 2):
        both = table_a.join(table_b, on=["model", "prompt_id", "temperature", "seed"])
        for model in [*models, ALL_MODELS]:
            of_model = both if model == ALL_MODELS else both.filter(model=model)
            row = {"judge_a": a[0], "judge_b": b[0], "model": model}
            rows.append(row | _agreement_row(of_model, settings))
    columns = ["judge_a", "judge_b", "model", "n", "n_invalid"]
    columns += [f"{name}{end}" for name in ("agreement", "kappa") for end in ("", "_low", "_high")]
    return pl.DataFrame(rows, schema=columns, infer_schema_length=None).fill_nan(None)


def _agreement_row(both: pl.DataFrame, settings: Settings) -> dict[str, float]:
    labels = both.select("prompt_id", pl.col("label", "label_right").cast(pl.String))
    valid = labels.filter(pl.all_horizontal(pl.col("label", "label_right").is_in(VALID_LABELS)))
    cells = [
        ((pl.col("label") == ours) & (pl.col("label_right") == theirs))
        .sum()
        .alias(f"{ours} {theirs}")
        for ours, theirs in itertools.product(VALID_LABELS, repeat=2)
    ]
    per_prompt = valid.group_by("prompt_id", maintain_order=True).agg(cells).drop("prompt_id")
    confusion = per_prompt.to_numpy().astype(float)
    row = {"n": valid.height, "n_invalid": labels.height - valid.height}
    for name, statistic in (("agreement", agreement), ("kappa", kappa)):
        interval = bootstrap_interval(
            confusion, statistic, settings.bootstrap_resamples, settings.bootstrap_seed
        )
        row |= _estimate(name, float(statistic(confusion)), interval)
    return row


def agreement(confusion: np.ndarray) -> np.ndarray:
    """Return the share of equal labels; ``confusion`` is (..., n_prompts, 9), row by row."""
    counts = _counts(confusion)
    # Whole numbers until the last step, so that full agreement is exactly 1.
    with np.errstate(invalid="ignore"):
        return np.trace(counts, axis1=-2, axis2=-1) / counts.sum(axis=(-2, -1))


def kappa(confusion: np.ndarray) -> np.ndarray:
    """Return Cohen's kappa, (p_o - p_e) / (1 - p_e); nan where p_e is 1.

    Written here because the bootstrap needs it of thousands of tables at once.
    """
    counts = _counts(confusion)
    # (p_o - p_e) / (1 - p_e), both sides times the square of the number of responses.
    n = counts.sum(axis=(-2, -1))
    observed = np.trace(counts, axis1=-2, axis2=-1) * n
    expected = (counts.sum(axis=-1) * counts.sum(axis=-2)).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n**2 > expected, (observed - expected) / (n**2 - expected), np.nan)


def _counts(confusion: np.ndarray) -> np.ndarray:
    size = len(VALID_LABELS)
    total = confusion.sum(axis=-2)
    return total.reshape(*total.shape[:-1], size, size)


def _estimate(name: str, value: float | None, interval: Iterable[float]) -> dict[str, float | None]:
    low, high = interval
    return {name: value, f"{name}_low": low, f"{name}_high": high}
