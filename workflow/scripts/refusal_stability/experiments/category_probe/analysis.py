"""The experiment `category_probe`: are prompts of some categories less stable than others'?"""

import itertools
from collections.abc import Sequence

import numpy as np
import polars as pl

from refusal_stability.core.errors import InputError
from refusal_stability.core.names import ALL_MODELS
from refusal_stability.core.text import (
    SIGNIFICANCE,
    format_estimate,
    format_number,
    format_p_value,
    listed,
)
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.statistics.bootstrap import Resamples, interval
from refusal_stability.statistics.frames import estimate, prompt_mean, with_all
from refusal_stability.statistics.hypothesis_tests import holm
from refusal_stability.statistics.run_arrays import RunArrays

# Fewer prompts than this are no category to speak of, unless it is named.
FEWEST = 5
PERMUTATIONS = 10_000
_NAMED = 3
_ENDS = ("ab", "ba")
# Permutations are drawn and used in blocks of so many numbers, to bound the memory.
_BLOCK = 5_000_000


def chosen_prompts(
    categories: np.ndarray, wanted: Sequence[str] | None, number: int | None, seed: int
) -> dict[str, np.ndarray]:
    """Return the places of the prompts of each category that is compared.

    Args:
        categories: of all prompts, (prompts,).
        wanted: names; None takes every category that has enough prompts.
        number: prompts to draw from each; None takes them all.
        seed: of the draws.

    Raises:
        InputError: no prompt is of a category that is wanted.
    """
    places = {name: np.flatnonzero(categories == name) for name in dict.fromkeys(categories)}
    for name in wanted or ():
        if name not in places:
            raise InputError(
                f"experiments.category_probe.categories: no prompt is of '{name}'. "
                f"Hint: there are {', '.join(places)}"
            )
    if wanted is None:
        enough = number or FEWEST
        wanted = [name for name, of in places.items() if len(of) >= enough]
    rng = np.random.default_rng(seed)
    return {
        name: np.sort(rng.permutation(places[name])[: number or len(places[name])])
        for name in wanted
    }


def category_probe(
    grid: RunArrays,
    chosen: dict[str, np.ndarray],
    bootstrap: tuple[int, int],
    permutations: int = PERMUTATIONS,
) -> pl.DataFrame:
    """Return differences of mean SSI, pooled: a row a judge, model, and all, and two categories.

    p is of a permutation test: were category a name only, any of the prompts of both could have
    borne either. The statistic is Welch's t, which keeps the level where only the variances
    differ (Janssen 1997). Holm's correction is over the pairs of one judge and model.

    Args:
        grid: of the run.
        chosen: places of the prompts of each category, as of :func:`chosen_prompts`.
        bootstrap: the number of resamples and their seed, which is that of the permutations too.
        permutations: drawn for each pair.
    """
    resamples = Resamples(len(grid.prompt_ids), *bootstrap)
    rng = np.random.default_rng(bootstrap[1])
    # (judges, models and all, prompts)
    every = np.stack([with_all(grid.measure(judge, "ssi")[:, 0]) for judge in grid.judges])
    drawn = {name: resamples.means(every[..., of], of) for name, of in chosen.items()}
    tables = []
    for a, b in itertools.combinations(chosen, 2):
        of_a, of_b = chosen[a], chosen[b]
        both = np.concatenate([of_a, of_b])
        invalid = []
        for judge in grid.judges:
            of_models = np.nan_to_num(grid.measure(judge, "n_invalid")[:, 0][:, both]).sum(axis=-1)
            invalid.append([*of_models, of_models.sum()])
        ssi_a, ssi_b = every[..., of_a], every[..., of_b]
        n_a, n_b = ((~np.isnan(of)).sum(axis=-1) for of in (ssi_a, ssi_b))
        mean_a, mean_b = prompt_mean(ssi_a), prompt_mean(ssi_b)
        low, high = interval(drawn[a] - drawn[b], np.minimum(n_a, n_b))
        rows = list(itertools.product(grid.judges, grid.models_and_all))
        columns = {"n_a": n_a, "n_b": n_b, "n_invalid": np.array(invalid)}
        columns |= {"ssi_a": mean_a, "ssi_b": mean_b}
        columns |= estimate("difference", mean_a - mean_b, low, high)
        columns["p"] = permutation_p(every[..., both], len(of_a), rng, permutations)
        tables.append(
            pl.DataFrame(rows, schema=["judge", "model"], orient="row").with_columns(
                category_a=pl.lit(a),
                category_b=pl.lit(b),
                **{name: pl.Series(of.ravel()) for name, of in columns.items()},
            )
        )
    if not tables:
        return EXPERIMENT_TABLES["category_probe"].create_empty()
    judged = [(judge, name) for judge in grid.judges for name, seen in _seen(grid, judge) if seen]
    order = pl.DataFrame(judged, schema=["judge", "model"], orient="row")
    table = order.join(pl.concat(tables), on=["judge", "model"], maintain_order="left_right")
    corrected = [
        holm(of_model["p"].to_numpy())
        for of_model in table.partition_by("judge", "model", maintain_order=True)
    ]
    return table.with_columns(p_holm=pl.Series(np.concatenate(corrected))).fill_nan(None)


def permutation_p(
    values: np.ndarray, n_a: int, rng: np.random.Generator, permutations: int
) -> np.ndarray:
    """Return two-sided p, (...), that the first ``n_a`` of (..., prompts) differ from the rest.

    One is added to both counts, as what was seen is one of the permutations (Phipson and Smyth
    2010). nan in ``values`` is no value; p is nan where a side has fewer than two.
    """
    prompts = values.shape[-1]
    flat = values.reshape(-1, prompts)
    there = ~np.isnan(flat)
    filled = np.where(there, flat, 0.0)
    # Centred, so that sums of squares lose no digits.
    with np.errstate(invalid="ignore"):
        centre = filled.sum(axis=1, keepdims=True) / there.sum(axis=1, keepdims=True)
    filled = np.where(there, filled - centre, 0.0)
    columns = np.stack([there, filled, filled**2]).astype(float)
    first = (np.arange(prompts) < n_a)[None]
    seen = np.abs(_welch(first, columns))[0]
    beyond = np.zeros(len(flat))
    size = max(1, _BLOCK // prompts)
    for start in range(0, permutations, size):
        count = min(size, permutations - start)
        order = np.argpartition(rng.random((count, prompts)), n_a - 1, axis=1)[:, :n_a]
        masks = np.zeros((count, prompts), dtype=bool)
        np.put_along_axis(masks, order, True, axis=1)
        # Equal but for the last digits is equal.
        beyond += (np.abs(_welch(masks, columns)) >= seen * (1 - 1e-9)).sum(axis=0)
    p = (1 + beyond) / (1 + permutations)
    few = np.minimum(there[:, :n_a].sum(axis=1), there[:, n_a:].sum(axis=1)) < 2
    return np.where(few, np.nan, p).reshape(values.shape[:-1])


def caption(table: pl.DataFrame, chosen: dict[str, np.ndarray]) -> str:
    """Return what was found, in one to three sentences, under the first judge."""
    if table.is_empty():
        what = f"{len(chosen)} category has" if len(chosen) == 1 else "No category has"
        return f"{what} enough prompts, so there is nothing to compare."
    rows = table.filter(judge=table["judge"][0])
    single = rows.filter(pl.col("model") != ALL_MODELS)
    several = single["model"].n_unique() > 1
    rows = rows.filter(model=ALL_MODELS) if several else single
    whose = "the mean of all models" if several else rows["model"][0]
    tested = rows.filter(pl.col("p_holm").is_not_null())
    tested = larger_first(tested)
    found = tested.filter(pl.col("p_holm") < SIGNIFICANCE)
    text = (
        f"Of {tested.height} pair{'s' * (tested.height != 1)} of categories, {found.height} "
        f"differ{'s' * (found.height == 1)} in mean SSI (p < {SIGNIFICANCE:g} by permutation after "
        f"Holm's correction), for {whose} under {rows['judge'][0]}."
    )
    if found.is_empty() and tested.height:
        # What would have been seen is as telling as that nothing was.
        first = tested.row(0, named=True)
        return f"{text} The largest difference is {_pair(first)}, {_p(first['p_holm'])}."
    largest = [_pair(row) for row in found.head(_NAMED).iter_rows(named=True)]
    return f"{text} Largest: {listed(largest)}." if largest else text


def larger_first(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of the table, largest difference first, each with the larger category as its a.

    So no difference is below 0.
    """
    smaller = pl.col("difference").fill_null(0) < 0
    both = pl.concat([rows.filter(~smaller), exchanged(rows.filter(smaller))])
    return both.sort("difference", descending=True, nulls_last=True, maintain_order=True)


def exchanged(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of the table with the two categories of each exchanged."""
    ends = {f"{name}_{a}": f"{name}_{b}" for name in ("category", "n", "ssi") for a, b in _ENDS}
    ends |= {"difference_low": "difference_high", "difference_high": "difference_low"}
    return (
        rows.rename(ends)
        .select(rows.columns)
        .with_columns(-pl.col("difference", "difference_low", "difference_high"))
    )


def _p(value: float) -> str:
    return f"{format_p_value(value)} after Holm's correction"


def _pair(row: dict) -> str:
    number = format_number
    return (
        f"{row['category_a']} {number(row['ssi_a'])} against {row['category_b']} "
        f"{number(row['ssi_b'])}, {format_estimate(row, 'difference')}"
    )


def _seen(grid: RunArrays, judge: str) -> list[tuple[str, bool]]:
    return list(zip(grid.models_and_all, [*grid.judged(judge), True], strict=True))


def _welch(masks: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return t, (masks, rows), of those in each mask against the rest; infinite without spread.

    Args:
        masks: (masks, prompts).
        columns: (3, rows, prompts): whether there is a value, the value, its square.
    """
    every = columns.sum(axis=-1)
    inside = masks.astype(float) @ columns.reshape(-1, columns.shape[-1]).T
    inside = inside.reshape(len(masks), *every.shape)
    difference, error = 0.0, 0.0
    with np.errstate(invalid="ignore", divide="ignore"):
        for sign, sums in ((1, inside), (-1, every - inside)):
            n, total, squares = np.moveaxis(sums, 1, 0)
            mean = total / n
            difference = difference + sign * mean
            error = error + np.maximum(0, squares / n - mean**2) / (n - 1)
        difference = np.where(np.abs(difference) < 1e-12, 0, difference)
        error = np.where(error < 1e-24, 0, error)
        t = difference / np.sqrt(error)
    t[((difference == 0) & (error == 0)) | np.isnan(t)] = 0
    return t
