"""Where an engine keeps what it compiles."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from helpers.workspace import REPOSITORY
from refusal_stability.core import cli
from refusal_stability.engine import caches as engine_caches

JOB = """
import os, signal, sys, time
from refusal_stability.core import cli
from refusal_stability.engine import caches as engine_caches

def main():
    engine_caches.use_own()
    os.makedirs(os.environ["TRITON_CACHE_DIR"] + "/kernel")
    if len(sys.argv) > 1:
        # A child has the parent's handlers, and the parent's folder.
        there, here = os.pipe()
        child = os.fork()
        if not child:
            os.write(here, b"!")
            time.sleep(60)
            os._exit(1)
        os.read(there, 1)
        os.kill(child, signal.SIGTERM)
        os.waitpid(child, 0)
        assert os.path.isdir(os.environ["TRITON_CACHE_DIR"])
        print("ready", flush=True)
        time.sleep(60)

cli.run(main)
"""
CACHES = ("VLLM_CACHE_ROOT", "TRITON_CACHE_DIR", "FLASHINFER_WORKSPACE_BASE")


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No caches are set, and temporary files go into a folder of the test's."""
    before = signal.getsignal(signal.SIGTERM)
    for name in (*CACHES, "SLURM_JOB_ID", "SLURM_TMPDIR"):
        # Set before it is deleted, so that it is as before after the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(cli, "_clean_ups", [])
    yield
    signal.signal(signal.SIGTERM, before)


def caches() -> dict[str, Path]:
    return {name: Path(os.environ[name]) for name in CACHES if name in os.environ}


def test_jobs_of_one_machine_share_the_users_home() -> None:
    engine_caches.use_own()
    assert caches() == {}


def test_a_job_on_slurm_has_caches_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    engine_caches.use_own()
    first = caches()
    (folder,) = {path.parent for path in first.values()}
    assert folder.parent == tmp_path
    assert folder.name.startswith("refusal-stability-7-")
    # vLLM unpickles what it finds there: it is nobody else's.
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    # Again in the same process: the same ones.
    engine_caches.use_own()
    assert caches() == first
    # Another process of the same job, as on a second node, has others.
    for name in CACHES:
        monkeypatch.delenv(name)
    engine_caches.use_own()
    assert {path.parent for path in caches().values()} != {folder}


def test_a_cache_of_the_users_own_is_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("TRITON_CACHE_DIR", "/scratch/triton")
    engine_caches.use_own()
    assert caches()["TRITON_CACHE_DIR"] == Path("/scratch/triton")
    assert caches()["VLLM_CACHE_ROOT"].is_relative_to(tmp_path)


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        pytest.param({"slurm": "xfs", "tmp": "ext4"}, "slurm", id="Slurm's own"),
        pytest.param({"slurm": "lustre", "tmp": "ext4"}, "tmp", id="one that nodes share"),
        pytest.param({"slurm": "nfs4", "tmp": "gpfs"}, None, id="both shared"),
        pytest.param({"tmp": "beegfs"}, None, id="no folder of Slurm's"),
        pytest.param({"slurm": "xfs noexec", "tmp": "ext4"}, "tmp", id="none for libraries"),
        pytest.param({"slurm": "xfs noexec", "tmp": "nfs"}, None, id="nor on the node"),
    ],
)
def test_the_folder_is_on_the_node(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kinds: dict[str, str], expected: str | None
) -> None:
    partitions = [mounted("/", "overlay")]
    for name, kind in kinds.items():
        (tmp_path / name).mkdir()
        partitions.append(mounted(str(tmp_path / name), *kind.split()))
    # Mounted over another, it is what is seen.
    partitions.insert(0, mounted(str(tmp_path / "tmp"), "nfs"))
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: partitions)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    if "slurm" in kinds:
        monkeypatch.setenv("SLURM_TMPDIR", str(tmp_path / "slurm"))
    engine_caches.use_own()
    folder = caches()["VLLM_CACHE_ROOT"].parent.parent
    cli._clean_ups[0]()
    # /tmp is on the node's own disk.
    assert folder == (tmp_path / expected if expected else Path("/tmp"))


def mounted(place: str, kind: str, *options: str) -> SimpleNamespace:
    """A file system as psutil has it."""
    return SimpleNamespace(mountpoint=place, fstype=kind, opts=",".join(["rw", *options]))


def test_a_machine_that_lists_no_mounts_has_a_folder_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(psutil, "disk_partitions", lambda **_: [])
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    engine_caches.use_own()
    assert caches()["VLLM_CACHE_ROOT"].is_relative_to(tmp_path)


def test_the_folder_is_gone_when_the_job_has_ended(tmp_path: Path) -> None:
    variables = {"SLURM_JOB_ID": "7", "PYTHONPATH": str(REPOSITORY / "workflow/scripts")}
    subprocess.run([sys.executable, "-c", JOB], env=os.environ | variables, check=True)
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_slurm_ends_leaves_no_folder(tmp_path: Path) -> None:
    variables = {"SLURM_JOB_ID": "7", "PYTHONPATH": str(REPOSITORY / "workflow/scripts")}
    with subprocess.Popen(
        [sys.executable, "-c", JOB, "wait"], env=os.environ | variables, stdout=subprocess.PIPE
    ) as job:
        assert job.stdout.readline() == b"ready\n"
        job.terminate()
        # It ends as it would without a handler.
        assert job.wait(timeout=20) == -signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
