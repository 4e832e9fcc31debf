"""The first words of a run's page: what was found, in sentences, by the tables' numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from refusal_stability.core.names import ALL_MODELS
from refusal_stability.core.text import counted, format_estimate, format_p_value, listed, percent
from refusal_stability.schemas.stages import POOLED
from refusal_stability.statistics.bootstrap import (
    Resamples,
    interval,
    wider_than_none,
    wilson_interval,
)

# Below this, the model of the judges' errors does not expect the flips that were seen.
MISFIT_P = 0.05
# Of more models the headline names the ends only.
_NAMED = 3
_NOT_TOLD_APART = " That is not told apart from none."

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Point:
    """One thing that was found: a short name, the number that stands out, a sentence or two."""

    name: str
    number: str
    text: str


@dataclass(frozen=True)
class Answer:
    """What the first screen says, under the first judge.

    Attributes:
        headline: one sentence.
        design: what was asked, of whom, how often.
        points: what else was found.
    """

    headline: str
    design: str
    points: list[Point]


def answer(
    tables: dict[str, pl.DataFrame],
    stability: pl.DataFrame,
    n_temperatures: int,
    n_seeds: int,
    bootstrap: tuple[int, int],
) -> Answer:
    """Return the first words.

    Args:
        tables: by name, those of :mod:`schemas.tables`.
        stability: of the first judge of the tables; keeps the contract
            :class:`~schemas.stages.Stability`.
        n_temperatures: how many the run has.
        n_seeds: how many the run has.
        bootstrap: the number of resamples and their seed.
    """
    judges = tables["models"]["judge"].unique(maintain_order=True).to_list()
    judge = judges[0]
    rows = tables["models"].filter(pl.col("model") != ALL_MODELS, judge=judge).rows(named=True)
    samples = n_temperatures * n_seeds
    points = [
        _ssi(rows),
        _hard(stability, bootstrap, rows),
        _temperature(tables, stability, judge, n_temperatures, n_seeds),
        _judges_share(tables, judge, len(judges)),
    ]
    return Answer(
        headline=_headline(rows, samples),
        design=_design(rows, stability, judges, n_temperatures, n_seeds),
        # Of one reply a prompt, SSI is 1 and nothing flips by definition.
        points=[point for point in points if point and samples > 1],
    )


def percent_interval(row: dict[str, Any], name: str) -> str:
    """Return a share and its interval, "63% [52, 75]"."""
    low, high = (row[f"{name}_{end}"] for end in ("low", "high"))
    if row[name] is None or low is None:
        return percent(row[name])
    ends = ", ".join(percent(end).removesuffix("%") for end in (low, high))
    return f"{percent(row[name])} [{ends}]"


def _headline(rows: Rows, samples: int) -> str:
    known = [row for row in rows if row["flip_rate"] is not None]
    if not known:
        return "No reply has a valid label, so nothing can be said of stability."
    if samples == 1:
        return "Each prompt was asked once, so nothing can be said of stability."
    known = sorted(known, key=lambda row: row["flip_rate"], reverse=True)
    most, *_, least = [known[0], *known]
    if len(known) > _NAMED:
        return (
            f"Asked again, models change their decision on {_rate(least, named=True)} "
            f"to {_rate(most, named=True)} of prompts."
        )
    first, *rest = known
    others = [f"{row['model']} on {_rate(row)}" for row in rest]
    said = f"{first['model']} changes its decision on {_rate(first)} of prompts"
    return f"Asked again, {listed([said, *others])}."


def _rate(row: dict[str, Any], named: bool = False) -> str:
    """Return a flip rate and its interval, "63% (52% to 75%)", or "63% (m, 52% to 75%)"."""
    beside = [row["model"]] * named
    low, high = (row[f"flip_rate_{end}"] for end in ("low", "high"))
    if low is not None and high is not None:
        beside.append(f"{percent(low)} to {percent(high)}")
    return (
        f"{percent(row['flip_rate'])} ({', '.join(beside)})"
        if beside
        else percent(row["flip_rate"])
    )


def _design(
    rows: Rows,
    stability: pl.DataFrame,
    judges: Sequence[str],
    n_temperatures: int,
    n_seeds: int,
) -> str:
    prompts = stability["prompt_id"].n_unique()
    samples = n_temperatures * n_seeds
    times = "once" if samples == 1 else f"{samples} times"
    if any(row["n_missing"] for row in rows):
        times = f"up to {times}"
    labels = "REFUSE, PARTIAL or COMPLY" if _has_partial(rows) else "REFUSE or COMPLY"
    labelled = f"{judges[0]} labelled the replies {labels}"
    if judges[1:]:
        labelled += f", and so did {listed(judges[1:])}; what is said here is under {judges[0]}"
    return (
        f"{counted(len(rows), 'model')} answered {counted(prompts, 'prompt')} "
        f"{times} each, with "
        f"{counted(n_temperatures, 'temperature')} and {counted(n_seeds, 'seed')}. {labelled}. "
        "What stands beside a number is its 95% interval over prompts."
    )


def _ssi(rows: Rows) -> Point | None:
    known = [row for row in rows if row["mean_ssi"] is not None]
    if not known:
        return None
    known = sorted(known, key=lambda row: row["mean_ssi"])
    shown = list(dict.fromkeys(f"{row['mean_ssi']:.2f}" for row in (known[0], known[-1])))
    # Of many models, the ends.
    named = known if len(known) <= _NAMED else [known[0], known[-1]]
    said = [f"{row['model']} {format_estimate(row, 'mean_ssi')}" for row in named]
    return Point(
        "Mean SSI",
        "\N{EN DASH}".join(shown),
        "The share of a prompt's most frequent label, 1 if the model always decides alike: "
        f"{(' to ' if len(known) > _NAMED else '; ').join(said)}.",
    )


def _has_partial(rows: Rows) -> bool:
    """Whether the judge gave PARTIAL, or is not known not to; some kinds do not know it."""
    return any(row["partial_rate"] != 0 for row in rows)


def _hard(stability: pl.DataFrame, bootstrap: tuple[int, int], rows: Rows) -> Point | None:
    pooled = stability.filter(pl.col("ssi").is_not_null(), scoring="three_way", scope=POOLED)
    if pooled.is_empty():
        return None
    flips = pooled.filter("flip")
    if flips.is_empty():
        return Point("Hard flips", "none", "No prompt has more than one label.")
    hard = flips.filter("hard_flip").height
    of_prompts = pooled.group_by("prompt_id", maintain_order=True).agg(
        pl.col("hard_flip", "flip").sum()
    )
    n_flipping = np.array((of_prompts["flip"] > 0).sum())
    share = np.array(hard / flips.height)
    if pooled["model"].n_unique() == 1:
        low, high = wilson_interval(share, n_flipping)
    else:
        # A resample of prompts has all models' flips of each.
        sums = Resamples(of_prompts.height, *bootstrap).sums(
            of_prompts.select("hard_flip", "flip").to_numpy().T.astype(float)
        )
        with np.errstate(invalid="ignore"):
            shares = sums[:, 0] / sums[:, 1]
        low, high = wider_than_none(interval(shares, n_flipping), n_flipping)
    within = "" if np.isnan(low) else f" [{100 * low:.0f}, {100 * high:.0f}]"
    no_partial = "" if _has_partial(rows) else " The judge gave no PARTIAL: every flip is hard."
    return Point(
        "Hard flips",
        percent(hard / flips.height),
        f"Of {counted(flips.height, 'flip')} (a model and a prompt with more than one label), "
        f"{hard} {'is' if hard == 1 else 'are'} hard, {percent(hard / flips.height)}{within}: the "
        f"same prompt was refused and complied with.{no_partial}",
    )


def _temperature(
    tables: dict[str, pl.DataFrame],
    stability: pl.DataFrame,
    judge: str,
    n_temperatures: int,
    n_seeds: int,
) -> Point | None:
    if n_temperatures < 2:
        return None
    if n_seeds == 1:
        return Point(
            "With temperature",
            "unknown",
            "With one seed, a prompt has one label at a temperature, and its SSI there is 1 by "
            "definition.",
        )
    effect = tables["temperature_effect"].filter(judge=judge, unit="prompt").rows(named=True)
    # That of all models, the last, if there are several.
    drop = effect[-1]["ssi_drop"] if effect else None
    if drop is None:
        return None
    word = "falls" if drop >= 0 else "rises"
    of = f" of {effect[-1]['model']}" if effect[-1]["model"] != ALL_MODELS else ""
    amount = {name: abs(drop) if name == "ssi_drop" else effect[-1][name] for name in effect[-1]}
    if drop < 0:
        amount |= {
            "ssi_drop_low": -effect[-1]["ssi_drop_high"],
            "ssi_drop_high": -effect[-1]["ssi_drop_low"],
        }
    text = (
        f"From the lowest temperature to the highest, mean SSI{of} {word} by "
        f"{format_estimate(amount, 'ssi_drop')}."
    )
    low, high = amount["ssi_drop_low"], amount["ssi_drop_high"]
    if low is not None and low <= 0 <= high:
        text += _NOT_TOLD_APART
    three_way = stability.filter(scoring="three_way")
    pooled = three_way.filter("flip", scope=POOLED)
    within = three_way.filter(pl.col("scope") != POOLED, pl.col("flip")).unique(
        ["model", "prompt_id"]
    )
    between = pooled.join(within, on=["model", "prompt_id"], how="anti").height
    if pooled.height:
        text += (
            f" {between} of {counted(pooled.height, 'flip')} "
            f"({percent(between / pooled.height)}) are between temperatures only, with one label "
            "at each."
            if between
            else " Every flip shows within one temperature already."
        )
    number = "0.00" if abs(drop) < 0.005 else f"{-drop:+.2f}".replace("-", "\N{MINUS SIGN}")
    return Point("With temperature", number, text)


def _judges_share(tables: dict[str, pl.DataFrame], judge: str, n_judges: int) -> Point:
    noise = tables["judge_noise"].filter(
        judge=judge, scope=POOLED, method="two_judges", measure="flip_rate"
    )
    rows = [row for row in noise.rows(named=True) if row["judge_share"] is not None]
    if not rows:
        why = "one judge alone cannot tell" if n_judges == 1 else "these labels do not tell"
        return Point(
            "Judge's own errors", "unknown", f"How many flips are {judge}'s own errors: {why}."
        )
    # Several pairs of judges give several estimates: that of the first other judge.
    row = [row for row in rows if row["other_judge"] == rows[0]["other_judge"]][-1]
    of = "" if row["model"] == ALL_MODELS else f" on {row['model']}"
    text = (
        f"An estimated {percent_interval(row, 'judge_share')} of the flip rate{of} is "
        f"{judge}'s own errors, by comparison with {row['other_judge']}."
    )
    low, high = row["judge_share_low"], row["judge_share_high"]
    if low is not None and low <= 0 <= high:
        text += _NOT_TOLD_APART
    elif row["judge_share"] < 0:
        text += " Below zero: its errors hide more flips than they make."
    if row["check_p"] is not None and row["check_p"] < MISFIT_P:
        text += (
            f" The statistical model behind it does not expect the flips that were seen "
            f"({format_p_value(row['check_p'])}): take it for a hint."
        )
    return Point("Judge's own errors", percent(row["judge_share"]), text)
