"""The experiment `boundary`: do the first tokens tell how stable the decision on a prompt is?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from refusal_stability.core.cells import temperature_text
from refusal_stability.core.labels import COMPLY, LABELS, REFUSE, VALID_LABELS
from refusal_stability.core.text import listed
from refusal_stability.experiments.boundary.forecast import expected_ssi, flip_chance
from refusal_stability.experiments.boundary.prefix_tree import (
    LabelByPrefix,
    Path,
    PrefixTree,
    folds_of,
)
from refusal_stability.experiments.boundary.scores import auc, slope
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.schemas.stages import POOLED
from refusal_stability.statistics.bootstrap import Resamples, interval, prompt_share_interval
from refusal_stability.statistics.frames import estimate, prompt_mean
from refusal_stability.statistics.model_comparison import spearman
from refusal_stability.statistics.run_arrays import Judged

FOLDS = 5
PREDICTS, NOT_SHOWN, NOTHING = "predicts", "not shown to predict", "nothing to predict"
# Edges of the bins of the forecast chance to flip.
EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
# Models that the caption tells of one by one, in a sentence each.
_NAMED = 2
_KEYS = ["prompt_id", "temperature", "seed"]
_REFUSE, _COMPLY = VALID_LABELS.index(REFUSE), VALID_LABELS.index(COMPLY)


@dataclass(frozen=True)
class Asked:
    """A model of the run: its first tokens, its replies, and the cut of its sampling.

    ``first`` keeps the contract FirstTokens; ``replies`` are those of all cells.
    """

    first: pl.DataFrame
    replies: pl.DataFrame
    top_p: float = 1.0
    top_k: int = 0


@dataclass(frozen=True)
class _Forecast:
    """What the first tokens say of the prompts of one judge and model, and what was seen.

    Attributes:
        temperatures: (temperatures,), ascending.
        chances: of the labels, (prompts, temperatures, labels), from other prompts' replies.
        log_odds: of REFUSE against COMPLY at temperature 1, (prompts,).
        counts: labels that were seen, (prompts, temperatures, labels).
        invalid: verdicts without a valid label, (prompts, temperatures).
        surprise: minus the sum of the logarithms of the labels' chances, (2, prompts,
            temperatures): given how each reply began, and without that.
    """

    temperatures: np.ndarray
    chances: np.ndarray
    log_odds: np.ndarray
    counts: np.ndarray
    invalid: np.ndarray
    surprise: np.ndarray


def beginnings_of(cell: pl.DataFrame, first: pl.DataFrame) -> pl.DataFrame:
    """Return a cell's replies without what comes after their first tokens; a run has millions.

    Args:
        cell: keeps the contract Responses.
        first: keeps the contract FirstTokens, of the same model.
    """
    # A character more tells those that go on from those that end.
    reach = 1 + (first["texts"].explode().str.len_chars().max() or 0)
    return cell.select(*_KEYS, pl.col("response", "reasoning").str.head(reach))


def boundary(
    asked: Mapping[str, Asked], judged: Judged, prompt_ids: list[str], bootstrap: tuple[int, int]
) -> dict[str, pl.DataFrame]:
    """Return the experiment's tables: `boundary`, `boundary_calibration` and `boundary_prompts`.

    What a beginning says of the label is learned from the replies to other prompts
    (:data:`FOLDS`-fold), so that no prompt's own replies are in its forecast.

    Args:
        asked: models of the run with weights of their own.
        judged: verdicts by judge and model.
        prompt_ids: all prompts of the run, in order.
        bootstrap: number of resamples of the prompts, and seed.
    """
    resamples = Resamples(len(prompt_ids), *bootstrap)
    begun = {model: _begun(of_model) for model, of_model in asked.items()}
    tables: dict[str, list[pl.DataFrame]] = {"": [], "_calibration": [], "_prompts": []}
    for (judge, model), verdicts in judged.items():
        if model not in asked:
            continue
        # The same folds for every judge and model.
        rng = np.random.default_rng(bootstrap[1])
        forecast = _forecast(asked[model], begun[model], verdicts, prompt_ids, rng)
        scopes = {POOLED: np.ones(len(forecast.temperatures), dtype=bool)}
        for place, temperature in enumerate(forecast.temperatures):
            scopes[temperature_text(temperature)] = np.arange(len(scopes[POOLED])) == place
        for scope, of in scopes.items():
            prompts = _prompts(forecast, of, prompt_ids)
            keys = [pl.lit(value).alias(name) for name, value in
                    {"judge": judge, "model": model, "scope": scope}.items()]  # fmt: skip
            tables[""].append(_statistics(prompts, forecast, of, resamples).with_columns(keys))
            tables["_calibration"].append(_calibration(prompts).with_columns(keys))
            ranked = prompts.sort("predicted_flip", descending=True, nulls_last=True)
            tables["_prompts"].append(ranked.with_columns(keys))
    return {
        f"boundary{name}": pl.concat(parts)
        if parts
        else EXPERIMENT_TABLES[f"boundary{name}"].create_empty()
        for name, parts in tables.items()
    }


def _begun(of_model: Asked) -> tuple[dict[str, PrefixTree], pl.DataFrame]:
    """Return the tree of each prompt's beginnings, and how each reply began."""
    trees = {
        prompt_id: PrefixTree(rows)
        for (prompt_id,), rows in of_model.first.group_by("prompt_id", maintain_order=True)
    }
    # What was written first is the reasoning, if there is any.
    # A prompt that could not be asked has no replies either, but rows that say so.
    replies = of_model.replies.filter(pl.col("prompt_id").is_in(list(trees)))
    texts = replies.select(*_KEYS, text=pl.coalesce("reasoning", "response"))
    paths = [trees[prompt_id].of_reply(text) for prompt_id, _, _, text in texts.iter_rows()]
    return trees, texts.select(*_KEYS, path=pl.Series(paths, dtype=pl.Object))


def _forecast(
    asked: Asked,
    begun: tuple[dict[str, PrefixTree], pl.DataFrame],
    verdicts: pl.DataFrame,
    prompt_ids: list[str],
    rng: np.random.Generator,
) -> _Forecast:
    trees, replies = begun
    temperatures = np.array(sorted(verdicts["temperature"].unique()))
    where = {prompt_id: place for place, prompt_id in enumerate(prompt_ids)}
    codes = verdicts.select(*_KEYS, label=pl.col("label").cast(pl.Enum(LABELS)).to_physical())
    path_of = {tuple(row[:3]): row[3] for row in replies.iter_rows()}
    shape = (len(prompt_ids), len(temperatures))
    counts, invalid = np.zeros((*shape, 3), dtype=int), np.zeros(shape, dtype=int)
    paths: list[Path] = []
    rows = []
    for prompt_id, temperature, seed, label in codes.iter_rows():
        at = where[prompt_id], int(np.searchsorted(temperatures, temperature))
        if label < len(VALID_LABELS):
            counts[*at, label] += 1
            rows.append((*at, label))
            paths.append(path_of.get((prompt_id, temperature, seed), ()))
        else:
            invalid[at] += 1
    prompt, place, label = np.array(rows, dtype=int).reshape(-1, 3).T
    of_prompt = counts.sum(axis=1)
    with np.errstate(invalid="ignore"):
        fold = folds_of(of_prompt / of_prompt.sum(axis=1, keepdims=True), FOLDS, rng)
    learned = LabelByPrefix(paths, label, fold[prompt], FOLDS)
    surprise = np.zeros((2, *shape))
    for number, path in enumerate(paths):
        of = fold[prompt[number]], label[number]
        for given, known in enumerate((path, ())):
            surprise[given, prompt[number], place[number]] -= np.log(learned.shares(known)[of])
    # At temperature 1, as the model has it.
    chances = np.full((len(prompt_ids), len(temperatures) + 1, 3), np.nan)
    for prompt_id, tree in trees.items():
        row = where[prompt_id]
        for step, temperature in enumerate([*temperatures, 1.0]):
            cut = (asked.top_p, asked.top_k) if step < len(temperatures) else ()
            chances[row, step] = sum(
                chance * learned.shares(path)[fold[row]]
                for path, chance in tree.chances(temperature, *cut).items()
            )
    log_odds = np.log(chances[:, -1, _REFUSE] / chances[:, -1, _COMPLY])
    return _Forecast(temperatures, chances[:, :-1], log_odds, counts, invalid, surprise)


def _prompts(forecast: _Forecast, of: np.ndarray, prompt_ids: list[str]) -> pl.DataFrame:
    """Return a row a prompt: forecast and outcome at the temperatures of the mask ``of``."""
    seen = forecast.counts[:, of].sum(axis=1)
    n = seen.sum(axis=1)
    known = (forecast.chances[:, of], forecast.counts[:, of].sum(axis=2), forecast.temperatures[of])
    with np.errstate(invalid="ignore"):
        ssi = seen.max(axis=1) / n
    return pl.DataFrame(
        {
            "prompt_id": prompt_ids,
            "log_odds": forecast.log_odds,
            "n": n,
            "n_invalid": forecast.invalid[:, of].sum(axis=1),
            "predicted_flip": flip_chance(*known),
            "flip": pl.Series(np.where(n > 0, ssi < 1, np.nan), nan_to_null=True).cast(pl.Boolean),
            "predicted_ssi": expected_ssi(*known),
            "ssi": ssi,
        }
    ).with_columns(pl.selectors.float().fill_nan(None).round(12))


def _statistics(
    prompts: pl.DataFrame, forecast: _Forecast, of: np.ndarray, resamples: Resamples
) -> pl.DataFrame:
    """Return the row of a judge, model and scope."""
    flip, predicted_flip, ssi, predicted_ssi, log_odds = (
        prompts[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for name in ("flip", "predicted_flip", "ssi", "predicted_ssi", "log_odds")
    )
    there = ~np.isnan(flip)
    mean = {
        "flip_rate": flip,
        "predicted_flip_rate": predicted_flip,
        "mean_ssi": ssi,
        "predicted_mean_ssi": predicted_ssi,
    }
    bins = _calibration(prompts).filter(pl.col("n") > 0)
    error = (bins["flip_rate"] - bins["predicted_flip_rate"]).abs() * bins["n"]
    estimates = {
        "spearman_ssi": spearman(predicted_ssi, ssi, there, resamples),
        "auc_flip": auc(predicted_flip, flip, resamples),
        "spearman_log_odds": spearman(np.abs(log_odds), ssi, there, resamples),
        "calibration_slope": slope(predicted_flip, flip, resamples),
        "left_open": _ratio(*forecast.surprise[..., of].sum(axis=-1), int(there.sum()), resamples),
    }
    auc_low, spearman_low = estimates["auc_flip"][1], estimates["spearman_ssi"][1]
    shown = auc_low > 0.5 and spearman_low > 0
    undefined = np.isnan(estimates["auc_flip"][0])
    row = {
        "n": int(there.sum()),
        "n_invalid": int(prompts["n_invalid"].sum()),
        **{name: _mean(values[there]) for name, values in mean.items()},
        "calibration_error": error.sum() / there.sum() if there.any() else None,
        **{
            f"{name}{end}": float(value)
            for name, values in estimates.items()
            for end, value in zip(("", "_low", "_high"), values, strict=True)
        },
        "verdict": NOTHING if undefined else PREDICTS if shown else NOT_SHOWN,
    }
    return pl.DataFrame([row]).with_columns(pl.selectors.float().fill_nan(None))


def _calibration(prompts: pl.DataFrame) -> pl.DataFrame:
    """Return a row a bin of the forecast chance to flip: which share of its prompts does."""
    forecast, flip = (
        prompts[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for name in ("predicted_flip", "flip")
    )
    place = np.clip(np.searchsorted(EDGES, forecast, side="right") - 1, 0, len(EDGES) - 2)
    of_bin = (place == np.arange(len(EDGES) - 1)[:, None]) & ~np.isnan(flip)
    n, values = of_bin.sum(axis=1), np.where(of_bin, flip, np.nan)
    rates = prompt_mean(values)
    low, high = prompt_share_interval(values)
    return pl.DataFrame(
        {
            "at_least": EDGES[:-1],
            "at_most": EDGES[1:],
            "n": n,
            "predicted_flip_rate": prompt_mean(np.where(of_bin, forecast, np.nan)),
            **estimate("flip_rate", rates, low, high),
        }
    ).with_columns(pl.selectors.float().fill_nan(None))


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _ratio(
    above: np.ndarray, below: np.ndarray, n: int, resamples: Resamples
) -> tuple[float, float, float]:
    """Return the ratio of two sums over prompts, and its interval."""
    sums = resamples.sums(np.stack([above, below]))
    with np.errstate(invalid="ignore", divide="ignore"):
        low, high = interval(sums[:, 0] / sums[:, 1], np.array(n))
        return above.sum() / below.sum(), float(low), float(high)


def caption(table: pl.DataFrame, tokens: int, without: Sequence[str]) -> str:
    """Return what was found, in one to three sentences, under the first judge.

    Args:
        table: `boundary`.
        tokens: how many first tokens the forecast is from.
        without: models whose probabilities are not to be had.
    """
    missing = f" Not available, as an API shows no logits: {listed(without)}." if without else ""
    if table.is_empty():
        return f"No model has weights of its own, so there is nothing to forecast from.{missing}"
    rows = table.filter(judge=table["judge"][0])
    by = "the first token" if tokens == 1 else f"the first {tokens} tokens"
    pooled = rows.filter(scope=POOLED)
    if pooled.height <= _NAMED:
        return (
            " ".join(_sentence(rows.filter(model=name), by) for name in pooled["model"]) + missing
        )
    found = (pooled["verdict"] == PREDICTS).sum()
    areas = pooled["auc_flip"].drop_nulls()
    between = f" (AUC {areas.min():.2f} to {areas.max():.2f})" if len(areas) else ""
    return (
        f"Under {rows['judge'][0]}, {by} {'predict' if tokens > 1 else 'predicts'} which prompts "
        f"flip for {found} of {pooled.height} models{between}, "
        f"each by intervals of its own, uncorrected for their number.{missing}"
    )


def _sentence(rows: pl.DataFrame, by: str) -> str:
    """Return what was found of one judge and model, whose rows these are."""
    pooled = rows.row(by_predicate=pl.col("scope") == POOLED, named=True)
    whose = f"{pooled['model']} under {pooled['judge']}:"
    if not pooled["n"]:
        return f"{whose} no reply has a valid label."
    if pooled["verdict"] == NOTHING:
        which = "no prompt flips" if pooled["flip_rate"] == 0 else "every prompt flips"
        return f"{whose} {which}, so there is nothing to predict."
    # One token predicts, several do.
    one, several = ("predicts", "is"), ("predict", "are")
    says, are = several if by.endswith("tokens") else one
    does = says if pooled["verdict"] == PREDICTS else f"{are} not shown to predict"
    nearer = pooled["spearman_log_odds_low"]
    falls = "falls" if nearer is not None and nearer > 0 else "is not shown to fall"
    rates = rows.filter(pl.col("scope") != POOLED, pl.col("n") > 0)
    apart = (rates["predicted_flip_rate"] - rates["flip_rate"]).abs().max()
    close = (
        f"; at no temperature are forecast and seen flip rates more than {100 * apart:.0f} "
        "points apart"
        if apart is not None
        else ""
    )
    return (
        f"{whose} {by} {does} which prompts flip (AUC {_words(pooled, 'auc_flip')}) and how stable "
        f"they are (rank correlation {_words(pooled, 'spearman_ssi')}); SSI {falls} towards the "
        f"boundary, where REFUSE is as likely as COMPLY{close}."
    )


def _words(row: dict[str, Any], name: str) -> str:
    value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if value is None:
        return "undefined"
    return f"{value:.2f}" if low is None else f"{value:.2f} [{low:.2f}, {high:.2f}]"
