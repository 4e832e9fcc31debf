"""The flip rate without the judge's noise, from texts that it was asked about again.

A prompt flips by noise alone if every text that decides it would, by the label that the judge gives
it most often, speak against the flip. How often one does is measured on the sampled ones: of
those that stand alone, of pairs, and of those of several, of which two of a prompt are asked about,
as noise may come together. A flip that noise has hidden is one of a lone text too; how often the
judge hides one follows from its repeats. So nothing is supposed of how noise is spread over texts,
and a text that came more than once, whose verdict is shared, counts once.
"""

import numpy as np
import polars as pl

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.core.names import ALL_MODELS
from refusal_stability.experiments.judge_noise.analysis import AS_IN_RUN, Labels
from refusal_stability.experiments.judge_noise.sample import LONE, MINORITY, PAIR, TEXT
from refusal_stability.statistics.bootstrap import (
    Resamples,
    interval,
    wider_than_none,
    wilson_interval,
)
from refusal_stability.statistics.frames import estimate, mean_over_models


def corrected_flips(
    labels: Labels, run: dict[str, pl.DataFrame], prompt_ids: list[str], resamples: Resamples
) -> pl.DataFrame:
    """Return the table judge_noise_flips: a row a judge and model, and the mean of the models.

    Intervals are percentiles over resampled prompts, with chances of noise that are drawn as
    Clopper and Pearson's (1934) bounds are: from what the sample leaves open.

    Args:
        labels: of the sample.
        run: {judge: the run's texts}, from :func:`~experiments.judge_noise.sample.texts_of`.
        prompt_ids: of the run, which ``resamples`` resamples.
        resamples: of the prompts.
    """
    tables = [
        _of_judge(labels, judge, run[judge], prompt_ids, resamples) for judge in labels.judges
    ]
    return pl.concat(tables)


def _of_judge(
    labels: Labels, judge: str, run: pl.DataFrame, prompt_ids: list[str], resamples: Resamples
) -> pl.DataFrame:
    sampled = labels.texts.select(*TEXT, "weight").join(
        run.select(*TEXT, "role", "against"), on=TEXT, how="left", maintain_order="left"
    )
    counts = labels.counts[judge, AS_IN_RUN]
    rng = np.random.default_rng(resamples.seed)
    noisy, n = {}, {}
    for role in (LONE, MINORITY):
        noisy[role], together, n[role] = _noise(sampled, counts, role, resamples.resamples, rng)
    noisy[PAIR], n[PAIR] = _equal_pairs(sampled, counts, resamples.resamples, rng)
    # Where none of a kind was sampled, another kind must do.
    for role, others in {
        LONE: (MINORITY, PAIR),
        MINORITY: (LONE, PAIR),
        PAIR: (LONE, MINORITY),
    }.items():
        known = [other for other in (role, *others) if n[other]]
        noisy[role] = noisy[known[0]] if known else noisy[role]
    noisy["together"] = together
    hidden = _hidden(sampled, counts, resamples.resamples, rng)
    models = run["model"].unique(maintain_order=True).to_list()
    quantities, n_prompts = [], []
    for model in models:
        rates, count = _rates(run.filter(model=model), prompt_ids, noisy, hidden, resamples)
        quantities.append(rates)
        n_prompts.append(count)
    quantities.append(mean_over_models(np.stack(quantities)))
    rows = []
    for model, (observed, kept), count in zip(
        [*models, ALL_MODELS], quantities, [*n_prompts, max(n_prompts)], strict=True
    ):
        size = np.array([count])
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(observed > 0, 1 - kept / observed, np.nan)
        if model == ALL_MODELS and len(models) > 1:
            bounds = wider_than_none(interval(observed[1:, None], size), size)
        else:
            bounds = wilson_interval(observed[:1], size)
        columns = estimate("flip_rate", observed[:1], *bounds)
        for name, values in (("flip_rate_corrected", kept), ("judge_share", share)):
            # The halves of the draws: as little noise as there may be, and as much.
            bounds = [interval(half[:, None], size) for half in np.split(values[1:], 2)]
            low = np.fmin(bounds[0][0], bounds[1][0])
            columns |= estimate(name, values[:1], low, np.fmax(bounds[0][1], bounds[1][1]))
        rows.append(
            {"judge": judge, "model": model, "n_prompts": count}
            | {"n_lone": n[LONE], "n_pairs": n[PAIR], "n_minority": n[MINORITY]}
            | {name: None if np.isnan(of[0]) else float(of[0]) for name, of in columns.items()}
        )
    return pl.DataFrame(rows, infer_schema_length=None)


def _noise(
    sampled: pl.DataFrame, counts: np.ndarray, role: str, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the chance that a text of a role speaks for a flip by noise only, (1 + 2 draws,).

    The first is the estimate; half of the draws are of little noise, and half of much. Of labels
    that are given equally often, each counts a share. Besides: how far texts of one prompt are
    alike in this, (1 + 2 draws,), a correlation; and how many texts were sampled.
    """
    of = (sampled["role"] == role).fill_null(False).to_numpy() & (counts.sum(axis=-1) > 0)
    found = counts[of]
    against = _codes(sampled["against"].to_numpy()[of])
    modes = found == found.max(axis=-1, keepdims=True)
    wrong = modes[np.arange(len(against)), against] / modes.sum(axis=-1)
    texts = sampled.filter(of).select("model", "prompt_id", wrong=wrong)
    weights = sampled["weight"].to_numpy()[of]
    chance = _chance(wrong, weights, draws, rng)
    return chance, _alike(texts, chance[0], draws, rng), int(of.sum())


def _equal_pairs(
    sampled: pl.DataFrame, counts: np.ndarray, draws: int, rng: np.random.Generator
) -> tuple[np.ndarray, int]:
    """Return the chance that a pair does not differ but by noise, (1 + 2 draws,), and its n."""
    modes = counts == counts.max(axis=-1, keepdims=True)
    shares = modes / np.maximum(modes.sum(axis=-1, keepdims=True), 1)
    of = (sampled["role"] == PAIR).fill_null(False).to_numpy() & (counts.sum(axis=-1) > 0)
    pairs: dict[tuple[str, str], list[int]] = {}
    for place in np.flatnonzero(of):
        pairs.setdefault(sampled.row(int(place))[:2], []).append(int(place))
    both = [places for places in pairs.values() if len(places) == 2]
    equal = np.array([(shares[a] * shares[b]).sum() for a, b in both])
    weights = np.array([sampled["weight"][a] for a, _ in both])
    return _chance(equal, weights, draws, rng), len(both)


def _alike(texts: pl.DataFrame, chance: float, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Return the correlation of two texts of a prompt, (1 + 2 draws,); 0 where it is not known."""
    both = (
        texts.group_by("model", "prompt_id")
        .agg(pl.len(), first=pl.col("wrong").first(), last=pl.col("wrong").last())
        .filter(pl.col("len") > 1)
        .sort("model", "prompt_id")
        .select(pl.col("first") * pl.col("last"))
        .to_series()
        .to_numpy()
    )
    spread = chance * (1 - chance)
    if len(both) < 2 or spread < 1e-9:
        return np.zeros(1 + 2 * draws)
    again = both[rng.integers(0, len(both), size=(2 * draws, len(both)))].mean(axis=-1)
    together = np.append(both.mean(), again)
    return np.clip((together - chance**2) / spread, 0, 0.999)


def _hidden(
    sampled: pl.DataFrame, counts: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    """Return how often a text that decides a flip is read as if it did not, (1 + 2 draws,)."""
    decides = sampled["role"].is_in([LONE, MINORITY]).fill_null(False).to_numpy()
    of = decides & (counts.sum(axis=-1) > 0)
    found = counts[of]
    against = _codes(sampled["against"].to_numpy()[of])
    rows = np.arange(len(against))
    real = found.argmax(axis=-1) != against
    if not real.any():
        return np.zeros(1 + 2 * draws)
    missed = (found[rows, against] / found.sum(axis=-1))[real]
    weights = sampled["weight"].to_numpy()[of][real]
    value, n = float((missed * weights).sum() / weights.sum()), _equal_weights(weights)
    # A correction of the correction: from the middle of what the sample leaves open (Jeffreys).
    return np.append(value, rng.beta(value * n + 0.5, (1 - value) * n + 0.5, size=2 * draws))


def _chance(
    values: np.ndarray, weights: np.ndarray, draws: int, rng: np.random.Generator
) -> np.ndarray:
    if len(values) == 0:
        return np.full(1 + 2 * draws, np.nan)
    value = float((values * weights).sum() / weights.sum())
    n = _equal_weights(weights)
    few, many = value * n, (1 - value) * n
    little = rng.beta(few, many + 1, size=draws) if few > 0 else np.zeros(draws)
    much = rng.beta(few + 1, many, size=draws) if many > 0 else np.ones(draws)
    return np.concatenate([[value], little, much])


def _equal_weights(weights: np.ndarray) -> float:
    """Return how many texts of equal weight would say as much."""
    return float(weights.sum() ** 2 / (weights**2).sum())


def _rates(
    run: pl.DataFrame,
    prompt_ids: list[str],
    noisy: dict[str, np.ndarray],
    hidden: np.ndarray,
    resamples: Resamples,
) -> tuple[np.ndarray, int]:
    """Return the flip rate of one model as observed and corrected, (2, 1 + 2 resamples)."""
    prompts = run.group_by("prompt_id").agg(pl.col("majority_size", "minority_size").first())
    sizes = pl.DataFrame({"prompt_id": prompt_ids}).join(
        prompts, on="prompt_id", how="left", maintain_order="left"
    )
    asked = sizes["majority_size"].is_not_null().to_numpy()
    pairs = sizes.select("majority_size", "minority_size").fill_null(0).to_numpy()[asked]
    patterns, place = np.unique(pairs, axis=0, return_inverse=True)
    of = np.full(len(prompt_ids), -1)
    of[asked] = place.ravel()
    once = np.bincount(place.ravel(), minlength=len(patterns))[None].astype(float)
    again = resamples.pattern_counts(of)
    held = np.concatenate([once, again, again])
    real = np.stack([_real(*pattern, noisy, hidden) for pattern in patterns], axis=-1)
    flips = patterns[:, 1] > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        observed = held[:, flips].sum(axis=-1) / held.sum(axis=-1)
        kept = (held[:, flips] * real[:, flips]).sum(axis=-1) / held.sum(axis=-1)
    return np.stack([observed, np.minimum(kept, 1)]), len(pairs)


def _real(
    majority: int, minority: int, noisy: dict[str, np.ndarray], hidden: np.ndarray
) -> np.ndarray:
    """Return how many flips without noise a prompt stands for that flips by so many texts."""
    by_noise = noisy[PAIR] if majority == minority == 1 else _all(minority, noisy)
    if minority == 1:
        return (1 - by_noise) / np.maximum(1 - hidden, 0.5)
    return 1 - by_noise


def _all(texts: int, noisy: dict[str, np.ndarray]) -> np.ndarray:
    """Return the chance that all of a prompt's texts speak for its flip by noise only.

    Of several: that of a prompt is taken to be a draw from a beta distribution with the mean and
    the correlation that were measured.
    """
    if texts == 1:
        return noisy[LONE]
    chance, alike = noisy[MINORITY], np.maximum(noisy["together"], 1e-6)
    total = 1 / alike - 1
    steps = np.arange(texts)[:, None]
    return ((chance * total + steps) / (total + steps)).prod(axis=0)


def _codes(names: np.ndarray) -> np.ndarray:
    return np.array([VALID_LABELS.index(name) for name in names], dtype=int)
