"""How much of the flips is the judge: estimated from two judges, and from identical text."""

import itertools
from collections.abc import Iterator

import numpy as np
import polars as pl
from scipy.special import ndtr, ndtri

from refusal_stability.core.names import ALL_MODELS
from refusal_stability.statistics.bootstrap import CONFIDENCE, Resamples, interval
from refusal_stability.statistics.frames import estimate, mean_over_models, with_all
from refusal_stability.statistics.judge_agreement import confusion_by_prompt
from refusal_stability.statistics.misclassification import fit, flip_rates, label_error_rates, refit
from refusal_stability.statistics.run_arrays import RunArrays

NO_JUDGE = "none"
TWO_JUDGES, IDENTICAL_TEXT = "two_judges", "identical_text"
# Refits of the two-judge model for its standard errors.
REFITS = 100
# The two-judge model is fitted to at most so many prompts, drawn at random.
MAX_PROMPTS = 2000


def judge_noise(grid: RunArrays, resamples: Resamples) -> pl.DataFrame | None:
    """Return what the judge's own errors add to flips and to pair disagreement.

    Method two_judges: the misclassification model of :mod:`statistics.misclassification`, for
    each judge of a pair, model (and their mean) and scope. Method identical_text: where hashes
    of the responses are known and the same text was judged more than once. None if neither can
    be done.
    """
    rows = [*_two_judges(grid, resamples), *_identical_text(grid, resamples)]
    return pl.DataFrame(rows, infer_schema_length=None).fill_nan(None) if rows else None


def _two_judges(grid: RunArrays, resamples: Resamples) -> Iterator[dict]:
    rng = np.random.default_rng(resamples.seed)
    prompts = np.arange(len(grid.prompt_ids))
    if len(prompts) > MAX_PROMPTS:
        prompts = np.sort(rng.choice(prompts, MAX_PROMPTS, replace=False))
    refits = Resamples(len(prompts), REFITS, resamples.seed)
    for judge_a, judge_b in itertools.combinations(grid.judges, 2):
        labels = [grid.labels[judge][:, prompts] for judge in (judge_a, judge_b)]
        for place, scope in enumerate(grid.scopes):
            at = slice(None) if place == 0 else slice(place - 1, place)
            a, b = (label[:, :, at].reshape(*label.shape[:2], -1) for label in labels)
            confusion, invalid = confusion_by_prompt(a, b)
            estimates = [_estimates(of_model, refits) for of_model in confusion]
            n = np.array([(of_model.sum(axis=-1) > 0).sum() for of_model in confusion])
            if not n.any():
                continue
            for model_place, model in enumerate(grid.models_and_all):
                of = [model_place] if model != ALL_MODELS else np.flatnonzero(n)
                if n[of].sum() == 0:
                    continue
                # (1 + refits, judges, quantities)
                mean = mean_over_models(np.stack([estimates[each] for each in of]))
                for side, (judge, other) in enumerate(((judge_a, judge_b), (judge_b, judge_a))):
                    n_prompts = n[of].max()
                    yield {
                        "judge": judge,
                        "other_judge": other,
                        "model": model,
                        "scope": scope,
                        "method": TWO_JUDGES,
                        "measure": "flip_rate",
                        "n_prompts": n_prompts,
                        "n_invalid": invalid[of].sum(),
                    } | _columns(mean[:, side], n_prompts)


def _estimates(confusion: np.ndarray, refits: Resamples) -> np.ndarray:
    """Return (1 + refits, judges, quantities) of one model, the estimate first.

    The quantities are a judge's flip rate as observed, as the model expects it, without the
    judges' errors, and the judge's error rate.
    """
    present = confusion.sum(axis=-1) > 0
    if not present.any():
        return np.full((1 + REFITS, 2, 4), np.nan)
    patterns, pattern = np.unique(confusion[present], axis=0, return_inverse=True)
    place = np.full(len(confusion), -1)
    place[present] = pattern.ravel()
    once = np.bincount(pattern.ravel(), minlength=len(patterns))[None].astype(float)
    first = fit(patterns, once)
    again = refits.pattern_counts(place)
    found = []
    for parameters, weights in ((first, once), (refit(patterns, again, first), again)):
        expected, noise_free = flip_rates(parameters, patterns.sum(axis=-1), weights)
        errors = label_error_rates(parameters)
        observed = np.stack([weights @ flips for flips in _flips(patterns)], axis=-1)
        with np.errstate(invalid="ignore"):
            observed /= weights.sum(axis=-1, keepdims=True)
        both = np.repeat(noise_free[:, None], 2, axis=1)
        found.append(np.stack([observed, expected, both, errors], axis=-1))
    return np.concatenate(found)


def _flips(patterns: np.ndarray) -> list[np.ndarray]:
    square = patterns.reshape(-1, 3, 3)
    return [((square.sum(axis=axis) > 0).sum(axis=-1) > 1).astype(float) for axis in (2, 1)]


def _columns(quantities: np.ndarray, n_prompts: int) -> dict[str, float]:
    """Return the columns of (1 + refits, quantities); without spread where there is one prompt."""
    if n_prompts < 2:
        quantities = np.concatenate([quantities[:1], np.full_like(quantities[1:], np.nan)])
    observed, expected, noise_free, error = quantities.T
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(expected > 1e-9, 1 - noise_free / expected, np.nan)
    gap = observed - expected
    spread = _spread(gap)
    return {
        "rate": float(np.round(observed[0], 12)),
        "rate_expected": float(np.round(expected[0], 12)) + 0.0,
        # Does the model expect what was seen? Two-sided, from the spread of the refits.
        "check_p": 2 * ndtr(-abs(gap[0]) / spread) if spread > 1e-9 else np.nan,
        **_normal("rate_noise_free", noise_free),
        # Below 0 where the judge hides more flips than it makes.
        **_normal("judge_share", share, lowest=-np.inf),
        **_normal("error_rate", error),
    }


def _normal(name: str, values: np.ndarray, lowest: float = 0.0) -> dict[str, float]:
    """Return the first of ``values`` and its normal interval, by the spread of the others."""
    reach = ndtri((1 + CONFIDENCE) / 2) * _spread(values)
    bounds = np.clip([values[0] - reach, values[0] + reach], lowest, 1.0)
    columns = estimate(name, values[0], *bounds)
    return {column: float(value) for column, value in columns.items()}


def _spread(values: np.ndarray) -> float:
    """Return the standard deviation of all but the first; nan if fewer than two are known."""
    known = values[1:][~np.isnan(values[1:])]
    return float(known.std(ddof=1)) if known.size > 1 else float("nan")


def _identical_text(grid: RunArrays, resamples: Resamples) -> Iterator[dict]:
    for judge, same in grid.same_text.items():
        # The sum over models: a prompt brings its pairs of every model along.
        pairs, differing = np.moveaxis(np.concatenate([same, same.sum(axis=0)[None]]), -1, 0)
        disagreement = with_all(grid.measure(judge, "pair_disagreement")[:, 0])
        invalid = np.nansum(grid.measure(judge, "n_invalid")[:, 0], axis=-1)
        for place, model in enumerate(grid.models_and_all):
            if pairs[place].sum() == 0:
                continue
            known = ~np.isnan(disagreement[place])
            values = np.stack(
                [differing[place], pairs[place], np.nan_to_num(disagreement[place]), known]
            )
            columns = {}
            # (4,) of the run and (resamples, 4) of the resamples
            once, drawn = values.sum(axis=-1), resamples.sums(values)
            n = (pairs[place] > 0).sum()
            for name, column in _of_sums(once[None]).items():
                low, high = interval(_of_sums(drawn)[name], n)
                columns |= {name: column[0], f"{name}_low": float(low), f"{name}_high": float(high)}
            yield {
                "judge": judge,
                "other_judge": NO_JUDGE,
                "model": model,
                "scope": "pooled",
                "method": IDENTICAL_TEXT,
                "measure": "pair_disagreement",
                "n_prompts": n,
                "n_invalid": invalid.sum() if model == ALL_MODELS else invalid[place],
                "rate": once[2] / once[3] if once[3] else np.nan,
                "rate_expected": np.nan,
                "check_p": np.nan,
            } | columns


def _of_sums(sums: np.ndarray) -> dict[str, np.ndarray]:
    differing, pairs, disagreement, known = sums.T
    with np.errstate(divide="ignore", invalid="ignore"):
        error, rate = differing / pairs, disagreement / known
        share = np.where(rate > 0, np.minimum(1, error / rate), np.nan)
    return {
        "rate_noise_free": np.maximum(0, rate - error),
        "judge_share": share,
        "error_rate": error,
    }
