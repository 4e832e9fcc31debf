"""All tables together: contracts, order, limits, and what may not depend on names or order."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.label_grids import (
    SETTINGS,
    Letters,
    parts,
    prompts_of,
    row,
    tables_of,
    verdicts,
    verdicts_of_codes,
)
from refusal_stability.core.errors import InvalidVerdictsError
from refusal_stability.schemas.tables import TABLES
from refusal_stability.statistics.tables import make_tables

# Labels of each prompt: temperature 0 with seeds 1 and 2, then temperature 1 with seeds 1 and 2.
LABELS: Letters = {
    ("good", "m"): ["RR RR", "RR RP", "CC RC"],
    ("good", "n"): ["CC CC", "CC CC", "CC CU"],
    ("noisy", "m"): ["RR RR", "RR RR", "CC CC"],
    ("noisy", "n"): ["CC CU", "CC CC", "CC CC"],
}
FEW_RESAMPLES = replace(SETTINGS, bootstrap_resamples=30)
# Estimates whose percentile bounds need not hold them: the bootstrap of a correlation is biased,
# and so may be that of a chance-corrected one.
UNCERTAIN = {"spearman", "kappa", "krippendorff_alpha", "gwet_ac1", "fleiss_kappa"}


def checked(tables: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """Assert what holds of every table of every run."""
    assert tables.keys() == TABLES.keys()
    for name, table in tables.items():
        assert TABLES[name].validate(table, cast=True).height == table.height, name
        for low in (column for column in table.columns if column.endswith("_low")):
            value, high = low.removesuffix("_low"), low.removesuffix("_low") + "_high"
            # Nobody wants to read -0.0.
            numbers = table.select(value, low, high).fill_null(0.0).to_numpy()
            assert not np.signbit(numbers[numbers == 0]).any(), low
            # Bounds come together, and never without their estimate.
            assert table[low].is_null().equals(table[high].is_null()), low
            assert table.filter(pl.col(value).is_null() & pl.col(low).is_not_null()).is_empty()
            assert table.filter(pl.col(low) > pl.col(high)).is_empty(), low
    return tables


@pytest.fixture(scope="module")
def tables() -> dict[str, pl.DataFrame]:
    return checked(tables_of(LABELS))


def test_rows_come_in_the_order_of_the_configuration(tables: dict[str, pl.DataFrame]) -> None:
    keys = [(judge, model) for judge in ("good", "noisy") for model in ("m", "n", "all")]
    assert tables["models"].select("judge", "model").rows() == keys
    within = tables["within_temperature"].select("judge", "model", "temperature").rows()
    assert within == [(*key, temperature) for key in keys for temperature in (0.0, 1.0)]


def test_every_estimate_lies_in_its_interval(tables: dict[str, pl.DataFrame]) -> None:
    for table in tables.values():
        for low in (name for name in table.columns if name.endswith("_low")):
            name = low.removesuffix("_low")
            if name not in UNCERTAIN:
                outside = (pl.col(low) > pl.col(name)) | (pl.col(name) > pl.col(f"{name}_high"))
                assert table.filter(outside).is_empty(), name


def test_tables_are_the_same_each_time(tables: dict[str, pl.DataFrame]) -> None:
    again = tables_of(LABELS)
    assert all(again[name].equals(table) for name, table in tables.items())


def test_prompts_come_in_the_order_of_the_file_of_prompts() -> None:
    # The bootstrap depends on the order of prompts, and nothing else on the order of rows.
    table = verdicts(LABELS)
    stability, of_pairs = parts(table)
    prompts = prompts_of(table)
    shuffled = [(judge, model, one.reverse()) for judge, model, one in of_pairs]
    found = make_tables(stability, shuffled, prompts, SETTINGS)
    expected = tables_of(LABELS)
    assert all(found[name].equals(table) for name, table in expected.items())
    # Another order finds the same category of each prompt.
    groups = make_tables(stability, of_pairs, prompts.reverse(), SETTINGS)["categories"]
    keys = {"judge": "good", "model": "m", "grouping": "source", "group": "s2"}
    found = [row(table, **keys)["mean_ssi"] for table in (groups, expected["categories"])]
    assert found == [0.75, 0.75]


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


def test_a_model_that_a_judge_has_not_seen_is_in_none_of_its_rows() -> None:
    labels: Letters = {
        ("i", "m"): ["RP RR", "RR CC"],
        ("i", "n"): ["RR RR", "PC CC"],
        ("j", "n"): ["RR RP", "CC CC"],
    }
    for name, table in checked(tables_of(labels)).items():
        judges = [column for column in table.columns if column in ("judge", "judge_a", "judge_b")]
        models = [column for column in table.columns if column in ("model", "model_a", "model_b")]
        for judge in judges:
            for model in models:
                assert table.filter(pl.col(judge) == "j", pl.col(model) == "m").is_empty(), name


def test_a_judge_of_a_sample_is_compared_on_what_he_labelled() -> None:
    # The human labelled 4 of model m's 12 responses, one of them UNKNOWN, and none of n's.
    human: Letters = {("ann", "m"): ["R. ..", ".. .C", "U. R."]}
    stability, of_pairs = parts(verdicts(LABELS | human))
    empty = of_pairs[0][2].clear()
    settings = replace(SETTINGS, max_invalid_share=0.25)
    prompts = prompts_of(verdicts(LABELS))
    tables = checked(make_tables(stability, [*of_pairs, ("ann", "n", empty)], prompts, settings))
    # good says R, P and, of the third prompt, C and R: of three valid pairs, two agree.
    agreement = row(tables["judge_agreement"], judge_a="good", judge_b="ann", model="m")
    assert (agreement["n"], agreement["n_invalid"]) == (3, 1)
    assert agreement["agreement"] == pytest.approx(2 / 3)
    of_human = tables["models"].filter(judge="ann")
    assert of_human["model"].to_list() == ["m", "all"]
    found = row(of_human, model="m")
    assert (found["n_responses"], found["n_invalid"], found["n_missing"]) == (4, 1, 8)
    # A response without a row is not invalid: 1 of 4 is at the limit, and 9 of 12 would be over it.
    with pytest.raises(InvalidVerdictsError, match=r"judge ann on model m: 25\.00% \(1 of 4\)"):
        make_tables(stability, of_pairs, prompts, replace(settings, max_invalid_share=0.2))


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
        pytest.param({("i", "m"): ["R"], ("j", "n"): ["C"]}, id="judges of different models"),
        pytest.param({("i", "m"): ["RR", ".."], ("j", "m"): ["..", "CP"]}, id="no common prompt"),
        pytest.param({("j", "m"): ["RP ..", ".. CP"]}, id="no common temperature"),
    ],
)
def test_extreme_verdicts_make_tables_that_keep_their_contracts(labels: Letters) -> None:
    checked(tables_of(labels))
    checked(tables_of(verdicts(labels, labels)))


@pytest.mark.parametrize("letter", ["R", "P", "C"])
def test_constant_labels_have_values_wherever_there_are_any(letter: str) -> None:
    text = " ".join([letter * 5] * 2)
    labels: Letters = {(judge, model): [text] * 6 for judge in "ij" for model in "mn"}
    tables = checked(tables_of(labels))
    for name, without in {
        "models": set(),
        "within_temperature": set(),
        "scoring": set(),
        "thresholds": set(),
        "consensus": set(),
        # Nothing is left where all samples are drawn.
        "sample_size": {"out_of_sample"},
        "first_comply": {"comply_in_20", "median_tries", "median_tries_seen"},
        # No rank differs; chance agreement is certain; no prompt depends on the seed.
        "temperature_effect": {"friedman_chi2", "friedman_p", "kendalls_w", "page_z", "page_p"},
        "temperature_pairs": set(),
        "model_pairs": set(),
        "judge_agreement": {"kappa", "krippendorff_alpha", "kappa_with_invalid"},
        "judge_confusion": set(),
        "stability_measures": {"fleiss_kappa"},
        "seed_effect": {"variance_inflation"},
    }.items():
        table = tables[name]
        if name == "first_comply":
            # The other groups have no prompt.
            table = table.filter(prompts="all")
        nulls = {
            column.removesuffix("_low").removesuffix("_high")
            for column in table.columns
            if table[column].has_nulls()
        }
        assert nulls <= without, name
        assert table.height > 0
    for column in ("mean_ssi", "mean_ssi_low", "mean_ssi_high"):
        assert set(tables["models"][column]) == {1}


sizes = st.tuples(
    st.integers(1, 2), st.integers(1, 2), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)
)


@st.composite
def runs(draw: st.DrawFn, missing: bool = True) -> np.ndarray:
    """Codes of (judges, models, prompts, temperatures, seeds), some invalid, some missing."""
    shape = draw(sizes)
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    shares = draw(st.sampled_from([(1, 0, 0, 0), (0.5, 0.3, 0.2, 0), (0.3, 0.2, 0.2, 0.3)]))
    codes = rng.choice(4, size=shape, p=shares)
    if missing and draw(st.booleans()):
        codes[rng.random(shape) < 0.3] = -1
    # At least one label.
    codes[0, 0, 0, 0, 0] = max(codes[0, 0, 0, 0, 0], 0)
    return codes


@settings(max_examples=25)
@given(runs(), st.booleans())
def test_any_run_makes_tables_that_keep_their_contracts(codes: np.ndarray, hashed: bool) -> None:
    table = verdicts_of_codes(codes)
    if hashed:
        table = table.with_columns(response_sha256=pl.lit("a" * 64))
    checked(tables_of(table, FEW_RESAMPLES))


@settings(max_examples=12)
@given(runs(), st.randoms(use_true_random=False))
def test_the_order_of_seeds_does_not_matter(codes: np.ndarray, random: object) -> None:
    order = list(range(codes.shape[-1]))
    random.shuffle(order)
    found, expected = (
        tables_of(verdicts_of_codes(one), FEW_RESAMPLES) for one in (codes[..., order], codes)
    )
    for name in TABLES.keys() - {"alarms"}:
        assert_close(found[name], expected[name], name)
    # Cells are named by their seed.
    cells = pl.col("alarm") == "missing_cells"
    assert found["alarms"].filter(~cells).equals(expected["alarms"].filter(~cells))
    assert found["alarms"]["n"].equals(expected["alarms"]["n"])


@settings(max_examples=12)
@given(runs())
def test_names_of_models_change_names_only(codes: np.ndarray) -> None:
    table = verdicts_of_codes(codes)
    names = {"m0": "zeta", "m1": "alpha"}
    renamed = tables_of(table.with_columns(pl.col("model").replace(names)), FEW_RESAMPLES)
    for name, expected in tables_of(table, FEW_RESAMPLES).items():
        models = [c for c in ("model", "model_a", "model_b") if c in expected.columns]
        assert renamed[name].equals(expected.with_columns(pl.col(models).replace(names))), name


@settings(max_examples=12)
@given(runs())
def test_the_same_models_again_tell_all_models_nothing_new(codes: np.ndarray) -> None:
    # Prompts are the units: intervals may not shrink because a model is there twice.
    once, twice = (
        tables_of(verdicts_of_codes(one), FEW_RESAMPLES)
        for one in (codes, np.concatenate([codes, codes], axis=1))
    )
    for name in TABLES.keys() - {"alarms", "seed_effect", "correlations", "model_pairs"}:
        found, expected = (table[name].filter(model="all") for table in (twice, once))
        if "unit" in expected.columns:
            # That unit is the paper's, which does take models for independent.
            found, expected = (table.filter(unit="prompt") for table in (found, expected))
        counts = ["n", "n_prompts", "n_responses", "n_invalid", "n_missing", "n_labels"]
        if name == "first_comply":
            counts.append("n_censored")
        if name == "sample_size":
            counts.remove("n")
        unlike = pl.selectors.by_name(*counts, require_all=False)
        # Of two samples of one distribution its unlike pairs are not the same share: alpha.
        of_n = pl.selectors.starts_with("krippendorff_alpha")
        assert_close(found.drop(unlike, of_n), expected.drop(unlike, of_n), name)


@settings(max_examples=12)
@given(runs())
def test_the_same_samples_again_do_not_shrink_intervals(codes: np.ndarray) -> None:
    once, twice = (
        tables_of(verdicts_of_codes(one), FEW_RESAMPLES)
        for one in (codes, np.concatenate([codes, codes], axis=-1))
    )
    # The pairs of a prompt's samples are not the same shares: each has a copy that agrees.
    without = pl.selectors.starts_with("n_", "pair_disagreement")
    for name in ("models", "within_temperature", "categories", "scoring", "thresholds"):
        assert_close(twice[name].drop(without), once[name].drop(without), name)
    for name in ("model_pairs", "temperature_pairs", "temperature_effect"):
        columns = pl.selectors.exclude("n_invalid")
        assert_close(twice[name].select(columns), once[name].select(columns), name)
    columns = ("agreement", "agreement_low", "agreement_high", "kappa", "kappa_low", "kappa_high")
    found, expected = (table["judge_agreement"].select(columns) for table in (twice, once))
    assert_close(found, expected, "judge_agreement")


@settings(max_examples=12)
@given(runs(missing=False), st.sampled_from(["judge", "model", "prompt", "temperature", "seed"]))
def test_one_of_a_kind_is_enough(codes: np.ndarray, kind: str) -> None:
    axis = ["judge", "model", "prompt", "temperature", "seed"].index(kind)
    checked(tables_of(verdicts_of_codes(codes.take([0], axis=axis)), FEW_RESAMPLES))


def assert_close(found: pl.DataFrame, expected: pl.DataFrame, name: str) -> None:
    """Assert equal tables, but for the last digits of their numbers."""
    assert found.shape == expected.shape, name
    numbers = pl.selectors.float()
    assert found.select(~numbers).equals(expected.select(~numbers)), name
    a, b = (table.select(numbers).to_numpy().astype(float) for table in (found, expected))
    assert a == pytest.approx(b, nan_ok=True, abs=1e-7), name
