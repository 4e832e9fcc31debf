"""A two-phase sample: few seeds for every prompt, the others where labels differ yet.

Source: Neyman (1938); Cochran (1977), chapter 12. Phase 1 asks every prompt with the first seeds. A
prompt whose valid labels are all alike is settled; phase 2 asks the other seeds of all that are
not, and of a simple random sample of the settled ones, the audit. To take settled prompts for
stable is biased: some would have changed. The audit estimates by how much, without bias, whatever
the rule that settles them: the difference between a settled prompt's measure with all of its
samples and with those of phase 1 has the same mean over the audit, in expectation, as over all.

The interval joins two parts (method of variance estimates recovery, Zou and Donner 2008): of the
prompts, and of the audit. Both are of Wilson's kind, as changes of settled prompts are rare: where
the audit has seen none, there may be some all the same.
"""

from dataclasses import dataclass

import numpy as np

from refusal_stability.core.labels import LABELS, REFUSE, VALID_LABELS
from refusal_stability.experiments.plan_seeds.analysis import measured
from refusal_stability.statistics.bootstrap import rare_mean_interval, score_interval
from refusal_stability.statistics.run_arrays import MISSING

MEASURES = {
    "mean_ssi": "mean SSI",
    "flip_rate": "flip rate",
    "hard_flip_rate": "hard flip rate",
    "refusal_rate": "refusal rate",
    "pair_disagreement": "pair disagreement",
}
# By which signs a settled prompt's measure can change with more samples.
_CHANGES = {
    "mean_ssi": (-1,),
    "flip_rate": (1,),
    "hard_flip_rate": (1,),
    "refusal_rate": (-1, 1),
    "pair_disagreement": (1,),
}
# An audit of fewer says nothing, however small its share.
FEWEST_AUDITED = 10


@dataclass(frozen=True)
class Estimate:
    """An estimate with its interval."""

    value: float
    low: float
    high: float


def settled(labels: np.ndarray) -> np.ndarray:
    """Return which prompts are settled, (prompts,): all valid labels alike, and at least one.

    Args:
        labels: of phase 1, (prompts, temperatures, seeds), codes as of a grid.
    """
    flat = labels.reshape(len(labels), -1)
    valid = flat < len(VALID_LABELS)
    lowest = np.where(valid, flat, MISSING).min(axis=1, initial=MISSING)
    highest = np.where(valid, flat, 0).max(axis=1, initial=0)
    return valid.any(axis=1) & (lowest == highest)


def audit_size(n_settled: int, share: float) -> int:
    """Return how many settled prompts are audited: a share of them, but not too few."""
    return min(n_settled, max(FEWEST_AUDITED, int(np.ceil(round(share * n_settled, 9)))))


def audited(is_settled: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Return which prompts are audited, (prompts,): a simple random sample of the settled ones."""
    places = np.flatnonzero(is_settled)
    drawn = np.random.default_rng(seed).permutation(places)[: audit_size(len(places), share)]
    return np.isin(np.arange(len(is_settled)), drawn)


def measure_of(labels: np.ndarray, measure: str) -> np.ndarray:
    """Return a measure of each prompt, (prompts,), of (prompts, temperatures, seeds) codes.

    nan where there is no valid label; for pair disagreement, where there are not two.
    """
    flat = labels.reshape(len(labels), -1)
    counts = np.stack([(flat == code).sum(axis=1) for code in range(len(VALID_LABELS))], axis=-1)
    if measure == "hard_flip_rate":
        both = (counts[:, LABELS.index(REFUSE)] > 0) & (counts[:, LABELS.index("COMPLY")] > 0)
        return np.where(counts.sum(axis=1) > 0, both, np.nan)
    return measured(counts, measure)


def of_first_phase(labels: np.ndarray, is_settled: np.ndarray, measure: str) -> np.ndarray:
    """Return what a measure of each prompt is taken for after phase 1, (prompts,).

    Args:
        labels: of phase 1, (prompts, temperatures, seeds).
        is_settled: (prompts,).
        measure: of :data:`MEASURES`.
    """
    of_first = measure_of(labels, measure)
    # All labels of a settled prompt are alike, if there is one only, too.
    return np.where(is_settled, 0.0, of_first) if measure == "pair_disagreement" else of_first


def two_phase(
    first: np.ndarray, full: np.ndarray, is_settled: np.ndarray, measure: str
) -> dict[str, object]:
    """Return the naive and the corrected estimate of a mean over prompts, and their precision.

    Args:
        first: each prompt's measure by its samples of phase 1, (prompts,).
        full: by all of its samples; nan for settled prompts that are not audited.
        is_settled: (prompts,).
        measure: of :data:`MEASURES`.

    Returns:
        `naive`, `corrected` and `bias` (naive less corrected), each an :class:`Estimate`; and
        `width_ratio`, that of the interval to one of all samples of as many prompts, and
        `n_prompts`, those with a value.
    """
    # What is taken for a prompt's measure without an audit: (prompts,).
    taken = np.where(is_settled, first, full)
    has_value = ~np.isnan(taken)
    taken, is_settled = taken[has_value], is_settled[has_value]
    change = np.where(is_settled, full[has_value] - taken, np.nan)
    change = np.round(change[~np.isnan(change)], 12)
    n, n_settled, n_audited = len(taken), int(is_settled.sum()), len(change)
    if n == 0 or (n_settled and not n_audited):
        unknown = Estimate(*[float("nan")] * 3)
        names = ("naive", "corrected", "bias")
        return dict.fromkeys(names, unknown) | {"width_ratio": float("nan"), "n_prompts": n}
    share = n_settled / n
    naive = _estimate(taken, score_interval(taken))
    correction, below, above = 0.0, 0.0, 0.0
    if n_settled:
        size = _size_of_changes(taken, measure)
        parts = {}
        for sign in _CHANGES[measure]:
            changes = np.maximum(0, sign * change)
            parts[sign] = _estimate(changes, rare_mean_interval(changes, size))
        nothing = Estimate(0.0, 0.0, 0.0)
        up, down = parts.get(1, nothing), parts.get(-1, nothing)
        correction = up.value - down.value
        below = np.hypot(up.value - up.low, down.high - down.value)
        above = np.hypot(up.high - up.value, down.value - down.low)
    value = naive.value + share * correction
    corrected = Estimate(
        value,
        max(0.0, value - float(np.hypot(naive.value - naive.low, share * below))),
        min(1.0, value + float(np.hypot(naive.high - naive.value, share * above))),
    )
    bias = Estimate(
        -share * correction, -share * (correction + above), -share * (correction - below)
    )
    return {
        "naive": naive,
        "corrected": corrected,
        "bias": bias,
        "width_ratio": _width_ratio(taken, is_settled, change),
        "n_prompts": n,
    }


def _estimate(values: np.ndarray, bounds: tuple[np.ndarray, np.ndarray]) -> Estimate:
    return Estimate(float(values.mean()), *map(float, bounds))


def _size_of_changes(taken: np.ndarray, measure: str) -> float:
    """What changes are taken to be as large as, where the audit has seen none."""
    away = 1 - taken if measure == "mean_ssi" else taken
    if measure == "refusal_rate":
        away = np.minimum(taken, 1 - taken)
    # Those of the prompts that did change in phase 1.
    return float((away**2).sum() / away.sum()) if away.sum() > 0 else 1.0


def _width_ratio(taken: np.ndarray, is_settled: np.ndarray, change: np.ndarray) -> float:
    """The width of a normal interval by two phases to that by all samples of as many prompts.

    The variance of a mean by all samples, of which part is by the changes of settled prompts, is
    that of what is taken, of these changes, and twice their covariance; and the audit adds its
    own, as not all changes are seen.
    """
    n, share = len(taken), is_settled.mean()
    if len(change) == 0:
        return 1.0
    mean, square = change.mean(), (change**2).mean()
    # The audit is of settled prompts only; what is taken for these varies hardly.
    covariance = share * mean * (taken[is_settled].mean() - taken.mean())
    full = taken.var() + share * square - (share * mean) ** 2 + 2 * covariance
    n_settled = is_settled.sum()
    spread = max(0.0, square - mean**2)
    audit = share**2 * spread * (1 / len(change) - 1 / n_settled)
    return float(np.sqrt(1 + audit / (full / n))) if full > 0 else float("nan")
