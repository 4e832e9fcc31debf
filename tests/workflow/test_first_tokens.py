"""The experiment `boundary` on a finished run, and its probabilities against the engine's draws."""

import json
import sys

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2

from helpers.workspace import REPOSITORY, Workspace
from refusal_stability.experiments.boundary.prefix_tree import rescaled
from refusal_stability.schemas import storage
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.schemas.stages import FirstTokens

MODELS = ("tiny-llama", "tiny-qwen2")
# Temperature, top_p, top_k.
CUTS = ["1,1,0", "0.5,1,0", "1.5,1,0", "0.7,0.9,5"]


@pytest.fixture(scope="module")
def forecast(finished: Workspace) -> str:
    """What the target says on the demo."""
    result = finished.snakemake("--cores", "2", "--", "boundary")
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_target_runs_on_the_demo(finished: Workspace, forecast: str) -> None:
    folder = finished.run / "experiments"
    caption = (folder / "boundary.txt").read_text(encoding="utf-8").strip()
    assert caption in forecast
    assert caption.startswith("tiny-llama under judge-good: ")
    for name in ("boundary", "boundary_calibration", "boundary_prompts"):
        table = storage.read_csv(folder / f"{name}.csv", EXPERIMENT_TABLES[name])
        assert table["model"].unique().sort().to_list() == list(MODELS)
        assert table["scope"].unique().sort().to_list() == ["0", "1", "pooled"]
    assert (folder / "boundary.png").read_bytes().startswith(b"\x89PNG")
    assert finished.planned("boundary") == {}


@pytest.mark.usefixtures("forecast")
def test_probabilities_are_kept_and_no_text_is_logged(finished: Workspace) -> None:
    folder = finished.run / "experiments/boundary/first_tokens"
    prompts = pl.read_parquet(finished.run / "prompts.parquet")
    for model in MODELS:
        table = storage.read_parquet(folder / f"{model}.parquet", FirstTokens)
        assert table.height == prompts.height
        listed = table.select(
            sums=pl.col("logprobs").list.eval(pl.element().exp()).list.sum() + pl.col("rest")
        )["sums"]
        assert listed.to_numpy() == pytest.approx(np.ones(prompts.height), abs=1e-5)
        manifest = json.loads((folder / f"{model}.json").read_text(encoding="utf-8"))
        # One token a prompt is all that it takes.
        assert manifest["asked"] == manifest["output_tokens"] == prompts.height
        assert manifest["listed_probability"] > 0.99
        log = finished.run / f"logs/experiments/boundary/first_tokens/{model}.log"
        assert not any(prompt in log.read_text() for prompt in prompts["prompt"])


@pytest.mark.usefixtures("forecast")
def test_more_seeds_and_other_cuts_ask_no_model_again(finished_copy: Workspace) -> None:
    config = finished_copy.read_config()
    for model in config["models"]:
        model |= {"top_p": 0.9, "max_tokens": 32}
    finished_copy.write_config(config | {"seeds": [1, 2, 3]})
    plan = finished_copy.planned("boundary")
    assert "first_tokens" not in plan
    assert plan["boundary"] == 1
    # More tokens do.
    finished_copy.write_config(config | {"experiments": {"boundary": {"tokens": 2}}})
    assert finished_copy.planned("boundary")["first_tokens"] == len(MODELS)


@pytest.mark.usefixtures("forecast")
def test_rescaled_probabilities_are_those_with_which_the_engine_draws(finished: Workspace) -> None:
    folder = finished.run / "experiments/boundary/first_tokens"
    manifest = json.loads((folder / "tiny-llama.json").read_text(encoding="utf-8"))
    samples = 150
    result = finished.call(
        *(sys.executable, str(REPOSITORY / "tests/helpers/drawn_first_tokens.py")),
        *("--model", json.dumps(manifest["model"])),
        *("--prompts", str(finished.run / "prompts.parquet"), "--samples", str(samples)),
        *("--first-tokens", str(folder / "tiny-llama.parquet"), "--cuts", *CUTS),
    )
    assert result.returncode == 0, result.stderr
    drawn = json.loads(result.stdout.splitlines()[-1])
    # Replies are told by their text, not by their tokens.
    assert drawn["right"] / drawn["of"] > 0.99
    first = storage.read_parquet(folder / "tiny-llama.parquet", FirstTokens)
    for cut, of_prompts in zip(CUTS, drawn["counts"], strict=True):
        temperature, top_p, top_k = map(float, cut.split(","))
        seen, expected = [], []
        for row in first.iter_rows(named=True):
            each, rest = rescaled(
                np.array(row["logprobs"]), row["rest"], temperature, top_p, int(top_k)
            )
            counts = np.array([of_prompts[row["prompt_id"]].get(str(t), 0) for t in row["tokens"]])
            # What is cut is never drawn.
            assert counts[each == 0].sum() == 0
            often = each * samples >= 5
            seen += [*counts[often], samples - counts[often].sum()]
            expected += [*(each[often] * samples), samples * (rest + each[~often].sum())]
        seen, expected = np.array(seen), np.array(expected)
        enough = expected >= 5
        statistic = ((seen - expected) ** 2 / np.where(enough, expected, np.inf)).sum()
        # The counts of each prompt have a sum that is given.
        freedom = enough.sum() - first.height
        assert chi2.sf(statistic, freedom) > 0.001, (cut, statistic, freedom)
