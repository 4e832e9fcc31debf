"""Signs that a run is not what it seems: each counted, with the ids behind it."""

import csv
import io
from collections.abc import Iterable

import numpy as np
import polars as pl

from refusal_stability.core.cells import cell_name, temperature_text
from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.statistics.run_arrays import MISSING, RunArrays

SYSTEMATIC_BELOW = 0.5
MAX_INVALID = 0.01
SHARED_SEEDS_P = 0.01


def alarms(grid: RunArrays, seeds: pl.DataFrame | None) -> pl.DataFrame:
    """Return one row a judge, model and alarm, raised or not.

    Args:
        seeds: the table of :func:`statistics.seed_variance.seed_effect`.
    """
    ids = np.array(grid.prompt_ids)
    rows = []
    for judge in grid.judges:
        for place, model in enumerate(grid.models):
            labels = grid.labels[judge][place]
            judged = labels != MISSING
            invalid = judged & (labels >= len(VALID_LABELS))
            ssi = grid.measure(judge, "ssi")[place, 0]
            cells = [
                cell_name(temperature, seed)
                for at, temperature in enumerate(grid.temperatures)
                for number, seed in enumerate(grid.seeds)
                if not judged[:, at, number].any()
            ]
            gaps = (~judged).sum(axis=(1, 2)) > 0
            shared = _shared_seeds(seeds, judge, model)
            failing = ssi < SYSTEMATIC_BELOW
            too_many = invalid.sum() > MAX_INVALID * judged.sum()
            # name, count, of how many, whether it is raised, what is behind it
            found = [
                (
                    "invalid_verdicts",
                    invalid.sum(),
                    judged.sum(),
                    too_many,
                    ids[invalid.any(axis=(1, 2))],
                ),
                (
                    "systematic_failure",
                    failing.sum(),
                    (~np.isnan(ssi)).sum(),
                    failing.any(),
                    ids[failing],
                ),
                ("missing_responses", (~judged).sum(), judged.size, gaps.any(), ids[gaps]),
                ("missing_cells", len(cells), judged[0].size, bool(cells), cells),
                ("shared_seeds", len(shared), len(grid.temperatures), bool(shared), shared),
            ]
            if judge in grid.same_text:
                pairs, differing = grid.same_text[judge][place].T
                behind = ids[differing > 0]
                found.append(
                    (
                        "identical_text_relabelled",
                        differing.sum(),
                        pairs.sum(),
                        differing.any(),
                        behind,
                    )
                )
            if grid.truncated.size:
                cut = grid.truncated[place]
                found.append(("truncated_replies", cut.sum(), judged.size, cut.any(), ids[cut > 0]))
            for alarm, count, of, raised, behind in found:
                rows.append(
                    {
                        "judge": judge,
                        "model": model,
                        "alarm": alarm,
                        "raised": bool(raised),
                        "n": int(count),
                        "of": int(of),
                        "n_invalid": int(invalid.sum()),
                        "ids": join_ids(behind),
                    }
                )
    return pl.DataFrame(rows)


def _shared_seeds(seeds: pl.DataFrame | None, judge: str, model: str) -> list[str]:
    if seeds is None:
        return []
    betraying = seeds.filter(
        pl.col("p") <= SHARED_SEEDS_P, pl.col("variance_inflation") > 1, judge=judge, model=model
    )
    return [f"T{temperature_text(temperature)}" for temperature in betraying["temperature"]]


def join_ids(ids: Iterable[str]) -> str:
    """Return the ids as a cell of the table's column `ids`: one with a space stands in quotes."""
    text = io.StringIO()
    # With both characters at its end, a line has ids with either of them in quotes.
    csv.writer(text, delimiter=" ", lineterminator="\r\n").writerow(ids)
    return text.getvalue().removesuffix("\r\n")


def split_ids(text: str) -> list[str]:
    """Return the ids that :func:`join_ids` made a cell of."""
    return next(csv.reader(io.StringIO(text, newline=""), delimiter=" "), [])
