"""What a run did cost, by hand: one model, two cells, a judge on a GPU and one behind an API."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from refusal_stability.core.errors import InputError
from refusal_stability.costs.table import cost_table
from refusal_stability.schemas.tables import COST

MODEL = {"name": "llama", "weights": "owner/llama", "gpus": 2}
CELLS = ["T0_seed1", "T1_seed1"]
PRICES = {
    "currency": "EUR",
    "gpu_hour": 3.0,
    "tokens": [{"name": "remote", "input_per_million": 1.0, "output_per_million": 5.0}],
}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two cells of 10 prompts, their 20 replies judged by three."""
    for cell, seconds in zip(CELLS, (1800, 900), strict=True):
        write(
            tmp_path,
            f"responses/llama/{cell}",
            {"model": MODEL, "count": 10, "input_tokens": 300, "output_tokens": 200},
        )
        benchmark(tmp_path, f"generate/llama/{cell}", seconds)
    judges = {
        "big": {"name": "big", "weights": "owner/big", "gpus": 4, "nodes": 2},
        "remote": {"name": "remote", "kind": "openai", "model": "some-model"},
        "phrases": {"name": "phrases", "kind": "string_match"},
    }
    tokens = {"big": (4000, 60), "remote": (2_000_000, 100_000)}
    for name, judge in judges.items():
        manifest = {"judge": judge, "count": 20, "distinct_pairs": 15, "invalid": {"UNKNOWN": 2}}
        if name in tokens:
            manifest["input_tokens"], manifest["output_tokens"] = tokens[name]
        write(tmp_path, f"verdicts/{name}/llama", manifest)
        benchmark(tmp_path, f"judge/{name}/llama", 450)
    return tmp_path


def write(run: Path, name: str, manifest: dict[str, Any]) -> None:
    path = run / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(manifest))


def benchmark(run: Path, name: str, seconds: float) -> None:
    path = run / f"benchmarks/{name}.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:00\t-\n")


def costs(run: Path, prices: dict[str, Any]) -> pl.DataFrame:
    table = cost_table(run, ["llama"], ["big", "remote", "phrases"], CELLS, prices)
    return COST.validate(table, cast=True)


def test_every_stage_model_and_judge_has_its_row(run: Path) -> None:
    rows = costs(run, PRICES).rows()
    assert rows == [
        # 2 GPUs x (1800 + 900) s = 1.5 hours, at 3 an hour.
        ("generate", "none", "llama", 2, 20, None, 600, 400, 20.0, 2700.0, 1.5, 4.5, "EUR"),
        # 4 GPUs x 2 nodes x 450 s = 1 hour.
        ("judge", "big", "llama", 1, 15, 2, 4000, 60, 4.0, 450.0, 1.0, 3.0, "EUR"),
        # 2 million tokens at 1, and a tenth of a million at 5.
        (
            "judge",
            "remote",
            "llama",
            1,
            15,
            2,
            2_000_000,
            100_000,
            6666.667,
            450.0,
            0.0,
            2.5,
            "EUR",
        ),
        ("judge", "phrases", "llama", 1, 15, 2, 0, 0, 0.0, 450.0, 0.0, 0.0, "EUR"),
        ("all", "all", "all", 5, 65, 6, 2_004_600, 100_460, 1545.538, 4050.0, 2.5, 10.0, "EUR"),
    ]


def test_without_prices_there_is_no_money(run: Path) -> None:
    table = costs(run, {})
    assert table["money"].null_count() == table["currency"].null_count() == table.height
    assert table["gpu_hours"].to_list() == [1.5, 1.0, 0.0, 0.0, 2.5]


def test_what_was_not_measured_is_empty_and_so_is_its_sum(run: Path) -> None:
    (run / "benchmarks/generate/llama/T1_seed1.tsv").unlink()
    # Made before manifests had tokens.
    write(run, "responses/llama/T0_seed1", {"model": MODEL, "count": 10})
    table = costs(run, PRICES)
    for column in ("input_tokens", "output_tokens", "seconds", "gpu_hours", "money"):
        assert table[column].is_null().to_list() == [True, False, False, False, True], column
    assert table["calls"].to_list() == [20, 15, 15, 15, 65]


def test_what_the_cache_gave_did_cost_no_call(run: Path) -> None:
    from_cache = {"asked": 4, "from_cache": 6, "input_tokens": 120, "output_tokens": 80}
    write(run, "responses/llama/T0_seed1", {"model": MODEL, "count": 10} | from_cache)
    # An API was paid for all 15, in this attempt or an earlier one.
    path = run / "verdicts/remote/llama.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"asked": 1}))
    table = costs(run, PRICES)
    assert table["calls"].to_list() == [14, 15, 15, 15, 59]
    assert table["input_tokens"][0] == 120 + 300


def test_one_price_that_is_missing(run: Path) -> None:
    prices = {key: value for key, value in PRICES.items() if key != "tokens"}
    assert costs(run, prices)["money"].to_list() == [4.5, 3.0, None, 0.0, None]


def test_a_manifest_that_cannot_be_read(run: Path) -> None:
    (run / "responses/llama/T1_seed1.json").write_text("{")
    with pytest.raises(InputError, match=r"responses/llama/T1_seed1.json: no manifest .* Hint: "):
        costs(run, PRICES)
