"""What a module may not load when it is imported: the planning process has few packages."""

import os
import re
import subprocess
import sys
from pathlib import Path

WORKFLOW = Path(__file__).parents[2] / "workflow"
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


def modules_of_the_rules() -> list[str]:
    """The modules that the Snakefile's rule files import."""
    text = "".join(path.read_text(encoding="utf-8") for path in (WORKFLOW / "rules").glob("*.smk"))
    lists = re.findall(r"^from refusal_stability import (\([^)]+\)|.+)", text, flags=re.MULTILINE)
    own = re.findall(r"^from refusal_stability\.(\w+) import", text, flags=re.MULTILINE)
    return sorted({*own, *re.findall(r"\w+", " ".join(lists))})


def test_no_engine_is_loaded_until_it_is_needed() -> None:
    modules = ["engine", "generation", "generation_api", "judging", "prompts"]
    result = import_all(modules, ENGINES)
    assert result.returncode == 0, result.stderr


def test_what_plans_a_run_needs_no_more_than_snakemake() -> None:
    modules = modules_of_the_rules()
    assert {"config", "gpu_checks", "judge_settings", "preflight"} <= set(modules)
    # `snakemake plan` runs where Snakemake does.
    result = import_all([*modules, "plan", "plan_text"], [])
    assert result.returncode == 0, result.stderr
