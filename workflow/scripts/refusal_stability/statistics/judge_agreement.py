"""Two judges on the same responses: agreement, confusion, and what both agree on."""

import itertools
from collections.abc import Iterator

import numpy as np
import polars as pl

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.statistics.bootstrap import Resamples, interval, prompt_share_interval
from refusal_stability.statistics.frames import estimate, frame, prompt_mean, with_all
from refusal_stability.statistics.hypergeometric import expectation
from refusal_stability.statistics.run_arrays import MISSING, RunArrays

SIZE = len(VALID_LABELS)
# A prompt of which fewer labels are left says little of its stability (arXiv 2512.12066).
MIN_LABELS = 5


def judge_agreement(grid: RunArrays, resamples: Resamples) -> pl.DataFrame | None:
    """Return agreement and its chance-corrected forms of every pair of judges; None with one.

    One row a model and one for all of them together. n counts the responses with a valid label
    from both judges, n_invalid the others that both judged. Intervals resample prompts: with
    all models, a prompt brings its responses of every model along. The columns with_invalid are
    over all responses that both judged, an invalid label being a fourth one.
    """
    tables = []
    for judge_a, judge_b, confusion, invalid in _pairs(grid):
        per_prompt = np.concatenate([confusion, confusion.sum(axis=0, keepdims=True)])
        four = _with_invalid(grid, judge_a, judge_b)
        counted = per_prompt.sum(axis=-1)
        # (resamples, models + 1, 9)
        resampled = resamples.sums(np.moveaxis(per_prompt, -1, 1))
        columns = {}
        for name, statistic in STATISTICS.items():
            value = statistic(_square(per_prompt.sum(axis=1)))
            distribution = statistic(_square(resampled))
            bounds = interval(distribution, (counted > 0).sum(axis=-1))
            columns |= estimate(name, value, *bounds)
        tables.append(
            frame(
                {"model": grid.models_and_all},
                n=counted.sum(axis=-1),
                n_invalid=[*invalid, invalid.sum()],
                **columns,
                agreement_with_invalid=agreement(four),
                kappa_with_invalid=cohens_kappa(four),
            ).with_columns(judge_a=pl.lit(judge_a), judge_b=pl.lit(judge_b))
        )
    return pl.concat(tables) if tables else None


def judge_confusion(grid: RunArrays, resamples: Resamples) -> pl.DataFrame | None:
    """Return how often one judge's label meets the other's; None with one judge."""
    tables = []
    for judge_a, judge_b, confusion, invalid in _pairs(grid):
        per_prompt = np.concatenate([confusion, confusion.sum(axis=0, keepdims=True)])
        n = per_prompt.sum(axis=1)
        resampled = resamples.sums(np.moveaxis(per_prompt, -1, 1))
        with np.errstate(divide="ignore", invalid="ignore"):
            shares = n / n.sum(axis=-1, keepdims=True)
            distribution = resampled / resampled.sum(axis=-1, keepdims=True)
        prompts = (per_prompt.sum(axis=-1) > 0).sum(axis=-1)[:, None]
        every = np.append(invalid, invalid.sum())
        tables.append(
            frame(
                {"model": grid.models_and_all, "label_a": VALID_LABELS, "label_b": VALID_LABELS},
                n=n,
                n_invalid=np.repeat(every, SIZE**2),
                **estimate("share", shares, *interval(distribution, prompts)),
            ).with_columns(judge_a=pl.lit(judge_a), judge_b=pl.lit(judge_b))
        )
    return pl.concat(tables) if tables else None


def consensus(grid: RunArrays, resamples: Resamples, unstable_below: float) -> pl.DataFrame | None:
    """Return stability on the labels that two judges share; None with one judge.

    Fewer labels are stabler by themselves. Beside each judge's own labels and the shared ones
    stands therefore the expectation if as many labels of that judge are deleted at random.
    Prompts with fewer than MIN_LABELS left are left out.
    """

    def measures(drawn: np.ndarray, _: np.ndarray) -> dict[str, np.ndarray]:
        n = drawn.sum(axis=-1)
        ssi = drawn.max(axis=-1) / np.maximum(n, 1)
        return {
            "mean_ssi": ssi,
            "flip_rate": (ssi < 1).astype(float),
            "unstable_rate": (ssi < unstable_below).astype(float),
        }

    tables = []
    for judge_a, judge_b, confusion, invalid in _pairs(grid):
        square = _square(confusion)
        shared = np.diagonal(square, axis1=-2, axis2=-1)
        left = shared.sum(axis=-1)
        own = {"a": square.sum(axis=-1), "b": square.sum(axis=-2)}
        labels = {"both": (shared, left)}
        for name, counts in own.items():
            labels[f"judge_{name}"] = (counts, counts.sum(axis=-1))
            labels[f"judge_{name}_random"] = (counts, left)
        for name, (counts, drawn) in labels.items():
            drawn = np.where(drawn >= MIN_LABELS, drawn, 0)
            found = expectation(counts.reshape(-1, SIZE), drawn.ravel(), measures)
            # (measures, models + 1, prompts)
            values = np.stack([with_all(of.reshape(drawn.shape)) for of in found.values()])
            n = (~np.isnan(values)).sum(axis=-1)
            means, distribution = prompt_mean(values), resamples.means(values)
            columns = {"n_prompts": n[0]}
            for place, column in enumerate(found):
                shares = column != "mean_ssi" and not name.endswith("_random")
                if shares:
                    bounds = prompt_share_interval(values[place])
                else:
                    bounds = interval(distribution[:, place], n[place])
                columns |= estimate(column, means[place], *bounds)
            of_model = drawn.sum(axis=-1)
            tables.append(
                frame(
                    {"model": grid.models_and_all},
                    n_labels=np.append(of_model, of_model.sum()),
                    n_invalid=np.append(invalid, invalid.sum()),
                    **columns,
                ).with_columns(
                    judge_a=pl.lit(judge_a), judge_b=pl.lit(judge_b), labels=pl.lit(name)
                )
            )
    return pl.concat(tables) if tables else None


def agreement(confusion: np.ndarray) -> np.ndarray:
    """Return the share of equal labels, (...), of tables of two judges' labels, (..., 3, 3)."""
    # Whole numbers until the last step, so that full agreement is exactly 1.
    with np.errstate(invalid="ignore"):
        return np.trace(confusion, axis1=-2, axis2=-1) / confusion.sum(axis=(-2, -1))


def cohens_kappa(confusion: np.ndarray) -> np.ndarray:
    """Return Cohen's (1960) kappa, (p_o - p_e) / (1 - p_e); nan where p_e is 1."""
    # Both sides times the square of the number of responses.
    n = confusion.sum(axis=(-2, -1))
    observed = np.trace(confusion, axis1=-2, axis2=-1) * n
    expected = (confusion.sum(axis=-1) * confusion.sum(axis=-2)).sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(n**2 > expected, (observed - expected) / (n**2 - expected), np.nan)


def krippendorffs_alpha(confusion: np.ndarray) -> np.ndarray:
    """Return Krippendorff's (2004) alpha for two coders and nominal labels, 1 - D_o / D_e.

    nan where only one label occurs.
    """
    used = confusion.sum(axis=-1) + confusion.sum(axis=-2)
    total = used.sum(axis=-1)
    alike = (used * (used - 1)).sum(axis=-1)
    pairs = total * (total - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = 1 - agreement(confusion)
        return np.where(pairs > alike, 1 - observed * pairs / (pairs - alike), np.nan)


def gwets_ac1(confusion: np.ndarray) -> np.ndarray:
    """Return Gwet's (2008) AC1: chance agreement is sum pi (1 - pi) / (q - 1) over q labels."""
    with np.errstate(invalid="ignore", divide="ignore"):
        n = confusion.sum(axis=(-2, -1))
        share = (confusion.sum(axis=-1) + confusion.sum(axis=-2)) / (2 * n[..., None])
        expected = (share * (1 - share)).sum(axis=-1) / (SIZE - 1)
        return (agreement(confusion) - expected) / (1 - expected)


# Written here because the bootstrap needs each of thousands of tables at once.
STATISTICS = {
    "agreement": agreement,
    "kappa": cohens_kappa,
    "krippendorff_alpha": krippendorffs_alpha,
    "gwet_ac1": gwets_ac1,
}


def confusion_by_prompt(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return two judges' counts of label pairs, and how many responses have no valid pair.

    Args:
        a, b: label indices, (models, prompts, samples); MISSING where a judge has no verdict.

    Returns:
        (models, prompts, 9), and (models,): responses that both judged, not both validly.
    """
    models, prompts, _ = a.shape
    both = (a != MISSING) & (b != MISSING)
    valid = (a < SIZE) & (b < SIZE)
    place = np.arange(models * prompts).reshape(models, prompts, 1)
    # Unsigned bytes would overflow.
    cell = (place * SIZE + a) * SIZE + b
    counts = np.bincount(cell[valid], minlength=models * prompts * SIZE**2)
    return counts.reshape(models, prompts, SIZE**2), (both & ~valid).sum(axis=(1, 2))


def _pairs(grid: RunArrays) -> Iterator[tuple[str, str, np.ndarray, np.ndarray]]:
    for judge_a, judge_b in itertools.combinations(grid.judges, 2):
        shape = (len(grid.models), len(grid.prompt_ids), -1)
        a, b = (grid.labels[judge].reshape(shape) for judge in (judge_a, judge_b))
        yield judge_a, judge_b, *confusion_by_prompt(a, b)


def _with_invalid(grid: RunArrays, judge_a: str, judge_b: str) -> np.ndarray:
    """Return (models + 1, 4, 4) counts of label pairs, any invalid label being the fourth."""
    tables = []
    for a, b in zip(grid.labels[judge_a], grid.labels[judge_b], strict=True):
        both = (a != MISSING) & (b != MISSING)
        labels = (np.minimum(label[both], SIZE).astype(int) for label in (a, b))
        cells = np.ravel_multi_index(tuple(labels), (SIZE + 1, SIZE + 1))
        tables.append(np.bincount(cells, minlength=(SIZE + 1) ** 2))
    counts = np.array(tables).reshape(-1, SIZE + 1, SIZE + 1)
    return np.concatenate([counts, counts.sum(axis=0, keepdims=True)])


def _square(counts: np.ndarray) -> np.ndarray:
    return counts.reshape(*counts.shape[:-1], SIZE, SIZE)
