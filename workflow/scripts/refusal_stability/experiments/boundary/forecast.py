"""What chances of the labels mean for a prompt's samples: does it flip, and how stable is it?"""

import numpy as np

# Numbers that are held at once.
_BLOCK = 4_000_000


def flip_chance(chances: np.ndarray, n: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    """Return the chance that a prompt's samples have more than one label, (prompts,).

    1 - sum_c prod_T p_Tc^n_T: samples are independent, but at temperature 0 all are the same reply.

    Args:
        chances: of the labels, (prompts, temperatures, labels).
        n: samples of each prompt, (prompts, temperatures).
        temperatures: (temperatures,).
    """
    draws = np.where(temperatures == 0, np.minimum(n, 1), n)
    alike = np.prod(chances ** draws[..., None], axis=1).sum(axis=-1)
    # Without a sample, nothing flips.
    return np.where(n.sum(axis=1) > 0, np.clip(1 - alike, 0, 1), np.nan)


def expected_ssi(chances: np.ndarray, n: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    """Return the expected largest share of one of three labels, (prompts,); exact, by counting.

    Arguments as of :func:`flip_chance`.
    """
    total = n.sum(axis=1)
    side = int(total.max(initial=0)) + 1
    block = max(1, _BLOCK // side**2)
    expected = np.full(len(n), np.nan)
    for start in range(0, len(n), block):
        of = slice(start, start + block)
        expected[of] = _expected_ssi(chances[of], n[of], temperatures, side)
    return expected


def _expected_ssi(
    chances: np.ndarray, n: np.ndarray, temperatures: np.ndarray, side: int
) -> np.ndarray:
    # How likely each number of the first and of the second label is, (prompts, side, side).
    counts = np.zeros((len(n), side, side))
    counts[:, 0, 0] = 1
    for place, temperature in enumerate(temperatures):
        of_label = chances[:, place, :, None, None]
        samples = n[:, place]
        if temperature == 0:
            # One reply, as often as it was asked for.
            steps = [(samples == size, int(size)) for size in np.unique(samples) if size]
        else:
            steps = [(samples > sample, 1) for sample in range(int(samples.max(initial=0)))]
        for drawn, size in steps:
            before, p = counts[drawn], of_label[drawn]
            after = p[:, 2] * before
            after[:, size:] += p[:, 0] * before[:, :-size]
            after[:, :, size:] += p[:, 1] * before[:, :, :-size]
            counts[drawn] = after
    total = n.sum(axis=1)[:, None, None]
    first, second = np.arange(side)[:, None], np.arange(side)[None, :]
    third = total - first - second
    largest = np.maximum(np.maximum(first, second), third)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(third >= 0, counts * largest, 0).sum(axis=(1, 2)) / total[:, 0, 0]
