"""Jobs on a real Slurm: one machine, pretended GPUs (tests/slurm/cluster.sh)."""

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

from workspace import REPOSITORY, Workspace, copy_repository

SNAKEMAKE = Path(sys.executable).parent / "snakemake"
CLUSTER = REPOSITORY / "tests/slurm/cluster.sh"
# The plugin first looks after 40 s; more engines at once than cores slow each other down.
QUICK = ("--jobs", "2", "--slurm-init-seconds-before-status-checks", "3", "--latency-wait", "5")


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
    """A Slurm cluster, or a skip that says why there can be none."""
    folder = str(tmp_path_factory.mktemp("slurm"))
    for command in (["install"], ["start", folder]):
        result = subprocess.run([CLUSTER, *command], capture_output=True, text=True, check=False)
        if result.returncode != 0:
            pytest.skip(f"no Slurm: {result.stderr.strip().removeprefix('error: ')}")
    yield
    subprocess.run([CLUSTER, "stop", folder], check=True)


def fill_in_profile(workspace: Workspace, *, engines_get_a_gpu: bool) -> None:
    """Set account and partitions as docs/cluster.md says: by removing the comment signs.

    The demo's models and judges ask for no GPU, as vLLM's CPU build has none: the profile can give
    a rule one.
    """
    text = (REPOSITORY / "profiles/slurm/config.yaml").read_text(encoding="utf-8")
    text = text.replace("my-account", "study")
    text, lines = re.subn(r"# (slurm_(account|partition):)", r"\1", text)
    assert lines == 4
    text = text.replace("# precommand: ", "precommand: ").replace(
        ". /etc/profile.d/modules.sh && module load cuda", "export OMP_WAIT_POLICY=passive"
    )
    if engines_get_a_gpu:
        text, lines = re.subn(r"^  (generate|judge):$", r"  \1:\n    gpu: 1", text, flags=re.M)
        assert lines == 2
    (workspace.folder / "profiles/slurm/config.yaml").write_text(text, encoding="utf-8")


def command(program: str, *arguments: str) -> str:
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    return result.stdout


def jobs_of(run: str) -> list[SlurmJob]:
    """The jobs that one call of snakemake submitted, by accounting; `run` is what it printed."""
    ids = re.findall(r"has been submitted with SLURM jobid (\d+) \(log: \S*/rule_(\w+?)/", run)
    arrays = re.findall(r"Submitted array job with \S.*? and SLURM job ID (\d+)\.", run)
    rules = dict(ids) | dict.fromkeys(arrays, "generate")
    if not rules:
        return []
    listing = command(
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
) -> tuple[Workspace, str]:
    """One model of the demo run on Slurm, and what that printed; its weights are trained."""
    workspace = copy_repository(tmp_path_factory.mktemp("on_slurm"))
    shutil.copytree(finished.run / "demo_models", workspace.run / "demo_models")
    config = finished.read_config()
    config["models"] = config["models"][:1]
    config["judges"] = config["judges"][:1]
    config["temperatures"] = [1.0]
    workspace.write_config(config)
    fill_in_profile(workspace, engines_get_a_gpu=True)
    return workspace, run_on_slurm(workspace, "all_verdicts")


def run_on_slurm(workspace: Workspace, *arguments: str) -> str:
    result = workspace.snakemake(
        "--profile", "slurm", "--configfile", "config/test.yaml", *QUICK, *arguments
    )
    assert result.returncode == 0, result.stderr
    return result.stderr


def check_resources(workspace: Workspace, jobs: list[SlurmJob]) -> None:
    """Each job got what the profile says of its rule, and one GPU if it has an engine."""
    text = (workspace.folder / "profiles/slurm/config.yaml").read_text(encoding="utf-8")
    profile = yaml.safe_load(text)
    for job in jobs:
        asked = profile["default-resources"] | profile["set-resources"][job.rule]
        gpus = int(job.rule in ("generate", "judge"))
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
            state="COMPLETED",
        )


def test_each_job_gets_a_gpu_and_what_the_profile_says(
    on_slurm: tuple[Workspace, str],
) -> None:
    workspace, printed = on_slurm
    jobs = jobs_of(printed)
    assert Counter(job.rule for job in jobs) == {"generate": 2, "judge": 1}
    check_resources(workspace, jobs)


def test_an_added_model_submits_only_its_own_jobs_and_its_cells_as_one_array(
    on_slurm: tuple[Workspace, str], finished: Workspace
) -> None:
    workspace, _ = on_slurm
    config = workspace.read_config()
    config["models"].append(finished.read_config()["models"][1])
    workspace.write_config(config)
    jobs = jobs_of(run_on_slurm(workspace, "--slurm-array-jobs", "generate"))
    assert Counter(job.rule for job in jobs) == {
        "generate": 2,
        "judge": 1,
        "stability": 1,
        "statistics": 1,
        "figures": 1,
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
    on_slurm: tuple[Workspace, str],
) -> None:
    workspace, _ = on_slurm
    config = workspace.read_config()
    config["judges"] = [config["judges"][0] | {"name": "large", "gpus": 4}]
    config["models"] = config["models"][:1]
    workspace.write_config(config)
    fill_in_profile(workspace, engines_get_a_gpu=False)
    # The job waits, to be looked at; interrupted, snakemake takes it out of the queue.
    command("scontrol", "update", "PartitionName=gpu", "State=DOWN")
    snakemake = subprocess.Popen(
        [SNAKEMAKE, "all_verdicts", "--profile", "slurm", "--configfile", "config/test.yaml"],
        cwd=workspace.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        job = ""
        for _ in range(120):
            job = command("squeue", "--noheader", "--states=PENDING", "--format=%i").strip()
            if job or snakemake.poll() is not None:
                break
            time.sleep(0.5)
        shown = command("scontrol", "show", "job", job)
    finally:
        snakemake.send_signal(signal.SIGINT)
        snakemake.wait(timeout=60)
        command("scontrol", "update", "PartitionName=gpu", "State=UP")
    assert "TresPerJob=gres:gpu:4" in shown
    assert "NumNodes=1-1 NumCPUs=8 NumTasks=1 CPUs/Task=8" in shown
    assert "TRES=cpu=8,mem=200000M,node=1,billing=8,gres/gpu=4" in shown
    assert "CANCELLED" in command("sacct", "--noheader", f"--jobs={job}", "--format=State")
