"""Experiments on judges: those that label a sample only, and a judge that is asked again."""

import polars as pl
import pytest

from helpers.workspace import Workspace, reduced_config
from refusal_stability.schemas import storage
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.schemas.stages import (
    AgreementSample,
    LabelingTask,
    NoiseSample,
    Rejudged,
    Verdicts,
)

PHRASES = {"name": "phrases", "kind": "string_match", "phrases": "resources/phrases/gcg.txt"}


def with_judges(*judges: dict, size: int = 40) -> dict:
    settings = {"responses": size, "judges": list(judges)}
    return reduced_config() | {"experiments": {"judge_agreement": settings}}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            with_judges(PHRASES | {"name": "Judge-Good"}),
            "experiments.judge_agreement.judges[0].name: 'Judge-Good' is already the name of",
        ),
        (
            with_judges(PHRASES | {"phrases": "nowhere.txt"}),
            "experiments.judge_agreement.judges[0].phrases: no file nowhere.txt",
        ),
        (
            {"run": "reduced", "labels": ["labels.csv"]}
            | {"experiments": {"judge_agreement": {"judges": [PHRASES]}}},
            "experiments.judge_agreement.judges: a run that starts from labels has no replies",
        ),
    ],
)
def test_judges_of_the_sample_are_checked_as_any_judge(
    workspace: Workspace, config: dict, said: str
) -> None:
    (workspace.folder / "labels.csv").touch()
    workspace.write_config(config)
    result = workspace.snakemake("--dry-run", "judge_agreement")
    assert result.returncode == 1
    assert f"config/test.yaml: {said}" in result.stderr
    assert "Traceback" not in result.stderr


def test_judges_that_are_no_part_of_the_run_label_the_sample(finished_copy: Workspace) -> None:
    workspace = finished_copy
    folder = workspace.run / "experiments/judge_agreement"
    workspace.write_config(with_judges(PHRASES))
    result = workspace.snakemake("--cores", "1", "agreement_sample")
    assert result.returncode == 0, result.stderr
    sample = storage.read_parquet(folder / "sample.parquet", AgreementSample)
    shown = storage.read_parquet(folder / "to_label.parquet", LabelingTask)
    assert sample.height == shown.height == 40
    # A person labels some of it; another judge with weights, the same as one of the run, all of it.
    shown.head(30).select(
        "model", "prompt_id", "temperature", "seed", "response_sha256", label=pl.lit("REFUSE")
    ).write_csv(workspace.folder / "person.csv")
    person = {"name": "person", "kind": "human", "labels": "person.csv"}
    again = reduced_config()["judges"][0] | {"name": "again"}
    config = with_judges(PHRASES, person, again)
    workspace.write_config(config)
    jobs = workspace.planned("judge_agreement")
    assert jobs == {"judge_agreement": 1, "judge_sample": 1, "judge_sample_without_gpu": 2}
    result = workspace.snakemake("--cores", "2", "judge_agreement")
    assert result.returncode == 0, result.stderr
    verdicts = [
        storage.read_parquet(path, Verdicts).with_columns(
            judge=pl.lit(path.parent.name), model=pl.lit(path.stem)
        )
        for path in folder.glob("*/*.parquet")
    ]
    counts = dict(pl.concat(verdicts)["judge"].value_counts().iter_rows())
    assert counts == {"phrases": 40, "person": 30, "again": 40}
    table = storage.read_csv(
        workspace.run / "experiments/judge_agreement.csv", EXPERIMENT_TABLES["judge_agreement"]
    ).filter(model="all")
    # Of five judges, every two.
    assert table.height == 10
    same = table.filter(judge_a=config["judges"][0]["name"], judge_b="again").row(0, named=True)
    assert same["n"] + same["n_invalid"] == 40
    assert same["agreement"] == 1
    # They are no part of the run.
    assert workspace.planned() == {}
    assert workspace.planned("judge_agreement") == {}


def test_judges_are_asked_again_and_on_a_cpu_say_the_same(finished_copy: Workspace) -> None:
    workspace = finished_copy
    settings = {"responses": 12, "repeats": 2}
    workspace.write_config(reduced_config() | {"experiments": {"judge_noise": settings}})
    jobs = workspace.planned("judge_noise")
    assert jobs == {"noise_sample": 1, "rejudge": 2, "judge_noise": 1}
    result = workspace.snakemake("--cores", "2", "judge_noise")
    assert result.returncode == 0, result.stderr
    assert "judge-good changes its label of 0 of" in result.stdout
    folder = workspace.run / "experiments"
    texts = storage.read_parquet(folder / "judge_noise/texts.parquet", NoiseSample)
    for judge in ("judge-good", "judge-noisy"):
        labels = storage.read_parquet(folder / f"judge_noise/labels/{judge}.parquet", Rejudged)
        # Four conditions.
        assert labels.height == texts.height * 4 * 2
        # Of a constrained answer there are probabilities, and those of a text differ in nothing.
        alike = labels.filter(pl.col("condition") != "sampled").group_by(
            "model", "prompt_id", "response_sha256"
        )
        assert alike.agg(pl.col("p_refuse").round(4).n_unique())["p_refuse"].unique().to_list() == [
            1
        ]
    table = storage.read_csv(folder / "judge_noise.csv", EXPERIMENT_TABLES["judge_noise"])
    as_in_run = table.filter(condition="as_in_run", other_judge="none")
    # Nothing changes, nor is a label another than the run's.
    assert as_in_run["value"].unique().to_list() == [0]
    flips = storage.read_csv(
        folder / "judge_noise_flips.csv", EXPERIMENT_TABLES["judge_noise_flips"]
    )
    assert flips["flip_rate_corrected"].to_list() == flips["flip_rate"].to_list()
    assert workspace.planned("judge_noise") == {}
    assert workspace.planned() == {}
