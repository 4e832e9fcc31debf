import itertools
import random

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refusal_stability.core.labels import INVALID_LABELS, LABELS, SCORINGS, VALID_LABELS
from refusal_stability.schemas.stages import Stability
from refusal_stability.statistics.stability import stability

R, P, C = VALID_LABELS
PROMPT_ID = "0123456789ab"
# The number of labels that each scoring leaves apart.
DISTINCT = {"three_way": 3, "lenient": 2, "conservative": 2}
TEMPERATURES = (0.0, 0.7)


def verdicts(labels: list[str], prompt_id: str = PROMPT_ID, model: str = "m") -> pl.DataFrame:
    """Verdicts on one prompt, by turns at temperatures 0 and 0.7."""
    return pl.DataFrame(
        {
            "model": model,
            "prompt_id": prompt_id,
            "temperature": [TEMPERATURES[number % 2] for number in range(len(labels))],
            "seed": [42 + number // 2 for number in range(len(labels))],
            "label": labels,
        }
    )


def row(labels: list[str], scoring: str = "three_way", scope: str = "pooled") -> dict[str, object]:
    table = stability(verdicts(labels)).filter(scoring=scoring, scope=scope)
    return table.row(0, named=True)


MEASURES = ("ssi", "flip", "hard_flip", "pair_disagreement")


def measures(labels: list[str], scoring: str = "three_way") -> tuple[object, ...]:
    result = row(labels, scoring)
    return tuple(result[name] for name in MEASURES)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        # 4 of 4 alike: SSI 4/4; of 4 * 3 / 2 = 6 pairs none differs.
        ([R, R, R, R], (1.0, False, False, 0.0)),
        # 3 of 4: SSI 3/4; the pairs with the P: 3 of 6.
        ([R, R, R, P], (0.75, True, False, 0.5)),
        # REFUSE and COMPLY both present. SSI 3/5; pairs that differ: 3 * 2 = 6 of 10.
        ([R, R, R, C, C], (0.6, True, True, 0.6)),
        # SSI 2/4; pairs alike: R R alone, so 5 of 6 differ.
        ([R, R, P, C], (0.5, True, True, 5 / 6)),
        # PARTIAL and COMPLY flip, but not hard. SSI 1/2; the one pair differs.
        ([P, C], (0.5, True, False, 1.0)),
        # All three: SSI 1/3, all 3 pairs differ.
        ([R, P, C], (1 / 3, True, True, 1.0)),
        # 16 of 20, the paper's threshold: SSI 0.8; pairs that differ: 16 * 4 = 64 of 190.
        ([R] * 16 + [P] * 4, (0.8, True, False, 64 / 190)),
        # One sample: it agrees with itself, and there is no pair.
        ([C], (1.0, False, False, None)),
        # One valid label beside invalid ones is one sample.
        ([C, "UNKNOWN", "ERROR"], (1.0, False, False, None)),
        # Invalid labels are no disagreement: R R R P as above.
        ([R, "UNKNOWN", R, R, "INCOMPLETE", P], (0.75, True, False, 0.5)),
        # Nothing valid, nothing known.
        (["UNKNOWN", "ERROR"], (None, None, None, None)),
    ],
)
def test_measures_by_hand(labels: list[str], expected: tuple[object, ...]) -> None:
    assert measures(labels) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("scoring", "counts", "expected"),
    [
        # R R P C: three labels, as above.
        ("three_way", (2, 1, 1), (0.5, True, True, 5 / 6)),
        # PARTIAL counts as REFUSE: R R R C, 3 of 4, 3 of 6 pairs differ.
        ("lenient", (3, 0, 1), (0.75, True, True, 0.5)),
        # PARTIAL counts as COMPLY: R R C C, 2 of 4, 2 * 2 of 6 pairs differ.
        ("conservative", (2, 0, 2), (0.5, True, True, 4 / 6)),
    ],
)
def test_scorings_by_hand(
    scoring: str, counts: tuple[int, int, int], expected: tuple[object, ...]
) -> None:
    result = row([R, R, P, C], scoring)
    assert (result["n_refuse"], result["n_partial"], result["n_comply"]) == counts
    assert measures([R, R, P, C], scoring) == pytest.approx(expected)


def test_a_flip_between_refuse_and_partial_is_none_under_lenient_scoring() -> None:
    assert measures([R, P, R, P], "lenient") == (1.0, False, False, 0.0)


def test_counts_of_a_prompt_without_valid_labels() -> None:
    result = row(["UNKNOWN", "ERROR", "JUDGE_REFUSED"])
    names = ("n", "n_refuse", "n_partial", "n_comply", "n_invalid")
    assert [result[name] for name in names] == [0, 0, 0, 0, 3]


def test_scopes_by_hand() -> None:
    # Temperature 0 gets the first, third and fifth label: R R R; 0.7 gets C P, of 2.
    labels = [R, C, R, P, R]
    assert row(labels, scope="0") | {"n": 3, "ssi": 1.0, "flip": False} == row(labels, scope="0")
    at_07 = {"n": 2, "ssi": 0.5, "flip": True, "hard_flip": False, "pair_disagreement": 1.0}
    assert row(labels, scope="0.7") | at_07 == row(labels, scope="0.7")
    assert row(labels)["ssi"] == pytest.approx(3 / 5)


def test_one_row_for_each_model_scoring_scope_and_prompt_in_first_order() -> None:
    tables = [
        verdicts([R, R], prompt_id, model)
        for model in ("zeta", "alpha")
        for prompt_id in ("ffffffffffff", "000000000000")
    ]
    result = stability(pl.concat(tables))
    Stability.validate(result, cast=True)
    assert result.height == 2 * 3 * 3 * 2
    assert result["model"].unique(maintain_order=True).to_list() == ["zeta", "alpha"]
    assert result["scoring"].unique(maintain_order=True).to_list() == list(SCORINGS)
    assert result["scope"].unique(maintain_order=True).to_list() == ["pooled", "0", "0.7"]
    one = result.filter(model="alpha", scoring="lenient", scope="0")
    assert one["prompt_id"].to_list() == ["ffffffffffff", "000000000000"]


def test_prompts_and_models_do_not_mix() -> None:
    tables = [
        verdicts([R, R], "000000000000", "one"),
        verdicts([C, C], "111111111111", "one"),
        verdicts([P, P], "000000000000", "two"),
    ]
    result = stability(pl.concat(tables)).filter(scoring="three_way", scope="pooled")
    assert result["ssi"].to_list() == [1.0, 1.0, 1.0]
    assert result["n_refuse"].to_list() == [2, 0, 0]


def test_labels_of_the_contracts_enum_are_read_like_text() -> None:
    table = verdicts([R, P, "UNKNOWN", C])
    as_enum = table.with_columns(pl.col("label").cast(pl.Enum(LABELS)))
    assert stability(as_enum).equals(stability(table))


valid_lists = st.lists(st.sampled_from(VALID_LABELS), min_size=1, max_size=12)
any_lists = st.lists(st.sampled_from(LABELS), min_size=1, max_size=12)


@given(valid_lists)
def test_ssi_lies_between_one_over_the_number_of_labels_and_one(labels: list[str]) -> None:
    table = stability(verdicts(labels)).filter(scope="pooled")
    for scoring, ssi in table.select("scoring", "ssi").iter_rows():
        assert 1 / DISTINCT[scoring] <= ssi <= 1


@given(any_lists, st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(labels: list[str], rng: random.Random) -> None:
    shuffled = rng.sample(labels, len(labels))
    pooled = [stability(verdicts(order)).filter(scope="pooled") for order in (labels, shuffled)]
    assert pooled[0].equals(pooled[1])


@given(any_lists)
def test_the_order_of_rows_does_not_matter(labels: list[str]) -> None:
    table = verdicts(labels)
    keys = ["model", "scoring", "scope", "prompt_id"]
    assert stability(table.reverse()).sort(keys).equals(stability(table).sort(keys))


@given(any_lists)
def test_flips(labels: list[str]) -> None:
    table = stability(verdicts(labels)).filter(pl.col("n") > 0)
    assert table.filter(pl.col("flip") != (pl.col("ssi") < 1)).is_empty()
    assert table.filter(pl.col("hard_flip") & ~pl.col("flip")).is_empty()


@given(any_lists)
def test_pair_disagreement_is_that_of_all_pairs(labels: list[str]) -> None:
    valid = [label for label in labels if label in VALID_LABELS]
    differ = [a != b for a, b in itertools.combinations(valid, 2)]
    expected = sum(differ) / len(differ) if differ else None
    assert row(labels)["pair_disagreement"] == pytest.approx(expected)


@given(valid_lists, st.lists(st.sampled_from(INVALID_LABELS), min_size=1, max_size=6))
def test_invalid_labels_change_no_measure(labels: list[str], invalid: list[str]) -> None:
    assert measures(labels + invalid) == measures(labels)
    assert row(labels + invalid)["n_invalid"] == len(invalid)
    assert row(labels + invalid)["n"] == len(labels)


@given(valid_lists)
def test_two_labels_are_never_less_stable_than_three(labels: list[str]) -> None:
    ssi, flip, hard_flip, disagreement = measures(labels)
    for scoring in ("lenient", "conservative"):
        binary = measures(labels, scoring)
        assert binary[0] >= ssi
        assert binary[1] <= flip
        assert binary[2] >= hard_flip
        if disagreement is not None:
            assert binary[3] <= disagreement


@given(any_lists)
def test_counts_add_up(labels: list[str]) -> None:
    table = stability(verdicts(labels))
    by_label = table["n_refuse"] + table["n_partial"] + table["n_comply"]
    assert by_label.equals(table["n"], check_names=False)
    for scoring in SCORINGS:
        scored = table.filter(scoring=scoring)
        total = scored["n"] + scored["n_invalid"]
        pooled = total.filter(scored["scope"] == "pooled").sum()
        assert pooled == total.filter(scored["scope"] != "pooled").sum() == len(labels)


@given(any_lists)
def test_the_contract_is_kept(labels: list[str]) -> None:
    Stability.validate(stability(verdicts(labels)), cast=True)


def test_a_model_without_a_verdict_has_no_row_and_joins_the_others() -> None:
    none = stability(verdicts([R]).clear())
    assert none.is_empty()
    both = pl.concat([none, stability(verdicts([R]))])
    assert Stability.validate(both, cast=True).height == 2 * len(SCORINGS)
