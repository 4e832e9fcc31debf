"""Workspaces: one with a finished run, copies of it, and empty ones."""

import shutil
from pathlib import Path

import pytest

from helpers.workspace import Workspace, copy_repository, reduced_config


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fast ones first: tests of a finished run wait for it to be made."""
    items.sort(key=lambda item: "finished" in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A workspace in which the reduced demo has run, with real training, vLLM and judges."""
    workspace = copy_repository(tmp_path_factory.mktemp("finished"))
    workspace.write_config(reduced_config())
    result = workspace.snakemake("--cores", "2")
    assert result.returncode == 0, result.stderr
    return workspace


@pytest.fixture
def finished_copy(finished: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished workspace that a test may change; times of files are kept."""
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    return Workspace(tmp_path / "copy")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """A workspace without results."""
    workspace = copy_repository(tmp_path)
    workspace.write_config(reduced_config())
    return workspace
