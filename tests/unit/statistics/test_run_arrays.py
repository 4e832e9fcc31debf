"""The dense arrays of a run: whatever the order of its rows, and with what is missing."""

import numpy as np
import polars as pl
import pytest

from helpers.label_grids import Letters, grid_of, parts, prompts_of, verdicts
from refusal_stability.statistics.frames import mean_over_models, with_all
from refusal_stability.statistics.run_arrays import MISSING, make_grid

LABELS: Letters = {
    ("good", "m"): ["RR RP", "CC .C"],
    ("good", "n"): ["PU CC", "RR RR"],
    ("noisy", "m"): ["RR RE", "CP CC"],
}
R, P, C, U, E = 0, 1, 2, 3, 6


def test_labels_by_hand() -> None:
    grid = grid_of(LABELS)
    assert (grid.judges, grid.models) == (["good", "noisy"], ["m", "n"])
    assert (grid.temperatures, grid.seeds) == ([0.0, 1.0], [1, 2])
    assert grid.scopes == ["pooled", "0", "1"]
    # (models, prompts, temperatures, seeds)
    assert grid.labels["good"].tolist() == [
        [[[R, R], [R, P]], [[C, C], [MISSING, C]]],
        [[[P, U], [C, C]], [[R, R], [R, R]]],
    ]
    none = [[MISSING] * 2] * 2
    assert grid.labels["noisy"].tolist() == [
        [[[R, R], [R, E]], [[C, P], [C, C]]],
        [none, none],
    ]
    assert grid.judged("good").tolist() == [True, True]
    assert grid.judged("noisy").tolist() == [True, False]


def test_measures_by_hand() -> None:
    grid = grid_of(LABELS)
    # Pooled, T = 0, T = 1. RRRP has SSI 3/4 and RR 1, RP 1/2.
    assert grid.measure("good", "ssi")[0, :, 0].tolist() == [0.75, 1, 0.5]
    # PU CC: PCC has SSI 2/3, one label is invalid.
    assert grid.measure("good", "ssi")[1, :, 0] == pytest.approx([2 / 3, 1, 1])
    assert grid.measure("good", "n_invalid")[1, :, 0].tolist() == [1, 1, 0]
    # PARTIAL counts as REFUSE.
    assert grid.measure("good", "ssi", "lenient")[0, 0].tolist() == [1, 1]
    assert np.isnan(grid.measure("noisy", "ssi")[1]).all()
    assert grid.counts("good")[0, 0].tolist() == [[3, 1, 0], [0, 0, 3]]
    assert grid.counts("noisy")[1].sum() == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_does_not_matter(seed: int) -> None:
    table = verdicts(LABELS)
    rng = np.random.default_rng(seed)

    def shuffled(rows: pl.DataFrame) -> pl.DataFrame:
        return rows[rng.permutation(rows.height).tolist()]

    stability, by_pair = parts(table)
    grid = make_grid(
        [(judge, shuffled(one)) for judge, one in stability],
        [(judge, model, shuffled(one)) for judge, model, one in by_pair],
        prompts_of(table)["prompt_id"].to_list(),
    )
    expected = grid_of(LABELS)
    for judge in expected.judges:
        assert np.array_equal(grid.labels[judge], expected.labels[judge])
        for name in ("ssi", "n", "n_invalid", "flip"):
            found = (one.measure(judge, name) for one in (grid, expected))
            assert np.array_equal(*found, equal_nan=True)


def test_prompts_without_a_verdict_are_left_out_and_others_keep_their_order() -> None:
    table = verdicts(LABELS)
    grid = make_grid(*parts(table), ["p001", "never", "p000"])
    assert grid.prompt_ids == ["p001", "p000"]
    assert grid.labels["good"][0].tolist() == [[[C, C], [MISSING, C]], [[R, R], [R, P]]]
    assert grid.measure("good", "ssi")[0, 0].tolist() == [1, 0.75]


def test_pairs_of_verdicts_on_one_text_by_hand() -> None:
    labels = {("j", "m"): ["RRP RU", "RRR CC"]}
    # First prompt, text a: R, R, P, R, of 6 pairs the 3 with the P differ; b has one label, the
    # other is invalid. Second prompt: texts a and c, RRR C; 3 pairs are of a, one of c.
    hashes = {("j", "m"): ["aaa ab", "aaa cc"]}
    grid = grid_of(verdicts(labels, hashes))
    assert grid.same_text["j"].tolist() == [[[6, 3], [4, 0]]]


def test_texts_of_different_prompts_are_different() -> None:
    grid = grid_of(verdicts({("j", "m"): ["R", "C"]}, {("j", "m"): ["a", "a"]}))
    assert grid.same_text["j"].sum() == 0


def test_a_judge_with_a_text_unknown_has_no_pairs() -> None:
    labels: Letters = {("i", "m"): ["RR"], ("i", "n"): ["RC"], ("j", "m"): ["RR"]}
    table = verdicts(labels, {key: ["aa"] for key in labels})
    # Judge j has not seen model n: it has no pair there, and one of m.
    grid = grid_of(table)
    assert grid.same_text["i"].tolist() == [[[1, 0]], [[1, 1]]]
    assert grid.same_text["j"].tolist() == [[[1, 0]], [[0, 0]]]
    unknown = (pl.col("judge") == "i") & (pl.col("model") == "n") & (pl.col("seed") == 1)
    hashes = pl.when(~unknown).then("response_sha256")
    assert grid_of(table.with_columns(response_sha256=hashes)).same_text.keys() == {"j"}


def test_truncated_replies_are_counted() -> None:
    cut = [
        ("m", pl.DataFrame({"prompt_id": ["p001", "p001"]})),
        ("m", pl.DataFrame({"prompt_id": ["p000"]})),
        ("n", pl.DataFrame({"prompt_id": []}, schema={"prompt_id": pl.String})),
    ]
    assert grid_of(LABELS, truncated=cut).truncated.tolist() == [[1, 2], [0, 0]]
    assert grid_of(LABELS).truncated.size == 0


def test_the_mean_over_models_is_of_those_with_a_value() -> None:
    nan = np.nan
    values = np.array([[1.0, nan, nan], [0.5, 0.5, nan]])
    assert mean_over_models(values) == pytest.approx([0.75, 0.5, nan], nan_ok=True)
    assert with_all(values).shape == (3, 3)
    assert with_all(values)[:2] == pytest.approx(values, nan_ok=True)
