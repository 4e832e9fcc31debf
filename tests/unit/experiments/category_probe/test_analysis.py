"""The experiment `category_probe`: a category that is less stable is found, and no other."""

import itertools

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.label_grids import Letters, grid_of, row, verdicts_of_codes
from refusal_stability.core.errors import InputError
from refusal_stability.experiments.category_probe import figure
from refusal_stability.experiments.category_probe.analysis import (
    caption,
    category_probe,
    chosen_prompts,
    larger_first,
    permutation_p,
)
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES


def probed(labels: Letters | pl.DataFrame, categories: str, **options: object) -> tuple:
    """The table and its caption; a letter of ``categories`` is a prompt's."""
    settings = {"wanted": None, "number": None, "seed": 0} | options
    chosen = chosen_prompts(np.array(list(categories), dtype=object), **settings)
    table = category_probe(grid_of(labels), chosen, (200, 1), permutations=2000)
    table = EXPERIMENT_TABLES["category_probe"].validate(table, cast=True)
    return table, caption(table, chosen)


def test_by_hand() -> None:
    table, _ = probed({("j", "m"): ["RRRR", "RRRP", "RRCC", "RRCC"]}, "aabb", wanted=["b", "a"])
    # SSI 1 and 3/4 of a; 1/2 and 1/2 of b.
    found = row(table, model="m")
    assert (found["category_a"], found["category_b"]) == ("b", "a")
    assert (found["n_a"], found["n_b"]) == (2, 2)
    assert (found["ssi_a"], found["ssi_b"]) == (1 / 2, 7 / 8)
    assert found["difference"] == pytest.approx(-3 / 8)
    # Of the six ways to choose two of four prompts, this one and its mirror are the farthest.
    assert found["p"] == pytest.approx(1 / 3, abs=0.04)


def test_p_is_that_of_all_permutations() -> None:
    values = np.array([0.5, 0.6, 0.9, 0.4, 1.0, 1.0, 0.8, 0.95])

    def welch(of: tuple[int, ...]) -> float:
        first = np.isin(np.arange(8), of)
        a, b = values[first], values[~first]
        return abs(a.mean() - b.mean()) / (a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)) ** 0.5

    every = [welch(of) for of in itertools.combinations(range(8), 4)]
    expected = np.mean(np.array(every) >= welch((0, 1, 2, 3)) - 1e-9)
    found = permutation_p(values, 4, np.random.default_rng(0), 10_000)
    assert found == pytest.approx(expected, abs=0.01)


def test_what_is_constant_does_not_differ_and_what_is_apart_does() -> None:
    rng = np.random.default_rng(0)
    assert permutation_p(np.ones(20), 10, rng, 2000) == 1
    assert permutation_p(np.repeat([1.0, 0.5], 10), 10, rng, 2000) < 0.001
    # One value is no group.
    assert np.isnan(permutation_p(np.array([1.0, np.nan, 0.5, 0.6]), 2, rng, 100))


@given(
    st.lists(st.sampled_from([0.4, 0.5, 0.8, 1.0, np.nan]), min_size=6, max_size=20),
    st.integers(2, 4),
)
def test_sides_may_be_exchanged_and_p_is_a_share(values: list[float], n_a: int) -> None:
    p = permutation_p(np.array(values), n_a, np.random.default_rng(0), 500)
    mirrored = permutation_p(
        np.array(values[::-1]), len(values) - n_a, np.random.default_rng(1), 500
    )
    assert np.isnan(p) == np.isnan(mirrored)
    if not np.isnan(p):
        assert 1 / 501 <= p <= 1
        assert p == pytest.approx(mirrored, abs=0.12)


def test_categories_and_prompts_are_chosen() -> None:
    categories = np.array(list("aaaaaaabbbbbbcc"), dtype=object)
    # c has fewer than five.
    every = chosen_prompts(categories, None, None, 0)
    assert {name: len(of) for name, of in every.items()} == {"a": 7, "b": 6}
    assert list(chosen_prompts(categories, None, 7, 0)) == ["a"]
    drawn = chosen_prompts(categories, ["c", "a"], 4, 0)
    assert {name: len(of) for name, of in drawn.items()} == {"c": 2, "a": 4}
    assert set(categories[drawn["a"]]) == {"a"}
    with pytest.raises(InputError, match=r"no prompt is of 'd'\. Hint: there are a, b, c"):
        chosen_prompts(categories, ["a", "d"], None, 0)


def test_the_larger_category_comes_first_in_words_and_in_the_figure() -> None:
    labels: Letters = {
        ("j", "m"): ["RRCC"] * 5 + ["RRRR"] * 5 + ["RRCC"] * 5,
        ("j", "n"): ["RRRC"] * 5 + ["RRRP"] * 5 + ["RRCC", "RRRR"] * 2 + ["RRCC"],
    }
    table, text = probed(labels, "a" * 5 + "b" * 5 + "c" * 5)
    ranked = larger_first(table.filter(model="all"))
    # m: 1/2, 1, 1/2; n: 3/4, 3/4, 7/10; the means 5/8, 7/8, 3/5.
    assert ranked.select("category_a", "category_b").rows() == [("b", "c"), ("b", "a"), ("a", "c")]
    assert ranked["difference"].to_list() == pytest.approx([11 / 40, 1 / 4, 1 / 40])
    assert (ranked["difference"] == (ranked["ssi_a"] - ranked["ssi_b"]).round(12)).all()
    assert (ranked["difference_low"] <= ranked["difference"]).all()
    assert (ranked["difference"] <= ranked["difference_high"]).all()
    assert text.index("b 0.875 against c 0.600, 0.275 [") < text.index("b 0.875 against a 0.625")
    picture = figure.category_probe(table)
    (axes,) = picture.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["b \N{MINUS SIGN} c", "b \N{MINUS SIGN} a", "a \N{MINUS SIGN} c"]
    # The other model's differences go the same way, 3/4 less 7/10 of a and c.
    drawn = [round(float(x), 9) for line in axes.lines for x in line.get_xdata()]
    assert 1 / 20 in drawn
    assert -1 / 20 not in drawn
    plt.close(picture)


def test_what_is_not_shown_to_differ_is_told_by_its_largest_difference() -> None:
    labels: Letters = {("j", "m"): ["RRRR", "RRRC", "RRCC", "RRRR", "RRRR"] * 3}
    table, text = probed(labels, "aabba" * 3)
    first = larger_first(table).row(0, named=True)
    assert first["p_holm"] >= 0.05
    assert "0 differ in mean SSI" in text
    assert f"The largest difference is {first['category_a']} " in text
    assert "after Holm's correction." in text


def test_one_category_is_nothing_to_compare() -> None:
    table, text = probed({("j", "m"): ["RR"] * 6}, "aaaaaa")
    assert table.is_empty()
    assert text.startswith("1 category has enough prompts")


def test_a_model_that_a_judge_has_not_seen_has_no_row() -> None:
    labels: Letters = {("j", "m"): ["RP"] * 10, ("j", "n"): ["RR"] * 10, ("k", "m"): ["RR"] * 10}
    table, _ = probed(labels, "aaaaabbbbb")
    assert table.select("judge", "model").rows() == [
        ("j", "m"), ("j", "n"), ("j", "all"), ("k", "m"), ("k", "all"),
    ]  # fmt: skip


def study(rng: np.random.Generator, unstable: float) -> pl.DataFrame:
    """30 prompts of each of three categories; of the first a share ``unstable`` more wavers."""
    shares = np.repeat([0.3 + unstable, 0.3, 0.3], 30)
    wavering = rng.random(90) < shares
    complies = rng.random((1, 1, 90, 1, 8)) < np.where(wavering, 0.5, 0.02)[:, None, None]
    return verdicts_of_codes(2 * complies)


def test_a_planted_difference_is_found_and_a_planted_null_is_not() -> None:
    rng = np.random.default_rng(0)
    categories = "x" * 30 + "y" * 30 + "z" * 30

    def rate(unstable: float, studies: int) -> tuple[float, float]:
        """How often x is found to differ from both others, and any pair at all."""
        both, any_pair = 0, 0
        for _ in range(studies):
            table, text = probed(study(rng, unstable), categories)
            differs = table.filter(pl.col("p_holm") < 0.05, model="m0")
            assert f"Of 3 pairs of categories, {differs.height} differ" in text
            both += differs.filter(category_a="x").height == 2
            any_pair += differs.height > 0
        return both / studies, any_pair / studies

    assert rate(0.6, studies=15)[0] >= 0.9
    # One in twenty; of 40 studies 5 or more would be found in 1 of 20 cases.
    assert rate(0.0, studies=40)[1] <= 4 / 40
