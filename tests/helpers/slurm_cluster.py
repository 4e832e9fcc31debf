"""A real Slurm on this machine, with pretended GPUs, and a workspace that sends its jobs there."""

import fcntl
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from helpers.workspace import REPOSITORY, Workspace

SCRIPT = REPOSITORY / "tests/helpers/slurm_cluster.sh"
# What the script ends with where there can be no Slurm.
CANNOT = 77
PROFILE = "profiles/slurm/config.yaml"
# The plugin first looks after 40 s; more engines at once than cores slow each other down.
QUICK = ("--jobs", "2", "--slurm-init-seconds-before-status-checks", "9", "--latency-wait", "5")


@contextmanager
def slurm_cluster(folder: Path, *options: str) -> Iterator[None]:
    """A cluster while the context lasts; a skip where there can be none.

    There is one a machine: others who run tests wait. The lock ends with its holder, so a cluster
    whose test was killed is stopped by the next one to start.
    """
    with (Path(tempfile.gettempdir()) / "refusal-stability-slurm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for arguments in (["install"], ["start", str(folder), *options]):
            result = subprocess.run(
                [SCRIPT, *arguments], capture_output=True, text=True, check=False
            )
            if result.returncode == CANNOT:
                pytest.skip(f"no Slurm: {result.stderr.strip().removeprefix('error: ')}")
            assert result.returncode == 0, result.stderr
        try:
            yield
        finally:
            subprocess.run([SCRIPT, "stop", str(folder)], check=True)


def output_of(program: str, *arguments: str) -> str:
    result = subprocess.run([program, *arguments], capture_output=True, text=True, check=True)
    return result.stdout


def fill_in_profile(workspace: Workspace, *, keys: list[str], engines_get_a_gpu: bool) -> None:
    """Remove the comment sign before each of the keys, as docs/cluster.md says.

    The demo's models and judges ask for no GPU, as vLLM's CPU build has none: the profile can give
    a rule one.
    """
    text = (REPOSITORY / PROFILE).read_text(encoding="utf-8").replace("my-account", "study")
    for key in keys:
        text, lines = re.subn(rf"# ({key}:)", r"\1", text)
        assert lines, key
    # The command of a site, which this machine lacks.
    text, lines = re.subn(
        r'^((?:# )?precommand:) ".*"$', r'\1 "export OMP_WAIT_POLICY=passive"', text, flags=re.M
    )
    assert lines == 1
    if engines_get_a_gpu:
        text, lines = re.subn(
            r"^  (generate|generate_model|judge|judge_models):$",
            r"  \1:\n    gpu: 1",
            text,
            flags=re.M,
        )
        assert lines == 4
    (workspace.folder / PROFILE).write_text(text, encoding="utf-8")


def run_on_slurm(workspace: Workspace, *arguments: str) -> subprocess.CompletedProcess[str]:
    return workspace.snakemake(
        "--profile", "slurm", "--configfile", "config/test.yaml", *QUICK, *arguments
    )
