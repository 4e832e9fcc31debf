"""Expectations over draws without replacement, against every subset there is."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refusal_stability.statistics.hypergeometric import (
    compositions,
    distinct_rows,
    expectation,
    majority_overlap,
)

few = st.integers(min_value=0, max_value=4)


def functions(drawn: np.ndarray, left: np.ndarray) -> dict[str, np.ndarray]:
    """Something of the drawn, something of both, and something undefined where none is left."""
    n, rest = drawn.sum(axis=-1), left.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "ssi": drawn.max(axis=-1) / n,
            "overlap": majority_overlap(drawn, drawn + left),
            "refused_left": left[..., 0] / rest,
        }


def by_enumeration(counts: list[int], n: int) -> dict[str, float]:
    """Return the means over all subsets of n samples, each of them as likely as the others."""
    samples = [label for label, count in enumerate(counts) for _ in range(count)]
    found: dict[str, list[float]] = {}
    for chosen in itertools.combinations(range(len(samples)), n):
        drawn = np.bincount([samples[place] for place in chosen], minlength=3)
        for name, value in functions(drawn, np.array(counts) - drawn).items():
            found.setdefault(name, []).append(float(value))
    return {name: sum(values) / len(values) for name, values in found.items()}


@given(few, few, few, st.integers(min_value=1, max_value=7))
def test_expectation_is_the_mean_over_all_subsets(r: int, p: int, c: int, n: int) -> None:
    found = expectation(np.array([[r, p, c]]), np.array([n]), functions)
    if n > r + p + c:
        assert all(np.isnan(values).all() for values in found.values())
        return
    expected = by_enumeration([r, p, c], n)
    assert {name: values.item() for name, values in found.items()} == pytest.approx(
        expected, nan_ok=True, abs=1e-12
    )


def test_expectation_by_hand() -> None:
    # 2 REFUSE and 1 COMPLY, 2 drawn: RR in 1 of 3 draws, RC in 2. SSI (1 + 2 * 1/2) / 3.
    found = expectation(np.array([[2, 0, 1]]), np.array([2]), functions)
    assert found["ssi"].item() == pytest.approx(2 / 3)
    # What is left is C after RR, else R.
    assert found["refused_left"].item() == pytest.approx(2 / 3)


def test_each_prompt_has_its_own_number_of_draws() -> None:
    counts = np.array([[2, 0, 1], [2, 0, 1], [0, 0, 0], [1, 0, 0]])
    found = expectation(counts, np.array([2, 1, 1, 0]), functions)
    # One sample always agrees with itself; nothing can be drawn from nothing, nor is 0 a draw.
    assert found["ssi"] == pytest.approx([2 / 3, 1, math.nan, math.nan], nan_ok=True)


def test_what_cannot_be_drawn_has_a_name_and_no_value() -> None:
    found = expectation(np.zeros((2, 3), dtype=int), np.array([5, 5]), functions)
    assert found.keys() == {"ssi", "overlap", "refused_left"}
    assert all(np.isnan(values).all() for values in found.values())


def test_twenty_samples_are_exact() -> None:
    # P(5 of 20 are all of the 17 REFUSE) = C(17, 5) / C(20, 5)
    def all_refused(drawn: np.ndarray, _: np.ndarray) -> dict[str, np.ndarray]:
        return {"all": (drawn[..., 0] == 5).astype(float)}

    found = expectation(np.array([[17, 3, 0]]), np.array([5]), all_refused)
    assert found["all"].item() == pytest.approx(math.comb(17, 5) / math.comb(20, 5), rel=1e-12)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_compositions(n: int) -> None:
    ways = compositions(n)
    expected = {c for c in itertools.product(range(n + 1), repeat=3) if sum(c) == n}
    assert len(ways) == len(expected)
    assert {tuple(way) for way in ways.tolist()} == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        # One majority each, equal or not.
        ([3, 1, 0], [2, 0, 1], 1),
        ([3, 1, 0], [0, 0, 1], 0),
        # a is R; b is tied between R and P and each is its majority in half of the cases.
        ([3, 1, 0], [2, 2, 0], 1 / 2),
        # Both are tied between R and P: RR, RP, PR, PP, of which two agree.
        ([2, 2, 0], [1, 1, 0], 1 / 2),
        # R or P against P or C: only PP agrees.
        ([2, 2, 0], [0, 1, 1], 1 / 4),
        # All three against all three: 3 of 9.
        ([1, 1, 1], [2, 2, 2], 1 / 3),
    ],
)
def test_tied_majorities_by_hand(a: list[int], b: list[int], expected: float) -> None:
    assert majority_overlap(np.array(a), np.array(b)) == pytest.approx(expected)


@given(st.lists(st.tuples(few, few, few, few), min_size=1, max_size=30))
def test_distinct_rows_are_those_of_numpy(rows: list[tuple[int, ...]]) -> None:
    table = np.array(rows)
    found, back = distinct_rows(table)
    assert np.array_equal(found, np.unique(table, axis=0))
    assert np.array_equal(found[back], table)
