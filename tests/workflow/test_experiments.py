"""Experiments: each is a target of its own, on a finished run of models and on labels."""

import numpy as np
import pytest

from helpers.experiment_runs import PROMPTS, check, labelled, without_most
from helpers.workspace import Workspace
from refusal_stability.schemas import storage
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES

# Each experiment, and whether something is sure to be found in labels like those below.
EXPERIMENTS = {
    "compare": "llama and qwen differ in",
    "plan_seeds": "a difference of 0.05 between llama and qwen with 80% power",
    # Prompts of category a are those on which llama wavers.
    "category_probe": "Of 1 pair of categories, 1 differs in mean SSI",
    "scoring": "The order of the models by mean SSI is the same under all three",
    # One judge has given these labels.
    "judge_agreement": "No two judges have labelled the 100 sampled responses: nothing to compare",
}


@pytest.fixture(scope="module")
def of_labels(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Of labels by which qwen refuses everything; llama complies with a half, by turns."""
    rng = np.random.default_rng(0)
    answers = [
        (model, prompt, "0.7", seed, bool(refuses))
        for prompt in range(PROMPTS)
        for seed in (1, 2, 3)
        for model, refuses in (("llama", prompt % 2 or rng.random() < 0.5), ("qwen", True))
    ]
    return labelled(tmp_path_factory.mktemp("labels"), answers)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_on_labels_what_is_there_is_found(of_labels: Workspace, name: str) -> None:
    result = of_labels.snakemake("--cores", "1", "--", name)
    assert result.returncode == 0, result.stderr
    assert EXPERIMENTS[name] in result.stdout
    check(of_labels, name, result.stdout)


def test_one_model_alone_is_no_error(of_labels: Workspace) -> None:
    said = without_most(of_labels, lambda line: not line.startswith("qwen"), EXPERIMENTS)
    assert "nothing to compare" in said


def test_a_run_is_compared_with_another(of_labels: Workspace) -> None:
    config = of_labels.read_config()
    result = of_labels.snakemake("--cores", "1", "all_verdicts")
    assert result.returncode == 0, result.stderr
    other = config | {"run": "after", "experiments": {"compare": {"run": "reduced"}}}
    of_labels.write_config(other)
    result = of_labels.snakemake("--cores", "1", "--", "compare")
    of_labels.write_config(config)
    assert result.returncode == 0, result.stderr
    # The same labels.
    assert "after/llama and reduced/llama are not shown to differ" in result.stdout
    assert "No prompt's labels differ" in result.stdout


@pytest.mark.parametrize("name", ["boundary", "determinism", "judge_noise"])
def test_labels_have_nobody_to_be_asked_anew(of_labels: Workspace, name: str) -> None:
    result = of_labels.snakemake("--cores", "1", "--", name)
    assert result.returncode == 1
    assert f"error: {name} asks models or judges anew" in result.stderr
    assert "Traceback" not in result.stderr


def test_on_the_demo_all_run(finished: Workspace) -> None:
    result = finished.snakemake("--cores", "2", "--", *EXPERIMENTS)
    assert result.returncode == 0, result.stderr
    for name in EXPERIMENTS:
        check(finished, name, result.stdout)
    # The jobs of the run were timed.
    plans = storage.read_csv(
        finished.run / "experiments/plan_seeds.csv", EXPERIMENT_TABLES["plan_seeds"]
    )
    known = plans.filter(plans["prompts_needed"].is_not_null())
    assert known.height
    assert known["hours"].min() > 0
    assert known["gpu_hours"].to_list() == [0] * known.height
    # Nothing of the run itself is made again, and no experiment is part of it.
    assert finished.planned() == {}
