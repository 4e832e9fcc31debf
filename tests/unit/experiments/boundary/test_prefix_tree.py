"""How replies begin: rescaled by temperature as vLLM draws, found again by their text, learned."""

import numpy as np
import polars as pl
import pytest

from refusal_stability.experiments.boundary.prefix_tree import (
    LabelByPrefix,
    PrefixTree,
    folds_of,
    rescaled,
)


def logs(*chances: float) -> np.ndarray:
    return np.log(np.array(chances))


def test_a_temperature_is_a_power() -> None:
    # 0.5^2, 0.3^2, 0.2^2 are 0.25, 0.09, 0.04 of 0.38.
    each, rest = rescaled(logs(0.5, 0.3, 0.2), 0.0, 0.5)
    assert each == pytest.approx([0.25 / 0.38, 0.09 / 0.38, 0.04 / 0.38])
    assert rest == 0
    # As it was, with the rest.
    assert rescaled(logs(0.5, 0.3), 0.2, 1.0)[0] == pytest.approx([0.5, 0.3])
    assert rescaled(logs(0.5, 0.3), 0.2, 1.0)[1] == pytest.approx(0.2)
    # A rest of 0.2 is two tokens of 0.1: 0.02 of 0.16 + 0.01 + 0.02.
    assert rescaled(logs(0.4, 0.1), 0.2, 0.5)[1] == pytest.approx(0.02 / 0.19)


def test_greedy_decoding_takes_the_likeliest() -> None:
    each, rest = rescaled(logs(0.5, 0.3, 0.2), 0.1, 0.0)
    assert (each.tolist(), rest) == ([1, 0, 0], 0)
    # Nearly greedy is no overflow.
    each, rest = rescaled(logs(0.5, 0.3, 0.2), 0.1, 1e-4)
    assert each == pytest.approx([1, 0, 0])


def test_cuts_come_after_the_temperature_top_k_before_top_p() -> None:
    halves = logs(0.5, 0.3, 0.2)
    assert rescaled(halves, 0.0, 1.0, top_k=2)[0] == pytest.approx([0.625, 0.375, 0])
    # The fewest that hold as much: 0.8 are two, and of 0.625 and 0.375 one holds 0.6.
    assert rescaled(halves, 0.0, 1.0, top_p=0.79)[0] == pytest.approx([0.625, 0.375, 0])
    assert rescaled(halves, 0.0, 1.0, top_p=0.81)[0] == pytest.approx([0.5, 0.3, 0.2])
    assert rescaled(halves, 0.0, 1.0, top_p=0.6, top_k=2)[0] == pytest.approx([1, 0, 0])
    # Of 0.66, 0.24 and 0.11 at T = 0.5, one holds 0.6.
    assert rescaled(halves, 0.0, 0.5, top_p=0.6)[0] == pytest.approx([1, 0, 0])
    # The rest is cut as one.
    assert rescaled(logs(0.5, 0.3), 0.2, 1.0, top_k=2)[1] == 0
    assert rescaled(logs(0.5, 0.3), 0.2, 1.0, top_p=0.7)[1] == 0
    assert rescaled(logs(0.5, 0.3), 0.2, 1.0, top_p=0.9)[1] == pytest.approx(0.2)


def tree() -> PrefixTree:
    """No (0.5) or Not (0.3); after No: "," (0.6), the end (0.3)."""
    return PrefixTree(
        pl.DataFrame(
            {
                "beginning": [[], [1]],
                "tokens": [[1, 2], [3, 9]],
                "texts": [["No", "Not"], ["No,", "No"]],
                "logprobs": [logs(0.5, 0.3).tolist(), logs(0.6, 0.3).tolist()],
                "rest": [0.2, 0.1],
            }
        )
    )


def test_chances_of_beginnings_multiply() -> None:
    found = tree().chances(1.0)
    assert found == pytest.approx(
        {
            ("No", "No,"): 0.3,
            ("No", "No"): 0.15,
            ("No", None): 0.05,
            ("Not",): 0.3,
            (None,): 0.2,
        }
    )
    assert tree().chances(0.0) == {("No", "No,"): 1}


@pytest.mark.parametrize(
    ("reply", "path"),
    [
        ("No, I will not.", ("No", "No,")),
        # The end of a reply has no text.
        ("No", ("No", "No")),
        ("No way", ("No", None)),
        # The longest that fits.
        ("Nothing", ("Not",)),
        ("Yes", (None,)),
        ("", (None,)),
    ],
)
def test_a_reply_is_found_in_the_tree(reply: str, path: tuple) -> None:
    assert tree().of_reply(reply) == path


def test_labels_are_learned_from_other_folds_and_smoothed() -> None:
    paths = [("a",), ("a",), ("a",), ("b",)]
    learned = LabelByPrefix(paths, np.array([0, 0, 2, 1]), np.array([0, 1, 1, 1]), 2)
    # Fold 0 has seen a: 1, 0, 1 and b: 0, 1, 0; of all 1, 1, 1 and a third each.
    assert learned.shares(()) == pytest.approx(np.array([[1, 1, 1], [4 / 3 / 2, 1 / 6, 1 / 6]])
        / np.array([[3], [1]]))  # fmt: skip
    assert learned.shares(("a",))[0] == pytest.approx(np.array([4 / 3, 1 / 3, 4 / 3]) / 3)
    # What nobody has seen is as what stands before it.
    assert learned.shares(("c", "d")) == pytest.approx(learned.shares(()))


def test_folds_are_alike() -> None:
    rng = np.random.default_rng(0)
    refuses = rng.random(50)
    shares = np.stack([refuses, np.zeros(50), 1 - refuses], axis=1)
    shares[::10] = np.nan
    fold = folds_of(shares, 5, rng)
    assert np.bincount(fold).tolist() == [10] * 5
    means = [np.nanmean(refuses[(fold == of) & ~np.isnan(shares[:, 0])]) for of in range(5)]
    assert max(means) - min(means) < 0.12
    assert sorted(folds_of(shares[1:4], 5, rng).tolist())[-1] < 5
