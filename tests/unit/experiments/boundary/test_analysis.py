"""The experiment `boundary`: what first tokens tell is found, and what they do not tell is not."""

import dataclasses

import numpy as np
import polars as pl
import pytest

from helpers.label_grids import row
from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.experiments.boundary.analysis import Asked, beginnings_of, boundary, caption
from refusal_stability.experiments.boundary.figure import boundary as figure
from refusal_stability.experiments.boundary.prefix_tree import rescaled
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.schemas.stages import FirstTokens, Verdicts

TOKENS = ["No", "Sorry", "Maybe", "Well", "Yes", "Sure"]
# What each token means: REFUSE, PARTIAL, COMPLY.
MEANT = np.array(
    [[0.95, 0.05, 0], [0.9, 0.1, 0], [0.1, 0.8, 0.1], [0.3, 0.4, 0.3], [0, 0.1, 0.9], [0, 0, 1]]
)
TEMPERATURES, SEEDS = (0.5, 1.0), (1, 2, 3, 4, 5)


def run(
    rng: np.random.Generator,
    told: bool,
    prompts: int = 80,
    temperatures: tuple[float, ...] = TEMPERATURES,
    seeds: tuple[int, ...] = SEEDS,
    label: str | None = None,
    own_shares: tuple[float, ...] = (0.4, 0.2, 0.4),
) -> tuple[dict, dict, list[str]]:
    """A run of one model: labels drawn from the first tokens or, unless ``told``, from the prompt.

    From near its boundary to far from it, a prompt leans to REFUSE or COMPLY.
    """
    ids = [f"{number:012x}" for number in range(prompts)]
    leaning = rng.normal(0, 3, size=prompts)[:, None] * np.linspace(1, -1, len(TOKENS))
    logits = leaning + rng.normal(0, 0.5, size=(prompts, len(TOKENS)))
    own = rng.dirichlet(own_shares, size=prompts)
    first, replies, verdicts = [], [], []
    for number, prompt_id in enumerate(ids):
        order = np.argsort(-logits[number])
        logprobs = logits[number] - np.log(np.exp(logits[number]).sum())
        first.append(
            {"prompt_id": prompt_id, "place": 0, "beginning": [], "rest": 0.0}
            | {"tokens": order.tolist(), "texts": [TOKENS[token] for token in order]}
            | {"logprobs": logprobs[order].tolist()}
        )
        for temperature in temperatures:
            chances, _ = rescaled(logprobs[order], 0.0, temperature)
            for seed in seeds:
                token = order[rng.choice(len(order), p=chances)]
                means = MEANT[token] if told else own[number]
                keys = {"prompt_id": prompt_id, "temperature": temperature, "seed": seed}
                replies.append(keys | {"response": f"{TOKENS[token]}, then.", "reasoning": None})
                drawn = label or VALID_LABELS[rng.choice(3, p=means)]
                verdicts.append(keys | {"label": drawn})
    empty = {name: pl.lit(None) for name in Verdicts.column_names() if name not in (*keys, "label")}
    asked = Asked(
        FirstTokens.validate(pl.DataFrame(first), cast=True),
        pl.DataFrame(replies, schema_overrides={"reasoning": pl.String}),
    )
    judged = Verdicts.validate(pl.DataFrame(verdicts).with_columns(**empty), cast=True)
    return {"m": asked}, {("j", "m"): judged}, ids


def results(*arguments: object, resamples: int = 200) -> dict[str, pl.DataFrame]:
    tables = boundary(*arguments, (resamples, 1))
    return {name: EXPERIMENT_TABLES[name].validate(t, cast=True) for name, t in tables.items()}


def test_what_is_planted_is_found_and_forecasts_are_calibrated() -> None:
    rng = np.random.default_rng(0)
    found, differences, slopes, covered = 0, [], [], 0
    studies = 8
    for _ in range(studies):
        table = results(*run(rng, told=True))["boundary"]
        assert table["scope"].to_list() == ["pooled", "0.5", "1"]
        pooled = row(table, scope="pooled")
        found += pooled["verdict"] == "predicts"
        differences.append(pooled["predicted_flip_rate"] - pooled["flip_rate"])
        slopes.append(pooled["calibration_slope"])
        covered += pooled["calibration_slope_low"] <= 1 <= pooled["calibration_slope_high"]
    assert found == studies
    # One study has a standard deviation of 0.03 here.
    assert abs(np.mean(differences)) < 0.03
    assert np.mean(slopes) == pytest.approx(1, abs=0.1)
    assert covered >= studies - 2


def test_beginnings_that_are_all_alike_do_not_seem_worse_than_chance() -> None:
    rng = np.random.default_rng(2)
    areas = []
    for _ in range(15):
        # Those who flip hold all that is not REFUSE: with random folds this mean is 0.40.
        asked, judged, ids = run(rng, told=False, prompts=60, own_shares=(2, 0.1, 0.1))
        first = asked["m"].first
        same = [pl.col(name).first() for name in ("tokens", "texts", "logprobs")]
        asked = {"m": Asked(first.with_columns(same), asked["m"].replies)}
        areas.append(row(results(asked, judged, ids)["boundary"], scope="pooled")["auc_flip"])
    assert np.mean(areas) == pytest.approx(0.5, abs=0.04)


def test_nothing_but_the_beginnings_of_replies_is_kept() -> None:
    asked, judged, ids = run(np.random.default_rng(3), told=True, prompts=40)
    first, replies = asked["m"].first, asked["m"].replies
    told = pl.col("response") + pl.lit(" and so on" * 100)
    # Some replies are one token and no more, some are reasoning.
    ends = pl.col("response").str.strip_suffix(", then.")
    whole = replies.with_columns(
        response=pl.when(pl.col("seed") == 2).then(ends).otherwise(told),
        reasoning=pl.when(pl.col("seed") == 3).then(told),
    )
    kept = beginnings_of(whole, first)
    longest = max(map(len, TOKENS))
    assert kept["response"].str.len_chars().max() == longest + 1
    assert kept["reasoning"].str.len_chars().max() == longest + 1
    of_whole = results({"m": Asked(first, whole)}, judged, ids)
    of_kept = results({"m": Asked(first, kept)}, judged, ids)
    assert all(of_kept[name].equals(table) for name, table in of_whole.items())


def test_a_planted_null_is_not_found() -> None:
    rng = np.random.default_rng(1)
    studies, covered, found, areas = 30, 0, 0, []
    for _ in range(studies):
        pooled = row(results(*run(rng, told=False))["boundary"], scope="pooled")
        covered += pooled["auc_flip_low"] <= 0.5 <= pooled["auc_flip_high"]
        found += pooled["verdict"] == "predicts"
        areas.append(pooled["auc_flip"])
    # What is held out has no share in its forecast, and folds do not turn it round.
    assert np.mean(areas) == pytest.approx(0.5, abs=0.03)
    assert covered >= 26
    # Both intervals above the null: one in forty or fewer.
    assert found <= 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        # Greedy decoding gives one reply.
        ({"temperatures": (0.0,), "label": "REFUSE"}, "no prompt flips, so there is nothing"),
        ({"seeds": (1,), "temperatures": (1.0,)}, "no prompt flips, so there is nothing"),
        ({"label": "UNKNOWN"}, "no reply has a valid label"),
        ({"prompts": 1}, "prompt flips, so there is nothing"),
        ({"prompts": 3}, "m under j: "),
    ],
)
def test_little_is_no_error(options: dict, said: str) -> None:
    tables = results(*run(np.random.default_rng(3), told=True, **options))
    assert said in caption(tables["boundary"], 1, [])
    assert figure(tables["boundary_calibration"], tables["boundary_prompts"]).axes is not None


def test_models_behind_an_api_are_named_and_have_no_row() -> None:
    asked, judged, ids = run(np.random.default_rng(4), told=True)
    judged["j", "api"] = judged["j", "m"]
    table = results(asked, judged, ids)["boundary"]
    assert table["model"].unique().to_list() == ["m"]
    text = caption(table, 2, ["api"])
    assert "the first 2 tokens predicts" not in text
    assert text.endswith("Not available, as an API shows no logits: api.")
    # And if there is no other.
    tables = results({}, judged, ids)
    assert caption(tables["boundary"], 1, ["api"]).startswith("No model has weights of its own")
    assert figure(tables["boundary_calibration"], tables["boundary_prompts"]).texts


def test_the_caption_is_a_sentence_a_model() -> None:
    asked, judged, ids = run(np.random.default_rng(4), told=True, prompts=40)
    judged["j", "n"] = judged["j", "m"]
    table = results(dict.fromkeys(("m", "n"), asked["m"]), judged, ids)["boundary"]
    text = caption(table, 1, ["api"])
    assert text.count(". ") == 2
    pooled = row(table, model="m", scope="pooled")
    assert (
        f"m under j: the first token predicts which prompts flip (AUC {pooled['auc_flip']:.2f} ["
        in text
    )
    rates = table.filter(pl.col("scope") != "pooled", model="m")
    worst = max(
        abs(one["predicted_flip_rate"] - one["flip_rate"]) for one in rates.iter_rows(named=True)
    )
    assert f"rates more than {100 * worst:.0f} points apart. n under j: " in text


def test_of_many_models_it_is_said_how_many_and_that_it_is_uncorrected() -> None:
    asked, judged, ids = run(np.random.default_rng(4), told=True, prompts=40)
    names = [f"m{number}" for number in range(5)]
    table = results(
        dict.fromkeys(names, asked["m"]), {("j", name): judged["j", "m"] for name in names}, ids
    )["boundary"]
    text = caption(table, 1, [])
    assert "predicts which prompts flip for 5 of 5 models" in text
    assert text.endswith("each by intervals of its own, uncorrected for their number.")


def test_a_judge_that_has_seen_nothing_has_rows_without_values() -> None:
    asked, judged, ids = run(np.random.default_rng(4), told=True, prompts=6)
    judged["k", "m"] = judged["j", "m"].clear()
    table = results(asked, judged, ids)["boundary"]
    assert row(table, judge="k")["n"] == 0
    assert row(table, judge="k")["verdict"] == "nothing to predict"


def test_prompts_are_ranked_and_log_odds_are_those_of_the_labels() -> None:
    tables = results(*run(np.random.default_rng(5), told=True))
    prompts = tables["boundary_prompts"].filter(scope="1")
    assert prompts["predicted_flip"].is_sorted(descending=True)
    # Near 0 a prompt is forecast to flip, far from it not; both directions of leaning occur.
    near, far = prompts.head(10)["log_odds"].abs(), prompts.tail(10)["log_odds"].abs()
    assert near.max() < far.min()
    assert prompts["log_odds"].min() < -1 < 1 < prompts["log_odds"].max()
    # A bin's prompts are those of the table.
    bins = tables["boundary_calibration"].filter(scope="1")
    assert bins["n"].sum() == 80
    highest = prompts.filter(pl.col("predicted_flip") >= 0.8)
    assert bins["n"].to_list()[-1] == highest.height
    assert bins["flip_rate"].to_list()[-1] == pytest.approx(highest["flip"].mean())


def test_a_prompt_that_could_not_be_asked_costs_itself_and_no_more() -> None:
    asked, judged, ids = run(np.random.default_rng(5), told=True)
    one = pl.col("prompt_id") == ids[7]
    without = dataclasses.replace(asked["m"], first=asked["m"].first.filter(~one))
    table = judged["j", "m"]
    no_label = pl.when(one).then(pl.lit("ERROR")).otherwise(pl.col("label").cast(pl.String))
    invalid = Verdicts.validate(table.with_columns(label=no_label), cast=True)
    tables = results({"m": without}, {("j", "m"): invalid}, ids)
    prompts = tables["boundary_prompts"].filter(scope="pooled")
    assert prompts.height == len(ids)
    row = prompts.row(by_predicate=one, named=True)
    assert row["predicted_flip"] is None
    assert row["n_invalid"] == len(TEMPERATURES) * len(SEEDS)
    assert prompts["predicted_flip"].null_count() == 1
