"""The experiment `compare`: two models, or a model before and after, on the same prompts."""

import polars as pl

from refusal_stability.core.text import (
    SIGNIFICANCE,
    counted,
    format_estimate,
    format_number,
    listed,
)
from refusal_stability.statistics.paired_responses import ALL, MEASURES

_NAMED = 5


def caption(table: pl.DataFrame, changes: pl.DataFrame, names: tuple[str, str | None]) -> str:
    """Return what was found, in one to three sentences, under the first judge."""
    if names[1] is None:
        return f"There is one model, {names[0]}, so there is nothing to compare."
    if table.is_empty():
        return (
            f"{names[0]} and {names[1]} have no prompt, temperature and seed with verdicts of one "
            "judge in common, so there is nothing to compare."
        )
    judge = table["judge"][0]
    rows = table.filter(judge=judge, category=ALL).rows(named=True)
    words = {True: [], False: []}
    for row in rows:
        if row["p_holm"] is not None:
            words[row["p_holm"] < SIGNIFICANCE].append(MEASURES[row["measure"]][1])
    found = f"differ in {listed(words[True])}" if words[True] else "are not shown to differ"
    rest = f"; they are not shown to differ in {listed(words[False])}" * all(words.values())
    ssi = next(row for row in rows if row["measure"] == "mean_ssi")
    if ssi["value_a"] is None or ssi["value_b"] is None:
        return (
            f"No prompt has a valid label of {judge} for both {listed(names)}, so there is nothing "
            "to compare."
        )
    number, prompts = format_number, counted(ssi["n"], "prompt")
    text = (
        f"On {prompts} under {judge}, {listed(names)} {found} (p < {SIGNIFICANCE:g} after "
        f"Holm's correction){rest}. Mean SSI is {number(ssi['value_a'])} against "
        f"{number(ssi['value_b'])}, a difference of {format_estimate(ssi, 'difference')}"
    )
    # Resamples of what is alike are alike: no width says nothing of other prompts.
    if ssi["difference_low"] is not None and ssi["difference_low"] == ssi["difference_high"]:
        text += f", the same for each of {prompts}, so that the interval cannot show more"
    text += "."
    changed = changes.filter(pl.col("change") > 0, judge=judge)
    if changed.is_empty():
        return f"{text} No prompt's labels differ."
    ids = ", ".join(changed["prompt_id"].head(_NAMED))
    if changed.height == 1:
        return f"{text} The labels of one prompt differ, {ids}."
    return f"{text} The labels of {changed.height} prompts differ, most those of {ids}."
