"""What a run is going to cost, and what it did cost."""

import json
import re
import sys
from collections.abc import Sequence

import polars as pl
import pytest

from helpers.workspace import Workspace
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Responses, Verdicts
from refusal_stability.schemas.tables import COST

MODELS, JUDGES = ("tiny-llama", "tiny-qwen2"), ("judge-good", "judge-noisy")


def plan(workspace: Workspace, *arguments: str) -> str:
    """What `snakemake plan` prints on the terminal."""
    result = workspace.snakemake("--cores", "1", "--quiet", "all", *arguments, "--", "plan")
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def row(text: str, *names: str) -> list[str]:
    """The numbers of the row that begins with ``names``."""
    line = next(line for line in text.splitlines() if re.match(rf"{' +'.join(names)} ", line))
    return re.split(r" {2,}", line.strip())[len(names) :]


def test_a_plan_before_anything_has_run_runs_nothing(workspace: Workspace) -> None:
    text = plan(workspace)
    assert "12 prompts (from the configuration) x 2 models x 2 temperatures x 2 seeds" in text
    for model in MODELS:
        # 4 cells of 12 prompts; of 256 tokens at most 64 are the reply's.
        numbers = ["4", "0", "48", "<=9,216", "<=3,072", "?", "0.00", "no price"]
        assert row(text, "generate", model) == numbers
        for judge in JUDGES:
            # One label each, of one token: of 256, the message has the others.
            numbers = ["1", "0", "<=48", "<=12,240", "<=48", "?", "0.00", "no price"]
            assert row(text, "judge", model, judge) == numbers
    assert row(text, "total")[:3] == ["12", "0", "<=288"]
    assert "train_demo_model" in text
    made = [path for path in workspace.run.rglob("*") if path.is_file()]
    assert made == [workspace.run / "logs/plan.log"]


def test_make_plan_takes_a_configuration_and_prices(workspace: Workspace) -> None:
    (workspace.folder / ".venv").symlink_to(sys.prefix)
    config = workspace.read_config() | {"prices": {"currency": "EUR", "gpu_hour": 2.5}}
    config["prompts"] = {"source": "harmbench"}
    workspace.write_config(config)
    result = workspace.call(
        "make", "--assume-old=.venv/.installed", "plan", "CONFIG=config/test.yaml"
    )
    assert result.returncode == 0, result.stderr
    assert "Plan of results/reduced, by config/test.yaml" in result.stdout
    assert re.search("GPU-hours +EUR$", result.stdout, flags=re.MULTILINE)
    # The dataset is not here; how many prompts it has is not told.
    assert "Hint: `snakemake all_prompts` reads them" in result.stdout
    assert row(result.stdout, "generate", "tiny-llama")[:5] == ["4", "0", "?", "?", "?"]


def test_the_plan_is_of_what_the_command_line_says(workspace: Workspace) -> None:
    text = plan(workspace, "--config", "run=other")
    assert text.startswith("Plan of results/other, ")


def test_the_plan_of_a_run_from_labels(workspace: Workspace) -> None:
    (workspace.folder / "labels.csv").write_text(
        "model,prompt_id,temperature,seed,label,judge\nm,p,0,1,REFUSE,j\n"
    )
    workspace.write_config({"run": "mine", "labels": ["labels.csv"]})
    assert "nothing is to be paid" in plan(workspace)


def test_a_plan_that_cannot_be_made_fails(workspace: Workspace) -> None:
    (workspace.folder / "mine.yaml").write_bytes(b"\xff")
    config = workspace.read_config()
    judge = {"name": "mine", "kind": "classifier", "classifier": "mine.yaml", "gpus": 0}
    config["judges"].append(judge | {"weights": "demo:judge-good"})
    workspace.write_config(config)
    result = workspace.snakemake("--cores", "1", "--quiet", "all", "--", "plan")
    assert result.returncode != 0
    assert "error: mine.yaml: not UTF-8 text. Hint: " in result.stderr
    assert "Traceback" not in result.stderr


def sizes(numbers: Sequence[str]) -> list[float]:
    return [float(number.strip("~<=").replace(",", "")) for number in numbers]


def test_a_finished_run_has_nothing_left_to_do(finished: Workspace) -> None:
    text = plan(finished)
    for model in MODELS:
        assert row(text, "generate", model)[:3] == ["0", "4", "0"]
    assert sizes(row(text, "total")[:-1]) == [0, 12, 0, 0, 0, 0, 0]
    assert "Everything is done." in text


def test_a_new_seed_plans_its_cells_and_the_judging_by_what_was_measured(
    finished_copy: Workspace,
) -> None:
    config = finished_copy.read_config()
    config["seeds"].append(3)
    config["prices"] = {"currency": "EUR", "gpu_hour": 2.5}
    finished_copy.write_config(config)
    text = plan(finished_copy)
    for model in MODELS:
        jobs, done, calls, read, written, hours, *money = row(text, "generate", model)
        # Two temperatures at one seed; the four cells are as good as before.
        assert (jobs, done, calls) == ("2", "4", "24")
        assert all(number.startswith("~") for number in (read, written, hours))
        assert sizes([written])[0] <= 24 * 64
        # No GPU was held.
        assert money == ["0.00", "0.00"]
        for judge in JUDGES:
            jobs, done, calls = row(text, "judge", model, judge)[:3]
            # 6 cells of 12 replies, less what is said twice.
            assert (jobs, done) == ("1", "0")
            assert 0 < sizes([calls])[0] <= 72
    assert "4 job(s) of reduced on cpu; " in text
    assert "Besides, at no such cost: cost, figures, report_page, stability, statistics." in text


def seconds(workspace: Workspace, job: str) -> float:
    lines = (workspace.run / f"benchmarks/{job}.tsv").read_text().splitlines()
    return float(dict(zip(lines[0].split(), lines[1].split(), strict=True))["s"])


def test_the_table_of_costs_agrees_with_a_recount(finished: Workspace) -> None:
    table = storage.read_csv(finished.run / "tables/cost.csv", COST)
    keys = [("generate", "none", model) for model in MODELS]
    keys += [("judge", judge, model) for judge in JUDGES for model in MODELS]
    assert table.select("stage", "judge", "model").rows() == [*keys, ("all",) * 3]
    cells = ("T0_seed1", "T0_seed2", "T1_seed1", "T1_seed2")
    for model in MODELS:
        folder = finished.run / "responses" / model
        replies = pl.concat(storage.read_parquet(folder / f"{c}.parquet", Responses) for c in cells)
        made = table.row(
            by_predicate=pl.col("stage").eq("generate") & pl.col("model").eq(model), named=True
        )
        assert (made["jobs"], made["calls"]) == (4, replies.height)
        assert made["input_tokens"] == replies["prompt_tokens"].sum()
        assert made["output_tokens"] == replies["response_tokens"].sum()
        took = sum(seconds(finished, f"generate/{model}/{cell}") for cell in cells)
        assert made["seconds"] == pytest.approx(took)
        for judge in JUDGES:
            path = finished.run / "verdicts" / judge / model
            verdicts = storage.read_parquet(path.with_name(f"{model}.parquet"), Verdicts)
            manifest = json.loads(path.with_name(f"{model}.json").read_text(encoding="utf-8"))
            judged = table.row(
                by_predicate=pl.col("judge").eq(judge) & pl.col("model").eq(model), named=True
            )
            assert judged["calls"] == verdicts.unique(["prompt_id", "response_sha256"]).height
            assert judged["input_tokens"] == manifest["input_tokens"]
            assert judged["seconds"] == pytest.approx(seconds(finished, f"judge/{judge}/{model}"))
    whole, parts = table[-1], table[:-1]
    for column in ("jobs", "calls", "input_tokens", "output_tokens", "seconds", "gpu_hours"):
        assert whole[column].item() == pytest.approx(parts[column].sum()), column
    # No GPU was held, and nothing is priced.
    assert whole["gpu_hours"].item() == 0
    assert table["money"].null_count() == table.height


def test_a_price_makes_only_the_table_of_costs_and_the_page_anew(
    finished_copy: Workspace,
) -> None:
    prices = {"currency": "EUR", "gpu_hour": 2.5}
    finished_copy.write_config(finished_copy.read_config() | {"prices": prices})
    # An older run may lack a benchmark file.
    (finished_copy.run / "benchmarks/judge/judge-good/tiny-llama.tsv").unlink()
    assert finished_copy.planned() == {"cost": 1, "report_page": 1}
    result = finished_copy.snakemake("--cores", "1")
    assert result.returncode == 0, result.stderr
    table = storage.read_csv(finished_copy.run / "tables/cost.csv", COST)
    assert table["currency"].unique().to_list() == ["EUR"]
    assert table["money"].to_list() == [0] * table.height
    page = (finished_copy.run / "stability_report.html").read_text(encoding="utf-8")
    assert '"EUR"' in page
    assert table["seconds"].null_count() == 2
