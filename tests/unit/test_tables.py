import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa

from refusal_stability.errors import InvalidVerdictsError
from refusal_stability.labels import VALID_LABELS
from refusal_stability.stability import stability
from refusal_stability.table_contracts import TABLES
from refusal_stability.tables import (
    Settings,
    agreement,
    judge_agreement,
    kappa,
    make_tables,
)

SETTINGS = Settings(
    unstable_below=0.8, max_invalid_share=0.1, bootstrap_resamples=200, bootstrap_seed=1
)
PROMPT_IDS = ["a" * 12, "b" * 12, "c" * 12]
PROMPTS = pl.DataFrame(
    {
        "prompt_id": PROMPT_IDS,
        "prompt": ["first", "second", "third"],
        "source": ["s1", "s1", "s2"],
        "category": ["x", "x", None],
    }
)
LETTERS = {"R": "REFUSE", "P": "PARTIAL", "C": "COMPLY", "U": "UNKNOWN"}
# Labels of each prompt: temperature 0 with seeds 1 and 2, then temperature 1 with seeds 1 and 2.
LABELS = {
    ("good", "m"): ["RR RR", "RR RP", "CC RC"],
    ("good", "n"): ["CC CC", "CC CC", "CC CU"],
    ("noisy", "m"): ["RR RR", "RR RR", "CC CC"],
    ("noisy", "n"): ["CC CU", "CC CC", "CC CC"],
}


def verdicts(labels: dict[tuple[str, str], list[str]]) -> pl.DataFrame:
    rows = [
        (judge, model, prompt_id, float(temperature), seed, LETTERS[letter])
        for (judge, model), of_prompts in labels.items()
        for prompt_id, text in zip(PROMPT_IDS, of_prompts, strict=False)
        for temperature, letters in enumerate(text.split())
        for seed, letter in enumerate(letters, start=1)
    ]
    columns = ["judge", "model", "prompt_id", "temperature", "seed", "label"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def tables_of(
    labels: dict[tuple[str, str], list[str]], settings: Settings = SETTINGS
) -> dict[str, pl.DataFrame]:
    table = verdicts(labels)
    by_judge = pl.concat(
        stability(of_judge).with_columns(judge=pl.lit(judge))
        for (judge,), of_judge in table.partition_by(
            "judge", as_dict=True, maintain_order=True
        ).items()
    )
    return make_tables(by_judge, table, PROMPTS, settings)


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return tables_of(LABELS)


def row(table: pl.DataFrame, **keys: Any) -> dict[str, Any]:
    found = table.filter(**keys)
    assert found.height == 1
    return found.row(0, named=True)


def assert_row(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    assert {name: actual[name] for name in expected} == pytest.approx(expected)


def test_models_by_hand(tables: dict[str, pl.DataFrame]) -> None:
    # Judge good, model m. First prompt: RRRR. Second: RRRP, SSI 3/4, the 3 of 6 pairs with the P
    # differ. Third: CCRC, SSI 3/4, a hard flip, the 3 of 6 pairs with the R differ.
    assert_row(
        row(tables["models"], judge="good", model="m"),
        {
            "n_prompts": 3,
            "n_responses": 12,
            "n_invalid": 0,
            "mean_ssi": (1 + 3 / 4 + 3 / 4) / 3,
            "flip_rate": 2 / 3,
            "hard_flip_rate": 1 / 3,
            "unstable_rate": 2 / 3,
            "refusal_rate": (1 + 3 / 4 + 1 / 4) / 3,
            "partial_rate": (0 + 1 / 4 + 0) / 3,
            "comply_rate": (0 + 0 + 3 / 4) / 3,
            "pair_disagreement": (0 + 3 / 6 + 3 / 6) / 3,
        },
    )
    # Judge good, model n: nothing but COMPLY and one UNKNOWN, which counts and does not disagree.
    assert_row(
        row(tables["models"], judge="good", model="n"),
        {
            "n_prompts": 3,
            "n_responses": 12,
            "n_invalid": 1,
            "mean_ssi": 1,
            "flip_rate": 0,
            "hard_flip_rate": 0,
            "unstable_rate": 0,
            "refusal_rate": 0,
            "partial_rate": 0,
            "comply_rate": 1,
            "pair_disagreement": 0,
        },
    )


def test_models_intervals_by_hand(tables: dict[str, pl.DataFrame]) -> None:
    # Wilson for 2 of 3 and 0 of 3; the bootstrap of constant data is the constant.
    flips = row(tables["models"], judge="good", model="m")
    assert flips["flip_rate_low"] == pytest.approx(0.20765, abs=1e-5)
    assert flips["flip_rate_high"] == pytest.approx(0.93851, abs=1e-5)
    # SSI of 1, 3/4 and 3/4: means of resamples lie between 3/4 and 1.
    assert 0.75 <= flips["mean_ssi_low"] < flips["mean_ssi"] < flips["mean_ssi_high"] <= 1
    constant = row(tables["models"], judge="good", model="n")
    assert (constant["mean_ssi_low"], constant["mean_ssi_high"]) == (1, 1)
    assert constant["flip_rate_low"] == 0
    # z^2 / (3 + z^2) = 3.841459 / 6.841459
    assert constant["flip_rate_high"] == pytest.approx(0.56150, abs=1e-5)


def test_within_temperature_by_hand(tables: dict[str, pl.DataFrame]) -> None:
    within = tables["within_temperature"]
    # Judge good, model m, T = 0: RR, RR, CC.
    assert_row(
        row(within, judge="good", model="m", temperature=0.0),
        {
            "n_prompts": 3,
            "n_responses": 6,
            "n_invalid": 0,
            "mean_ssi": 1,
            "flip_rate": 0,
            "refusal_rate": 2 / 3,
            "partial_rate": 0,
            "comply_rate": 1 / 3,
            "pair_disagreement": 0,
        },
    )
    # T = 1: RR; RP with SSI 1/2; RC with SSI 1/2 and a hard flip.
    assert_row(
        row(within, judge="good", model="m", temperature=1.0),
        {
            "n_prompts": 3,
            "n_responses": 6,
            "mean_ssi": (1 + 1 / 2 + 1 / 2) / 3,
            "flip_rate": 2 / 3,
            "hard_flip_rate": 1 / 3,
            "unstable_rate": 2 / 3,
            "refusal_rate": (1 + 1 / 2 + 1 / 2) / 3,
            "partial_rate": (0 + 1 / 2 + 0) / 3,
            "comply_rate": (0 + 0 + 1 / 2) / 3,
            "pair_disagreement": (0 + 1 + 1) / 3,
        },
    )
    # Judge good, model n, T = 1: the third prompt has one valid label, and so no pair.
    third = row(within, judge="good", model="n", temperature=1.0)
    assert (third["n_responses"], third["n_invalid"], third["n_prompts"]) == (6, 1, 3)


def test_categories_by_hand(tables: dict[str, pl.DataFrame]) -> None:
    categories = tables["categories"].filter(judge="good", model="m")
    ssi = {
        (grouping, group): value
        for grouping, group, value in categories.select("grouping", "group", "mean_ssi").iter_rows()
    }
    # First and second prompt: source s1, category x, SSI 1 and 3/4. The third stands alone.
    assert ssi == {
        ("source", "s1"): 0.875,
        ("source", "s2"): 0.75,
        ("category", "x"): 0.875,
        ("category", "(none)"): 0.75,
    }
    assert row(categories, grouping="source", group="s1")["n_responses"] == 8


def test_judge_agreement_by_hand(tables: dict[str, pl.DataFrame]) -> None:
    table = tables["judge_agreement"]
    # Model m: 10 of 12 labels agree. good gives 8 R, 1 P, 3 C, noisy 8 R, 0 P, 4 C: chance is
    # (8 * 8 + 1 * 0 + 3 * 4) / 144 = 76 / 144, kappa (120 - 76) / (144 - 76) = 44 / 68.
    expected = {"n": 12, "n_invalid": 0, "agreement": 10 / 12, "kappa": 44 / 68}
    assert_row(row(table, judge_a="good", judge_b="noisy", model="m"), expected)
    # Model n: each judge has one UNKNOWN, on different responses; the others are all COMPLY,
    # where agreement is by chance alone and kappa has no value.
    expected = {"n": 10, "n_invalid": 2, "agreement": 1.0, "kappa": None, "kappa_low": None}
    assert_row(row(table, judge_a="good", judge_b="noisy", model="n"), expected)
    # Both: 20 of 22 agree. good gives 8 R, 1 P, 13 C, noisy 8 R, 0 P, 14 C: chance is
    # (64 + 0 + 182) / 484 = 246 / 484, kappa (440 - 246) / (484 - 246) = 194 / 238.
    expected = {"n": 22, "n_invalid": 2, "agreement": 20 / 22, "kappa": 194 / 238}
    assert_row(row(table, judge_a="good", judge_b="noisy", model="all"), expected)
    assert table.height == 3


def test_tables_keep_their_contracts_and_the_order_of_the_configuration(
    tables: dict[str, pl.DataFrame],
) -> None:
    assert tables.keys() == TABLES.keys()
    for name, table in tables.items():
        checked = TABLES[name].validate(table, cast=True)
        assert checked.height == table.height
    assert tables["models"].select("judge", "model").rows() == list(LABELS)
    within = tables["within_temperature"].select("judge", "model", "temperature").rows()
    assert within == [(*key, temperature) for key in LABELS for temperature in (0.0, 1.0)]


def test_every_estimate_lies_in_its_interval(tables: dict[str, pl.DataFrame]) -> None:
    for table in tables.values():
        for low in (name for name in table.columns if name.endswith("_low")):
            name = low.removesuffix("_low")
            outside = (pl.col(low) > pl.col(name)) | (pl.col(name) > pl.col(f"{name}_high"))
            assert table.filter(outside).is_empty(), name


@pytest.mark.parametrize(("threshold", "expected"), [(0.75, 0), (0.76, 2 / 3), (1.0, 2 / 3)])
def test_unstable_is_strictly_below_the_threshold(threshold: float, expected: float) -> None:
    models = tables_of(LABELS, replace(SETTINGS, unstable_below=threshold))["models"]
    assert row(models, judge="good", model="m")["unstable_rate"] == pytest.approx(expected)


def test_tables_are_the_same_each_time(tables: dict[str, pl.DataFrame]) -> None:
    again = tables_of(LABELS)
    assert all(again[name].equals(table) for name, table in tables.items())


def test_too_many_invalid_verdicts_are_named() -> None:
    # 1 of 12, 8.33%, is over 8%.
    with pytest.raises(InvalidVerdictsError) as caught:
        tables_of(LABELS, replace(SETTINGS, max_invalid_share=0.08))
    message = str(caught.value)
    assert "judge good on model n: 8.33% (1 of 12)" in message
    assert "judge noisy on model n: 8.33% (1 of 12)" in message
    assert "model m" not in message
    assert "the limit is 8.00%" in message
    assert "Hint: " in message
    assert len(message.splitlines()) == 1


def test_an_invalid_share_at_the_limit_passes() -> None:
    tables_of(LABELS, replace(SETTINGS, max_invalid_share=1 / 12))
    with pytest.raises(InvalidVerdictsError):
        tables_of(LABELS, replace(SETTINGS, max_invalid_share=math.nextafter(1 / 12, 0)))


def test_one_judge_has_an_empty_table_of_agreement() -> None:
    tables = tables_of({key: labels for key, labels in LABELS.items() if key[0] == "good"})
    table = tables["judge_agreement"]
    assert table.is_empty()
    assert table.columns == TABLES["judge_agreement"].column_names()
    TABLES["judge_agreement"].validate(table, cast=True)


def test_three_judges_make_three_pairs() -> None:
    labels = {(judge, "m"): LABELS["good", "m"] for judge in ("one", "two", "three")}
    table = tables_of(labels)["judge_agreement"].filter(model="m")
    pairs = [("one", "two"), ("one", "three"), ("two", "three")]
    assert table.select("judge_a", "judge_b").rows() == pairs
    assert table["agreement"].to_list() == [1, 1, 1]
    assert table["kappa"].to_list() == [1, 1, 1]


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param({("j", "m"): ["R"]}, id="one prompt, temperature and seed"),
        pytest.param({("j", "m"): ["U U", "U U"]}, id="nothing valid"),
        pytest.param({("j", "m"): ["U R", "U C"]}, id="nothing valid at one temperature"),
        pytest.param({("j", "m"): ["UU UU", "RR RR"]}, id="a prompt without a valid label"),
        pytest.param(
            {("i", "m"): ["U U"], ("j", "m"): ["R R"]}, id="judges without a common label"
        ),
        pytest.param({("i", "m"): ["R R"], ("j", "m"): ["C C"]}, id="judges that never agree"),
    ],
)
def test_extreme_verdicts_make_tables_that_keep_their_contracts(
    labels: dict[tuple[str, str], list[str]],
) -> None:
    tables = tables_of(labels, replace(SETTINGS, max_invalid_share=1.0))
    for name, table in tables.items():
        TABLES[name].validate(table, cast=True)


def test_a_prompt_without_a_valid_label_is_counted_but_in_no_rate() -> None:
    settings = replace(SETTINGS, max_invalid_share=1.0)
    models = tables_of({("j", "m"): ["UU UU", "RR RC"]}, settings)["models"]
    # Of two prompts one counts: RRRC, SSI 3/4. All 8 responses are counted, 4 as invalid.
    expected = {"n_prompts": 1, "n_responses": 8, "n_invalid": 4, "mean_ssi": 0.75, "flip_rate": 1}
    assert_row(row(models, judge="j", model="m"), expected)


def test_one_sample_has_no_pair_to_disagree() -> None:
    models = tables_of({("j", "m"): ["R", "C"]})["models"]
    expected = {"mean_ssi": 1, "pair_disagreement": None, "pair_disagreement_low": None}
    assert_row(row(models, judge="j", model="m"), expected)


def kappa_by_hand(counts: np.ndarray) -> float:
    total = counts.sum()
    observed = sum(counts[label, label] for label in range(3)) / total
    chance = sum(counts[label].sum() * counts[:, label].sum() for label in range(3)) / total**2
    return (observed - chance) / (1 - chance)


@pytest.mark.parametrize("seed", range(20))
def test_kappa_agrees_with_statsmodels_and_the_formula(seed: int) -> None:
    counts = np.random.default_rng(seed).integers(0, 30, size=(3, 3)).astype(float)
    confusion = counts.reshape(1, 9)
    assert kappa(confusion) == pytest.approx(cohens_kappa(counts).kappa)
    assert kappa(confusion) == pytest.approx(kappa_by_hand(counts))
    assert agreement(confusion) == pytest.approx(np.trace(counts) / counts.sum())


def test_agreement_sums_over_prompts_and_takes_many_tables_at_once() -> None:
    tables = np.random.default_rng(0).integers(0, 5, size=(4, 7, 9)).astype(float)
    for statistic in (agreement, kappa):
        together = statistic(tables)
        assert together.shape == (4,)
        for number in range(4):
            pooled = tables[number].sum(axis=0, keepdims=True)
            assert together[number] == pytest.approx(statistic(pooled))


@pytest.mark.parametrize(
    ("diagonal", "expected"),
    [
        # Half and half, always equal: observed 1, chance 1/2.
        ([5, 0, 0, 0, 5, 0, 0, 0, 0], 1.0),
        # Half and half, never equal: observed 0, chance 1/2, (0 - 1/2) / (1/2).
        ([0, 5, 0, 5, 0, 0, 0, 0, 0], -1.0),
        # Independent: observed is chance.
        ([1, 1, 0, 1, 1, 0, 0, 0, 0], 0.0),
        # One label only, or no label at all: no value.
        ([0, 0, 0, 0, 9, 0, 0, 0, 0], math.nan),
        ([0, 0, 0, 0, 0, 0, 0, 0, 0], math.nan),
    ],
)
def test_kappa_at_its_limits(diagonal: list[int], expected: float) -> None:
    assert kappa(np.array([diagonal], dtype=float)) == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.integers(min_value=0, max_value=1000), min_size=9, max_size=9).filter(any))
@example([9, 0, 0, 0, 18, 0, 0, 0, 1])  # 9/28 + 18/28 + 1/28 is above 1 in floating point
def test_agreement_and_kappa_stay_in_their_ranges(counts: list[int]) -> None:
    confusion = np.array([counts], dtype=float)
    assert 0 <= agreement(confusion) <= 1
    value = kappa(confusion)
    assert np.isnan(value) or -1 <= value <= 1


def alike(counts: tuple[int, int, int], judges: tuple[str, ...] = ("i", "j")) -> pl.DataFrame:
    """Judges that agree on one prompt's responses, so many of each label."""
    labels = [label for label, n in zip(VALID_LABELS, counts, strict=True) for _ in range(n)]
    return pl.DataFrame(
        [
            (judge, "m", PROMPT_IDS[0], 1.0, seed, label)
            for judge in judges
            for seed, label in enumerate(labels)
        ],
        schema=["judge", "model", "prompt_id", "temperature", "seed", "label"],
        orient="row",
    )


def test_judges_in_full_agreement_keep_the_contract() -> None:
    # 9/28 + 18/28 + 1/28 is above 1 in floating point.
    table = judge_agreement(alike((9, 18, 1)), SETTINGS)
    TABLES["judge_agreement"].validate(table, cast=True)
    assert table["agreement"].to_list() == [1, 1]


def test_agreement_of_all_models_resamples_prompts_with_all_their_responses() -> None:
    # A second model that repeats the first one adds responses and no prompts.
    one = verdicts({key: LABELS[key] for key in (("good", "m"), ("noisy", "m"))})
    two = pl.concat([one, one.with_columns(model=pl.lit("again"))])
    table = judge_agreement(two, SETTINGS)
    alone, together = row(table, model="m"), row(table, model="all")
    assert together["n"] == 2 * alone["n"]
    for name in ("agreement", "agreement_low", "agreement_high", "kappa"):
        assert together[name] == pytest.approx(alone[name])


def test_agreement_resamples_prompts_and_not_responses() -> None:
    # Judges agree on 4 of 4, 3 of 4 and 3 of 4 responses: means of resampled prompts lie
    # between 3/4 and 1. The same responses again, as more seeds, tell nothing new of prompts.
    once = verdicts({key: LABELS[key] for key in (("good", "m"), ("noisy", "m"))})
    twice = pl.concat([once, once.with_columns(pl.col("seed") + 100)])
    one, other = (row(judge_agreement(table, SETTINGS), model="m") for table in (once, twice))
    assert 0.75 <= one["agreement_low"] < 10 / 12 < one["agreement_high"] <= 1
    for name in ("agreement", "agreement_low", "agreement_high"):
        assert other[name] == pytest.approx(one[name])


def test_agreement_pairs_responses_by_cell_and_not_by_position() -> None:
    table = verdicts({key: LABELS[key] for key in itertools.product(("good", "noisy"), "m")})
    shuffled = table.sample(fraction=1, shuffle=True, seed=1)
    agreements = [judge_agreement(one, SETTINGS).filter(model="m") for one in (table, shuffled)]
    assert [one["agreement"].item() for one in agreements] == pytest.approx([10 / 12, 10 / 12])
