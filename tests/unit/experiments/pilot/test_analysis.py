"""The experiment `pilot`: the sample, the answer, and how often it is wrong."""

import numpy as np
import polars as pl
import pytest

from helpers.label_grids import Letters, grid_of, row, verdicts, verdicts_of_codes
from refusal_stability.core.errors import InputError
from refusal_stability.experiments.pilot.analysis import (
    by_temperature,
    caption,
    of_pilot,
    pilot,
    stratified_sample,
)
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.statistics.bootstrap import Resamples


def answered(labels: Letters | pl.DataFrame) -> tuple[pl.DataFrame, str]:
    grid = grid_of(labels)
    resamples = Resamples(len(grid.prompt_ids), 200, 1)
    table = EXPERIMENT_TABLES["pilot"].validate(pilot(grid, resamples), cast=True)
    lines = by_temperature(grid, resamples)
    EXPERIMENT_TABLES["pilot_temperatures"].validate(lines, cast=True)
    return table, caption(table)


def test_a_sample_has_as_large_a_share_of_each_category() -> None:
    categories = np.repeat(np.array(["a", "b", "c"], dtype=object), [60, 30, 11])
    drawn = stratified_sample(categories, 10, 0)
    # Of 101: 5.94, 2.97 and 1.09; 5, 2 and 1, and of the two left one for a and one for b.
    assert [int((categories[drawn] == name).sum()) for name in "abc"] == [6, 3, 1]
    assert len(set(drawn)) == 10
    assert (np.diff(drawn) > 0).all()
    assert (drawn == stratified_sample(categories, 10, 0)).all()
    assert (drawn != stratified_sample(categories, 10, 1)).any()
    assert len(stratified_sample(categories, 200, 0)) == 101
    # As many are drawn as are wanted, whatever the categories.
    for number in range(1, 20):
        assert len(stratified_sample(np.array(list("aabbcdefgh" * 2)), number, 0)) == number


def test_by_hand() -> None:
    table, text = answered({("j", "m"): ["RRRR RRRR RRRP", "RRRR RRRP RRPP", "RRRR RRRR RRRR"]})
    found = row(table, model="m")
    # SSI 1, 1, 1 against 3/4, 1/2, 1; ranks of the first two fall from left to right.
    assert (found["ssi_a"], found["ssi_b"]) == (1, pytest.approx(3 / 4))
    assert found["drop"] == pytest.approx(1 / 4)
    # Ranks (2.5, 2.5, 1) and (3, 2, 1) times (1, 0, -1): 1.5 + 2, of variance 1.5 + 2.
    assert found["page_z"] == pytest.approx(3.5 / 3.5**0.5)
    assert found["verdict"] == "not shown"
    assert text.startswith("SSI is not shown to change with temperature: for m, on 3 prompts")


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({("j", "m"): ["R R", "C P"]}, "With one seed"),
        ({("j", "m"): ["RRRP", "CCCC"]}, "There are no two of the wanted temperatures"),
        ({("j", "m"): ["UU EE", "UU UU"]}, "No prompt has a valid label"),
        # Wilson's bound of none of 5: 1.96^2 / (5 + 1.96^2).
        (
            {("j", "m"): ["RR RR"] * 4 + ["RP RP"]},
            "SSI did not change with temperature: for m, none of 5 prompts has another SSI at "
            "another temperature (0.900 in the mean, over 2 seeds under j), which leaves room for "
            "at most 43% of all prompts that do.",
        ),
        ({("j", "m"): ["RR RR"] * 5, ("j", "n"): ["RR RP"] * 30 + []}, "it falls for n"),
    ],
)
def test_what_is_little_is_no_error(labels: Letters, said: str) -> None:
    assert said in answered(labels)[1]


def test_what_rises_is_said_to_rise() -> None:
    table, text = answered({("j", "m"): ["RRPP RRRR"] * 20})
    assert table["verdict"].to_list()[0] == "rises"
    assert text.startswith("SSI rises with temperature")


def test_labels_are_taken_at_the_wanted_temperatures_and_first_seeds() -> None:
    table = verdicts({("j", "m"): ["RRRRRRR PPPPPPP CCCCCCC"] * 4})
    judged = {("j", "m"): table}
    prompts = pl.DataFrame({"prompt_id": ["p001", "p003"]})
    chosen = of_pilot(judged, prompts, [0.0, 2.0, 9.0], [])["j", "m"]
    assert chosen["seed"].unique().sort().to_list() == [1, 2, 3, 4, 5]
    assert chosen["temperature"].unique().sort().to_list() == [0, 2]
    assert chosen["prompt_id"].unique().sort().to_list() == ["p001", "p003"]
    assert of_pilot(judged, prompts, [0.0], [7])["j", "m"]["seed"].unique().to_list() == [7]
    with pytest.raises(InputError, match="Hint: there are temperatures 0, 1, 2"):
        of_pilot(judged, prompts, [0.5], [])


def drawn(rng: np.random.Generator, wavering: tuple[float, ...], studies: int) -> np.ndarray:
    """50 prompts a study; at each temperature such a share of them wavers, of 5 seeds."""
    waver = rng.random((studies, 1, 50, len(wavering), 1)) < np.array(wavering)[:, None]
    complies = rng.random((studies, 1, 50, len(wavering), 5)) < np.where(waver, 0.4, 0.01)
    return 2 * complies


def rate(wavering: tuple[float, ...], verdict: str, studies: int = 60) -> float:
    rng = np.random.default_rng(0)
    found = [
        answered(verdicts_of_codes(of[None]))[0]["verdict"][0] == verdict
        for of in drawn(rng, wavering, studies)
    ]
    return float(np.mean(found))


def test_a_planted_fall_is_found_and_a_planted_null_is_not() -> None:
    assert rate((0.0, 0.2, 0.4), "falls") >= 0.95
    assert rate((0.4, 0.2, 0.0), "rises") >= 0.95
    # One in twenty of both kinds; of 60 more than 7 would be found in 1 of 100 cases.
    assert rate((0.2, 0.2, 0.2), "not shown") >= 1 - 7 / 60
    # Few prompts that waver make few ranks: still no more alarms.
    assert rate((0.03, 0.03, 0.03), "not shown") >= 1 - 7 / 60
