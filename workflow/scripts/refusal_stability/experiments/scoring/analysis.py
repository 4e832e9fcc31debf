"""The experiment `scoring`: how much of the instability is a matter of how PARTIAL is counted?"""

import itertools
from collections.abc import Sequence

import numpy as np
import polars as pl

from refusal_stability.core.labels import SCORINGS
from refusal_stability.core.names import ALL_MODELS
from refusal_stability.core.text import SIGNIFICANCE, decimals, listed
from refusal_stability.statistics.bootstrap import Resamples, interval
from refusal_stability.statistics.frames import estimate, frame, prompt_mean, with_all, with_sum
from refusal_stability.statistics.hypothesis_tests import holm, mcnemar, signed_rank
from refusal_stability.statistics.run_arrays import RunArrays

MEAN_SSI, FLIP_RATE, UNSTABLE = "mean_ssi", "flip_rate", "unstable_below_"
WORDS = {"three_way": "three-way", "lenient": "lenient", "conservative": "conservative"}
A_MORE_STABLE, B_MORE_STABLE, ALIKE = "a is more stable", "b is more stable", "not shown to differ"
# Models that the caption names on each side.
_NAMED = 3


def measures(limits: Sequence[float]) -> dict[str, float | None]:
    """Return {measure: the limit below which SSI counts for it}; None for SSI itself."""
    below = {f"{UNSTABLE}{limit:g}": limit for limit in sorted(set(limits))}
    # More than one label is an SSI below 1.
    return {MEAN_SSI: None, FLIP_RATE: 1.0, **below}


def compare_scorings(
    grid: RunArrays, resamples: Resamples, limits: Sequence[float]
) -> pl.DataFrame:
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
    named = "the mean of all models" if whose == ALL_MODELS else whose
    if flips["three_way"] == 0:
        return f"For {named} under {judge}, no prompt flips, however PARTIAL is counted."
    others = [
        f"{_percent(values_of(rows.filter(model=whose, measure=f'{UNSTABLE}{limit:g}')))} have an "
        f"SSI below {limit:g}"
        for limit in sorted({min(limits), max(limits)})
    ]
    ssi = values_of(rows.filter(model=whose, measure=MEAN_SSI))
    others.append(f"mean SSI is {listed([decimals(value) for value in ssi.values()])}")
    parted = [f"{value:.1%} {WORDS[name]}" for name, value in flips.items()]
    text = (
        f"For {named} under {judge}, {listed(parted)} of prompts flip; in this order, "
        f"{'; '.join(others)}. {_sides(rows, whose, single.to_list())}."
    )
    if len(single) > 1:
        orders = [_order(rows, single.to_list(), name) for name in SCORINGS]
        same = all(order == orders[0] for order in orders)
        text += " The order of the models by mean SSI " + (
            "is the same under all three." if same else "depends on the scoring."
        )
    return text


def _sides(rows: pl.DataFrame, whose: str, models: Sequence[str]) -> str:
    """Return by which measures lenient or conservative is the more stable, of one judge.

    Models of which one says the one and another the other are named, by the first such measure.
    """
    rows = rows.filter(scoring_a="lenient", scoring_b="conservative")
    verdicts = {
        model: dict(rows.filter(model=model).select("measure", "verdict").rows())
        for model in (whose, *models)
    }
    by = {
        verdict: _by([name for name, of in verdicts[whose].items() if of == verdict], rows)
        for verdict in (A_MORE_STABLE, B_MORE_STABLE, ALIKE)
    }
    to_refuse, to_comply = "between REFUSE and PARTIAL only", "between PARTIAL and COMPLY only"
    found = []
    for verdict, name, other, more, less in (
        (A_MORE_STABLE, "lenient", "conservative", to_refuse, to_comply),
        (B_MORE_STABLE, "conservative", "lenient", to_comply, to_refuse),
    ):
        if by[verdict]:
            found.append(f"{name} scoring is more stable than {other} {by[verdict]}")
            # That is what flips say; an SSI does not.
            if verdicts[whose][FLIP_RATE] == verdict:
                found[-1] += f" (more waver {more} than {less})"
    if not found:
        found = ["lenient and conservative scoring are not shown to differ by any measure"]
    elif by[ALIKE]:
        found.append(f"they are not shown to differ {by[ALIKE]}")
    text = "; ".join(found)
    for measure in verdicts[whose]:
        sides = {verdict: [] for verdict in (A_MORE_STABLE, B_MORE_STABLE)}
        for model in models:
            sides.get(verdicts[model][measure], []).append(model)
        of_all = {verdicts[whose][measure]} | {side for side, of in sides.items() if of}
        if {A_MORE_STABLE, B_MORE_STABLE} <= of_all:
            ways = [
                f"{name} is more stable for {_few(of)}"
                for name, of in zip(("lenient", "conservative"), sides.values(), strict=True)
                if of
            ]
            text += f"; but models disagree {_by([measure], rows)}: {listed(ways)}"
            break
    return text[0].upper() + text[1:]


def _by(measures: Sequence[str], rows: pl.DataFrame) -> str:
    """Return "by flip rate and by the thresholds 0.7 and 0.8", or nothing of no measure."""
    words = {FLIP_RATE: "by flip rate", MEAN_SSI: "by mean SSI"}
    found = [words[name] for name in words if name in measures]
    limits = [name.removeprefix(UNSTABLE) for name in measures if name.startswith(UNSTABLE)]
    every = rows.filter(pl.col("measure").str.starts_with(UNSTABLE))["measure"].n_unique()
    if len(limits) == every > 1:
        found.append("by all thresholds of SSI")
    elif limits:
        found.append(f"by the threshold{'s' * (len(limits) > 1)} {listed(limits)} of SSI")
    return listed(found) if found else ""


def _few(models: Sequence[str]) -> str:
    rest = len(models) - _NAMED
    return listed([*models[:_NAMED], f"{rest} more"] if rest > 0 else models)


def values_of(rows: pl.DataFrame) -> dict[str, float | None]:
    """Return {scoring: value} of the rows of one judge, model and measure."""
    found = {}
    for row in rows.iter_rows(named=True):
        found[row["scoring_a"]], found[row["scoring_b"]] = row["value_a"], row["value_b"]
    return {name: found[name] for name in SCORINGS}


def _values(grid: RunArrays, judge: str, scoring: str, limits: Sequence[float]) -> np.ndarray:
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
        shown = p < SIGNIFICANCE
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
    return listed([f"{value:.1%}" for value in values.values()])
