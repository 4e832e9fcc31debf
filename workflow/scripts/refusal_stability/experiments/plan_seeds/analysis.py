"""The experiment `plan_seeds`: how many prompts and seeds a wanted precision takes.

The variance of a mean over prompts is that of a prompt's value over their number, and with s
seeds a prompt's value varies as B + W / s: B between prompts, W between the seeds of one. For a
rate this is exact; for SSI and flips, which are no means of seeds, it is what two numbers of seeds
of the run say, carried on to more.
"""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from scipy.special import ndtri

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.statistics.bootstrap import CONFIDENCE
from refusal_stability.statistics.run_arrays import MISSING, RunArrays
from refusal_stability.statistics.summaries import SMALL_N

# Numbers of seeds to choose from, besides the run's own.
SEEDS = (1, 2, 3, 5, 10, 20)
INTERVAL_WIDTH, POWER = "interval_width", "power"
MEASURES = {
    "mean_ssi": "mean SSI",
    "flip_rate": "flip rate",
    "refusal_rate": "refusal rate",
    "pair_disagreement": "pair disagreement",
}
# The others mean something else with other seeds: more samples, more flips.
WHATEVER_THE_SEEDS = ("refusal_rate", "pair_disagreement")
MEASURED, EXTRAPOLATED, UNKNOWN = "measured", "extrapolated", "unknown"
# So many subsets of the run's seeds stand for all of one size.
_SUBSETS = 40
_SIGNIFICANCE = 1 - CONFIDENCE

# (judge, models, prompts, seeds) -> hours and GPU-hours; None where nothing measured says it.
Hours = Callable[[str, Sequence[str], int, int], tuple[float | None, float | None]]


def plan_seeds(
    grid: RunArrays,
    pair: Sequence[str],
    wanted: dict[str, float],
    hours: Hours,
    seed: int,
) -> pl.DataFrame:
    """Return one row a judge, goal, measure, model or pair of them, and number of seeds.

    Args:
        grid: of the run to learn from.
        pair: names of two models for the power to see a difference; of fewer, there is none.
        wanted: `width` of a 95% interval, `difference` and `power` to see it.
        hours: of a design, temperatures and all.
        seed: for the choice of subsets of the run's seeds, where there are too many.
    """
    tail = -ndtri(_SIGNIFICANCE / 2)
    # What is reached with the prompts at hand, times the root of their number.
    reach = {INTERVAL_WIDTH: 2 * tail, POWER: tail + ndtri(wanted["power"])}
    target = {INTERVAL_WIDTH: wanted["width"], POWER: wanted["difference"]}
    rows = []
    for judge in grid.judges:
        counts = counts_by_seed(grid, judge)
        invalid = np.nansum(grid.measure(judge, "n_invalid")[:, 0], axis=-1)
        sides = [(INTERVAL_WIDTH, (model,)) for model in grid.models]
        sides += [(POWER, tuple(pair))] * (len(pair) == 2)
        for goal, models in sides:
            places = [grid.models.index(model) for model in models]
            if not all(grid.judged(judge)[place] for place in places):
                continue
            choices = sorted({*SEEDS, counts.shape[2]})
            for measure in MEASURES:
                means, variances, n = spread(counts[places], measure, seed)
                of_choices = []
                for seeds in choices:
                    variance, basis = variance_with(variances, seeds, measure)
                    row = {
                        "judge": judge,
                        "goal": goal,
                        "measure": measure,
                        "model_a": models[0],
                        "model_b": models[1] if models[1:] else "none",
                        "seeds": seeds,
                        "basis": basis,
                        "n_prompts": n,
                        "n_invalid": int(invalid[places].sum()),
                        "value": means[seeds - 1] if seeds <= len(means) else None,
                        "cheapest": False,
                    }
                    if basis != UNKNOWN and n:
                        row["deviation"] = variance**0.5
                        row["reached"] = reach[goal] * (variance / n) ** 0.5
                        prompts = (reach[goal] / target[goal]) ** 2 * variance
                        # A product that is whole but for its last digits is whole.
                        row["prompts_needed"] = max(SMALL_N, int(np.ceil(round(prompts, 9))))
                        row["replies"] = (
                            row["prompts_needed"] * seeds * len(grid.temperatures) * len(models)
                        )
                        row["hours"], row["gpu_hours"] = hours(
                            judge, models, row["prompts_needed"], seeds
                        )
                    of_choices.append(row)
                if measure in WHATEVER_THE_SEEDS:
                    _mark_cheapest(of_choices)
                rows += of_choices
    columns = ("deviation", "reached", "prompts_needed", "replies", "hours", "gpu_hours")
    return pl.DataFrame(
        [dict.fromkeys(columns) | row for row in rows], infer_schema_length=None
    ).fill_nan(None)


def counts_by_seed(grid: RunArrays, judge: str) -> np.ndarray:
    """Return the valid labels of each seed over temperatures, (models, prompts, seeds, 3)."""
    codes = grid.labels[judge]
    of_label = [(codes == code).sum(axis=2) for code in range(len(VALID_LABELS))]
    assert len(VALID_LABELS) < MISSING
    return np.stack(of_label, axis=-1)


def spread(counts: np.ndarray, measure: str, seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Return mean and variance over prompts with 1, 2 ... of the run's seeds, and the prompts.

    Over subsets of that many seeds: the variance of the prompts' means and the mean of their
    variances. nan where fewer than two prompts have a value.

    Args:
        counts: (1 or 2, prompts, seeds, 3); of two models, their difference is meant.
        measure: of :data:`MEASURES`.
        seed: for the choice of subsets, where there are too many.
    """
    rng = np.random.default_rng(seed)
    seeds = counts.shape[2]
    means, variances = np.full((2, seeds), np.nan)
    n = 0
    for size in range(1, seeds + 1):
        subsets = _subsets(seeds, size, rng)
        values = np.stack(
            [measured(counts[:, :, subset].sum(axis=2), measure) for subset in subsets], axis=1
        )
        # (subsets, prompts)
        values = values[0] if len(values) == 1 else values[0] - values[1]
        values = values[:, ~np.isnan(values).all(axis=0)]
        n = values.shape[1]
        if n > 1:
            of_prompts = np.nanmean(values, axis=0)
            means[size - 1] = of_prompts.mean()
            # As if each prompt had drawn seeds of its own.
            variances[size - 1] = of_prompts.var(ddof=1) + np.nanvar(values, axis=0).mean()
    return means, variances, n


def measured(counts: np.ndarray, measure: str) -> np.ndarray:
    """Return a measure of each prompt, (...), of its counts of labels, (..., 3); nan if none."""
    n = counts.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        match measure:
            case "mean_ssi":
                return counts.max(axis=-1) / n
            case "flip_rate":
                return np.where(n > 0, counts.max(axis=-1) < n, np.nan)
            case "refusal_rate":
                return counts[..., 0] / n
            case "pair_disagreement":
                return 1 - (counts * (counts - 1)).sum(axis=-1) / (n * (n - 1))
    raise ValueError(measure)


def variance_with(variances: np.ndarray, seeds: int, measure: str) -> tuple[float, str]:
    """Return the variance over prompts with so many seeds, and how it is known.

    Args:
        variances: with 1, 2 ... of the run's seeds, (seeds,).
        seeds: as many as are wanted.
        measure: of :data:`MEASURES`.
    """
    most = len(variances)
    if seeds <= most:
        variance, basis = variances[seeds - 1], MEASURED
    else:
        few = max(1, -(-most // 2))
        # The line in 1 / seeds through two points of the run: half of its seeds, and all.
        # SSI and flips of one sample are constant, and no point to draw a line through.
        enough = most > 1 and (measure in WHATEVER_THE_SEEDS or few > 1)
        within = np.nan
        if enough:
            within = (variances[few - 1] - variances[-1]) / (1 / few - 1 / most)
        between = variances[-1] - within / most
        if between < 0:
            # All of it is between seeds, but for chance.
            between, within = 0.0, variances[-1] * most
        variance, basis = between + within / seeds, EXTRAPOLATED
    # Without any spread, as of one sample's SSI, nothing is said of precision.
    known = bool(np.isfinite(variance)) and round(float(variance), 12) > 0
    return (float(variance), basis) if known else (float("nan"), UNKNOWN)


def _subsets(seeds: int, size: int, rng: np.random.Generator) -> list[list[int]]:
    every = list(itertools.islice(itertools.combinations(range(seeds), size), _SUBSETS + 1))
    if len(every) <= _SUBSETS:
        return [list(subset) for subset in every]
    return [list(rng.permutation(seeds)[:size]) for _ in range(_SUBSETS)]


def _mark_cheapest(rows: list[dict]) -> None:
    """Mark the fewest GPU-hours, else hours, else replies; of equals, the fewest seeds."""
    known = [row for row in rows if "replies" in row]
    if known:
        keys = ("gpu_hours", "hours", "replies")

        def price(row: dict) -> tuple:
            # What nothing measured says is said of no row of a run.
            return tuple(row[key] or 0.0 for key in keys)

        min(known, key=price)["cheapest"] = True


def caption(table: pl.DataFrame, wanted: dict[str, float], run_seeds: int) -> str:
    """Return what was found, in one to three sentences, under the first judge."""
    if table.is_empty() or table["prompts_needed"].is_null().all():
        return (
            "Nothing is known of how values vary over prompts: fewer than two prompts have valid "
            "labels, or all are alike."
        )
    rows = table.filter(judge=table["judge"][0])
    goals = {
        INTERVAL_WIDTH: f"For a 95% interval of width {wanted['width']:g} of {{one}}",
        POWER: (
            f"To see a difference of {wanted['difference']:g} between {{a}} and {{b}} with "
            f"{wanted['power']:.0%} power, asking both the same"
        ),
    }
    sentences = []
    for goal, words in goals.items():
        of_goal = rows.filter(pl.col("prompts_needed").is_not_null(), goal=goal)
        if of_goal.is_empty():
            continue
        models = of_goal["model_a"].unique()
        one = models[0] if len(models) == 1 else "one model (the one that takes most)"
        words = words.format(a=of_goal["model_a"][0], b=of_goal["model_b"][0], one=one)
        parts = []
        cheapest = of_goal.filter(cheapest=True, measure="pair_disagreement").sort("replies")
        if cheapest.height:
            parts.append(f"pair disagreement takes {_design(cheapest.row(-1, named=True))}")
        ssi = of_goal.filter(measure="mean_ssi", seeds=run_seeds).sort("replies")
        if ssi.height:
            design = _design(ssi.row(-1, named=True))
            parts.append(f"mean SSI with this run's number of seeds takes {design}")
        if parts:
            sentences.append(f"{words}, {' and '.join(parts)}.")
    if rows.filter(pl.col("gpu_hours").is_not_null() & pl.col("hours").is_not_null()).is_empty():
        sentences.append("What that costs is not known, as nothing like it was timed.")
    return " ".join(sentences)


def _design(row: dict) -> str:
    design = f"{row['prompts_needed']:,} prompts x {row['seeds']} seed{'s' * (row['seeds'] > 1)}"
    both = " for both" * (row["goal"] == POWER)
    if row["gpu_hours"]:
        return f"{design} ({row['gpu_hours']:.3g} GPU-hours{both})"
    if row["gpu_hours"] == 0 and row["hours"] is not None:
        hours = row["hours"]
        time = f"{hours:.2g} hours" if hours >= 1 else f"{60 * hours:.2g} minutes"
        return f"{design} ({time}{both} without a GPU)"
    return design
