"""What a study would cost, by hand: 10 prompts, 2 temperatures, 2 seeds, one model, one judge."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from refusal_stability.costs.job_records import all_cells, all_judgements
from refusal_stability.experiments.pilot.study_cost import caption, study_cost
from refusal_stability.schemas.experiments import EXPERIMENT_TABLES

MODEL = {"name": "m", "weights": "demo", "max_model_len": 100, "max_tokens": 10, "gpus": 2}
JUDGE = {"name": "j", "weights": "demo", "max_model_len": 100, "gpus": 1, "rubric": "rubric.txt"}
JUDGE |= {"kind": "vllm", "answer": "constrained"}
RUBRIC = "6b0bb0a2c2a95a1ab5bb3fbd6b2b0c1f"


def settings(**changes: Any) -> dict[str, Any]:
    models = {"models": [MODEL], "judges": [JUDGE]}
    return {
        "run": "results/mine",
        "config": "config/my.yaml",
        "prompts": {"source": "file", "path": "prompts.csv"},
        "temperatures": ["0", "1"],
        "seeds": [1, 2],
        "sharing": "cell",
    } | (models | changes)


def write(path: str, content: dict | str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    Path(path).write_text(text, encoding="utf-8")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("rubric.txt", "Label it.\n")
    write("prompts.csv", "prompt\n" + "".join(f"p{number}\n" for number in range(10)))


def a_pilot_has_run() -> None:
    """A cell of 5 prompts in 40 s, 10 of them the engine's; their verdicts in 20 s, 5 of them."""
    import hashlib

    pilot = "results/mine/experiments/pilot"
    done = {"count": 5, "device": "H100", "input_tokens": 50, "output_tokens": 20}
    write(f"{pilot}/responses/m/T0_seed1.json", done | {"model": MODEL, "engine_seconds": 10})
    write(f"{pilot}/benchmarks/generate/m/T0_seed1.tsv", "s\th:m:s\n40\t-\n")
    of = {"judge": JUDGE, "engine_seconds": 5, "invalid": {}, "distinct_pairs": 5}
    of["rubric_sha256"] = hashlib.sha256(b"Label it.\n").hexdigest()
    write(f"{pilot}/verdicts/j/m.json", done | of)
    write(f"{pilot}/benchmarks/judge/j/m.tsv", "s\th:m:s\n20\t-\n")


def table(**changes: Any) -> pl.DataFrame:
    made = study_cost(settings(**changes))
    return EXPERIMENT_TABLES["pilot_cost"].validate(made, cast=True)


def test_cells_of_experiments_leave_rates() -> None:
    a_pilot_has_run()
    results = Path("results")
    ((model, cell),) = all_cells(results)
    assert (model, cell.run, cell.seconds) == ("m", "mine/experiments/pilot", 40)
    ((model, judgement),) = all_judgements(results)
    assert (model, judgement.run) == ("m", "mine/experiments/pilot")


def test_by_hand() -> None:
    a_pilot_has_run()
    made = table(prices={"currency": "EUR", "gpu_hour": 2.0})
    generate, judge, every = made.rows(named=True)
    # 4 cells start in 30 s each, and 40 calls take 2 s each.
    assert (generate["jobs"], generate["calls"], generate["calls_basis"]) == (4, 40, "exact")
    assert generate["hours"] == pytest.approx((4 * 30 + 40 * 2) / 3600)
    assert generate["gpu_hours"] == pytest.approx(2 * generate["hours"])
    assert (generate["input_tokens"], generate["output_tokens"]) == (400, 160)
    # One start of 15 s, and 40 calls of a second: in the pilot all replies were distinct.
    assert (judge["jobs"], judge["calls"], judge["calls_basis"]) == (1, 40, "measured")
    assert judge["hours"] == pytest.approx((15 + 40) / 3600)
    assert every["hours"] == pytest.approx((200 + 55) / 3600)
    assert every["money"] == pytest.approx(2 * (400 + 55) / 3600)
    assert caption(made) == (
        "The full study is 5 jobs with ~80 calls and ~320 tokens written: ~0.07 hours, one job "
        "after another, ~0.13 GPU-hours, 0.25 EUR."
    )


def test_a_shared_engine_that_was_never_timed_is_told_by_engines_of_cells() -> None:
    a_pilot_has_run()
    assert table(sharing="model")["hours"].to_list() == table()["hours"].to_list()


def test_what_was_not_timed_is_not_known() -> None:
    made = table()
    assert made["hours"].is_null().all()
    assert caption(made).endswith("how long it takes is not known, as no job of m, j was timed.")


def test_labels_have_no_cost() -> None:
    made = study_cost({"run": "results/mine"})
    assert made.is_empty()
    assert "not known of labels" in caption(made)
