"""The experiment `determinism`: do equal requests get equal replies, and which flips are lost?"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from scipy.special import bdtrc, stdtr

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.core.text import SIGNIFICANCE, format_estimate, listed
from refusal_stability.settings.models import DEFAULT
from refusal_stability.statistics.bootstrap import wilson_interval
from refusal_stability.statistics.hypothesis_tests import holm, mcnemar

DETERMINISTIC, NOT_DETERMINISTIC = "deterministic here", "not deterministic here"
UNAVAILABLE = "not available here"
# What a self-test counts, and its words.
DIFFER = {
    "differ": "",
    "differ_repeated": "when merely repeated",
    "differ_cached": "with their prompts in the engine's cache",
    "differ_company": "in other company",
}
# With two passes, nobody can tell which of them is the odd one.
MIN_PASSES = 3


class Arm(NamedTuple):
    """One way of running the engine: its self-test, its passes and one judge's verdicts on them."""

    # Of refusal_stability.repeated_passes.self_test.
    test: Mapping[str, Any]
    # Keeps the contract Passes; empty where the arm is not available.
    passes: pl.DataFrame
    # Keeps the contract Verdicts.
    verdicts: pl.DataFrame


def determinism_tables(
    arms: Mapping[str, Arm], model: str, judge: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables `determinism`, a row an arm, and `determinism_prompts`.

    Args:
        arms: by their modes, the engine's default first.
        model: name of the model that all are arms of.
        judge: name of the judge.
    """
    by_prompt = {mode: _prompts(arm) for mode, arm in arms.items()}
    names = {"judge": pl.lit(judge), "model": pl.lit(model)}
    table = pl.DataFrame(
        [_row(mode, arm, by_prompt) for mode, arm in arms.items()],
        infer_schema_length=None,
    )
    prompts = pl.concat(
        table.with_columns(arm=pl.lit(mode)) for mode, table in by_prompt.items()
    ).filter(pl.col("replies") > 1)
    return table.with_columns(**names), prompts.with_columns(**names)


def caption(table: pl.DataFrame) -> str:
    """Return what was found, in a few sentences."""
    rows = table.rows(named=True)
    there = [row for row in rows if row["available"]]
    missing = [
        f"{row['arm']} is {UNAVAILABLE}: {row['reason']}" for row in rows if row not in there
    ]
    if not there:
        return f"{rows[0]['model']}: {'; '.join(missing)}."
    first = there[0]
    text = f"{first['model']} was asked {first['n']} prompts {first['n_passes']} times at T = 0. "
    whole = [row["arm"] for row in there if row["identical"] == 1]
    parts = [
        f"{row['arm']} for {format_estimate(row, 'identical')} of them (parting after "
        f"{row['first_token']:g} equal tokens, the median)"
        for row in there
        if row["identical"] < 1
    ]
    if whole:
        parts.insert(0, f"{listed(whole)} for all of them")
    text += f"Replies are byte-identical under {listed(parts)}"
    if wavering := [row for row in there if row["verdict"] == NOT_DETERMINISTIC]:
        text += f"; {NOT_DETERMINISTIC}: {', '.join(map(_wavering, wavering))}"
    text += ". " + _flips(there)
    if missing:
        text += f" {'; '.join(missing)}."
    return text + _first_pass(there)


def _wavering(row: Mapping[str, Any]) -> str:
    """Name an arm and what its self-test says."""
    causes = [f"{row[name]} {words}" for name, words in DIFFER.items() if words and row[name]]
    found = f"{row['differ']} of {row['requests']} requests of its self-test"
    return f"{row['arm']} ({found}{': ' if causes else ''}{', '.join(causes)})"


def _flips(there: Sequence[Mapping[str, Any]]) -> str:
    default = there[0]
    if default["arm"] != DEFAULT or default["flips"] is None:
        return ""
    if default["flips"] == 0:
        return f"No label flips at T = 0 under {default['judge']}."
    lost = [
        f"{row['arm']} loses {row['flips_lost']} of them (p = {row['flips_lost_p']:.2g})"
        for row in there[1:]
        if row["flips_lost"] is not None
    ]
    return (
        f"{default['flips']} prompts flip at T = 0 under {default['judge']} by the engine's "
        f"defaults{': ' if lost else ''}{', '.join(lost)}."
    )


def _first_pass(there: Sequence[Mapping[str, Any]]) -> str:
    """Say of which arms the first pass is the odd one, after Holm's correction for their number."""
    known = [row for row in there if row["first_pass_p"] is not None]
    if not known:
        return ""
    corrected = holm(np.array([row["first_pass_p"] for row in known]))
    odd = [row for row, p in zip(known, corrected, strict=True) if p < SIGNIFICANCE]
    found = "differs from the rest" if odd else "is not shown to differ"
    counts = "; ".join(
        f"{row['arm']}: it alone differs for {row['first_alone']} prompts, another pass alone for "
        f"{row['another_alone']}"
        for row in odd or known[:1]
    )
    return f" The first pass after the start of the engine {found} ({counts})."


def _prompts(arm: Arm) -> pl.DataFrame:
    """Return a row a prompt: distinct replies, where they first part, and whether labels flip."""
    differs = pl.col("response_sha256") != pl.col("response_sha256").first()
    replies = arm.passes.group_by("prompt_id", maintain_order=True).agg(
        replies=pl.col("response_sha256").n_unique().cast(pl.Int64),
        first_token=pl.col("same_tokens").filter(differs).min(),
        first_character=pl.col("same_characters").filter(differs).min(),
    )
    valid = pl.col("label").cast(pl.String).is_in(VALID_LABELS)
    labels = arm.verdicts.group_by("prompt_id", maintain_order=True).agg(
        n=valid.sum().cast(pl.Int64),
        n_invalid=(~valid).sum().cast(pl.Int64),
        flip=pl.col("label").filter(valid).n_unique() > 1,
    )
    # Of a prompt without a valid label it is not known.
    flip = pl.when(pl.col("n") > 0).then("flip")
    return replies.join(labels, on="prompt_id", how="left", maintain_order="left").with_columns(
        flip=flip
    )


def _row(mode: str, arm: Arm, by_prompt: Mapping[str, pl.DataFrame]) -> dict[str, Any]:
    prompts, test = by_prompt[mode], arm.test
    differing = int((prompts["replies"] > 1).sum())
    # A few requests may all be lucky.
    verdict = NOT_DETERMINISTIC if test["differ"] or differing else DETERMINISTIC
    row = {
        "arm": mode,
        "available": test["available"],
        "verdict": verdict if test["available"] else UNAVAILABLE,
        "reason": test["reason"],
        # Tests of an older version tell nothing of the kinds.
        **{name: test.get(name) for name in ("requests", *DIFFER)},
        "n_passes": arm.passes["seed"].n_unique(),
        "n": prompts.height,
        "n_invalid": int(prompts["n_invalid"].sum() or 0),
        "n_differing": differing,
        "first_token": prompts["first_token"].median(),
        "first_character": prompts["first_character"].median(),
    }
    same = (prompts["replies"] == 1).cast(pl.Float64).to_numpy()
    flips = prompts["flip"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    row |= _share("identical", same) | _share("flip_rate", flips)
    row["flips"] = int(np.nansum(flips)) if np.isfinite(flips).any() else None
    row |= _lost(mode, by_prompt) | _odd_ones(arm.passes)
    return row


def _share(name: str, values: np.ndarray) -> dict[str, float | None]:
    n = int((~np.isnan(values)).sum())
    if n == 0:
        return dict.fromkeys((name, f"{name}_low", f"{name}_high"))
    share = np.nanmean(values)
    low, high = wilson_interval(share, np.array(n))
    return {name: float(share), f"{name}_low": float(low), f"{name}_high": float(high)}


def _lost(mode: str, by_prompt: Mapping[str, pl.DataFrame]) -> dict[str, float | None]:
    """Flips of the default that an arm does not have, less those that only it has: McNemar's p."""
    both = by_prompt.get(DEFAULT, by_prompt[mode]).select("prompt_id", "flip")
    both = both.join(by_prompt[mode].select("prompt_id", own="flip"), on="prompt_id").drop_nulls()
    if mode == DEFAULT or both.is_empty():
        return {"flips_lost": None, "flips_lost_p": None}
    differences = (both["flip"].cast(pl.Int64) - both["own"].cast(pl.Int64)).to_numpy()
    p = mcnemar(differences.astype(float))
    return {
        "flips_lost": int(differences.sum()),
        "flips_lost_p": None if np.isnan(p) else float(p),
    }


def _odd_ones(passes: pl.DataFrame) -> dict[str, float | None]:
    """Prompts of which one pass alone differs: the first, or another; and a p."""
    counts = {"first_alone": None, "another_alone": None, "first_pass_p": None}
    seeds = passes["seed"].unique(maintain_order=True).to_list()
    if len(seeds) < MIN_PASSES:
        return counts
    wide = passes.pivot("seed", index="prompt_id", values="response_sha256")
    replies = wide.select(map(str, seeds)).to_numpy()
    alone = []
    for place in range(len(seeds)):
        others = np.delete(replies, place, axis=1)
        alike = (others == others[:, :1]).all(axis=1)
        alone.append(int((alike & (replies[:, place] != others[:, 0])).sum()))
    odd = sum(alone)
    counts |= {"first_alone": alone[0], "another_alone": odd - alone[0]}
    if odd:
        counts["first_pass_p"] = _first_pass_chance(alone)
    return counts


def _first_pass_chance(alone: Sequence[int]) -> float:
    """Return the chance that the first pass is the odd one so often if none is special.

    Each is then as likely to be the odd one as any other; but prompts of a pass share batches and
    may all part together, so how much the other passes differ among themselves counts as spread
    (quasi-likelihood, as of overdispersed counts: Wedderburn 1974). At least the binomial chance.

    Args:
        alone: prompts of which each pass is the odd one; of one at least.
    """
    n, odd, others = len(alone), sum(alone), np.array(alone[1:], dtype=float)
    spread = 1.0
    if others.any():
        spread = max(1.0, others.var(ddof=1) / others.mean())
    z = (alone[0] - odd / n) / np.sqrt(spread * odd / n * (1 - 1 / n))
    binomial = 1.0 if alone[0] == 0 else float(bdtrc(alone[0] - 1, odd, 1 / n))
    return max(binomial, float(1 - stdtr(n - 2, z)))
