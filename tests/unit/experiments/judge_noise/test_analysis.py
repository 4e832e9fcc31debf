"""The experiment `judge_noise`: planted noise is found, and taken from the flip rate."""

import hashlib
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from statsmodels.stats.proportion import proportion_confint

from helpers.label_grids import assert_row, row
from refusal_stability.core.errors import InputError
from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.experiments.judge_noise import figure
from refusal_stability.experiments.judge_noise.analysis import (
    Labels,
    across,
    changed,
    labels_of,
    noise,
    within,
)
from refusal_stability.experiments.judge_noise.caption import caption
from refusal_stability.experiments.judge_noise.corrected_flips import corrected_flips
from refusal_stability.experiments.judge_noise.sample import draw, texts_of
from refusal_stability.judging.rounds import CONDITIONS, rounds
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.statistics.bootstrap import Resamples

REPEATS = 5


def sha(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def prompt_ids(n: int) -> list[str]:
    return [f"{number:012x}" for number in range(n)]


def simulated(
    rng: np.random.Generator, prompts: int, wavering: float, noisy: float, error: float
) -> tuple[pl.DataFrame, dict[str, np.ndarray], float]:
    """One model's verdicts; the judge's chance of each label of every text; the true flip rate.

    Args:
        rng: a generator.
        prompts: how many.
        wavering: share of prompts whose replies have several true labels.
        noisy: share of texts, more of them on wavering prompts, that the judge may misread.
        error: chance that it misreads one of these.
    """
    rows, chances, flips = [], {}, 0
    for prompt_id in prompt_ids(prompts):
        texts = rng.integers(1, 21)
        leaning = rng.beta(0.7, 0.7) if rng.random() < wavering else 0.0
        labels = np.where(rng.random(texts) < leaning, rng.integers(1, 3, size=texts), 0)
        flips += len(set(labels)) > 1
        for label in labels:
            name = sha(len(chances))
            misread = error if rng.random() < noisy * (3 if leaning else 1) else 0.0
            chance = np.zeros(3)
            chance[label] = 1 - misread
            chance[(label + rng.integers(1, 3)) % 3] += misread
            chances[name] = chance
            for _ in range(rng.integers(1, 4)):
                rows.append((prompt_id, name))
    judged = {name: VALID_LABELS[rng.choice(3, p=chance)] for name, chance in chances.items()}
    verdicts = pl.DataFrame(rows, schema=["prompt_id", "response_sha256"], orient="row")
    verdicts = verdicts.with_columns(
        temperature=pl.lit(1.0),
        seed=pl.int_range(pl.len()),
        label=pl.col("response_sha256").replace_strict(judged),
    )
    return verdicts, chances, flips / prompts


def corrected(
    rng: np.random.Generator, size: int = 100, resamples: int = 200, **planted: float
) -> tuple[dict, float]:
    """The row of a simulated study's flips, and its true flip rate."""
    verdicts, chances, true = simulated(rng, **planted)
    run = texts_of("m", verdicts)
    texts = draw(run, size)
    counts = np.array(
        [rng.multinomial(3 * REPEATS, chances[name]) for name in texts["response_sha256"]]
    )
    labels = Labels(texts, {("j", "as_in_run"): counts}, {("j", "as_in_run"): 0}, {})
    table = corrected_flips(
        labels,
        {"j": run},
        prompt_ids(planted["prompts"]),
        Resamples(planted["prompts"], resamples, 1),
    )
    return row(table, model="m"), true


def coverage(runs: int, **planted: float) -> dict[str, float]:
    """How often the interval holds the true rate of all studies, and the means of both rates."""
    rng = np.random.default_rng(3)
    found = [corrected(rng, prompts=150, **planted) for _ in range(runs)]
    truth = float(np.mean([true for _, true in found]))
    inside = [
        one["flip_rate_corrected_low"] - 1e-9 <= truth <= one["flip_rate_corrected_high"] + 1e-9
        for one, _ in found
    ]
    return {
        "true": truth,
        "observed": float(np.mean([one["flip_rate"] for one, _ in found])),
        "corrected": float(np.mean([one["flip_rate_corrected"] for one, _ in found])),
        "held": float(np.mean(inside)),
        "width": float(
            np.mean(
                [o["flip_rate_corrected_high"] - o["flip_rate_corrected_low"] for o, _ in found]
            )
        ),
    }


def text_rows(prompts: list[str]) -> pl.DataFrame:
    """Verdicts of texts written as letters; every text is another one."""
    letters = {"R": "REFUSE", "P": "PARTIAL", "C": "COMPLY", "U": "UNKNOWN"}
    rows = [
        (prompt_id, 1.0, place, letters[letter], sha(100 * number + place))
        for number, (prompt_id, text) in enumerate(
            zip(prompt_ids(len(prompts)), prompts, strict=True)
        )
        for place, letter in enumerate(text)
    ]
    columns = ["prompt_id", "temperature", "seed", "label", "response_sha256"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def test_what_a_text_does_to_the_flips_of_its_prompt() -> None:
    texts = texts_of("m", text_rows(["RRRU", "RRRC", "RRPC", "RC", "RPC"]))
    roles = texts.group_by("prompt_id", maintain_order=True).agg("role")["role"].to_list()
    assert [[role[:2] for role in of] for of in roles] == [
        ["st"] * 3,
        ["ma", "ma", "ma", "lo"],
        ["ma", "ma", "mi", "mi"],
        ["pa"] * 2,
        # Of three labels once each, the first counts as the most frequent one.
        ["ma", "mi", "mi"],
    ]
    lone = row(texts, role="lone")
    assert (lone["against"], lone["majority_size"], lone["minority_size"]) == ("REFUSE", 3, 1)


def test_a_text_that_came_more_than_once_counts_once() -> None:
    again = text_rows(["RC"]).sample(8, with_replacement=True, seed=1)
    texts = texts_of("m", again.with_columns(seed=pl.int_range(8, dtype=pl.Int64)))
    assert texts["role"].to_list() == ["pair", "pair"]


def test_half_of_the_sample_is_of_prompts_that_flip_and_weights_are_kept() -> None:
    texts = texts_of("m", text_rows(["R" * 10] * 50 + ["RRRRRC"] * 20 + ["RRRRCC"] * 10))
    drawn = draw(texts, 60)
    counts = dict(drawn.group_by("role").agg(pl.len()).iter_rows())
    assert counts["steady"] == 30
    assert drawn.height == 60
    # Two of each prompt.
    assert counts["minority"] % 2 == 0
    stood_for = dict(drawn.group_by("role").agg(pl.col("weight").sum()).iter_rows())
    # 20 and 10 prompts with 5 and 4 texts of the majority.
    expected = {"steady": 500, "lone": 20, "minority": 20, "majority": 140}
    assert stood_for == pytest.approx(expected)


def test_by_hand() -> None:
    # Of 5 labels, 4 and 1: it changes; of 10 pairs, 4 differ.
    counts = np.array([[4, 1, 0], [5, 0, 0], [0, 0, 0]])
    np.testing.assert_array_equal(changed(counts), [1, 0, np.nan])
    np.testing.assert_allclose(within(counts), [0.4, 0, np.nan])
    # Of 25 pairs, 4 x 1 + 1 x 4 = 8 alike.
    other = np.array([[1, 4, 0], [0, 5, 0], [5, 0, 0]])
    np.testing.assert_allclose(across(counts, other), [17 / 25, 1, np.nan])


def test_the_table_weighs_texts_and_finds_what_differs() -> None:
    run = texts_of("m", text_rows(["RRRC"] * 6))
    drawn = run.head(2).with_columns(weight=pl.Series([3.0, 1.0]))
    again = pl.concat(
        drawn.select("model", "prompt_id", "response_sha256").with_columns(
            judge=pl.lit(judge),
            condition=pl.lit(condition),
            repeat=pl.lit(repeat),
            # Sampled, the first judge once gives the first text another label; the second judge
            # always gives the second text one.
            label=pl.Series(
                [
                    "COMPLY" if (judge, condition, repeat) == ("j", "sampled", 0) else "REFUSE",
                    "REFUSE" if judge == "j" else "PARTIAL",
                ]
            ),
        )
        for judge in ("j", "k")
        for condition in ("one_batch", "shuffled", "one_by_one", "sampled")
        for repeat in range(2)
    )
    labels = labels_of(drawn, again, {"j": run, "k": run})
    table = EXPERIMENT_TABLES["judge_noise"].validate(
        noise(labels, prompt_ids(6), Resamples(6, 200, 1)), cast=True
    )
    # Weights 3 and 1.
    of_j = table.filter(judge="j")
    sampled = row(of_j, condition="sampled", measure="changed")
    assert_row(sampled, {"n_texts": 2, "n_changed": 1, "value": 3 / 4})
    assert row(of_j, condition="as_in_run", measure="changed")["value"] == 0
    # Of its four labels as in the run, all are REFUSE; the run says so too.
    assert row(of_j, condition="sampled", measure="from_run")["value"] == pytest.approx(3 / 8)
    between = row(of_j, condition="one_batch", other_condition="sampled")
    assert between["value"] == pytest.approx(3 / 8)
    assert row(of_j, condition="as_in_run", other_judge="k")["value"] == pytest.approx(1 / 4)
    flips = corrected_flips(labels, {"j": run, "k": run}, prompt_ids(6), Resamples(6, 200, 1))
    # The flip rate that the run has is a share of one model's prompts.
    for one in flips.filter(pl.col("model") != "all").iter_rows(named=True):
        n = one["n_prompts"]
        wilson = proportion_confint(round(one["flip_rate"] * n), n, method="wilson")
        assert (one["flip_rate_low"], one["flip_rate_high"]) == pytest.approx(wilson)
    text = caption(table, flips)
    assert "k labels 25.0% of the texts otherwise than j does." in text


def test_a_judge_without_noise_takes_nothing_from_the_flips() -> None:
    found, _ = corrected(np.random.default_rng(1), prompts=80, wavering=0.4, noisy=0, error=0)
    assert found["flip_rate"] > 0.2
    assert_row(found, {"flip_rate_corrected": found["flip_rate"], "judge_share": 0})
    assert found["flip_rate_corrected_low"] < found["flip_rate"]


@pytest.mark.parametrize(
    ("planted", "at_least"),
    [
        # Nothing but noise, a little on every text.
        ({"wavering": 0, "noisy": 1, "error": 0.02}, 0.9),
        # As much of it on a few texts, most of them of wavering prompts, and spread.
        ({"wavering": 0.3, "noisy": 0.03, "error": 0.3}, 0.9),
        ({"wavering": 0.3, "noisy": 1 / 3, "error": 0.03}, 0.9),
    ],
)
def test_the_interval_holds_the_flip_rate_without_noise(planted: dict, at_least: float) -> None:
    found = coverage(30, **planted)
    assert found["held"] >= at_least
    assert found["observed"] > found["true"] + 0.05
    assert abs(found["corrected"] - found["true"]) < 0.02


@pytest.mark.parametrize(
    "prompts", [["RRR", "RR"], ["R", "C"], ["RRC"], ["RC", "RR"], ["RRC", "RPC", "RRCC"]]
)
def test_where_little_is_there_nothing_breaks(prompts: list[str]) -> None:
    run = texts_of("m", text_rows(prompts))
    texts = draw(run, 10)
    counts = np.eye(3)[texts["label"].to_physical().to_numpy()] * 3
    invalid = {("j", "as_in_run"): 0, ("j", "sampled"): 0}
    labels = Labels(
        texts, dict.fromkeys(invalid, counts), invalid, {"j": np.zeros(texts.height, int)}
    )
    resamples = Resamples(len(prompts), 200, 1)
    flips = EXPERIMENT_TABLES["judge_noise_flips"].validate(
        corrected_flips(labels, {"j": run}, prompt_ids(len(prompts)), resamples), cast=True
    )
    table = noise(labels, prompt_ids(len(prompts)), resamples)
    text = caption(table, flips)
    assert "changes its label of 0 of" in text
    without = (
        "is left without those flips that come of j changing its label of one and the same text."
    )
    assert text.endswith(without if flips["flip_rate"][0] else "there is nothing to correct.")
    plt.close(figure.draw(table, flips))
    assert flips["flip_rate_corrected"].to_list() == flips["flip_rate"].to_list()


def test_without_a_valid_label_there_is_nothing_to_judge_again() -> None:
    with pytest.raises(InputError, match="no reply has a valid label"):
        draw(texts_of("m", text_rows(["UU", "U"])), 10)


def test_labels_that_are_all_invalid_are_no_noise() -> None:
    run = texts_of("m", text_rows(["RRC", "RR", "RPC"]))
    texts = draw(run, 10)
    invalid = {("j", "as_in_run"): 8, ("j", "one_batch"): 8}
    labels = Labels(
        texts, dict.fromkeys(invalid, np.zeros((8, 3))), invalid, {"j": np.zeros(8, int)}
    )
    flips = EXPERIMENT_TABLES["judge_noise_flips"].validate(
        corrected_flips(labels, {"j": run}, prompt_ids(3), Resamples(3, 200, 1)), cast=True
    )
    table = noise(labels, prompt_ids(3), Resamples(3, 200, 1))
    assert caption(table, flips).startswith("No label of j is valid")
    assert flips["flip_rate_corrected"].to_list() == [None, None]


def test_all_conditions_label_all_texts() -> None:
    every = list(rounds(7, 2, 1.0))
    assert Counter(one.condition for one in every) == dict.fromkeys(CONDITIONS, 2)
    for one in every:
        assert sorted(place for batch in one.batches for place in batch) == list(range(7))
        assert (one.temperature == 1.0) is (one.condition == "sampled")
    # A repeat is in other batches.
    first, second = (one for one in every if one.condition == "shuffled")
    assert first.batches != second.batches
