"""What a module may not load when it is imported: the planning process has few packages."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[2] / "workflow/scripts"
ENGINES = ["vllm", "torch", "transformers", "datasets"]
SCIENCE = ["polars", "numpy", "scipy", "dataframely"]
# Prints "module package" for the first module that loads a package it should not.
CODE = """
import importlib, sys
modules, forbidden = sys.argv[1].split(), sys.argv[2].split()
for module in modules:
    importlib.import_module(f"refusal_stability.{module}")
    loaded = [package for package in forbidden if package in sys.modules]
    if loaded:
        sys.exit(f"{module} loads {loaded}")
"""


@pytest.mark.parametrize(
    ("modules", "forbidden"),
    [
        pytest.param(
            "engine generation generation_api judging prompts",
            ENGINES,
            id="until an engine is needed",
        ),
        pytest.param(
            "cells config errors human_labels label_pairs live_tables model_settings names plan "
            "plan_text "
            "preflight prompt_files versions",
            ENGINES + SCIENCE,
            id="what Snakemake's own environment reads",
        ),
    ],
)
def test_imports_are_light(modules: str, forbidden: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", CODE, modules, " ".join(forbidden)],
        env=os.environ | {"PYTHONPATH": str(SCRIPTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
