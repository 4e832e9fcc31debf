"""`--sdm conda` as far as it goes without conda-forge: what pip resolves, and which environment
each rule asks for and runs in, under a stand-in for conda."""

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from helpers.environments import (
    ENVIRONMENTS,
    NEVER_IMPORTED,
    has_engine,
    pip_section,
    scripts_of,
    third_party_imports,
)
from helpers.stub_batches import BatchStub, stub_batches
from helpers.stub_provider import Reply
from helpers.workspace import REPOSITORY, Workspace
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Verdicts

# glibc of RHEL, Rocky and Alma 8, the oldest that the packages have wheels for.
OLDEST = "x86_64-manylinux_2_28"
KEY = "sk-secret-0123456789"


def resolve(
    requirements: list[str], *options: str, platform: str = OLDEST
) -> subprocess.CompletedProcess[str]:
    """Let uv find versions that go together: it reads metadata and downloads no package."""
    options = ("--python-version", "3.11", "--python-platform", platform, *options)
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
    # Built from its source, with the environment's compilers; all else is a wheel.
    built = ["--only-binary", ":all:", "--no-binary", "llguidance"]
    result = resolve(wanted, *(built if path.stem == "engine" else ["--no-build"]))
    assert result.returncode == 0, result.stderr
    found = pins(result.stdout)
    assert set(wanted) <= found
    # Lean: gigabytes of an engine come with nothing but itself.
    engines = {requirement for requirement in found if re.match(r"(vllm|torch)==", requirement)}
    assert bool(engines) == has_engine(path)


def pins(text: str) -> set[str]:
    return set(re.findall(r"^[\w.-]+==[\w.+]+", text, flags=re.MULTILINE))


@pytest.mark.usefixtures("pypi")
def test_the_environment_with_an_engine_is_wholly_pinned() -> None:
    # Where two sites, or two months, have other versions, keys and manifests name other engines.
    wanted = pip_section(REPOSITORY / "envs/engine.yaml")
    assert pins(resolve(wanted, "--no-header", "--no-annotate").stdout) == set(wanted)
    # From glibc 2.31 on, nothing is built.
    assert resolve(wanted, "--no-build", platform="x86_64-manylinux_2_31").returncode == 0
    assert resolve(wanted, "--no-build").returncode != 0


@pytest.mark.usefixtures("pypi")
def test_an_unsatisfiable_pip_section_is_noticed() -> None:
    assert resolve(["vllm==0.32.0", "numpy==1.20.0"]).returncode != 0


@pytest.mark.usefixtures("pypi")
@pytest.mark.parametrize("path", ENVIRONMENTS, ids=lambda path: path.stem)
def test_an_environment_brings_what_is_imported_late(path: Path) -> None:
    # An import within a function fails in the middle of a job.
    names = packages_distributions()
    resolved = {pin.partition("==")[0] for pin in pins(resolve(pip_section(path)).stdout)}
    for script in scripts_of(path):
        imported = third_party_imports(script, lazy=True) - NEVER_IMPORTED.get(path.stem, set())
        brought = {name for name in imported if resolved & distributions(name, names)}
        assert brought == imported, script.name


def distributions(package: str, names: Mapping[str, list[str]]) -> set[str]:
    """The distributions that an import may be of, as pip writes their names."""
    found = {name.lower().replace("_", "-").replace(".", "-") for name in names[package]}
    return found | ({"vllm"} if package == "vllm" else set())


def test_only_engines_and_training_hold_an_engine() -> None:
    heavy = {path.stem for path in ENVIRONMENTS if has_engine(path)}
    assert heavy == {"engine", "train_demo_model"}


@pytest.fixture
def conda(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in on PATH, as on a user's machine: base is active, and over it a venv."""
    root = REPOSITORY / "tests/helpers/stand_in_conda"
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
    """Each rule has run in its environment, which those with an engine share, and its script."""
    recorded = environments_of_records(workspace)
    assert set(recorded) == set(planned)
    for rule, content in recorded.items():
        name = "engine" if rule in ("generate", "judge") else rule
        file = workspace.folder / f"envs/{name}.yaml"
        assert content == file.read_text(encoding="utf-8"), rule
    called = {}
    for calls in (workspace.folder / ".snakemake/conda").glob("*/calls"):
        text = calls.read_text(encoding="utf-8")
        content = calls.parent.with_name(f"{calls.parent.name}.yaml").read_text(encoding="utf-8")
        called[content] = scripts(text)
        with_engine = "vllm==" in content
        assert (
            called[content] == {"generate", "judge"} if with_engine else len(called[content]) == 1
        )
    # As many calls in as many environments: none ran in the Python of Snakemake.
    assert set(called) == set(recorded.values())


@pytest.mark.usefixtures("pypi", "conda")
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
    for target in ("plan", "paper"):
        result = workspace.snakemake("--sdm", "conda", "--cores", "2", target)
        assert result.returncode == 0, result.stderr

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


@pytest.mark.usefixtures("pypi", "conda")
def test_every_rule_of_a_run_from_labels_runs_in_its_environment(workspace: Workspace) -> None:
    (workspace.folder / "labels.csv").write_text(LABELS, encoding="utf-8")
    figures = "resources/published_figures.yaml"
    workspace.write_config({"run": "r", "labels": ["labels.csv"], "published_figures": figures})
    planned = workspace.planned("--sdm", "conda")
    assert {"import_labels", "replication"} <= set(planned)
    result = workspace.snakemake("--sdm", "conda", "--cores", "2")
    assert result.returncode == 0, result.stderr
    check_environments(workspace, planned)
    result = workspace.snakemake("--sdm", "conda", "--cores", "2", "scoring")
    assert result.returncode == 0, result.stderr


@pytest.mark.usefixtures("pypi", "conda")
def test_models_and_judges_behind_an_api_run_in_their_environments(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In virtual environments with exactly the pins: both SDKs, one by one and in batches."""
    monkeypatch.setenv("TEST_KEY", KEY)
    api = {"model": "m-1", "api_key_env": "TEST_KEY", "max_tokens": 64}
    rubric = {"rubric": "resources/rubrics/three_way.txt", "answer": "free_text"}
    with stub_batches(BatchStub(fate=lambda _: Reply("Label: COMPLY"))) as stub:
        openai = api | {"kind": "openai", "base_url": f"{stub.url}/v1"}
        anthropic = api | {"kind": "anthropic", "base_url": stub.url}
        judges = {
            "a": openai | rubric,
            "b": anthropic | rubric,
            "c": openai | rubric | {"batch": True},
            "d": anthropic | rubric | {"batch": True},
        }
        config = workspace.read_config()
        config["models"] = [{"name": "served", **openai}]
        config["judges"] = [{"name": name, **judge} for name, judge in judges.items()]
        workspace.write_config(config)
        planned = workspace.planned("--sdm", "conda")
        assert {"generate_without_gpu", "judge_without_gpu"} <= set(planned)
        result = workspace.snakemake("--sdm", "conda", "--cores", "2")
    assert result.returncode == 0, result.stderr
    check_environments(workspace, planned)
    for name, judge in judges.items():
        path = workspace.run / f"verdicts/{name}/served.parquet"
        verdicts = storage.read_parquet(path, Verdicts)
        # What the stub says of one request, and of one in a batch.
        assert set(verdicts["label"]) == {"COMPLY" if judge.get("batch") else "REFUSE"}
