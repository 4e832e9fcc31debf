"""Two models, or a model before and after, response by response."""

import numpy as np
import polars as pl

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.statistics.bootstrap import Resamples, interval
from refusal_stability.statistics.checks import check_invalid_share
from refusal_stability.statistics.frames import estimate, prompt_mean
from refusal_stability.statistics.hypothesis_tests import holm, mcnemar, signed_rank
from refusal_stability.statistics.run_arrays import (
    Judged,
    RunArrays,
    categories_of,
    grid_of,
    label_shares,
)
from refusal_stability.statistics.summaries import rates

ALL = "(all)"
# What is compared, the test of paired differences that fits it, and its words.
MEASURES = {
    "mean_ssi": (signed_rank, "mean SSI"),
    "flip_rate": (mcnemar, "flip rate"),
    "hard_flip_rate": (mcnemar, "hard flip rate"),
    "refusal_rate": (signed_rank, "refusal rate"),
    "pair_disagreement": (signed_rank, "pair disagreement"),
}
_RESPONSE = ["prompt_id", "temperature", "seed"]


def compare(
    judged_a: dict[str, pl.DataFrame],
    judged_b: dict[str, pl.DataFrame],
    names: tuple[str, str],
    prompts: pl.DataFrame,
    bootstrap: tuple[int, int],
    max_invalid_share: float,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables `compare` and `compare_prompts`; without rows where nothing is common.

    Only what both sides were asked is compared, response by response: SSI and flips depend on
    the number of samples. Holm's correction is over the measures for all prompts, and over the
    categories of one measure.

    Args:
        judged_a, judged_b: {judge: table} of each side, a table keeps the contract
            :class:`~schemas.stages.Verdicts`; judges of both are taken.
        names: of the two sides, which differ.
        prompts: keeps the contract :class:`~schemas.stages.PromptInfo`; others
            are left out.
        bootstrap: the number of resamples and their seed.
        max_invalid_share: more invalid verdicts than this are an error.

    Raises:
        InvalidVerdictsError: a judge has too many invalid verdicts on a side.
    """
    judged: Judged = {}
    for judge in judged_a.keys() & judged_b.keys():
        a, b = judged_a[judge], judged_b[judge]
        a = a.join(b, on=_RESPONSE, how="semi", maintain_order="left")
        a = a.join(prompts, on="prompt_id", how="semi", maintain_order="left")
        if a.height:
            judged[judge, names[0]] = a
            judged[judge, names[1]] = b.join(a, on=_RESPONSE, how="semi", maintain_order="left")
    if not judged:
        names_of = ("compare", "compare_prompts")
        return tuple(EXPERIMENT_TABLES[name].create_empty() for name in names_of)
    # In the order of the first side's judges: the caption speaks of the first.
    order = [(judge, name) for judge in judged_a for name in names if (judge, name) in judged]
    grid = grid_of({key: judged[key] for key in order}, prompts["prompt_id"].to_list())
    check_invalid_share(grid, max_invalid_share)
    categories = categories_of(grid, prompts)
    resamples = Resamples(len(grid.prompt_ids), *bootstrap)
    differences, changes = [], []
    for judge in grid.judges:
        keys = [pl.lit(judge).alias("judge"), *_names(grid)]
        differences.append(_differences(grid, judge, categories, resamples).with_columns(keys))
        changes.append(_changes(grid, judge, categories).with_columns(keys))
    return pl.concat(differences), pl.concat(changes)


def _names(grid: RunArrays) -> list[pl.Expr]:
    return [pl.lit(name).alias(f"model_{end}") for name, end in zip(grid.models, "ab", strict=True)]


def _differences(
    grid: RunArrays, judge: str, categories: np.ndarray, resamples: Resamples
) -> pl.DataFrame:
    every = rates(grid, judge, 1.0, "three_way")
    # (measures, 2, prompts)
    values = np.stack([every[measure][:, 0] for measure in MEASURES])
    differences = values[:, 0] - values[:, 1]
    values = np.where(np.isnan(differences)[:, None], np.nan, values)
    invalid = np.nan_to_num(grid.measure(judge, "n_invalid")[:, 0]).sum(axis=0)
    groups = [ALL, *dict.fromkeys(categories)]
    tables = []
    for group in groups:
        of = np.flatnonzero((categories == group) | (group == ALL))
        these = differences[:, of]
        n = (~np.isnan(these)).sum(axis=-1)
        low, high = interval(resamples.means(these, of), n)
        p = [
            test(row) if any_ else np.nan
            for (test, _), row, any_ in zip(MEASURES.values(), these, n, strict=True)
        ]
        of_a, of_b = prompt_mean(values[:, :, of]).T
        tables.append(
            pl.DataFrame(
                {
                    "category": [group] * len(MEASURES),
                    "measure": list(MEASURES),
                    "n": n,
                    "n_invalid": np.full(len(MEASURES), invalid[of].sum()),
                    "value_a": of_a,
                    "value_b": of_b,
                    **estimate("difference", prompt_mean(these), low, high),
                    "p": p,
                }
            )
        )
    table = pl.concat(tables)
    p = table["p"].to_numpy().reshape(len(groups), len(MEASURES))
    corrected = np.vstack([holm(p[0]), *np.apply_along_axis(holm, 0, p[1:])])
    return table.with_columns(p_holm=pl.Series(corrected.ravel())).fill_nan(None)


def _changes(grid: RunArrays, judge: str, categories: np.ndarray) -> pl.DataFrame:
    """Return one row a prompt, most changed first: by total variation of its label shares."""
    counts = grid.counts(judge)[:, 0]
    n = counts.sum(axis=-1)
    of = (n > 0).all(axis=0)
    shares = label_shares(counts[:, of])
    ssi = grid.measure(judge, "ssi")[:, 0][:, of]
    invalid = np.nan_to_num(grid.measure(judge, "n_invalid")[:, 0]).sum(axis=0)
    columns = {
        "prompt_id": np.array(grid.prompt_ids, dtype=object)[of],
        "category": categories[of],
        "n_invalid": invalid[of],
    }
    for place, end in enumerate("ab"):
        columns[f"n_{end}"] = n[place, of]
        for label, share in zip(VALID_LABELS, shares[place].T, strict=True):
            columns[f"{label.lower()}_{end}"] = share
        columns[f"ssi_{end}"] = ssi[place]
    columns["change"] = np.round(np.abs(shares[0] - shares[1]).sum(axis=-1) / 2, 12)
    table = pl.DataFrame(columns, schema_overrides={"prompt_id": pl.String, "category": pl.String})
    return table.sort("change", descending=True, maintain_order=True)
