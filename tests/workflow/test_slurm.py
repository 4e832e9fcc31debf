"""Jobs on a real Slurm: one machine, pretended GPUs (tests/helpers/slurm_cluster.sh)."""

import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from helpers.slurm_cluster import (
    PROFILE,
    QUICK,
    fill_in_profile,
    output_of,
    run_on_slurm,
    slurm_cluster,
)
from helpers.workspace import Workspace, copy_repository

SNAKEMAKE = Path(sys.executable).parent / "snakemake"
KEYS = ["slurm_account", "slurm_partition", "precommand"]


@dataclass(frozen=True)
class SlurmJob:
    """What Slurm's accounting knows of a job."""

    id: str
    rule: str
    account: str
    partition: str
    minutes: int
    gpus: int
    cpus: int
    mem_mb: int
    nodes: int
    state: str


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with slurm_cluster(tmp_path_factory.mktemp("slurm")):
        yield


def jobs_of(run: str) -> list[SlurmJob]:
    """The jobs that one call of snakemake submitted, by accounting; `run` is what it printed."""
    ids = re.findall(r"has been submitted with SLURM jobid (\d+) \(log: \S*/rule_(\w+?)/", run)
    arrays = re.findall(r"Submitted array job with \S.*? and SLURM job ID (\d+)\.", run)
    rules = dict(ids) | dict.fromkeys(arrays, "generate")
    if not rules:
        return []
    listing = output_of(
        "sacct",
        "--allocations",
        "--noheader",
        "--parsable2",
        f"--jobs={','.join(rules)}",
        "--format=JobID,Account,Partition,TimelimitRaw,AllocTRES,State",
    )
    jobs = []
    for line in listing.splitlines():
        job, account, partition, minutes, resources, state = line.split("|")
        amounts = dict(part.split("=") for part in resources.split(","))
        jobs.append(
            SlurmJob(
                id=job,
                rule=rules[job.partition("_")[0]],
                account=account,
                partition=partition,
                minutes=int(minutes),
                gpus=int(amounts.get("gres/gpu", 0)),
                cpus=int(amounts["cpu"]),
                mem_mb=int(amounts["mem"].removesuffix("M")),
                nodes=int(amounts["node"]),
                state=state,
            )
        )
    return jobs


@pytest.fixture(scope="module")
def on_slurm(
    cluster: None,  # noqa: ARG001
    finished: Workspace,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Workspace, subprocess.CompletedProcess[str]]:
    """A model that runs and one that cannot, on Slurm; their weights are trained."""
    workspace = copy_repository(tmp_path_factory.mktemp("on_slurm"))
    shutil.copytree(finished.run / "demo_models", workspace.run / "demo_models")
    config = finished.read_config()
    config["models"] = config["models"][:1]
    config["models"].append(config["models"][0] | {"name": "too-short", "max_model_len": 65})
    config["judges"] = config["judges"][:1]
    config["temperatures"] = [1.0]
    workspace.write_config(config)
    fill_in_profile(workspace, keys=KEYS, engines_get_a_gpu=True)
    return workspace, run_on_slurm(workspace, "all_verdicts")


def check_resources(workspace: Workspace, jobs: list[SlurmJob]) -> None:
    """Each job got what the profile says of its rule, and one GPU if it has an engine."""
    profile = yaml.safe_load((workspace.folder / PROFILE).read_text(encoding="utf-8"))
    for job in jobs:
        asked = profile["default-resources"] | profile["set-resources"][job.rule]
        gpus = int(job.rule.startswith(("generate", "judge")))
        assert job == SlurmJob(
            id=job.id,
            rule=job.rule,
            account="study",
            partition="gpu" if gpus else "cpu",
            minutes=asked["runtime"],
            gpus=gpus,
            cpus=profile["set-threads"].get(job.rule, 1),
            mem_mb=asked["mem_mb"],
            nodes=1,
            state=job.state,
        )


def test_each_job_gets_a_gpu_and_what_the_profile_says(
    on_slurm: tuple[Workspace, subprocess.CompletedProcess[str]],
) -> None:
    workspace, run = on_slurm
    check_resources(workspace, jobs_of(run.stderr))


def test_a_failed_model_stops_no_other_and_its_log_is_shown(
    on_slurm: tuple[Workspace, subprocess.CompletedProcess[str]],
) -> None:
    workspace, run = on_slurm
    assert run.returncode == 1
    # The judge of the model that failed has nothing to judge.
    assert Counter((job.rule, job.state) for job in jobs_of(run.stderr)) == {
        ("generate", "COMPLETED"): 2,
        ("generate", "FAILED"): 2,
        ("judge", "COMPLETED"): 1,
    }
    for seed in (1, 2):
        log = f"results/reduced/logs/generate/too-short/T1_seed{seed}.log"
        error = (workspace.folder / log).read_text(encoding="utf-8").strip()
        assert error.startswith("error: too-short: 12 prompt(s) are too long")
        assert "\n" not in error
        assert log in run.stderr
        assert error in run.stderr


def test_an_account_that_nobody_has_is_told_and_nothing_is_submitted(
    on_slurm: tuple[Workspace, subprocess.CompletedProcess[str]],
) -> None:
    workspace, _ = on_slurm
    profile = workspace.folder / PROFILE
    text = profile.read_text(encoding="utf-8")
    profile.write_text(text.replace("slurm_account: study", "slurm_account: nobody"))
    run = run_on_slurm(workspace, "all_verdicts")
    profile.write_text(text)
    assert run.returncode == 1
    assert "The given account nobody appears to be invalid" in run.stderr
    assert jobs_of(run.stderr) == []


def test_an_added_model_submits_only_its_own_jobs_and_its_cells_as_one_array(
    on_slurm: tuple[Workspace, subprocess.CompletedProcess[str]], finished: Workspace
) -> None:
    workspace, _ = on_slurm
    config = workspace.read_config()
    config["models"] = finished.read_config()["models"]
    workspace.write_config(config)
    run = run_on_slurm(workspace, "--slurm-array-jobs", "generate")
    assert run.returncode == 0, run.stderr
    jobs = jobs_of(run.stderr)
    assert Counter((job.rule, job.state) for job in jobs) == {
        ("generate", "COMPLETED"): 2,
        ("judge", "COMPLETED"): 1,
        ("stability", "COMPLETED"): 1,
        ("statistics", "COMPLETED"): 1,
        ("figures", "COMPLETED"): 1,
        ("report_page", "COMPLETED"): 1,
    }
    cells = [job.id for job in jobs if job.rule == "generate"]
    assert [job.partition("_")[2] for job in cells] == ["1", "2"]
    assert len({job.partition("_")[0] for job in cells}) == 1
    # The list of an array's commands is allowed for in its memory.
    check_resources(
        workspace,
        [replace(job, mem_mb=job.mem_mb - (job.rule == "generate")) for job in jobs],
    )
    assert (workspace.run / "tables/models.csv").is_file()


def test_a_judge_of_four_gpus_gets_them_on_one_node_for_one_process(
    on_slurm: tuple[Workspace, subprocess.CompletedProcess[str]],
) -> None:
    workspace, _ = on_slurm
    config = workspace.read_config()
    config["judges"] = [config["judges"][0] | {"name": "large", "gpus": 4}]
    config["models"] = config["models"][:1]
    workspace.write_config(config)
    fill_in_profile(workspace, keys=KEYS, engines_get_a_gpu=False)
    # The job waits, to be looked at; interrupted, snakemake takes it out of the queue.
    output_of("scontrol", "update", "PartitionName=gpu", "State=DOWN")
    snakemake = subprocess.Popen(
        [
            SNAKEMAKE,
            "all_verdicts",
            "--profile",
            "slurm",
            "--configfile",
            "config/test.yaml",
            *QUICK,
        ],
        cwd=workspace.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        job = ""
        for _ in range(120):
            job = output_of(
                "squeue", "--noheader", "--partition=gpu", "--states=PENDING", "--format=%i"
            ).strip()
            if job or snakemake.poll() is not None:
                break
            time.sleep(0.5)
        shown = output_of("scontrol", "show", "job", job)
    finally:
        snakemake.send_signal(signal.SIGINT)
        snakemake.wait(timeout=60)
        output_of("scontrol", "update", "PartitionName=gpu", "State=UP")
    assert "TresPerJob=gres:gpu:4" in shown
    assert "NumNodes=1-1 NumCPUs=8 NumTasks=1 CPUs/Task=8" in shown
    assert "TRES=cpu=8,mem=200000M,node=1,billing=8,gres/gpu=4" in shown
    assert "CANCELLED" in output_of("sacct", "--noheader", f"--jobs={job}", "--format=State")


def test_a_shared_engine_is_one_job_a_model_and_one_a_judge(
    cluster: None,  # noqa: ARG001
    finished: Workspace,
    tmp_path: Path,
) -> None:
    workspace = copy_repository(tmp_path)
    shutil.copytree(finished.run / "demo_models", workspace.run / "demo_models")
    config = finished.read_config()
    config["judges"] = config["judges"][:1]
    config["temperatures"] = [1.0]
    workspace.write_config(config | {"engine": {"sharing": "model"}})
    fill_in_profile(workspace, keys=KEYS, engines_get_a_gpu=True)
    run = run_on_slurm(workspace, "all_verdicts")
    assert run.returncode == 0, run.stderr
    jobs = jobs_of(run.stderr)
    assert Counter((job.rule, job.state) for job in jobs if "_model" in job.rule) == {
        ("generate_model", "COMPLETED"): 2,
        ("judge_models", "COMPLETED"): 1,
    }
    assert not {"generate", "judge", "take_cell", "take_verdicts"} & {job.rule for job in jobs}
    check_resources(workspace, jobs)
    for path in finished.run.glob("responses/*/T1_*.parquet"):
        cell = path.relative_to(finished.run)
        assert (workspace.run / cell).read_bytes() == path.read_bytes()
