"""Hypothesis runs the same examples every time; and what tests of several files need."""

from pathlib import Path

import pytest
from hypothesis import settings

from helpers.api_judges import KEY
from refusal_stability.api import batches

settings.register_profile("unit", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("unit")


@pytest.fixture
def folder_of_configurations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in the configurations of `configs` are relative to a folder with these files."""
    (tmp_path / "rubric.txt").write_text("Label the reply.\n")
    (tmp_path / "prompts.csv").write_text("prompt\nhello\n")
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint/config.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def quick_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, and short waits for batches."""
    monkeypatch.setenv("TEST_KEY", KEY)
    monkeypatch.setattr(batches, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(batches, "LONGEST_WAIT", 0.01)
