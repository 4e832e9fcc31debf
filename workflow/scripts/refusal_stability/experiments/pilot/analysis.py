"""The experiment `pilot`: on a few prompts, does SSI fall with temperature?"""

from collections.abc import Sequence

import numpy as np
import polars as pl

from refusal_stability.core.errors import InputError
from refusal_stability.core.names import ALL_MODELS
from refusal_stability.core.text import SIGNIFICANCE, format_estimate, format_number, listed
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.statistics.bootstrap import Resamples, interval, wilson_interval
from refusal_stability.statistics.frames import estimate, prompt_mean, with_all, with_sum
from refusal_stability.statistics.hypothesis_tests import holm, page
from refusal_stability.statistics.run_arrays import Judged, RunArrays
from refusal_stability.statistics.summaries import within_temperature

FALLS, RISES, NOT_SHOWN = "falls", "rises", "not shown"
# Of seeds that are not chosen, so many.
FIRST_SEEDS = 5


def stratified_sample(categories: np.ndarray, number: int, seed: int) -> np.ndarray:
    """Return the places, ascending, of a sample with as large a share of each category.

    Shares are rounded by their largest remainders (Hamilton), of equal ones the first category's.

    Args:
        categories: of all prompts, (prompts,).
        number: prompts to draw; all of them, if there are no more.
        seed: of the draw.
    """
    if number >= len(categories):
        return np.arange(len(categories))
    names, of, sizes = np.unique(categories.astype(str), return_inverse=True, return_counts=True)
    exact = number * sizes / len(categories)
    take = np.floor(exact).astype(int)
    most_left = np.argsort(-np.round(exact - take, 12), kind="stable")
    take[most_left[: number - take.sum()]] += 1
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(of == at))[: take[at]] for at in range(len(names))]
    return np.sort(np.concatenate(drawn))


def of_pilot(
    judged: Judged, prompts: pl.DataFrame, temperatures: Sequence[float], seeds: Sequence[int]
) -> Judged:
    """Return the verdicts on some prompts at some temperatures and seeds, those that there are.

    Args:
        judged: verdicts by judge and model.
        prompts: with a column prompt_id.
        temperatures: as many of these as there are.
        seeds: the same; without any, the first five that there are.

    Raises:
        InputError: there is no verdict on them.
    """
    every = pl.concat(table.select("temperature", "seed") for table in judged.values())
    seeds = list(seeds) or every["seed"].unique().sort().head(FIRST_SEEDS).to_list()
    wanted = pl.col("temperature").is_in(list(temperatures)) & pl.col("seed").is_in(seeds)
    chosen = {
        key: table.filter(wanted).join(
            prompts.select("prompt_id"), on="prompt_id", how="semi", maintain_order="left"
        )
        for key, table in judged.items()
    }
    if not any(table.height for table in chosen.values()):
        there = ", ".join(f"{value:g}" for value in every["temperature"].unique().sort())
        raise InputError(
            "experiments.pilot: there is no verdict at these temperatures and seeds. Hint: there "
            f"are temperatures {there}"
        )
    return {key: table for key, table in chosen.items() if table.height}


def by_temperature(grid: RunArrays, resamples: Resamples) -> pl.DataFrame:
    """Return the table `pilot_temperatures`: a row a judge, model and all, and temperature."""
    table = within_temperature(grid, resamples, unstable_below=1.0)
    return table.select(EXPERIMENT_TABLES["pilot_temperatures"].column_names())


def pilot(grid: RunArrays, resamples: Resamples) -> pl.DataFrame:
    """Return a row a judge and model, and the mean of all, prompt by prompt; temperatures ascend.

    `drop` is the mean SSI within the lowest temperature less that within the highest. p is of
    Page's test for a trend over all temperatures, two-sided, whose blocks are prompts. Holm's
    correction is over the models; their mean is a question of its own.

    Without two temperatures there is no row.
    """
    if len(grid.temperatures) < 2:
        return EXPERIMENT_TABLES["pilot"].create_empty()
    rows = []
    for judge in grid.judges:
        # (models, prompts, temperatures); the same prompts at every temperature.
        ssi = np.moveaxis(grid.measure(judge, "ssi")[:, 1:], 1, -1)
        ssi = with_all(np.where(np.isnan(ssi).any(axis=-1, keepdims=True), np.nan, ssi))
        drop = ssi[..., 0] - ssi[..., -1]
        n = (~np.isnan(drop)).sum(axis=-1)
        low, high = interval(resamples.means(drop), n)
        columns = estimate("drop", prompt_mean(drop), low, high)
        trends = np.array([_trend(of_model) for of_model in ssi])
        corrected = np.append(holm(trends[:-1, 1]), trends[-1, 1])
        invalid = with_sum(np.nansum(grid.measure(judge, "n_invalid")[:, 0], axis=-1))
        seen = [*grid.judged(judge), True]
        for place, model in enumerate(grid.models_and_all):
            if not seen[place]:
                continue
            of_drop = {name: values[place] for name, values in columns.items()}
            rows.append(
                {
                    "judge": judge,
                    "model": model,
                    "n_prompts": n[place],
                    "n_invalid": invalid[place],
                    "n_seeds": len(grid.seeds),
                    "temperature_a": grid.temperatures[0],
                    "temperature_b": grid.temperatures[-1],
                    "ssi_a": prompt_mean(ssi[place, :, 0]),
                    "ssi_b": prompt_mean(ssi[place, :, -1]),
                    **of_drop,
                    "page_z": trends[place, 0],
                    "p": trends[place, 1],
                    "p_holm": corrected[place],
                    "verdict": _verdict(of_drop["drop"], trends[place, 0], corrected[place]),
                }
            )
    return pl.DataFrame(rows, infer_schema_length=None).fill_nan(None)


def caption(table: pl.DataFrame) -> str:
    """Return what was found, in one to three sentences, under the first judge."""
    if table.is_empty():
        return (
            "There are no two of the wanted temperatures (experiments.pilot.temperatures), so "
            "whether SSI falls with temperature cannot be said."
        )
    rows = table.filter(judge=table["judge"][0])
    single = rows.filter(pl.col("model") != ALL_MODELS)
    row = rows.filter(model=ALL_MODELS).row(0, named=True)
    whose = "the mean of all models"
    if single.height == 1:
        row = single.row(0, named=True)
        whose = row["model"]
    if not row["n_prompts"]:
        return (
            f"No prompt has a valid label at every temperature under {row['judge']}, so whether "
            "SSI falls with temperature cannot be said."
        )
    if row["n_seeds"] == 1:
        return (
            "With one seed each prompt has one label at a temperature, and its SSI is 1 by "
            "definition: two seeds or more would say whether SSI falls with temperature."
        )
    answer = {
        FALLS: "SSI falls with temperature",
        RISES: "SSI rises with temperature",
        NOT_SHOWN: "SSI is not shown to change with temperature",
    }[row["verdict"]]
    number = format_number
    # Page's test had nothing to rank, and an interval no width.
    if row["p"] is not None and row["page_z"] is None:
        _, most = wilson_interval(np.array(0.0), np.array(row["n_prompts"]))
        text = (
            f"SSI did not change with temperature: for {whose}, none of {row['n_prompts']} prompts "
            f"has another SSI at another temperature ({number(row['ssi_a'])} in the mean, over "
            f"{row['n_seeds']} seeds under {row['judge']}), which leaves room for at most "
            f"{most:.0%} of all prompts that do"
        )
    else:
        text = (
            f"{answer}: for {whose}, on {row['n_prompts']} prompts and {row['n_seeds']} seeds "
            f"under {row['judge']}, from {number(row['ssi_a'])} at T = {row['temperature_a']:g} to "
            f"{number(row['ssi_b'])} at T = {row['temperature_b']:g}, a drop of "
            f"{format_estimate(row, 'drop')}"
        )
        if row["p"] is not None:
            text += f" (Page's test of a trend, p = {row['p']:.2g})"
    if single.height == 1:
        return f"{text}."
    by_verdict = {
        verdict: single.filter(verdict=verdict)["model"].to_list()
        for verdict in (FALLS, RISES, NOT_SHOWN)
    }
    words = {FALLS: "it falls for", RISES: "it rises for", NOT_SHOWN: "not shown for"}
    parts = [f"{words[verdict]} {listed(of)}" for verdict, of in by_verdict.items() if of]
    return f"{text}. Model by model, after Holm's correction, {', '.join(parts)}."


def _trend(blocks: np.ndarray) -> tuple[float, float]:
    """z of Page's test and its two-sided p; 1 where no block has a difference to rank."""
    complete = blocks[~np.isnan(blocks).any(axis=1)]
    if not len(complete):
        return float("nan"), float("nan")
    z, falls = page(complete)
    if np.isnan(z):
        return z, 1.0
    _, rises = page(complete[:, ::-1])
    return z, min(1.0, 2 * min(falls, rises))


def _verdict(drop: float, z: float, p: float) -> str:
    # The mean and the ranks may disagree: then neither is shown.
    if p < SIGNIFICANCE and drop * z > 0:
        return FALLS if z > 0 else RISES
    return NOT_SHOWN
