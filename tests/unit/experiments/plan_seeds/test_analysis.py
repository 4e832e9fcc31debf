"""The experiment `plan_seeds`: studies of the planned size are as precise as was wanted."""

import json
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.label_grids import Letters, grid_of, row, verdicts_of_codes
from refusal_stability.costs.design_hours import DesignHours
from refusal_stability.experiments.plan_seeds import figure
from refusal_stability.experiments.plan_seeds.analysis import (
    EXTRAPOLATED,
    INTERVAL_WIDTH,
    MEASURED,
    POWER,
    UNKNOWN,
    caption,
    measured,
    plan_seeds,
    spread,
    variance_with,
)
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES

WANTED = {"width": 0.1, "difference": 0.1, "power": 0.8}


def planned(
    labels: Letters | pl.DataFrame, pair: tuple[str, ...] = (), hours: tuple = (None, None)
) -> pl.DataFrame:
    table = plan_seeds(grid_of(labels), pair, WANTED, lambda *_: hours, seed=0)
    return EXPERIMENT_TABLES["plan_seeds"].validate(table, cast=True)


def test_measures_by_hand() -> None:
    counts = np.array([[3, 1, 0], [2, 0, 0], [1, 0, 0], [0, 0, 0]])
    np.testing.assert_equal(measured(counts, "mean_ssi"), [3 / 4, 1, 1, np.nan])
    np.testing.assert_equal(measured(counts, "flip_rate"), [1, 0, 0, np.nan])
    np.testing.assert_equal(measured(counts, "refusal_rate"), [3 / 4, 1, 1, np.nan])
    # Pairs alike: 3 of 6.
    np.testing.assert_allclose(measured(counts, "pair_disagreement"), [1 / 2, 0, np.nan, np.nan])


def test_the_variance_of_a_rate_is_that_of_the_analysis_of_variance() -> None:
    # Refusals of two seeds, of three prompts: 1 1, 1 0, 0 0. Means 1, 1/2, 0: variance 1/4. With
    # one seed, 1 1 0 and 1 0 0: variance 1/3 both. So W = (1/3 - 1/4) / (1 - 1/2) = 1/6, which is
    # the mean of the variances between a prompt's seeds, 0, 1/2 and 0; and B = 1/4 - 1/12 = 1/6.
    table = planned({("j", "m"): ["RR", "RC", "CC"]})
    of = {r["seeds"]: r for r in table.filter(measure="refusal_rate").iter_rows(named=True)}
    assert [of[s]["basis"] for s in (1, 2, 3)] == [MEASURED, MEASURED, EXTRAPOLATED]
    for seeds, variance in ((1, 1 / 3), (2, 1 / 4), (5, 1 / 6 + 1 / 30)):
        assert of[seeds]["deviation"] ** 2 == pytest.approx(variance)
        # 2 x 1.96 standard errors: (3.92 / 0.1)^2 times the variance.
        needed = (2 * 1.959964 / 0.1) ** 2 * variance
        assert of[seeds]["prompts_needed"] == np.ceil(needed)
        assert of[seeds]["reached"] == pytest.approx(2 * 1.959964 * (variance / 3) ** 0.5)
        assert of[seeds]["replies"] == of[seeds]["prompts_needed"] * seeds
    assert of[1]["value"] == of[2]["value"] == pytest.approx(1 / 2)
    assert of[3]["value"] is None


def test_a_pair_is_planned_by_its_differences() -> None:
    labels: Letters = {("j", "m"): ["RR", "RC", "CC"], ("j", "n"): ["RR", "CC", "CC"]}
    table = planned(labels, pair=("m", "n"))
    # Differences of refusal rates: 0, 1/2, 0: variance 1/12; 1.96 and 0.84 standard errors.
    of_pair = row(table, goal=POWER, measure="refusal_rate", seeds=2)
    assert of_pair["prompts_needed"] == np.ceil((2.801585 / 0.1) ** 2 / 12)
    assert (of_pair["model_a"], of_pair["model_b"]) == ("m", "n")
    assert of_pair["value"] == pytest.approx(1 / 6)
    assert set(table.filter(goal=INTERVAL_WIDTH)["model_b"]) == {"none"}


def test_what_one_seed_cannot_tell_is_unknown() -> None:
    table = planned({("j", "m"): ["R", "C", "R"]})
    of_rate = table.filter(measure="refusal_rate")
    assert of_rate.filter(pl.col("seeds") > 1)["basis"].unique().to_list() == [UNKNOWN]
    # One sample has SSI 1, whatever the prompt: no plan rests on that.
    assert table.filter(measure="mean_ssi")["prompts_needed"].null_count() == 6
    assert "Nothing is known" in caption(planned({("j", "m"): ["RR", "RR"]}), WANTED, 2)


def test_the_cheapest_design_is_marked_where_seeds_do_not_change_what_is_measured() -> None:
    # Prompts do not differ, only seeds do: as many replies, however they are split.
    rng = np.random.default_rng(0)
    table = planned(verdicts_of_codes(2 * rng.integers(0, 2, (1, 1, 80, 1, 5))))
    assert table.filter(cheapest=True)["measure"].to_list() == ["refusal_rate", "pair_disagreement"]
    rates = table.filter(measure="refusal_rate")
    assert row(rates, cheapest=True)["replies"] == rates["replies"].min()


@given(st.lists(st.lists(st.sampled_from("RPC"), min_size=4, max_size=4), min_size=3, max_size=8))
def test_between_and_within_add_up_whatever_the_labels(prompts: list[list[str]]) -> None:
    counts = np.array([[[letter == one for one in "RPC"] for letter in of] for of in prompts])
    _, variances, n = spread(counts[None].astype(int), "refusal_rate", seed=0)
    assert n == len(prompts)
    refused = counts[..., 0]
    within = refused.var(axis=1, ddof=1).mean()
    between = refused.mean(axis=1).var(ddof=1) - within / 4
    for seeds, variance in enumerate(variances, start=1):
        assert variance == pytest.approx(between + within / seeds)
    carried, basis = variance_with(variances, 8, "refusal_rate")
    if basis != UNKNOWN:
        expected = between + within / 8 if between > 0 else variances[-1] / 2
        assert carried == pytest.approx(expected)


def shares(rng: np.random.Generator, prompts: int) -> np.ndarray:
    return np.where(rng.random((prompts, 1)) < 0.5, [1, 0, 0], rng.dirichlet([1, 0.5, 1], prompts))


@pytest.mark.parametrize("measure", ["mean_ssi", "refusal_rate"])
def test_studies_of_the_planned_size_have_intervals_of_the_wanted_width(measure: str) -> None:
    # Planned for ten seeds from a pilot of five.
    rng = np.random.default_rng(3)
    pilot = rng.multinomial(1, shares(rng, 300)[:, None], size=(300, 5))
    variance, basis = variance_with(spread(pilot[None], measure, 0)[1], 10, measure)
    assert basis == EXTRAPOLATED
    n = round((2 * 1.96 / 0.1) ** 2 * variance)
    truth = measured(rng.multinomial(10, shares(rng, 200_000)), measure).mean()
    values = np.stack([measured(rng.multinomial(10, shares(rng, n)), measure) for _ in range(400)])
    reach = 1.96 * values.std(axis=1, ddof=1) / n**0.5
    assert 2 * reach.mean() == pytest.approx(0.1, rel=0.15)
    # Of 400 intervals 380 are expected to hold the truth, give or take 4.4.
    assert (np.abs(values.mean(axis=1) - truth) < reach).mean() > 0.92


def test_studies_of_the_planned_size_have_the_wanted_power_and_no_more_false_alarms() -> None:
    rng = np.random.default_rng(4)
    difference = 0.1

    def two(prompts: int, moved: float) -> np.ndarray:
        """Refusals under five seeds, of a model and one that refuses more often by ``moved``."""
        chances = rng.uniform(0, 0.8, prompts)
        of_both = np.stack([chances, chances + moved])
        refused = rng.random((2, prompts, 5)) < of_both[..., None]
        return np.stack([refused, 0 * refused, ~refused], axis=-1).astype(int)

    variance, _ = variance_with(
        spread(two(300, difference), "refusal_rate", 0)[1], 5, "refusal_rate"
    )
    n = round((2.8016 / difference) ** 2 * variance)

    def found(moved: float) -> float:
        values = [measured(two(n, moved).sum(axis=2), "refusal_rate") for _ in range(600)]
        differences = np.array([a - b for a, b in values])
        error = differences.std(axis=1, ddof=1) / n**0.5
        return (np.abs(differences.mean(axis=1)) > 1.96 * error).mean()

    # 600 studies: 0.80 give or take 0.016, and 0.05 give or take 0.009; n is from one pilot.
    assert found(difference) == pytest.approx(0.8, abs=0.06)
    assert found(0.0) < 0.08


def test_hours_are_by_the_jobs_of_the_run(tmp_path: Path) -> None:
    run = tmp_path / "results/pilot"
    cells = ["T0.7_seed1", "T0.7_seed2"]
    # 10 prompts a cell: 20 s to start and 10 s of answers; the judge read 15 of 20, in 5 + 15 s.
    for cell in cells:
        _write(
            run / f"responses/m/{cell}.json",
            {"model": {"weights": "x/y", "gpus": 2}, "count": 10, "engine_seconds": 10},
        )
        _benchmark(run / f"benchmarks/generate/m/{cell}.tsv", 30)
    _write(
        run / "verdicts/j/m.json",
        {"judge": {"kind": "vllm", "weights": "x/z", "gpus": 1}, "count": 20}
        | {"distinct_pairs": 15, "engine_seconds": 15},
    )
    _benchmark(run / "benchmarks/judge/j/m.tsv", 20)
    hours = DesignHours(run, cells, temperatures=1)
    # 4 cells of 100 prompts: 4 x 20 + 400 = 480 s; 300 of 400 replies judged: 5 + 300 = 305 s.
    assert hours("j", ["m"], 100, 4) == pytest.approx(((480 + 305) / 3600, (960 + 305) / 3600))
    assert DesignHours(run, cells, 1)("j", ["unknown"], 100, 4) == (None, None)


def _write(path: Path, manifest: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def _benchmark(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\tcpu_time\n{seconds}\t1\n", encoding="utf-8")


def test_the_caption_names_the_designs() -> None:
    rng = np.random.default_rng(0)
    chances = rng.uniform(0, 1, (1, 2, 60, 1, 1))
    table = planned(verdicts_of_codes(2 * (rng.random((1, 2, 60, 1, 4)) < chances)), ("m0", "m1"))
    text = caption(table, WANTED, run_seeds=4)
    of_pair = row(table, goal=POWER, measure="mean_ssi", seeds=4)
    assert f"mean SSI with this run's number of seeds takes {of_pair['prompts_needed']:,}" in text
    assert "difference of 0.1 between m0 and m1 with 80% power" in text
    assert "not known, as nothing like it was timed" in text
    assert "For a 95% interval of width 0.1 of one model (the one that takes most), " in text
    # What a pair takes is for both.
    timed = planned(
        {("j", "m"): ["RRR", "RCR"], ("j", "n"): ["CCR", "RRR"]}, ("m", "n"), (2.0, 0.0)
    )
    assert "seeds (2 hours for both without a GPU)" in caption(timed, WANTED, run_seeds=3)


def test_the_panels_say_what_is_wanted_of_what() -> None:
    labels: Letters = {("j", "m"): ["RRR", "RCR", "CCR"], ("j", "n"): ["CCR", "RRR", "RPR"]}
    drawn = figure.plan_seeds(planned(labels, ("m", "n")), WANTED)
    titles = [axes.get_title().splitlines() for axes in drawn.axes]
    assert titles[0] == ["mean SSI,", "95% interval 0.1 wide"]
    assert titles[4] == ["mean SSI,", "difference 0.1, power 80%"]
    assert [bool(axes.get_ylabel()) for axes in drawn.axes] == [True, False, False, False] * 2
    plt.close(drawn)


@pytest.mark.parametrize(
    ("hours", "words"),
    [
        ((2.0, 4.0), "(4 GPU-hours)"),
        ((2.0, 0.0), "(2 hours without a GPU)"),
        ((0.05, 0.0), "(3 minutes without a GPU)"),
        ((2.0, None), "not known"),
        # No GPU, and nobody timed the judge.
        ((None, 0.0), "not known"),
    ],
)
def test_the_caption_says_what_a_design_costs(hours: tuple, words: str) -> None:
    table = planned({("j", "m"): ["RRR", "RCR", "CCR", "CPC"]}, hours=hours)
    assert words in caption(table, WANTED, run_seeds=3)
