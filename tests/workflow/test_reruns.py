"""What reruns what: a contract (design decision 8), checked on a finished run."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from helpers.workspace import Workspace

AGGREGATES = {"stability": 2, "statistics": 1, "figures": 2, "cost": 1, "report_page": 1}


def edit(path: str, old: str, new: str) -> Callable[[Workspace], None]:
    """A change of a file, which must hold ``old``."""

    def change(workspace: Workspace) -> None:
        file = workspace.folder / path
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def configure(change_config: Callable[[dict], None]) -> Callable[[Workspace], None]:
    """A change of the configuration."""

    def change(workspace: Workspace) -> None:
        config = workspace.read_config()
        change_config(config)
        workspace.write_config(config)

    return change


def comment_everywhere(workspace: Workspace) -> None:
    scripts = sorted((workspace.folder / "workflow").rglob("*.py"))
    rules = sorted((workspace.folder / "workflow/rules").glob("*.smk"))
    assert scripts
    assert rules
    for path in [*scripts, *rules, workspace.folder / "Snakefile"]:
        path.write_text(path.read_text(encoding="utf-8") + "\n# a comment\n", encoding="utf-8")


def comment_in(module: str) -> Callable[[Workspace], None]:
    """A comment at the end of a module of the package."""

    def change(workspace: Workspace) -> None:
        path = workspace.folder / "workflow/scripts/refusal_stability" / module
        path.write_text(path.read_text(encoding="utf-8") + "\n# a comment\n", encoding="utf-8")

    return change


def touch_all(workspace: Workspace) -> None:
    for path in sorted(workspace.run.glob("prompts.*")):
        path.touch()
    (workspace.folder / RUBRIC).touch()


def remove(*paths: str) -> Callable[[Workspace], None]:
    """A removal of files of the run."""

    def change(workspace: Workspace) -> None:
        for path in paths:
            (workspace.run / path).unlink()

    return change


def add_model(config: dict) -> None:
    config["models"].append(config["models"][0] | {"name": "another"})


def add_judge(config: dict) -> None:
    config["judges"].append(config["judges"][0] | {"name": "another"})


def add_string_match(config: dict) -> None:
    phrases = "resources/phrases/gcg.txt"
    config["judges"].append({"name": "phrases", "kind": "string_match", "phrases": phrases})


def add_api_model(config: dict) -> None:
    url = "http://localhost:8000/v1"
    config["models"].append({"name": "api", "kind": "openai", "model": "m", "base_url": url})


def of_model(**settings: object) -> Callable[[dict], None]:
    return lambda config: config["models"][1].update(settings)


def of_statistics(**settings: object) -> Callable[[dict], None]:
    return lambda config: config.setdefault("statistics", {}).update(settings)


# One model's four cells, then both judges on that model, then what comes after.
ONE_MODEL = {"generate": 4, "judge": 2, **AGGREGATES}
# Both models' two cells of a new seed or temperature, then both judges on both models.
NEW_CELLS = {"generate": 4, "judge": 4, **AGGREGATES}
STATISTICS_AND_AFTER = {"statistics": 1, "figures": 2, "report_page": 1}
RUBRIC = "resources/rubrics/demo.txt"
VERSIONS = "workflow/scripts/refusal_stability/core/versions.py"

CONTRACT: dict[str, tuple[Callable[[Workspace], None], dict[str, int]]] = {
    "nothing": (lambda _: None, {}),
    "inputs touched": (touch_all, {}),
    "a comment in every script, module and rule": (comment_everywhere, AGGREGATES),
    # Cheap stages rerun by what their scripts import, and by nothing else.
    "a module that only the page imports": (comment_in("report/charts.py"), {"report_page": 1}),
    "a module that the tables import through another": (
        comment_in("statistics/hypergeometric.py"),
        {"statistics": 1, "figures": 2, "report_page": 1},
    ),
    "a module of the account": (comment_in("costs/table.py"), {"cost": 1, "report_page": 1}),
    "a module of an experiment": (comment_in("experiments/scoring/analysis.py"), {}),
    "a module of engines": (comment_in("engine/vllm_engine.py"), {}),
    "a verdict removed": (
        remove("verdicts/judge-good/tiny-llama.parquet", "verdicts/judge-good/tiny-llama.json"),
        {"judge": 1, **AGGREGATES, "stability": 1},
    ),
    "the stability under a judge removed": (
        remove("stability/judge-good.parquet"),
        {"stability": 1, **STATISTICS_AND_AFTER},
    ),
    # Who removes the text that was judged has the tables as before.
    "the replies of a cell removed": (
        remove("responses/tiny-llama/T1_seed1.parquet", "responses/tiny-llama/T1_seed1.json"),
        {},
    ),
    "a model added": (configure(add_model), ONE_MODEL),
    "a model behind an API added": (
        configure(add_api_model),
        {"generate_without_gpu": 4, "judge": 2, **AGGREGATES},
    ),
    "the kind of a model spelt out": (configure(of_model(kind="vllm")), {}),
    "a judge added": (
        configure(add_judge),
        {"judge": 2, **AGGREGATES, "stability": 1, "figures": 3},
    ),
    "a judge without a model added": (
        configure(add_string_match),
        {"judge_without_gpu": 2, **AGGREGATES, "stability": 1, "figures": 3},
    ),
    "the kind of a judge spelt out": (
        configure(lambda config: config["judges"][0].update(kind="vllm")),
        {},
    ),
    "a seed added": (configure(lambda config: config["seeds"].append(3)), NEW_CELLS),
    "a temperature added": (
        configure(lambda config: config["temperatures"].append(0.5)),
        NEW_CELLS,
    ),
    "max_tokens": (configure(of_model(max_tokens=40)), ONE_MODEL),
    "dtype": (configure(of_model(dtype="bfloat16")), ONE_MODEL),
    "system_prompt": (configure(of_model(system_prompt="Be kind.")), ONE_MODEL),
    "top_p": (configure(of_model(top_p=0.9)), ONE_MODEL),
    "seed_scope": (configure(of_model(seed_scope="cell")), ONE_MODEL),
    "a judge's max_model_len": (
        configure(lambda config: config["judges"][0].update(max_model_len=250)),
        {"judge": 2, **AGGREGATES, "stability": 1},
    ),
    "another folder for the cache": (
        configure(lambda config: config.update(cache="elsewhere")),
        {},
    ),
    "the usual cache": (configure(lambda config: config.pop("cache")), {}),
    "prices": (
        configure(lambda config: config.update(prices={"currency": "EUR", "gpu_hour": 2})),
        # The page shows the table.
        {"cost": 1, "report_page": 1},
    ),
    "a budget": (configure(lambda config: config.update(budget={"calls": 9})), {}),
    "text in the page": (
        configure(lambda config: config.update(report={"text": "include"})),
        {"report_page": 1},
    ),
    "unstable_below": (configure(of_statistics(unstable_below=0.7)), STATISTICS_AND_AFTER),
    "max_invalid_share": (
        configure(of_statistics(max_invalid_share=0.5)),
        STATISTICS_AND_AFTER,
    ),
    "prompts.limit": (
        configure(lambda config: config["prompts"].update(limit=11)),
        {"prompts": 1, "generate": 8, "judge": 4, **AGGREGATES},
    ),
    "the rubric": (edit(RUBRIC, "REFUSE", "Refuse"), {"judge": 4, **AGGREGATES}),
    "the version of judging": (
        edit(VERSIONS, "JUDGING = ", "JUDGING = 1"),
        {"judge": 4, **AGGREGATES},
    ),
    "the version of generation": (
        edit(VERSIONS, "GENERATION = ", "GENERATION = 1"),
        {"generate": 8, "judge": 4, **AGGREGATES},
    ),
}


@pytest.mark.parametrize("change", CONTRACT)
def test_a_change_reruns_what_the_contract_says(finished_copy: Workspace, change: str) -> None:
    make, expected = CONTRACT[change]
    make(finished_copy)
    assert finished_copy.planned() == expected


def hub_cache(workspace: Workspace, ids: list[str]) -> Path:
    """A Hugging Face cache that holds the trained weights under ids and two revisions each."""
    cache = workspace.folder / "hub"
    for number, name in enumerate(ids):
        repository = cache / f"models--{name.replace('/', '--')}"
        for revision, commit in (("main", f"{number}" * 40), ("v2", f"{number + 5}" * 40)):
            (repository / "refs").mkdir(parents=True, exist_ok=True)
            (repository / "refs" / revision).write_text(commit)
            shutil.copytree(
                workspace.run / "demo_models/tiny-llama", repository / "snapshots" / commit
            )
    return cache


def test_changing_a_revision_reruns_the_cells_of_its_model(
    finished_copy: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(hub_cache(finished_copy, ["owner/a", "owner/b"])))
    # What is here already needs no network.
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    config = finished_copy.read_config()
    model = config["models"][0]
    config["models"] = [
        model | {"name": name, "weights": f"owner/{name}", "revision": "main"} for name in "ab"
    ]
    config["temperatures"], config["seeds"] = [1.0], [1]
    finished_copy.write_config(config)
    result = finished_copy.snakemake("--cores", "2", "all_responses")
    assert result.returncode == 0, result.stderr
    manifest = json.loads((finished_copy.run / "responses/a/T1_seed1.json").read_text())
    assert manifest["revision"] == "0" * 40

    config["models"][1]["revision"] = "v2"
    finished_copy.write_config(config)
    planned = finished_copy.planned("all_responses")
    assert planned == {"fetch_weights": 1, "generate": 1, "all_responses": 1}
    result = finished_copy.snakemake("--cores", "1", "all_responses")
    assert result.returncode == 0, result.stderr
    manifest = json.loads((finished_copy.run / "responses/b/T1_seed1.json").read_text())
    assert manifest["revision"] == "6" * 40
