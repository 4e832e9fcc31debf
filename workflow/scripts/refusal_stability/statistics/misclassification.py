"""A model of two judges who misread some labels: Dawid and Skene's (1979), with types of prompts.

Assumed are: every response has a true label; a judge gives label l to a response of true label z
with a probability M[z, l] of its own, whatever the prompt; given the true label, the two judges
err independently; and the true labels of a prompt's responses are independent draws with the
shares of the prompt's type, of which there are few. Two judges and types that differ in their
shares suffice to identify all of it (Hui and Walter 1980). Fitted by expectation maximisation.
"""

from dataclasses import dataclass

import numpy as np

from refusal_stability.core.labels import VALID_LABELS

_SIZE = len(VALID_LABELS)
_CYCLES = 400
# The length of a leap, in steps of expectation maximisation.
_LONGEST = 100.0
# Stop when the mean log likelihood of a prompt grows by less in three steps and a leap: the
# estimates are then within a tenth of their intervals' half width of the maximum. A refit begins
# near its end, and only its spread is used: 2% too small at most.
_TOLERANCE, _REFIT_TOLERANCE = 1e-6, 1e-4
_TINY = 1e-300
# Shares of the true labels in each type of prompts. The first three never flip, and stay; the
# others start on the edges and in the middle of the triangle of shares, and are fitted.
_PURE = np.eye(_SIZE)
_MIXED = np.array(
    [
        [0.8, 0.2, 0.0],
        [0.2, 0.8, 0.0],
        [0.0, 0.8, 0.2],
        [0.0, 0.2, 0.8],
        [0.8, 0.0, 0.2],
        [0.2, 0.0, 0.8],
        [0.4, 0.3, 0.3],
    ]
)


@dataclass(frozen=True)
class Parameters:
    """Of each of several fits, the first axis.

    Attributes:
        types: (fits, types, 3), shares of the true labels.
        weights: (fits, types), shares of the prompts.
        judges: two of (fits, 3, 3), M[z, l]: the chance of label l where z is true.
    """

    types: np.ndarray
    weights: np.ndarray
    judges: tuple[np.ndarray, np.ndarray]

    def repeated(self, fits: int) -> "Parameters":
        """Return the first fit, so many times."""
        again = [
            np.repeat(values[:1], fits, axis=0)
            for values in (self.types, self.weights, *self.judges)
        ]
        return Parameters(again[0], again[1], (again[2], again[3]))


def fit(patterns: np.ndarray, weights: np.ndarray) -> Parameters:
    """Return the maximum likelihood fit, from a start that is always the same.

    Args:
        patterns: (patterns, 9), a prompt's counts of (label of the first judge, of the second).
        weights: (1, patterns), how many prompts have each.
    """
    types = np.concatenate([_PURE, 0.94 * _MIXED + 0.02])[None]
    judge = np.full((_SIZE, _SIZE), 0.05) + 0.85 * np.eye(_SIZE)
    n_types = types.shape[1]
    start = Parameters(types, np.full((1, n_types), 1 / n_types), (judge[None], judge[None]))
    return _climb(patterns, weights, start, _TOLERANCE)


def refit(patterns: np.ndarray, weights: np.ndarray, start: Parameters) -> Parameters:
    """Return a fit to each resample, (resamples, patterns), beginning at ``start``."""
    return _climb(patterns, weights, start.repeated(len(weights)), _REFIT_TOLERANCE)


def flip_rates(
    parameters: Parameters, n: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return flip rates as expected of each judge, (fits, 2), and of the true labels, (fits,).

    Args:
        n: (patterns,), how many responses a prompt of each pattern has.
        weights: (fits, patterns); the rates of a fit without any weight are nan.
    """
    sizes, place = np.unique(n, return_inverse=True)
    held = weights @ (place.ravel()[:, None] == np.arange(len(sizes)))
    with np.errstate(invalid="ignore"):
        held = held / held.sum(axis=-1, keepdims=True)

    def flips(shares: np.ndarray) -> np.ndarray:
        alike = (shares[..., None] ** sizes).sum(axis=2)
        return (parameters.weights[..., None] * (1 - alike) * held[:, None]).sum(axis=(1, 2))

    expected = np.stack([flips(parameters.types @ judge) for judge in parameters.judges], axis=-1)
    return expected, flips(parameters.types)


def label_error_rates(parameters: Parameters) -> np.ndarray:
    """Return the chance that each judge's label is not the true one, (fits, 2)."""
    true = (parameters.weights[..., None] * parameters.types).sum(axis=1)
    right = [np.diagonal(judge, axis1=1, axis2=2) for judge in parameters.judges]
    return np.stack([1 - (true * each).sum(axis=-1) for each in right], axis=-1)


def _climb(
    patterns: np.ndarray, weights: np.ndarray, start: Parameters, tolerance: float
) -> Parameters:
    """Iterate every fit until it no longer grows; those that stand are left out.

    Expectation maximisation, accelerated by squared extrapolation and monotone (Varadhan and
    Roland 2008, SQUAREM, scheme S3): after two steps a leap along both, which stands where the
    likelihood is no lower than after the first step. A third step follows it.
    """
    patterns = patterns.astype(float)
    total = weights.sum(axis=-1)
    before = np.full(len(weights), -np.inf)
    going = np.arange(len(weights))
    parts = (start.types, start.weights, *start.judges)
    fitted = np.concatenate([part.reshape(len(weights), -1) for part in parts], axis=1)
    for _ in range(_CYCLES):
        current, held = fitted[going], weights[going]
        once, likelihood = _step(patterns, held, current)
        twice, second = _step(patterns, held, once)
        further, third = _step(patterns, held, _leap(current, once, twice))
        fitted[going] = np.where((third >= second)[:, None], further, twice)
        grown = likelihood - before[going] > tolerance * total[going]
        before[going] = likelihood
        going = going[grown]
        if going.size == 0:
            break
    types, shares, judge_a, judge_b = _parts(fitted)
    return Parameters(types, shares, (judge_a, judge_b))


def _parts(fitted: np.ndarray) -> list[np.ndarray]:
    """Return views of (fits, numbers): types, their weights, and both judges."""
    fits, numbers = fitted.shape
    n_types = (numbers - 2 * _SIZE**2) // (_SIZE + 1)
    ends = np.cumsum([n_types * _SIZE, n_types, _SIZE**2])
    types, shares, *judges = np.split(fitted, ends, axis=1)
    return [
        types.reshape(fits, n_types, _SIZE),
        shares,
        *(judge.reshape(fits, _SIZE, _SIZE) for judge in judges),
    ]


def _leap(start: np.ndarray, once: np.ndarray, twice: np.ndarray) -> np.ndarray:
    """Return start + 2 s r + s^2 v; r is the first step, v the second's change, s = |r| / |v|."""
    first = once - start
    change = twice - once - first
    length = np.sqrt((first**2).sum(axis=1) / np.maximum((change**2).sum(axis=1), _TINY))
    # A leap of length 1 is the two steps.
    s = np.clip(length, 1.0, _LONGEST)[:, None]
    # Never down to 0, which no step would leave.
    landed = np.maximum(start + 2 * s * first + s**2 * change, 0.1 * twice)
    for part in _parts(landed):
        part /= part.sum(axis=-1, keepdims=True)
    return landed


def _step(
    patterns: np.ndarray, weights: np.ndarray, fitted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what a step of expectation maximisation makes of fits, and their likelihood before."""
    types, shares, judge_a, judge_b = _parts(fitted)
    fits = len(fitted)
    # The chance of the pair of labels (a, b) of each true label, and of each type of prompts.
    of_true = (judge_a[..., None] * judge_b[:, :, None]).reshape(fits, _SIZE, -1)
    pair = types @ of_true + _TINY
    # (fits, types, patterns)
    log = (np.log(pair).reshape(-1, _SIZE**2) @ patterns.T).reshape(*shares.shape, -1)
    log += np.log(shares + _TINY)[..., None]
    top = log.max(axis=1, keepdims=True)
    log -= top
    posterior = np.exp(log, out=log)
    norm = posterior.sum(axis=1, keepdims=True)
    likelihood = (weights * (top + np.log(norm))[:, 0]).sum(axis=-1)
    posterior *= weights[:, None] / norm
    # How many responses of each type have each pair of labels, over its chance.
    found = (posterior.reshape(-1, len(patterns)) @ patterns).reshape(pair.shape) / pair
    new_types = _normalised(types * (found @ of_true.mT), types)
    # Those that never flip stay.
    new_types[:, :_SIZE] = types[:, :_SIZE]
    # How many responses have each true label and pair of labels.
    read = (of_true * (types.mT @ found)).reshape(fits, _SIZE, _SIZE, _SIZE)
    parts = (
        new_types,
        # A small resample may hold no prompt with a label at all.
        _normalised(posterior.sum(axis=-1), shares),
        _normalised(read.sum(axis=3), judge_a),
        _normalised(read.sum(axis=2), judge_b),
    )
    return np.concatenate([part.reshape(fits, -1) for part in parts], axis=1), likelihood


def _normalised(counts: np.ndarray, instead: np.ndarray) -> np.ndarray:
    """Return rows that sum to 1; a row of nothing stays what it was."""
    total = counts.sum(axis=-1, keepdims=True)
    return np.where(total > 1e-12, counts / np.maximum(total, 1e-12), instead)
