"""The experiment `seed_scope`: one sampling seed for all prompts of a cell, or one for each.

Counts of refusals are nearly normal, as many prompts add to them, so their variance over S seeds
is as spread as chi-square with S - 1 degrees of freedom, and the ratio of those of two arms as F.
The seeds stand for all that is random: more temperatures are no more of it, as one seed moves all
of them alike (in the published labels the counts of two temperatures correlate with up to .99). So
temperatures are pooled by adding up a seed's refusals at all of them.
"""

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy.special import chdtri, fdtr, fdtri

from refusal_stability.core.cells import temperature_text
from refusal_stability.core.labels import LABELS, REFUSE, VALID_LABELS
from refusal_stability.core.text import SIGNIFICANCE
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.schemas.stages import POOLED
from refusal_stability.statistics.bootstrap import CONFIDENCE
from refusal_stability.statistics.frames import estimate
from refusal_stability.statistics.hypothesis_tests import holm
from refusal_stability.statistics.run_arrays import MISSING, RunArrays
from refusal_stability.statistics.seed_variance import PERMUTATIONS, variance_inflation

CELL, PROMPT, UNKNOWN = "cell", "prompt", "unknown"
TOGETHER, NOT_SHOWN = "prompts move together", "not shown"
CELL_MORE, PROMPT_MORE, ALIKE = "more with a shared seed", "more with own seeds", "not shown"
_TAIL = (1 - CONFIDENCE) / 2


def seed_scope(
    grid: RunArrays, arms: dict[str, str], seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the tables `seed_scope` and `seed_scope_ratio`.

    Only temperatures above 0 count, at which something is drawn, and only prompts with a valid
    label under every seed. Without them, or with a single seed, there is no row.

    Args:
        grid: its models are the arms.
        arms: {model: its seed scope}, "cell", "prompt" or "unknown".
        seed: of the permutations.
    """
    drawn = [at for at, temperature in enumerate(grid.temperatures) if temperature > 0]
    names = ("seed_scope", "seed_scope_ratio")
    if not drawn or len(grid.seeds) < 2:
        return tuple(EXPERIMENT_TABLES[name].create_empty() for name in names)
    rng = np.random.default_rng(seed)
    scopes = {POOLED: drawn} | {temperature_text(grid.temperatures[at]): [at] for at in drawn}
    of_arms, ratios = [], []
    for judge in grid.judges:
        by_scope: dict[str, dict[str, dict]] = {}
        for model, seed_scope in arms.items():
            labels = grid.labels[judge][grid.models.index(model)]
            if (labels == MISSING).all():
                continue
            for scope, temperatures in scopes.items():
                # Labels may lack a temperature that another model has.
                if (labels[:, temperatures] == MISSING).all():
                    continue
                row = {"judge": judge, "model": model, "seed_scope": seed_scope, "scope": scope}
                row |= inflation(labels[:, temperatures], rng)
                of_arms.append(row)
                by_scope.setdefault(scope, {})[seed_scope] = row
        both = [(s, of[CELL], of[PROMPT]) for s, of in by_scope.items() if {CELL, PROMPT} <= {*of}]
        of_judge = [
            {"judge": judge, "scope": scope, **ratio(of_cell, of_prompt)}
            for scope, of_cell, of_prompt in both
        ]
        # Pooled is a question of its own.
        p = np.array([row["p"] for row in of_judge], dtype=float)
        for row, corrected in zip(of_judge, [*p[:1], *holm(p[1:])], strict=True):
            verdict = ALIKE
            if corrected < SIGNIFICANCE:
                verdict = CELL_MORE if row["ratio"] > 1 else PROMPT_MORE
            ratios.append(row | {"p_holm": corrected, "verdict": verdict})
    return _table(of_arms, names[0]), _table(ratios, names[1])


def inflation(labels: np.ndarray, rng: np.random.Generator) -> dict[str, object]:
    """Return the variance over seeds of the number of refusals, and what explains it.

    Args:
        labels: (prompts, temperatures, seeds), codes as of a grid.
        rng: of the permutations.
    """
    # Labels may lack a temperature of another model, or a seed at one of several temperatures.
    labels = labels[:, (labels != MISSING).any(axis=(0, 2))]
    labels = labels[..., (labels != MISSING).any(axis=0).all(axis=0)]
    n_seeds = labels.shape[-1]
    known = (labels < len(VALID_LABELS)).all(axis=(1, 2)) & (n_seeds > 1)
    refused = (labels[known] == LABELS.index(REFUSE)).sum(axis=1)
    if labels.shape[1] == 1:
        found = variance_inflation(refused > 0, rng)
    else:
        found = _of_counts(refused, rng)
    low, high = variance_ratio_interval(found["variance_inflation"], n_seeds)
    # No prompt depends on the seed, so nothing can move together.
    p = found["p"]
    return {
        "n_seeds": n_seeds,
        "n_prompts": len(refused),
        "n_invalid": int(((labels >= len(VALID_LABELS)) & (labels != MISSING)).sum()),
        "variance": found["variance"],
        "expected_variance": found["expected_variance"],
        **{
            name: float(value)
            for name, value in estimate(
                "variance_inflation", *map(np.array, (found["variance_inflation"], low, high))
            ).items()
        },
        "p": p,
        "verdict": TOGETHER if p < SIGNIFICANCE else NOT_SHOWN,
    }


def variance_ratio_interval(value: float, seeds: int) -> tuple[float, float]:
    """Return the bounds of a variance over so many seeds, in units of the expected one."""
    if not value > 0:
        return float("nan"), float("nan")
    df = seeds - 1
    return tuple(float(value * df / chdtri(df, tail)) for tail in (_TAIL, 1 - _TAIL))


def ratio(of_cell: dict, of_prompt: dict) -> dict[str, object]:
    """Return the ratio of two inflations with its F interval and two-sided p."""
    a, b = (row["variance_inflation"] for row in (of_cell, of_prompt))
    df = [row["n_seeds"] - 1 for row in (of_cell, of_prompt)]
    value, low, high, p = (float("nan"),) * 4
    # Without any variance in an arm, as of a model that never wavers, there is no ratio.
    if a > 0 and b > 0:
        value = a / b
        low, high = (value / fdtri(*df, share) for share in (1 - _TAIL, _TAIL))
        p = 2 * min(fdtr(*df, value), 1 - fdtr(*df, value))
    return {
        "model_cell": of_cell["model"],
        "model_prompt": of_prompt["model"],
        "n_invalid": of_cell["n_invalid"] + of_prompt["n_invalid"],
        "inflation_cell": a,
        "inflation_prompt": b,
        "ratio": value,
        "ratio_low": low,
        "ratio_high": high,
        "p": p,
    }


def caption(table: pl.DataFrame, ratios: pl.DataFrame, seeds: Sequence[int]) -> str:
    """Return what was found, in one to three sentences, under the first judge."""
    if table.is_empty():
        why = "There is one seed" if len(seeds) == 1 else "There is no temperature above 0"
        return f"{why}, so nothing varies over seeds."
    rows = table.filter(judge=table["judge"][0], scope=POOLED).rows(named=True)
    temperatures = table.filter(judge=table["judge"][0], model=rows[0]["model"]).height - 1
    parts = []
    for row in sorted(rows, key=lambda row: row["seed_scope"]):
        what = {
            CELL: "with one seed for all prompts of a cell ({})",
            PROMPT: "with a seed for each prompt ({})",
            UNKNOWN: "of {}",
        }[row["seed_scope"]].format(row["model"])
        if not row["n_prompts"]:
            parts.append(f"{what} no prompt has a valid label under every one of several seeds")
            continue
        if row["variance_inflation"] is None:
            parts.append(f"{what} nothing depends on the seed")
            continue
        found = (
            TOGETHER if row["verdict"] == TOGETHER else "that prompts move together is not shown"
        )
        parts.append(
            f"{what} it is {_times(row, 'variance_inflation')} times that of independent draws "
            f"({found}, p = {row['p']:.2g})"
        )
    text = (
        f"The variance of the number of refusals over {rows[0]['n_seeds']} seeds, under "
        f"{rows[0]['judge']}, {temperatures} temperature{'s' * (temperatures > 1)} above 0 "
        f"together: {'; '.join(parts)}."
    )
    pooled = ratios.filter(judge=table["judge"][0], scope=POOLED)
    if pooled.is_empty():
        return f"{text} Of labels there is one arm only, so the two are not compared."
    row = pooled.row(0, named=True)
    if row["ratio"] is None:
        return f"{text} Their ratio is not known."
    shown = {
        CELL_MORE: "a shared seed inflates it",
        PROMPT_MORE: "it is larger with seeds of their own",
        ALIKE: "it is not shown to differ from 1",
    }[row["verdict"]]
    return f"{text} The ratio of the two is {_times(row, 'ratio')}: {shown}."


def _times(row: dict, name: str) -> str:
    if row[f"{name}_low"] is None:
        return f"{row[name]:.3g}"
    value, low, high = (f"{row[f'{name}{end}']:.3g}" for end in ("", "_low", "_high"))
    return f"{value} [{low}, {high}]"


def _of_counts(refused: np.ndarray, rng: np.random.Generator) -> dict[str, float]:
    """As variance_inflation, of each prompt's refusals at several temperatures, (prompts, seeds).

    A prompt's temperatures are shuffled together: its own draws may depend on each other.
    """
    mixed = refused[(refused != refused[:, :1]).any(axis=1)]
    if len(mixed) == 0:
        return variance_inflation(np.zeros((len(refused), refused.shape[1]), dtype=bool), rng)
    observed = mixed.sum(axis=0).var(ddof=1)
    expected = mixed.var(axis=1, ddof=1).sum()
    permuted = [rng.permuted(mixed, axis=1).sum(axis=0).var(ddof=1) for _ in range(PERMUTATIONS)]
    beyond = (np.array(permuted) >= observed - 1e-9).sum()
    return {
        "variance": float(observed),
        "expected_variance": float(expected),
        "variance_inflation": float(observed / expected),
        "p": (1 + int(beyond)) / (PERMUTATIONS + 1),
    }


def _table(rows: list[dict], name: str) -> pl.DataFrame:
    if not rows:
        return EXPERIMENT_TABLES[name].create_empty()
    return pl.DataFrame(rows, infer_schema_length=None).fill_nan(None)
