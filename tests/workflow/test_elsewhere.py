"""The workflow run from other folders than its own, and as a module of another workflow."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from helpers.label_rows import grid, write
from helpers.workspace import REPOSITORY, Workspace

SNAKEMAKE = Path(sys.executable).parent / "snakemake"
MODULE = """
import yaml

with open("study.yaml") as file:
    study = yaml.safe_load(file)


module stability:
    snakefile:
        "{snakefile}"
    config:
        study


use rule * from stability as stability_*


rule mine:
    default_target: True
    input:
        rules.stability_all.input,
    output:
        "mine.txt",
    shell:
        "ls {{input}} > {{output}}"
"""


def run(folder: Path, *arguments: str) -> str:
    """Run Snakemake in a folder, and return what it says."""
    ended = subprocess.run(
        [str(SNAKEMAKE), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


def write_labels_study(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    write(folder / "labels.csv", grid("jk"))
    study = {"run": "study", "labels": ["labels.csv"], "statistics": {"bootstrap_resamples": 100}}
    (folder / "study.yaml").write_text(yaml.safe_dump(study))


def tables(folder: Path) -> dict[str, bytes]:
    found = {file.name: file.read_bytes() for file in folder.glob("results/study/tables/*.csv")}
    assert len(found) > 10
    return found


def test_a_run_is_the_same_from_any_folder_and_as_a_module(tmp_path: Path) -> None:
    by_snakefile, by_directory, as_module = (tmp_path / name for name in "abc")
    for folder in (by_snakefile, by_directory, as_module):
        write_labels_study(folder)
    snakefile = str(REPOSITORY / "Snakefile")
    options = ("--cores", "2", "--configfile", "study.yaml")
    # The paper too: its citations are a file of the workflow.
    run(by_snakefile, "--snakefile", snakefile, *options, "--", "all", "scoring", "paper")
    run(tmp_path, "--snakefile", snakefile, "--directory", "b", *options[:3], "b/study.yaml")
    (as_module / "Snakefile").write_text(MODULE.format(snakefile=snakefile))
    run(as_module, "--cores", "2")
    assert tables(by_snakefile) == tables(by_directory) == tables(as_module)
    assert (by_snakefile / "results/study/experiments/scoring.csv").is_file()
    assert "stability_report.html" in (as_module / "mine.txt").read_text()
    # Nothing was written beside the workflow, and nothing is to be done.
    assert not (REPOSITORY / "results/study").exists()
    said = run(by_snakefile, "--snakefile", snakefile, *options, "--dry-run")
    assert "Nothing to be done" in said


def commands(said: str) -> list[str]:
    return re.findall(r"^ *Shell command: (python .*)$", said, re.MULTILINE)


@pytest.mark.parametrize("module", [False, True])
def test_jobs_of_models_run_the_workflows_own_scripts(tmp_path: Path, module: bool) -> None:
    demo = (REPOSITORY / "config/demo.yaml").read_text(encoding="utf-8")
    (tmp_path / "study.yaml").write_text(demo, encoding="utf-8")
    snakefile = REPOSITORY / "Snakefile"
    arguments = ["--snakefile", str(snakefile), "--configfile", "study.yaml"]
    target = "all_prompts"
    if module:
        (tmp_path / "Snakefile").write_text(MODULE.format(snakefile=snakefile))
        arguments, target = [], "stability_all_prompts"
    planned = commands(run(tmp_path, *arguments, "--dry-run", "--printshellcmds"))
    # Training, prompts, 40 cells, judges, tables and page.
    assert len(planned) > 50
    scripts = f"{REPOSITORY}/workflow/scripts/"
    assert [line for line in planned if not line.startswith(f"python {scripts}")] == []
    # The rubric of the demo is a file of the workflow, though the configuration is the user's.
    assert any(f"{REPOSITORY}/resources/rubrics/demo.txt" in line for line in planned)
    run(tmp_path, *arguments, "--cores", "1", target)
    assert (tmp_path / "results/demo/prompts.parquet").is_file()


def test_in_its_own_folder_commands_and_settings_are_as_ever(workspace: Workspace) -> None:
    said = run(workspace.folder, "--configfile", "config/demo.yaml", "-n", "-p")
    assert len(commands(said)) > 50
    assert [c for c in commands(said) if not c.startswith("python workflow/scripts/")] == []
    assert str(workspace.folder) not in "".join(commands(said))
