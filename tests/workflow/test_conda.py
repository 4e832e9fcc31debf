"""`--sdm conda` as far as it goes without conda-forge: what pip resolves, and which environment
each rule asks for and runs in, under a stand-in for conda."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from workspace import REPOSITORY, Workspace

ENVIRONMENTS = sorted((REPOSITORY / "envs").glob("*.yaml"))
# What vLLM's own dependencies have wheels for: Debian 11, Ubuntu 20.04 and later; not RHEL 8.
PLATFORM = "x86_64-manylinux_2_31"


def pip_section(path: Path) -> list[str]:
    dependencies = yaml.safe_load(path.read_text(encoding="utf-8"))["dependencies"]
    return next(part["pip"] for part in dependencies if isinstance(part, dict))


def resolve(requirements: list[str]) -> subprocess.CompletedProcess[str]:
    """Let uv find versions that go together: it reads metadata and downloads no package."""
    options = ["--python-version", "3.11", "--python-platform", PLATFORM, "--no-build"]
    return subprocess.run(
        [Path(sys.executable).parent / "uv", "pip", "compile", "--quiet", *options, "-"],
        input="\n".join(requirements),
        capture_output=True,
        text=True,
        check=False,
        # Where the wheels of this machine are must not matter.
        env={key: value for key, value in os.environ.items() if not key.startswith("UV_")},
    )


@pytest.fixture(scope="session")
def pypi() -> None:
    if resolve(["pyyaml==6.0.3"]).returncode != 0:
        pytest.skip("PyPI cannot be reached, so nothing can be resolved")


@pytest.mark.usefixtures("pypi")
@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_a_pip_section_resolves(path: Path) -> None:
    wanted = pip_section(path)
    result = resolve(wanted)
    assert result.returncode == 0, result.stderr
    found = set(re.findall(r"^[\w.-]+==[\w.+]+", result.stdout, flags=re.MULTILINE))
    assert set(wanted) <= found
    # Lean: gigabytes of an engine come with nothing but itself.
    engines = {requirement for requirement in found if re.match(r"(vllm|torch)==", requirement)}
    asked = any(re.match(r"(vllm|torch)==", requirement) for requirement in wanted)
    assert bool(engines) == asked


@pytest.mark.usefixtures("pypi")
def test_an_unsatisfiable_pip_section_is_noticed() -> None:
    assert resolve(["vllm==0.32.0", "numpy==1.20.0"]).returncode != 0


def test_only_engines_and_training_hold_an_engine() -> None:
    heavy = {
        path.stem
        for path in ENVIRONMENTS
        if any(re.match(r"(vllm|torch)==", requirement) for requirement in pip_section(path))
    }
    assert heavy == {"generate", "judge", "train_demo_model"}


@pytest.fixture
def conda(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in on PATH, as on a user's machine: base is active, and over it a venv."""
    root = REPOSITORY / "tests/stand_in_conda"
    venv = Path(sys.executable).parent
    monkeypatch.setenv("STAND_IN_PYTHON", sys.executable)
    monkeypatch.setenv("CONDA_PREFIX", str(root))
    monkeypatch.setenv("PATH", f"{venv}:{root / 'bin'}:{os.environ['PATH']}")


def scripts(text: str) -> set[str]:
    return set(re.findall(r"workflow/scripts/(\w+)\.py", text))


def environments_of_records(workspace: Workspace) -> dict[str, str]:
    """{rule: the environment file that Snakemake recorded for its outputs}."""
    found = {}
    for file in (workspace.folder / ".snakemake/metadata").rglob("*"):
        if file.is_file():
            record = json.loads(file.read_text(encoding="utf-8"))
            found[record["rule"]] = base64.b64decode(record["conda_env"]).decode()
    return found


def check_environments(workspace: Workspace, planned: dict[str, int]) -> None:
    """Each rule has run in its own environment, and its script there."""
    recorded = environments_of_records(workspace)
    assert set(recorded) == set(planned)
    for rule, content in recorded.items():
        file = workspace.folder / f"envs/{rule}.yaml"
        assert content == file.read_text(encoding="utf-8"), rule
    called = {}
    for calls in (workspace.folder / ".snakemake/conda").glob("*/calls"):
        text = calls.read_text(encoding="utf-8")
        content = calls.parent.with_name(f"{calls.parent.name}.yaml").read_text(encoding="utf-8")
        called[content] = scripts(text)
        assert len(called[content]) == 1, text
    # As many calls in as many environments: none ran in the Python of Snakemake.
    assert set(called) == set(recorded.values())


@pytest.mark.usefixtures("conda")
def test_every_rule_of_a_run_runs_in_its_environment(workspace: Workspace) -> None:
    config = workspace.read_config()
    for key in ("models", "judges", "temperatures", "seeds"):
        config[key] = config[key][:1]
    phrases = {"name": "phrases", "kind": "string_match", "phrases": "resources/phrases/gcg.txt"}
    config["judges"].append(phrases)
    # A tiny judge of twelve prompts.
    config["statistics"] = {"max_invalid_share": 1.0}
    workspace.write_config(config)
    planned = workspace.planned("--sdm", "conda")
    assert {"generate", "judge", "judge_without_gpu"} <= set(planned)
    result = workspace.snakemake("--sdm", "conda", "--cores", "2")
    assert result.returncode == 0, result.stderr
    check_environments(workspace, planned)

    # What was computed stays: with another text of the environments, and without conda.
    for path in (workspace.folder / "envs").glob("*.yaml"):
        path.write_text(path.read_text(encoding="utf-8") + "# a comment\n", encoding="utf-8")
    assert workspace.planned("--sdm", "conda") == {}
    assert workspace.planned() == {}


LABELS = """model,prompt_id,temperature,seed,label,judge
a,p1,0,1,REFUSE,x
a,p1,0,2,COMPLY,x
a,p2,0,1,REFUSE,x
a,p2,0,2,REFUSE,x
"""


@pytest.mark.usefixtures("conda")
def test_every_rule_of_a_run_from_labels_runs_in_its_environment(workspace: Workspace) -> None:
    (workspace.folder / "labels.csv").write_text(LABELS, encoding="utf-8")
    figures = "resources/published_figures.yaml"
    workspace.write_config({"run": "r", "labels": ["labels.csv"], "published_figures": figures})
    planned = workspace.planned("--sdm", "conda")
    assert {"import_labels", "replication"} <= set(planned)
    result = workspace.snakemake("--sdm", "conda", "--cores", "2")
    assert result.returncode == 0, result.stderr
    check_environments(workspace, planned)
