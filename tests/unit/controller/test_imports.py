"""What a module may not load when it is imported: the planning process has few packages."""

import os
import subprocess
import sys
from pathlib import Path

from refusal_stability.controller.code import imported

WORKFLOW = Path(__file__).parents[3] / "workflow"
ENGINES = ["vllm", "torch", "transformers", "datasets"]
# Prints "module package" for the first module that loads a package it should not.
CODE = """
import importlib, sys
modules, forbidden = sys.argv[1].split(), sys.argv[2].split()
import jsonschema, yaml  # Snakemake's own, with whatever they make use of
there = set(sys.modules)
for module in modules:
    importlib.import_module(f"refusal_stability.{module}")
    loaded = {name.partition(".")[0] for name in set(sys.modules) - there}
    if forbidden:
        loaded &= set(forbidden)
    else:
        loaded -= sys.stdlib_module_names | {"refusal_stability"}
    if loaded:
        sys.exit(f"{module} loads {loaded}")
"""


def import_all(modules: list[str], forbidden: list[str]) -> subprocess.CompletedProcess[str]:
    """Import modules of the package, none of which may load what is forbidden.

    If nothing is, they may load no more than the standard library, yaml and jsonschema.
    """
    return subprocess.run(
        [sys.executable, "-c", CODE, " ".join(modules), " ".join(forbidden)],
        env=os.environ | {"PYTHONPATH": str(WORKFLOW / "scripts")},
        capture_output=True,
        text=True,
        check=False,
    )


def modules_of_the_rules(tmp_path: Path) -> list[str]:
    """The modules that the Snakefile's rule files import."""
    rules = tmp_path / "rules.py"
    package = WORKFLOW / "scripts/refusal_stability"
    (tmp_path / "refusal_stability").symlink_to(package)
    files = (WORKFLOW / "rules").glob("*.smk")
    rules.write_text("".join(path.read_text(encoding="utf-8") for path in files))
    return sorted(
        ".".join(file.relative_to(tmp_path / "refusal_stability").with_suffix("").parts)
        for file in imported(rules)
        if file.stem != "__init__"
    )


def test_no_engine_is_loaded_until_it_is_needed() -> None:
    modules = [
        "engine.vllm_engine",
        "generation.local",
        "generation.api",
        "judging.judge",
        "prompts.load",
    ]
    result = import_all(modules, ENGINES)
    assert result.returncode == 0, result.stderr


def test_what_plans_a_run_needs_no_more_than_snakemake(tmp_path: Path) -> None:
    modules = modules_of_the_rules(tmp_path)
    assert {"controller.check_config", "engine.hardware", "settings.judges"} <= set(modules)
    # `snakemake plan` runs where Snakemake does.
    result = import_all([*modules, "costs.plan", "costs.plan_text"], [])
    assert result.returncode == 0, result.stderr
