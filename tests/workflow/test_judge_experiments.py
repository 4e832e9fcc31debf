"""Experiments on judges: those that label a sample only, and a judge that is asked again."""

import polars as pl
import pytest

from refusal_stability import files
from refusal_stability.contracts import AgreementSample, ToLabel, Verdicts
from refusal_stability.table_contracts import EXPERIMENT_TABLES
from workspace import Workspace, reduced_config

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
    sample = files.read_parquet(folder / "sample.parquet", AgreementSample)
    shown = files.read_parquet(folder / "to_label.parquet", ToLabel)
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
        files.read_parquet(path, Verdicts).with_columns(
            judge=pl.lit(path.parent.name), model=pl.lit(path.stem)
        )
        for path in folder.glob("*/*.parquet")
    ]
    counts = dict(pl.concat(verdicts)["judge"].value_counts().iter_rows())
    assert counts == {"phrases": 40, "person": 30, "again": 40}
    table = files.read_csv(
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
