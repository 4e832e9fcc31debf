"""The experiment `determinism` on passes whose truth is planted."""

import hashlib

import numpy as np
import polars as pl
import pytest

from refusal_stability.experiments.determinism import figure
from refusal_stability.experiments.determinism.analysis import Arm, caption, determinism_tables
from refusal_stability.schemas import storage
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES

MODES = ("default", "deterministic_kernels", "one_at_a_time", "batch_invariant")
SAME = {"differ": 0, "differ_repeated": 0, "differ_cached": 0, "differ_company": 0}
GOOD = {"available": True, "reason": None, "requests": 8} | SAME
ABSENT = {"available": False, "reason": "no such GPU", "requests": 0}
ABSENT |= dict.fromkeys(SAME) | {"differ": 0}
N = 100


def arm(odd: np.ndarray, n_passes: int = 5, test: dict = GOOD, relabelled: int = 0) -> Arm:
    """Passes in which prompt i differs in pass odd[i] alone, from token 12 on; -1 is none.

    Of the prompts that differ, the first ``relabelled`` get another label there.
    """
    passes, verdicts, left = [], [], relabelled
    for prompt, which in enumerate(odd):
        other_label = which >= 0 and left > 0
        left -= other_label
        for seed in range(n_passes):
            differs = which == seed
            # All others part from the first pass where that one is the odd one.
            parted = differs if which != 0 else seed != 0
            name = f"{prompt:012x}"
            sha = hashlib.sha256(f"{prompt} {differs}".encode()).hexdigest()
            passes.append([name, seed, sha, 30, 12 if parted else 30, 40 if parted else 99])
            label = "COMPLY" if differs and other_label else "REFUSE"
            verdicts.append([name, seed, label])
    schema = ["prompt_id", "seed", "response_sha256", "tokens", "same_tokens", "same_characters"]
    return Arm(
        test,
        pl.DataFrame(passes, schema=schema, orient="row"),
        pl.DataFrame(verdicts, schema=["prompt_id", "seed", "label"], orient="row"),
    )


def nothing() -> Arm:
    empty = arm(np.array([0]))
    return Arm(ABSENT, empty.passes.clear(), empty.verdicts.clear())


def tables(**arms: Arm) -> tuple[dict[str, dict], pl.DataFrame, str]:
    table, prompts = determinism_tables(arms, "m", "j")
    rows = {row["arm"]: row for row in table.iter_rows(named=True)}
    return rows, prompts, caption(table)


def odd_ones(count: int, rng: np.random.Generator, n_passes: int = 5) -> np.ndarray:
    """``count`` of N prompts differ, each in a random pass."""
    return np.where(np.arange(N) < count, rng.integers(n_passes, size=N), -1)


def test_what_is_planted_is_found() -> None:
    odd = odd_ones(30, np.random.default_rng(0))
    rows, prompts, text = tables(
        default=arm(odd, test=GOOD | {"differ": 3, "differ_company": 3}, relabelled=10),
        one_at_a_time=arm(np.full(N, -1)),
        batch_invariant=nothing(),
    )
    default, alone, absent = rows.values()
    assert default["identical"] == 0.7
    assert default["identical_low"] < 0.7 < default["identical_high"]
    assert (default["n_differing"], default["first_token"], default["first_character"]) == (
        30,
        12,
        40,
    )
    assert (default["flips"], default["flip_rate"]) == (10, 0.1)
    assert default["verdict"] == "not deterministic here"
    assert (alone["identical"], alone["flips"], alone["flips_lost"]) == (1, 0, 10)
    # All ten go one way: twice the chance of ten heads.
    assert alone["flips_lost_p"] == pytest.approx(2 * 0.5**10)
    assert absent["identical"] is None
    assert absent["flips_lost"] is None
    assert prompts.height == 30
    assert prompts["first_token"].unique().to_list() == [12]
    assert "byte-identical under one_at_a_time for all of them and default for 0.700" in text
    assert (
        "not deterministic here: default (3 of 8 requests of its self-test: 3 in other company)"
    ) in text
    assert "one_at_a_time loses 10 of them (p = 0.002)" in text
    assert "batch_invariant is not available here: no such GPU." in text


def test_a_lucky_self_test_is_not_the_last_word() -> None:
    rows, _, text = tables(default=arm(odd_ones(5, np.random.default_rng(0))))
    assert rows["default"]["verdict"] == "not deterministic here"
    assert "not deterministic here: default (0 of 8 requests of its self-test)" in text


def test_a_first_pass_that_is_special_is_found() -> None:
    # 12 of 30 in the first pass, where 6 are expected, give or take the root of 30 x 0.2 x 0.8:
    # 2.74 standard deviations, whose chance is 0.036 by Student's t of three degrees of freedom.
    odd = np.concatenate([np.zeros(12), np.arange(18) % 4 + 1, np.full(70, -1)]).astype(int)
    rows, _, text = tables(default=arm(odd))
    assert (rows["default"]["first_alone"], rows["default"]["another_alone"]) == (12, 18)
    assert rows["default"]["first_pass_p"] == pytest.approx(0.0357, abs=5e-4)
    assert "The first pass after the start of the engine differs from the rest" in text


def test_the_first_pass_of_any_arm_is_told() -> None:
    # All of 20, however noisy the default is.
    first = np.where(np.arange(N) < 20, 0, -1)
    noisy = odd_ones(30, np.random.default_rng(3))
    rows, _, text = tables(default=arm(noisy), one_at_a_time=arm(first))
    assert rows["one_at_a_time"]["first_pass_p"] < 0.01
    assert rows["default"]["first_pass_p"] > 0.05
    assert "differs from the rest (one_at_a_time: it alone differs for 20 prompts" in text


def test_passes_that_are_alike_are_rarely_told_apart() -> None:
    rng = np.random.default_rng(1)
    found = [
        tables(default=arm(odd_ones(30, rng)))[0]["default"]["first_pass_p"] for _ in range(150)
    ]
    # A binomial test keeps to its level, and 11 of 150 would be 7.3%.
    assert sum(p < 0.05 for p in found) <= 11


def test_passes_whose_prompts_part_together_are_rarely_told_apart() -> None:
    rng = np.random.default_rng(2)
    found = 0
    for _ in range(150):
        # No pass is special, but each has a rate of its own: batches are shared.
        rates = rng.dirichlet(np.full(5, 3.0))
        odd = np.where(np.arange(N) < 30, rng.choice(5, size=N, p=rates), -1)
        found += tables(default=arm(odd))[0]["default"]["first_pass_p"] < 0.05
    # As if all were independent, 20 of them would be found.
    assert found <= 11


def test_where_replies_part_is_said_by_what_is_equal_before() -> None:
    _, _, text = tables(default=arm(np.array([1, -1])))
    assert "default for 0.500" in text
    assert "(parting after 12 equal tokens, the median)" in text


def test_two_passes_cannot_tell_which_is_odd() -> None:
    rows, _, text = tables(default=arm(np.array([0, 1, -1]), n_passes=2))
    assert rows["default"]["first_pass_p"] is None
    assert rows["default"]["first_alone"] is None
    assert "first pass" not in text


def test_labels_that_are_not_valid_are_counted_and_decide_nothing() -> None:
    given = arm(np.array([2, -1, -1]), relabelled=1)
    no_label = (
        pl.when(pl.col("label") == "COMPLY")
        .then(pl.lit("UNKNOWN"))
        .otherwise("label")
        .alias("label")
    )
    rows, _, _ = tables(default=Arm(GOOD, given.passes, given.verdicts.with_columns(no_label)))
    assert (rows["default"]["n_invalid"], rows["default"]["flips"]) == (1, 0)
    nobody = given.verdicts.with_columns(label=pl.lit("ERROR"))
    rows, _, text = tables(default=Arm(GOOD, given.passes, nobody))
    assert rows["default"]["flips"] is None
    assert "flip" not in text


@pytest.mark.parametrize("case", ["all", "none there", "one prompt"])
def test_tables_keep_their_contracts_and_are_drawn(case: str) -> None:
    arms = {
        "all": {
            "default": arm(odd_ones(9, np.random.default_rng(2)), relabelled=2),
            "batch_invariant": nothing(),
        },
        "none there": {mode: nothing() for mode in MODES},
        "one prompt": {"default": arm(np.array([-1])), "one_at_a_time": arm(np.array([1]))},
    }[case]
    table, prompts = determinism_tables(arms, "m", "j")
    storage.checked(table, EXPERIMENT_TABLES["determinism"], "determinism.csv")
    storage.checked(prompts, EXPERIMENT_TABLES["determinism_prompts"], "determinism_prompts.csv")
    assert caption(table)
    assert figure.determinism(table, prompts).axes or case == "none there"
