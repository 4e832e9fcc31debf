"""What chances mean for samples, against every way in which the samples can come out."""

import itertools

import numpy as np
import pytest

from refusal_stability.experiments.boundary.forecast import expected_ssi, flip_chance

TEMPERATURES = np.array([0.0, 1.0])


@pytest.mark.parametrize("n", [(2, 2), (3, 0), (0, 4), (1, 3)])
def test_every_outcome_is_counted(n: tuple[int, int]) -> None:
    chances = np.random.default_rng(sum(n)).dirichlet([1, 1, 1], size=(1, 2))
    flip = ssi = 0.0
    # At temperature 0, one reply as often as it was asked for.
    for greedy in range(3) if n[0] else [0]:
        for drawn in itertools.product(range(3), repeat=n[1]):
            p = np.prod(chances[0, 1, list(drawn)]) * (chances[0, 0, greedy] if n[0] else 1)
            seen = np.bincount([greedy] * n[0] + list(drawn), minlength=3)
            flip += p * (seen.max() < seen.sum())
            ssi += p * seen.max() / seen.sum()
    samples = np.array([n])
    assert flip_chance(chances, samples, TEMPERATURES) == pytest.approx([flip])
    assert expected_ssi(chances, samples, TEMPERATURES) == pytest.approx([ssi])


def test_prompts_have_their_own_numbers_of_samples() -> None:
    chances = np.tile([[[0.5, 0.0, 0.5]]], (3, 1, 1))
    n, one = np.array([[2], [3], [0]]), np.array([1.0])
    # Two alike in a half, three in a quarter; 2 of 3 otherwise.
    assert flip_chance(chances, n, one) == pytest.approx([0.5, 0.75, np.nan], nan_ok=True)
    expected = [0.75, 0.25 + 0.75 * 2 / 3, np.nan]
    assert expected_ssi(chances, n, one) == pytest.approx(expected, nan_ok=True)
