"""What the experiment `judge_noise` says, in one to three sentences."""

import polars as pl

from refusal_stability.core.names import ALL_MODELS
from refusal_stability.experiments.judge_noise.analysis import (
    AS_IN_RUN,
    BETWEEN_JUDGES,
    CHANGED,
    NONE,
)
from refusal_stability.judging.rounds import SAMPLED


def caption(table: pl.DataFrame, flips: pl.DataFrame) -> str:
    """Return what was found, of the first judge."""
    judge = table["judge"][0]
    rows = table.filter(judge=judge, measure=CHANGED)
    alike = rows.filter(condition=AS_IN_RUN).row(0, named=True)
    if alike["value"] is None:
        return f"No label of {judge} is valid, so nothing is known of its noise."
    text = (
        f"Asked as in the run, in batches of any size, {judge} changes its label of "
        f"{alike['n_changed']} of {alike['n_texts']} texts"
    )
    text += f" ({_rate(alike)} of all texts of the run)" if alike["n_changed"] else ""
    for sampled in rows.filter(condition=SAMPLED).iter_rows(named=True):
        text += (
            f"; sampled, of {sampled['n_changed']} of {sampled['n_texts']} ({_rate(sampled)})"
            if sampled["value"] is not None
            else ""
        )
    text += "."
    other = table.filter(
        pl.col("other_judge") != NONE, judge=judge, measure=BETWEEN_JUDGES, condition=AS_IN_RUN
    ).drop_nulls("value")
    if other.height:
        one = other.row(0, named=True)
        text += (
            f" {one['other_judge']} labels {_rate(one)} of the texts otherwise than {judge} does."
        )
    of_flips = flips.filter(judge=judge)
    # Of one model, its own row.
    row = of_flips.row(0 if of_flips.height == 2 else -1, named=True)
    whose = "mean over models" if row["model"] == ALL_MODELS else row["model"]
    if row["flip_rate"] is None:
        return text
    if row["flip_rate"] == 0:
        return f"{text} No prompt flips, so there is nothing to correct."
    if row["flip_rate_corrected"] is None:
        return f"{text} No text that decides a flip was sampled, so the flip rate is not corrected."
    left = f"{row['flip_rate_corrected']:.1%}"
    if row["flip_rate_corrected_low"] is not None:
        low, high = row["flip_rate_corrected_low"], row["flip_rate_corrected_high"]
        left += f" [{low:.1%}, {high:.1%}]"
    return (
        f"{text} Of a flip rate of {row['flip_rate']:.1%} ({whose}), {left} is left without those "
        f"flips that come of {judge} changing its label of one and the same text."
    )


def _rate(row: dict) -> str:
    if row["value_low"] is None:
        return f"{row['value']:.1%}"
    return f"{row['value']:.1%} [{row['value_low']:.1%}, {row['value_high']:.1%}]"
