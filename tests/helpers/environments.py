"""The conda environments: what each pins, which scripts run in it, and what these import."""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from helpers.workspace import REPOSITORY

ENVIRONMENTS = sorted((REPOSITORY / "envs").glob("*.yaml"))
# Scripts of each environment, where it is not the one of its name.
_ENGINE = [
    "generate", "generate_model", "judge", "judge_models", "judge_sample", "rejudge",
    "first_tokens", "determinism_test", "determinism_passes",
]  # fmt: skip
_EXPERIMENTS = [
    "adaptive", "adaptive_prompts", "agreement_sample", "boundary", "category_probe", "compare",
    "determinism", "judge_agreement", "judge_noise", "noise_sample", "pilot", "plan_seeds",
    "sample_prompts", "scoring", "seed_scope",
]  # fmt: skip
SCRIPTS = {
    "cost": ["cost", "paper"],
    "engine": _ENGINE,
    "experiments": _EXPERIMENTS,
    "generate_without_gpu": ["generate"],
    "judge_without_gpu": ["judge", "judge_sample", "rejudge"],
    "plan": ["plan", "take"],
    "statistics": ["tables"],
}
# What is imported in functions that no script of an environment calls there: those of an engine, of
# the hub, and of prompts' sources, in modules that have others too.
_ENGINE_PACKAGES = {
    "jinja2", "psutil", "safetensors", "torch", "tqdm", "transformers", "vllm",
}  # fmt: skip
_HUB_PACKAGES = {"httpx2", "huggingface_hub"}
NEVER_IMPORTED = {
    "engine": {"datasets"},
    "experiments": _ENGINE_PACKAGES | _HUB_PACKAGES,
    "generate_without_gpu": _ENGINE_PACKAGES | _HUB_PACKAGES | {"datasets"},
    "judge_without_gpu": _ENGINE_PACKAGES | _HUB_PACKAGES | {"datasets"},
    # Of a Parquet file's prompts it says that their number is not known.
    "plan": _HUB_PACKAGES | {"polars"},
}


def pip_section(path: Path) -> list[str]:
    """What an environment pins from PyPI."""
    dependencies = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    return next(part["pip"] for part in dependencies if isinstance(part, dict))


def has_engine(path: Path) -> bool:
    """Whether an environment holds gigabytes: vLLM, or PyTorch."""
    return any(re.match(r"(vllm|torch)==", line) for line in pip_section(path))


def scripts_of(path: Path) -> list[Path]:
    """The scripts that run in an environment."""
    names = SCRIPTS.get(path.stem, [path.stem])
    return [REPOSITORY / f"workflow/scripts/{name}.py" for name in names]


def third_party_imports(path: Path, lazy: bool) -> set[str]:
    """The packages that a script imports, also through the package's modules.

    Args:
        path: the script.
        lazy: whether imports within functions count, and not only those at the top.
    """
    found, seen, waiting = set(), set(), [path]
    while waiting:
        module = waiting.pop()
        if module in seen:
            continue
        seen.add(module)
        tree = ast.parse(module.read_text(encoding="utf-8"))
        for name in _imported(ast.walk(tree) if lazy else tree.body):
            own = REPOSITORY / "workflow/scripts" / (name.replace(".", "/") + ".py")
            if name.startswith("refusal_stability"):
                waiting += [own] if own.is_file() else []
            elif name.partition(".")[0] not in sys.stdlib_module_names:
                found.add(name.partition(".")[0])
    return found


def _imported(nodes: Iterator[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
