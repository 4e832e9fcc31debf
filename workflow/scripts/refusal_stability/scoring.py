"""The experiment `scoring`: how much of the instability is a matter of how PARTIAL is counted?"""

import itertools
from collections.abc import Sequence

import numpy as np
import polars as pl

from refusal_stability.grid import ALL_MODELS, Grid, with_all
from refusal_stability.labels import SCORINGS
from refusal_stability.resampling import Resamples, interval
from refusal_stability.summaries import estimate, frame, prompt_mean, with_sum
from refusal_stability.tests_of_difference import holm, mcnemar, signed_rank

MEAN_SSI, FLIP_RATE, UNSTABLE = "mean_ssi", "flip_rate", "unstable_below_"
WORDS = {"three_way": "three-way", "lenient": "lenient", "conservative": "conservative"}
A_MORE_STABLE, B_MORE_STABLE, ALIKE = "a is more stable", "b is more stable", "not shown to differ"
SIGNIFICANT = 0.05


def measures(limits: Sequence[float]) -> dict[str, float | None]:
    """Return {measure: the limit below which SSI counts for it}; None for SSI itself."""
    below = {f"{UNSTABLE}{limit:g}": limit for limit in sorted(set(limits))}
    # More than one label is an SSI below 1.
    return {MEAN_SSI: None, FLIP_RATE: 1.0, **below}


def compare_scorings(grid: Grid, resamples: Resamples, limits: Sequence[float]) -> pl.DataFrame:
    """Return a row a judge, model and all, two scorings and a measure; pooled over temperatures.

    Tests pair by prompt: McNemar's of what counts or not, Wilcoxon's signed-rank test of SSI and
    of means over models. Holm's correction is over the three pairs of scorings.
    """
    pairs = list(itertools.combinations(SCORINGS, 2))
    keys = {
        "model": grid.models_and_all,
        "pair": list(range(len(pairs))),
        "measure": list(measures(limits)),
    }
    tables = []
    for judge in grid.judges:
        by_scoring = {name: _values(grid, judge, name, limits) for name in SCORINGS}
        # (models and all, pairs, measures, prompts)
        of_a, of_b = (np.stack([by_scoring[pair[end]] for pair in pairs], axis=1) for end in (0, 1))
        differences = of_a - of_b
        n = (~np.isnan(differences)).sum(axis=-1)
        low, high = interval(resamples.means(differences), n)
        p = np.full(n.shape, np.nan)
        for place in np.ndindex(n.shape):
            counted = place[0] < len(grid.models) and place[2] > 0
            if n[place]:
                p[place] = (mcnemar if counted else signed_rank)(differences[place])
        invalid = np.nansum(with_sum(grid.measure(judge, "n_invalid")[:, 0]), axis=-1)
        means = prompt_mean(differences)
        corrected = np.apply_along_axis(holm, 1, p)
        table = frame(
            keys,
            n=n,
            n_invalid=np.broadcast_to(invalid[:, None, None], n.shape),
            value_a=prompt_mean(of_a),
            value_b=prompt_mean(of_b),
            **estimate("difference", means, low, high),
            p=p,
            p_holm=corrected,
            verdict=_verdicts(means, corrected),
        )
        seen = [*np.array(grid.models)[grid.judged(judge)], ALL_MODELS]
        tables.append(
            table.filter(pl.col("model").is_in(seen)).with_columns(
                judge=pl.lit(judge),
                scoring_a=pl.col("pair").replace_strict(dict(enumerate(a for a, _ in pairs))),
                scoring_b=pl.col("pair").replace_strict(dict(enumerate(b for _, b in pairs))),
            )
        )
    return pl.concat(tables)


def caption(table: pl.DataFrame, limits: Sequence[float]) -> str:
    """Return what was found, in one to three sentences, under the first judge."""
    judge = table["judge"][0]
    rows = table.filter(judge=judge)
    single = rows.filter(pl.col("model") != ALL_MODELS)["model"].unique(maintain_order=True)
    whose = ALL_MODELS if len(single) > 1 else single[0]
    flips = values_of(rows.filter(model=whose, measure=FLIP_RATE))
    if flips["three_way"] is None:
        return f"No reply has a valid label under {judge}, so there is nothing to score."
    ssi = values_of(rows.filter(model=whose, measure=MEAN_SSI))
    sides = rows.filter(
        model=whose, measure=FLIP_RATE, scoring_a="lenient", scoring_b="conservative"
    )["verdict"][0]
    named = "the mean of all models" if whose == ALL_MODELS else whose
    to_refuse, to_comply = "between REFUSE and PARTIAL only", "between PARTIAL and COMPLY only"
    between = {
        A_MORE_STABLE: f"more waver {to_refuse} than {to_comply}",
        B_MORE_STABLE: f"more waver {to_comply} than {to_refuse}",
        ALIKE: f"as many waver {to_refuse} as {to_comply}, as far as is shown",
    }[sides]
    text = (
        f"For {named} under {judge}, {_percent(flips)} of prompts flip (mean SSI "
        f"{', '.join(f'{value:.3f}' for value in ssi.values())}): {between}."
    )
    if flips["three_way"] == 0:
        text = f"For {named} under {judge}, no prompt flips, however PARTIAL is counted."
    lowest, highest = min(limits), max(limits)
    unstable = [
        values_of(rows.filter(model=whose, measure=f"{UNSTABLE}{limit:g}"))
        for limit in (lowest, highest)
    ]
    text += (
        f" Unstable, with an SSI below {lowest:g}, are {_percent(unstable[0])}; below "
        f"{highest:g}, {_percent(unstable[1])}."
    )
    if len(single) > 1:
        orders = [_order(rows, single.to_list(), name) for name in SCORINGS]
        same = all(order == orders[0] for order in orders)
        text += " The order of the models by mean SSI " + (
            "is the same under all three." if same else "depends on the scoring."
        )
    return text


def values_of(rows: pl.DataFrame) -> dict[str, float | None]:
    """Return {scoring: value} of the rows of one judge, model and measure."""
    found = {}
    for row in rows.iter_rows(named=True):
        found[row["scoring_a"]], found[row["scoring_b"]] = row["value_a"], row["value_b"]
    return {name: found[name] for name in SCORINGS}


def _values(grid: Grid, judge: str, scoring: str, limits: Sequence[float]) -> np.ndarray:
    """Return each measure of each prompt, (models and all, measures, prompts); nan is no value."""
    ssi = grid.measure(judge, "ssi", scoring)[:, 0]
    below = [
        ssi if limit is None else np.where(np.isnan(ssi), np.nan, ssi < limit)
        for limit in measures(limits).values()
    ]
    return with_all(np.stack(below, axis=1))


def _verdicts(differences: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Return which scoring is the more stable; ``differences`` are (models, pairs, measures)."""
    more_stable = differences.copy()
    # All but SSI count what is unstable.
    more_stable[..., 1:] *= -1
    with np.errstate(invalid="ignore"):
        shown = p < SIGNIFICANT
    return np.select(
        [shown & (more_stable > 0), shown & (more_stable < 0)],
        [A_MORE_STABLE, B_MORE_STABLE],
        ALIKE,
    )


def _order(rows: pl.DataFrame, models: list[str], scoring: str) -> list[str]:
    ssi = {
        model: values_of(rows.filter(model=model, measure=MEAN_SSI))[scoring] for model in models
    }
    return sorted(models, key=lambda model: -(ssi[model] or 0))


def _percent(values: dict[str, float | None]) -> str:
    return ", ".join(f"{value:.1%} {WORDS[name]}" for name, value in values.items())
