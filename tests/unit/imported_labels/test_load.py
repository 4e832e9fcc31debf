"""Label files become verdicts."""

import json
import os
from collections.abc import Callable
from itertools import product
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.label_rows import error_of, grid, info_rows, load, typed, verdicts, write
from refusal_stability.core.names import NAME
from refusal_stability.imported_labels.load import load_labels
from refusal_stability.imported_labels.pairs import label_pairs

REPOSITORY = Path(__file__).parents[3]
PUBLISHED = Path(
    os.environ.get("REFUSAL_STABILITY_PUBLISHED", REPOSITORY.parent / "shared/published")
)


def test_labels_become_verdicts(tmp_path: Path) -> None:
    rows = grid("jk")
    rows[0] |= {"label": "UNKNOWN"}
    labels = load(write(tmp_path / "a.csv", rows))
    tables = verdicts(labels)
    assert list(tables) == [("j", "a"), ("j", "b"), ("k", "a"), ("k", "b")]
    assert all(table.height == 8 for table in tables.values())
    first = tables["j", "a"].row(0, named=True)
    assert first == {
        "prompt_id": "p1",
        "temperature": 0.0,
        "seed": 1,
        "label": "UNKNOWN",
        **dict.fromkeys(("reason", "p_refuse", "p_partial", "p_comply", "response_sha256")),
    }
    assert labels.prompts.to_dict(as_series=False) == {
        "prompt_id": ["p1", "p2"],
        "source": ["unknown"] * 2,
        "category": [None] * 2,
    }
    assert labels.manifest["labels"]["j"]["a"] == {"REFUSE": 7, "UNKNOWN": 1}
    assert labels.manifest["files"][0]["rows"] == labels.manifest["count"] == 32
    json.dumps(labels.manifest)


def test_optional_columns_are_kept_and_others_ignored(tmp_path: Path) -> None:
    rows = [row | {"response_sha256": "", "reason": "", "text": "secret"} for row in grid()]
    rows[0] |= {"response_sha256": "0a" * 32, "reason": "cut off", "label": "INCOMPLETE"}
    plain = write(tmp_path / "b.csv", grid("k"))
    tables = verdicts(load(write(tmp_path / "a.csv", rows), plain))
    assert tables["j", "a"]["response_sha256"].to_list() == ["0a" * 32, *[None] * 7]
    assert tables["j", "a"]["reason"].to_list() == ["cut off", *[None] * 7]
    assert tables["k", "a"]["reason"].null_count() == 8


def test_a_judge_may_know_fewer_models_and_a_response_may_be_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", [*grid("j")[1:], *grid("k", "b")])
    tables = verdicts(load(path))
    assert {pair: table.height for pair, table in tables.items()} == {
        ("j", "a"): 7,
        ("j", "b"): 8,
        ("k", "b"): 8,
    }
    assert label_pairs([str(path)], {}, {}) == list(tables)


@pytest.mark.parametrize("dtype", [pl.Float64, pl.Float32, pl.String])
def test_csv_and_parquet_give_the_same(tmp_path: Path, dtype: type[pl.DataType]) -> None:
    csv = write(tmp_path / "a.csv", grid("jk"))
    parquet = tmp_path / "a.parquet"
    typed(grid("jk"), dtype).cast({"model": pl.Categorical}).write_parquet(parquet)
    from_csv, from_parquet = verdicts(load(csv)), verdicts(load(parquet))
    assert list(from_csv) == list(from_parquet)
    assert all(from_csv[pair].equals(from_parquet[pair]) for pair in from_csv)


def test_a_number_in_parquet_has_no_spelling(tmp_path: Path) -> None:
    other = tmp_path / "b.parquet"
    typed(grid("k")).write_parquet(other)
    rows = [
        row | {"temperature": {"0.0": "0", "0.7": "0.70"}[row["temperature"]]} for row in grid()
    ]
    tables = verdicts(load(write(tmp_path / "a.csv", rows), other))
    assert tables["j", "a"]["temperature"].equals(tables["k", "a"]["temperature"])


def test_aliases_join_spellings_and_order_names(tmp_path: Path) -> None:
    first = write(tmp_path / "a.csv", grid("j", "ab"))
    second = write(tmp_path / "b.csv", [r | {"model": f"x/{r['model']}"} for r in grid("k", "a")])
    models, judges = {"b": ["B/b"], "A": ["a", "x/a"]}, {"judge-j": ["j"]}
    labels = load(first, second, model_aliases=models, judge_aliases=judges)
    pairs = [("judge-j", "b"), ("judge-j", "A"), ("k", "A")]
    assert list(verdicts(labels)) == pairs
    assert label_pairs([str(first), str(second)], models, judges) == pairs
    assert labels.manifest["models"] == {"b": ["b"], "A": ["a", "x/a"]}
    assert labels.manifest["judges"] == {"judge-j": ["j"], "k": ["k"]}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(order=st.permutations(range(32)), cut=st.integers(1, 31))
def test_the_order_of_rows_and_files_does_not_matter(
    tmp_path: Path, order: list[int], cut: int
) -> None:
    rows = grid("jk")
    for number, row in enumerate(rows):
        row["label"] = ("REFUSE", "PARTIAL", "COMPLY", "ERROR")[number * 7 % 4]
    info = write(tmp_path / "info.csv", info_rows("p2", "p1"))
    arguments = {"prompt_info": info, "model_aliases": {"a": ["A"], "b": ["B"]}}
    arguments["judge_aliases"] = {"j": ["J"], "k": ["K"]}
    straight = load(write(tmp_path / "all.csv", rows), **arguments)
    shuffled = [rows[number] for number in order]
    parts = [
        write(tmp_path / "1.csv", shuffled[:cut]),
        write(tmp_path / "2.parquet", shuffled[cut:]),
    ]
    mixed = load(*parts, **arguments)
    assert mixed.prompts.equals(straight.prompts)
    expected, found = verdicts(straight), verdicts(mixed)
    assert list(found) == list(expected)
    assert all(found[pair].equals(expected[pair]) for pair in expected)
    assert mixed.manifest["labels"] == straight.manifest["labels"]


def test_numbers_that_are_written_alike(tmp_path: Path) -> None:
    table = typed([*grid(temperature="0.3"), *grid("k", temperature="0.3")])
    table = table.unique(["judge", "model", "seed", "prompt_id"], maintain_order=True)
    close = pl.when(pl.int_range(pl.len()) == 4).then(0.1 + 0.2).otherwise("temperature")
    table.with_columns(temperature=close).write_parquet(tmp_path / "a.parquet")
    message = error_of(tmp_path / "a.parquet")
    assert message.startswith("a.parquet, row 5: the temperatures 0.30000000000000004 and 0.3 (")
    assert "differ but are both written 0.3" in message


@pytest.mark.parametrize(
    "convert",
    [
        pytest.param(lambda text: "\ufeff" + text, id="byte order mark"),
        pytest.param(lambda text: text.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(lambda text: text + "\n\n", id="blank at the end"),
        pytest.param(lambda text: text.rstrip("\n"), id="no last line break"),
    ],
)
def test_what_csv_files_may_look_like(tmp_path: Path, convert: Callable[[str], str]) -> None:
    path = write(tmp_path / "a.csv", grid())
    expected = verdicts(load(path))
    path.write_bytes(convert(path.read_text()).encode())
    found = verdicts(load(path))
    assert all(found[pair].equals(expected[pair]) for pair in expected)


@pytest.mark.parametrize("name", ["info.csv", "info.parquet"])
def test_prompt_info(tmp_path: Path, name: str) -> None:
    rows = info_rows("p2", "p7", "p1")
    rows[0] |= {"source": "", "category": ""}
    info = write(tmp_path / name, rows)
    labels = load(write(tmp_path / "a.csv", grid()), prompt_info=info)
    assert labels.prompts.rows() == [("p2", "unknown", None), ("p1", "web", "x")]
    assert labels.manifest["prompt_info"]["prompts_without_labels"] == 1
    assert verdicts(labels)["j", "a"]["prompt_id"].to_list()[:2] == ["p2", "p1"]


def test_names_are_those_of_the_schema() -> None:
    schema = yaml.safe_load((REPOSITORY / "workflow/schemas/config.schema.yaml").read_text())
    assert schema["$defs"]["name"]["pattern"] == f"^{NAME.pattern}(?!\\n)$"


@pytest.mark.skipif(
    not PUBLISHED.is_dir(),
    reason=f"the published labels are not in {PUBLISHED}: set REFUSAL_STABILITY_PUBLISHED",
)
def test_the_published_labels_are_taken_as_they_are() -> None:
    config = yaml.safe_load((REPOSITORY / "config/replication.yaml").read_text())
    labels = load_labels(
        [PUBLISHED / "claude_haiku_llama_qwen25.csv", PUBLISHED / "local_judge_llama_qwen25.csv"],
        config["model_aliases"],
        config["judge_aliases"],
        PUBLISHED / "prompts.csv",
    )
    models, judges = ("llama-3.1-8b-instruct", "qwen2.5-7b-instruct"), config["judge_aliases"]
    tables = verdicts(labels)
    assert list(tables) == list(product(judges, models))
    assert {table.height for table in tables.values()} == {17520}
    assert labels.prompts["source"].value_counts(sort=True).rows() == [
        ("advbench", 491),
        ("harmbench", 385),
    ]
