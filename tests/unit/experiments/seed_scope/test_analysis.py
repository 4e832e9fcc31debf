"""The experiment `seed_scope`: shared seeds inflate the variance of refusals, own ones do not."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import stats
from scipy.special import ndtri

from helpers.label_grids import Letters, grid_of, row, verdicts_of_codes
from refusal_stability.core.errors import ConfigError
from refusal_stability.experiments.seed_scope.analysis import (
    caption,
    seed_scope,
    variance_ratio_interval,
)
from refusal_stability.imported_labels.load import load_labels
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.settings.experiments import check, seed_arms
from refusal_stability.statistics import run_arrays

ARMS = {"m0": "cell", "m1": "prompt"}


def compared(labels: Letters | pl.DataFrame, arms: dict[str, str]) -> tuple:
    grid = grid_of(labels)
    tables = seed_scope(grid, arms, 0)
    names = ("seed_scope", "seed_scope_ratio")
    tables = [
        EXPERIMENT_TABLES[name].validate(table, cast=True)
        for name, table in zip(names, tables, strict=True)
    ]
    return *tables, caption(*tables, grid.seeds)


def test_by_hand() -> None:
    # Temperature 0 does not count. At 1 and 2 the prompts of m move together, those of n do not.
    labels: Letters = {
        ("j", "m"): ["RRR RCC RRC", "RRR RCC RRC", "RRR RRR RRR"],
        ("j", "n"): ["RRR RCC RRC", "RRR CCR CRR", "RRR RRR RRR"],
    }
    table, ratios, _ = compared(labels, {"m": "cell", "n": "prompt"})
    assert table["scope"].to_list() == ["pooled", "1", "2"] * 2
    # At 1, 3, 1 and 1 refusals: variance 4/3. Each wavering prompt has 1, 0, 0: 1/3.
    first = row(table, model="m", scope="1")
    assert first["variance"] == pytest.approx(4 / 3)
    assert first["expected_variance"] == pytest.approx(2 / 3)
    assert first["variance_inflation"] == pytest.approx(2)
    # Of both, each wavering prompt has 2, 1, 0, of variance 1; together 4, 2, 0 more than 2.
    both = row(table, model="m", scope="pooled")
    assert (both["variance"], both["expected_variance"]) == (pytest.approx(4), pytest.approx(2))
    # The three orders of 3 x 2 x 1 that agree with the first prompt's, or are its mirror: 2 of 6.
    apart = row(table, model="n", scope="pooled")
    # 2, 1, 0 and 0, 1, 2 are 2 each time.
    assert (apart["variance"], apart["variance_inflation"]) == (0, 0)
    assert both["p"] == pytest.approx(1 / 6, abs=0.05)
    assert apart["p"] == 1
    # Without any variance in an arm there is no ratio.
    assert row(ratios, scope="pooled")["ratio"] is None


def test_a_temperature_of_another_model_is_none_of_this_one() -> None:
    labels: Letters = {
        ("j", "m"): ["RR RC ..", "RR RC .."] * 3,
        ("j", "n"): ["RR RC RC", "RR RR RC"] * 3,
    }
    table, _, text = compared(labels, {"m": "unknown"})
    assert table["scope"].to_list() == ["pooled", "1"]
    assert "1 temperature above 0 together" in text


def test_intervals_are_those_of_chi_square_and_of_f() -> None:
    low, high = variance_ratio_interval(2.0, 5)
    assert low == pytest.approx(2 * 4 / stats.chi2(4).ppf(0.975))
    assert high == pytest.approx(2 * 4 / stats.chi2(4).ppf(0.025))
    rng = np.random.default_rng(0)
    _, ratios, _ = compared(study(rng, 0.3), ARMS)
    found = row(ratios, scope="pooled")
    f = stats.f(4, 4)
    assert found["ratio"] == pytest.approx(found["inflation_cell"] / found["inflation_prompt"])
    assert found["ratio_low"] == pytest.approx(found["ratio"] / f.ppf(0.975))
    assert found["ratio_high"] == pytest.approx(found["ratio"] / f.ppf(0.025))
    assert found["p"] == pytest.approx(2 * min(f.cdf(found["ratio"]), f.sf(found["ratio"])))


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({("j", "m"): ["RRR"] * 5}, "There is no temperature above 0"),
        ({("j", "m"): ["R R", "R C"]}, "There is one seed"),
        ({("j", "m"): ["RR RR"] * 5}, "of m nothing depends on the seed"),
        ({("j", "m"): ["UU UU"] * 5}, "of m no prompt has a valid label under every one of"),
        ({("j", "m"): ["RRR RCC", "RRR RRC"] * 10}, "1 temperature above 0 together: of m it is"),
    ],
)
def test_what_is_little_is_no_error(labels: Letters, said: str) -> None:
    assert said in compared(labels, {"m": "unknown"})[2]


def study(rng: np.random.Generator, common: float, prompts: int = 300) -> pl.DataFrame:
    """Two arms; a share ``common`` of the first one's luck is the seed's, at all temperatures."""
    limits = ndtri(np.clip(rng.beta(0.5, 0.5, prompts), 0.01, 0.99))[:, None, None]
    seeds = rng.normal(size=5)
    refused = [
        share**0.5 * seeds + (1 - share) ** 0.5 * rng.normal(size=(prompts, 3, 5)) < limits
        for share in (common, 0.0)
    ]
    # The first temperature, 0, has no luck.
    return verdicts_of_codes(np.where(np.stack(refused), 0, 2)[None])


def test_planted_inflation_is_found_and_a_planted_null_is_not() -> None:
    def rates(common: float, studies: int) -> tuple[float, float, float]:
        """How often each arm is found to move together, and the ratio to differ from 1."""
        found = []
        for number in range(studies):
            table, ratios, _ = compared(study(np.random.default_rng(number), common), ARMS)
            pooled = table.filter(scope="pooled")["verdict"].cast(pl.String) != "not shown"
            found.append([*pooled, row(ratios, scope="pooled")["verdict"] != "not shown"])
        return tuple(np.mean(found, axis=0))

    shared, own, differs = rates(0.3, 20)
    assert shared == 1
    assert own <= 3 / 20
    # A ratio of two variances over five seeds has four and four degrees of freedom.
    assert differs >= 0.7
    shared, own, differs = rates(0.0, 40)
    assert max(shared, own, differs) <= 6 / 40


@pytest.mark.parametrize("common", [0.0, 0.02, 0.1, 0.4])
def test_the_interval_covers_the_true_inflation(common: float) -> None:
    # Luck of 200 prompts with 5 seeds; the truth is that of 4,000 other seeds.
    rng = np.random.default_rng(0)
    chance = np.clip(rng.beta(0.5, 0.5, 200), 0.01, 0.99)

    def refused(seeds: int) -> np.ndarray:
        luck = common**0.5 * rng.normal(size=seeds)
        own = (1 - common) ** 0.5 * rng.normal(size=(200, seeds))
        return luck + own < ndtri(chance)[:, None]

    truth = refused(4000).sum(axis=0).var() / (chance * (1 - chance)).sum()
    inside = 0
    for _ in range(500):
        of = refused(5)
        value = of.sum(axis=0).var(ddof=1) / of.var(axis=1, ddof=1).sum()
        low, high = variance_ratio_interval(float(value), 5)
        inside += low <= truth <= high
    # 0.95 give or take 0.02, or more: of many refusals at once the variance varies less.
    assert inside / 500 >= 0.93


def of_grid(labels: np.ndarray, temperatures: list[float]) -> tuple[pl.DataFrame, str]:
    """The table and caption of one model; labels are (prompts, temperatures, seeds)."""
    rows = [
        [f"p{prompt}", temperatures[at], seed, label]
        for (prompt, at, seed), label in np.ndenumerate(labels)
        if label
    ]
    verdicts = pl.DataFrame(
        rows, schema=["prompt_id", "temperature", "seed", "label"], orient="row"
    ).with_columns(reason=pl.lit(None, pl.String), response_sha256=pl.lit(None, pl.String))
    grid = run_arrays.grid_of({("j", "m"): verdicts}, [f"p{p}" for p in range(len(labels))])
    tables = seed_scope(grid, {"m": "unknown"}, 0)
    return tables[0], caption(*tables, grid.seeds)


def test_labels_may_lack_a_seed_at_one_of_two_temperatures() -> None:
    labels = np.random.default_rng(0).choice(["REFUSE", "COMPLY"], size=(20, 2, 5)).astype(object)
    labels[:, 1, 3:] = ""
    table, text = of_grid(labels, [0.7, 1.0])
    # Together, the three seeds that both have.
    assert table["n_seeds"].to_list() == [3, 5, 3]
    assert table["n_prompts"].to_list() == [20, 20, 20]
    assert "over 3 seeds" in text


def entry(name: str, **more: object) -> dict:
    return {"name": name, "weights": "w", "seed_scope": "prompt"} | more


def settings(*entries: dict, **own: str) -> dict:
    return {
        "run": "r",
        "models": list(entries),
        "experiments": {"compare": {}, "determinism": {}, "seed_scope": own},
    }


def test_the_other_arm_is_derived_unless_it_is_a_model() -> None:
    arms, derived = seed_arms(settings(entry("a"), entry("b")))
    assert arms == {"a": "prompt", "a+cell": "cell"}
    assert derived == {"a+cell": entry("a+cell", seed_scope="cell")}
    arms, derived = seed_arms(settings(entry("a"), entry("b", seed_scope="cell")))
    assert (arms, derived) == ({"a": "prompt", "b": "cell"}, {})
    # Other weights are no arm of it.
    other = entry("b", seed_scope="cell", weights="v")
    assert list(seed_arms(settings(entry("a"), other))[0]) == ["a", "a+cell"]
    assert list(seed_arms(settings(entry("a"), other, model="b"))[0]) == ["b", "b+prompt"]


def test_a_model_that_is_sent_no_seeds_has_no_arms() -> None:
    api = entry("api", kind="openai", send_seed=False)
    assert list(seed_arms(settings(api, entry("b")))[0]) == ["b", "b+cell"]
    assert seed_arms(settings(api)) == ({}, {})
    with pytest.raises(ConfigError, match=r"seed_scope\.model: 'api' is sent no seeds"):
        check(settings(api, entry("b"), model="api"), ["api", "b"])
    with pytest.raises(ConfigError, match=r"seed_scope\.model: no model 'c'\. Hint: there are b"):
        check(settings(entry("b"), model="c"), ["b"])


PUBLISHED = Path("/work/shared/published/claude_haiku_llama_qwen25.csv")


@pytest.mark.skipif(not PUBLISHED.is_file(), reason="the published labels are not here")
def test_the_published_labels_have_the_inflation_that_is_known_of_them() -> None:
    aliases = {
        "llama": ["meta-llama/Llama-3.1-8B-Instruct"],
        "qwen": ["Qwen_Qwen2.5_7B_Instruct"],
    }
    labels = load_labels([PUBLISHED], aliases, {})
    verdicts = {(judge, model): table for judge, model, table in labels.verdicts()}
    grid = run_arrays.grid_of(verdicts, labels.prompts["prompt_id"].to_list())
    table, _ = seed_scope(grid, {"llama": "unknown"}, 0)
    inflation = {of["scope"]: of["variance_inflation"] for of in table.iter_rows(named=True)}
    # 11 to 28 times that of independent draws.
    at = [round(inflation[temperature], 1) for temperature in ("0.3", "0.7", "1")]
    assert at == [11.4, 28.3, 22.1]
    assert set(table["verdict"]) == {"prompts move together"}
