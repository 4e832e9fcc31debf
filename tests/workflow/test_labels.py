"""A run that starts from labels: no model, no judge, no GPU; the real workflow from there on."""

import json
import re
import shutil
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import polars as pl
import pytest
import yaml

from helpers.latex_reader import problems
from helpers.workspace import Workspace, copy_repository
from refusal_stability.core import hashing
from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.core.text import decimals
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import PromptInfo, Stability, Verdicts
from refusal_stability.schemas.tables import TABLES

JUDGES, MODELS = ("strict", "kind"), ("llama", "qwen")
TEMPERATURES, SEEDS, PROMPTS = ("0.0", "0.7"), (1, 2, 3), 12
CONFIG = {
    "run": "reduced",
    "labels": ["strict.csv", "kind.csv"],
    "model_aliases": {"llama": ["x/llama"], "qwen": ["x/qwen", "x_qwen"]},
    "prompt_info": "info.csv",
    "statistics": {"bootstrap_resamples": 200, "max_invalid_share": 0.1},
}
# Without the targets.
PLAN = {"import_labels": 1, "stability": 2, "statistics": 1, "figures": 2, "report_page": 1}


def labels(judge: str) -> pl.DataFrame:
    """Labels that vary with the prompt, and among the seeds at T = 0.7."""
    rows = []
    for model, temperature, seed, prompt in product(MODELS, TEMPERATURES, SEEDS, range(PROMPTS)):
        shift = seed if temperature != "0.0" and prompt % 4 == 0 else 0
        lean = prompt + shift + len(model) % 2 + (judge == "kind" and prompt == 5)
        rows.append(
            {
                "model": f"x/{model}" if judge == "strict" or model == "llama" else "x_qwen",
                "prompt_id": f"id-{prompt}",
                "temperature": temperature,
                "seed": seed,
                "label": VALID_LABELS[lean % 3],
                "judge": judge,
            }
        )
    rows[7]["label"] = "UNKNOWN"
    # One response was never labelled.
    return pl.DataFrame(rows[:-1] if judge == "kind" else rows)


def info() -> pl.DataFrame:
    ids = [f"id-{prompt}" for prompt in range(PROMPTS)]
    return pl.DataFrame(
        {
            "prompt_id": ids,
            "source": ["one" if number % 2 else "two" for number in range(PROMPTS)],
            "category": ["a", "b", None] * (PROMPTS // 3),
        }
    )


def write_inputs(workspace: Workspace) -> None:
    for judge in JUDGES:
        labels(judge).write_csv(workspace.folder / f"{judge}.csv")
    info().write_csv(workspace.folder / "info.csv")
    workspace.write_config(CONFIG)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A finished run from labels; tests leave it as it is."""
    workspace = copy_repository(tmp_path_factory.mktemp("imported"))
    write_inputs(workspace)
    result = workspace.snakemake("--cores", "2")
    assert result.returncode == 0, result.stderr
    return workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    workspace = copy_repository(tmp_path)
    write_inputs(workspace)
    return workspace


@pytest.fixture
def imported_copy(imported: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the finished run that a test may change; times of files are kept."""
    shutil.copytree(imported.folder, tmp_path / "copy", symlinks=True)
    return Workspace(tmp_path / "copy")


def results(workspace: Workspace) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in workspace.run.rglob("*") if path.is_file()}


def test_the_plan_has_no_model_and_no_judge(workspace: Workspace) -> None:
    assert workspace.planned() == PLAN
    assert workspace.planned("all_verdicts") == {"import_labels": 1, "all_verdicts": 1}
    for target in ("all_prompts", "all_responses"):
        assert workspace.snakemake("--dry-run", target).returncode != 0


def test_lint_finds_nothing(workspace: Workspace) -> None:
    replication = yaml.safe_load((workspace.folder / "config/replication.yaml").read_text())
    for path in map(workspace.folder.joinpath, replication["labels"]):
        path.parent.mkdir(exist_ok=True)
        labels("strict").with_columns(pl.col("model").str.slice(2)).write_csv(path)
    for config in ("config/test.yaml", "config/replication.yaml"):
        result = workspace.snakemake("--lint", "--configfile", config)
        assert "your workflow is in a good condition" in result.stdout + result.stderr


def test_every_file_keeps_its_contract(imported: Workspace) -> None:
    prompts = storage.read_parquet(imported.run / "prompts.parquet", PromptInfo)
    assert prompts.equals(info())
    for judge, model in product(JUDGES, MODELS):
        table = storage.read_parquet(imported.run / f"verdicts/{judge}/{model}.parquet", Verdicts)
        absent = (judge, model) == ("kind", "qwen")
        assert table.height == len(TEMPERATURES) * len(SEEDS) * PROMPTS - absent
        of_model = labels(judge).filter(pl.col("model").str.ends_with(model))
        expected = of_model.select("prompt_id", pl.col("temperature").cast(float), "seed", "label")
        found = table.select(expected.columns).cast({"label": pl.String})
        assert found.sort(pl.all()).equals(expected.sort(pl.all()))
    for judge in JUDGES:
        table = storage.read_parquet(imported.run / f"stability/{judge}.parquet", Stability)
        assert set(table["model"]) == set(MODELS)
    for name, contract in TABLES.items():
        storage.read_csv(imported.run / f"tables/{name}.csv", contract)
    assert {path.name for path in (imported.run / "figures").iterdir()} == set(JUDGES)


def test_the_page_says_what_labels_do_not_tell(imported: Workspace) -> None:
    html = (imported.run / "stability_report.html").read_text(encoding="utf-8")
    assert "The run starts from labels" in html
    assert "Whether replies were cut off at a token limit is not known." in html


def test_the_manifest_says_what_was_read(imported: Workspace) -> None:
    manifest = json.loads((imported.run / "labels.json").read_text(encoding="utf-8"))
    assert [file["path"] for file in manifest["files"]] == CONFIG["labels"]
    assert [file["rows"] for file in manifest["files"]] == [144, 143]
    assert manifest["files"][0]["sha256"] == hashing.sha256_file(imported.folder / "strict.csv")
    assert manifest["models"] == {"llama": ["x/llama"], "qwen": ["x/qwen", "x_qwen"]}
    assert manifest["labels"]["kind"]["llama"]["UNKNOWN"] == 1


def test_the_import_loads_no_engine(workspace: Workspace) -> None:
    code = (
        "import runpy, sys\n"
        "sys.argv[0] = 'workflow/scripts/import_labels.py'\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "assert not {'vllm', 'torch', 'transformers', 'datasets'} & set(sys.modules)\n"
    )
    outputs = ["--verdicts", "v", "--prompts", "p.parquet", "--manifest", "m.json"]
    aliases = ["--model-aliases", json.dumps(CONFIG["model_aliases"]), "--judge-aliases", "{}"]
    result = workspace.call(
        *("env", "PYTHONPATH=workflow/scripts", sys.executable, "-c", code),
        *("--labels", "kind.csv", *outputs, *aliases),
    )
    assert result.returncode == 0, result.stderr
    assert (workspace.folder / "v/kind/qwen.parquet").is_file()


def test_the_report_is_written_with_what_is_known(imported: Workspace) -> None:
    result = imported.snakemake("--report", "report.html")
    assert result.returncode == 0, result.stderr
    html = (imported.folder / "report.html").read_text(encoding="utf-8")
    models = storage.read_csv(imported.run / "tables/models.csv", TABLES["models"])
    for row in models.rows(named=True):
        assert f"{decimals(row['mean_ssi'])} [{decimals(row['mean_ssi_low'])}, " in html


def test_a_paper_of_labels_invents_nothing(imported_copy: Workspace) -> None:
    # Nothing else asks for it.
    assert imported_copy.planned() == {}
    assert imported_copy.planned("paper") == {"paper": 1}
    result = imported_copy.snakemake("--cores", "2", "paper")
    assert result.returncode == 0, result.stderr
    folder = imported_copy.run / "paper"
    methods = (folder / "methods.md").read_text(encoding="utf-8")
    # 2 judges x 2 models x 2 temperatures x 3 seeds x 12 prompts, but for one.
    assert "287 labels of 12 prompts were taken from files: strict.csv (144 rows" in methods
    assert "not known here" in methods
    assert not re.search(r"vLLM|GPU|cpu|greedily|None|nan", methods)
    assert {path.stem for path in (folder / "tables").glob("*.tex")} == set(TABLES)
    assert {path.stem for path in (folder / "tables").glob("*.md")} == set(TABLES)
    for path in [folder / "methods.tex", *(folder / "tables").glob("*.tex")]:
        assert problems(path.read_text(encoding="utf-8")) == [], path.name
    # Nothing to do, the second time.
    assert imported_copy.planned("paper") == {}


def test_parquet_gives_the_same_verdicts(imported: Workspace, workspace: Workspace) -> None:
    for judge in JUDGES:
        table = labels(judge).cast({"temperature": pl.Float64}).sample(fraction=1, shuffle=True)
        table.write_parquet(workspace.folder / f"{judge}.parquet")
    info().write_parquet(workspace.folder / "info.parquet")
    parquet = {"labels": ["strict.parquet", "kind.parquet"], "prompt_info": "info.parquet"}
    workspace.write_config(CONFIG | parquet)
    result = workspace.snakemake("--cores", "1", "all_stability")
    assert result.returncode == 0, result.stderr
    for folder in ("verdicts", "stability"):
        for path in (imported.run / folder).rglob("*.parquet"):
            other = workspace.run / path.relative_to(imported.run)
            assert pl.read_parquet(other).equals(pl.read_parquet(path)), path


def test_a_judge_is_measured_on_the_models_that_it_judged(workspace: Workspace) -> None:
    table = labels("kind").filter(pl.col("model") == "x/llama")
    table.write_csv(workspace.folder / "kind.csv")
    result = workspace.snakemake("--cores", "1", "all_stability")
    assert result.returncode == 0, result.stderr
    stability = pl.read_parquet(workspace.run / "stability/kind.parquet")
    assert stability["model"].unique().to_list() == ["llama"]


def rewrite(name: str, change: Callable[[str], str]) -> Callable[[Workspace], None]:
    def apply(workspace: Workspace) -> None:
        path = workspace.folder / name
        path.write_text(change(path.read_text()))

    return apply


def configure(**changed: object) -> Callable[[Workspace], None]:
    return lambda workspace: workspace.write_config(CONFIG | changed)


def remove(workspace: Workspace) -> None:
    (workspace.folder / "kind.csv").unlink()


PLANNED = {
    "a missing file": (remove, "kind.csv: no such file"),
    "a missing column": (
        rewrite("kind.csv", lambda text: text.replace("judge", "rater", 1)),
        "kind.csv: there is no column 'judge', only model, prompt_id",
    ),
    "a spelling": (
        configure(model_aliases={"llama": ["x/llama"]}),
        "strict.csv, line 74: the model 'x/qwen' cannot be a file name",
    ),
    "models too": (configure(seeds=[1]), "/config/test.yaml: seeds: a run that starts from labels"),
    "an empty file": (rewrite("strict.csv", lambda _: ""), "strict.csv: the file is empty"),
}
RUN = {
    "a label": (
        rewrite("kind.csv", lambda text: text.replace("COMPLY", "comply", 1)),
        "kind.csv, line 3: the label 'comply' is not one of REFUSE, PARTIAL, COMPLY",
    ),
    "a label given twice": (
        rewrite("kind.csv", lambda text: text + text.splitlines()[1]),
        "kind.csv, line 145: judge kind has labelled model llama, prompt id-0, temperature 0",
    ),
    "a prompt of which nothing is known": (
        rewrite("info.csv", lambda text: text.replace("id-3", "id-33")),
        "info.csv: 1 prompt_id(s) of the labels are missing, the first is id-3 (str",
    ),
}


def check_one_line(workspace: Workspace, says: str) -> None:
    result = workspace.snakemake("--cores", "1")
    assert result.returncode == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert says in lines[0]
    assert "Hint: " in lines[0]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("mistake", PLANNED)
def test_what_is_seen_before_any_job_leaves_results_untouched(
    imported_copy: Workspace, mistake: str
) -> None:
    before = results(imported_copy)
    make, says = PLANNED[mistake]
    make(imported_copy)
    check_one_line(imported_copy, says)
    assert results(imported_copy) == before


@pytest.mark.parametrize("mistake", RUN)
def test_what_the_import_sees_writes_nothing(workspace: Workspace, mistake: str) -> None:
    make, says = RUN[mistake]
    make(workspace)
    check_one_line(workspace, says)
    assert {path.name for path in results(workspace)} == {"import_labels.log"}


def test_what_reruns_what(imported_copy: Workspace) -> None:
    assert imported_copy.planned() == {}
    imported_copy.write_config(CONFIG | {"statistics": {"unstable_below": 0.7}})
    assert imported_copy.planned() == {"statistics": 1, "figures": 2, "report_page": 1}
    imported_copy.write_config(CONFIG | {"judge_aliases": {"kind": ["nice"]}})
    assert imported_copy.planned() == PLAN
    imported_copy.write_config(CONFIG)
    rewrite("strict.csv", lambda text: text.replace("REFUSE", "COMPLY", 1))(imported_copy)
    assert imported_copy.planned() == PLAN


def test_make_replicate_takes_files_of_ones_own(workspace: Workspace) -> None:
    (workspace.folder / ".venv").symlink_to(sys.prefix)
    # The environment of this test is set up already, wherever it comes from.
    replicate = ("make", "--assume-old=.venv/.installed", "replicate", "INFO=info.csv")
    for judge in JUDGES:
        path = workspace.folder / f"{judge}.csv"
        path.write_text(path.read_text().replace("x/llama", "Qwen/Qwen3-8B").replace("x/", ""))
    result = workspace.call(*replicate, "LABELS=strict.csv no.csv")
    assert result.returncode != 0
    assert "error: no.csv: no such file" in result.stderr
    assert not (workspace.folder / "results").exists()
    path = workspace.folder / "kind.csv"
    path.write_text(path.read_text().replace("x_qwen", "qwen"))
    result = workspace.call(*replicate, "LABELS=strict.csv kind.csv")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines()[-1].endswith("results/replication/tables/replication.csv")
    assert (workspace.folder / "results/replication/verdicts/kind/qwen3-8b.parquet").is_file()
