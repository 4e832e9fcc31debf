import json
import os
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refusal_stability.contracts import PromptInfo, Verdicts
from refusal_stability.errors import InputError
from refusal_stability.label_files import Labels, load_labels
from refusal_stability.label_pairs import label_pairs
from refusal_stability.label_tables import LABEL_COLUMNS
from refusal_stability.names import NAME

REPOSITORY = Path(__file__).parents[2]
PUBLISHED = Path(
    os.environ.get("REFUSAL_STABILITY_PUBLISHED", REPOSITORY.parent / "shared/published")
)
Rows = list[dict[str, Any]]


def grid(judges: str = "j", models: str = "ab", **changed: Any) -> Rows:
    """A label of each judge on each model's replies to 2 prompts x 2 temperatures x 2 seeds."""
    keys = product(judges, models, ("0.0", "0.7"), ("1", "2"), ("p1", "p2"))
    columns = ("judge", "model", "temperature", "seed", "prompt_id")
    return [dict(zip(columns, key, strict=True)) | {"label": "REFUSE"} | changed for key in keys]


def with_row(number: int, **changed: Any) -> Rows:
    rows = grid()
    rows[number] |= changed
    return rows


def write(path: Path, rows: Rows) -> Path:
    table = pl.DataFrame(rows, infer_schema_length=None)
    table.write_parquet(path) if path.suffix == ".parquet" else table.write_csv(path)
    return path


def info_rows(*prompt_ids: str) -> Rows:
    return [{"prompt_id": p, "source": "web", "category": "x"} for p in prompt_ids]


def typed(rows: Rows, temperature: type[pl.DataType] = pl.Float64) -> pl.DataFrame:
    """The rows with numbers for temperature and seed, as Parquet files have them."""
    return pl.DataFrame(rows).with_columns(
        pl.col("temperature").cast(temperature), pl.col("seed").cast(pl.Int64)
    )


def error_of(*paths: Path, **arguments: Any) -> str:
    arguments = {"model_aliases": {}, "judge_aliases": {}} | arguments
    with pytest.raises(InputError) as caught:
        load_labels(list(paths), **arguments)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert "Hint: " in message
    return message.replace(f"{paths[0].parent}/", "")


def load(*paths: Path, **arguments: Any) -> Labels:
    return load_labels(list(paths), **{"model_aliases": {}, "judge_aliases": {}} | arguments)


def verdicts(labels: Labels) -> dict[tuple[str, str], pl.DataFrame]:
    found = {(judge, model): table for judge, model, table in labels.verdicts()}
    for table in found.values():
        Verdicts.validate(table)
    PromptInfo.validate(labels.prompts)
    return found


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


@pytest.mark.parametrize(
    ("rows", "fragments"),
    [
        pytest.param(
            with_row(2, label="refuse"), ["a.csv, line 4: the label 'refuse'", "UNKNOWN"], id="case"
        ),
        pytest.param(with_row(2, label=" COMPLY"), ["line 4: the label ' COMPLY'"], id="space"),
        pytest.param(with_row(0, label=""), ["a.csv, line 2: the label is empty"], id="no label"),
        pytest.param(with_row(5, prompt_id=""), ["line 7: the prompt_id is empty"], id="prompt"),
        pytest.param(with_row(5, prompt_id=" "), ["line 7: the prompt_id is blank"], id="blank"),
        pytest.param(with_row(5, model=""), ["line 7: the model is empty"], id="model"),
        pytest.param(with_row(5, judge=""), ["line 7: the judge is empty"], id="judge"),
        pytest.param(with_row(5, seed=""), ["line 7: the seed is empty"], id="no seed"),
        pytest.param(with_row(3, seed="4.0"), ["line 5: the seed '4.0' is not an int"], id="float"),
        pytest.param(with_row(3, seed="x"), ["line 5: the seed 'x' is not an int"], id="seed"),
        pytest.param(with_row(3, seed="9" * 19), ["line 5: the seed 9", "too large"], id="large"),
        *(
            pytest.param(
                with_row(3, temperature=text),
                [f"a.csv, line 5: the temperature '{text}' is not a number from 0"],
                id=text,
            )
            for text in ("-0.1", "nan", "inf", "1e999", "warm", "0,7", " 0.7", "1_0")
        ),
        pytest.param(
            with_row(7, temperature="0.70"),
            ["a.csv, line 9: the temperatures 0.70 and 0.7 (a.csv, line 6) are two spellings"],
            id="0.70",
        ),
        pytest.param(
            with_row(3, temperature="0"),
            ["a.csv, line 5: the temperatures 0 and 0.0 (a.csv, line 2) are two spellings"],
            id="0",
        ),
        pytest.param(
            with_row(9, model="a", temperature="0.0", seed="1", prompt_id="p1"),
            ["a.csv, line 11: judge j has labelled model a, prompt p1, temp", "a.csv, line 2"],
            id="twice",
        ),
        pytest.param(
            with_row(4, seed="01", temperature="0.0", prompt_id="p1"),
            ["a.csv, line 6: judge j has labelled", "seed 1 before: a.csv, line 2"],
            id="twice, spelt in two ways",
        ),
        pytest.param(
            [row for row in grid() if (row["model"], row["temperature"]) != ("b", "0.7")],
            ["a.csv, line 6: judge j has labelled model a at temperature 0.7, but not model b"],
            id="temperatures",
        ),
        pytest.param(
            [row for row in grid() if (row["model"], row["seed"]) != ("a", "2")],
            ["a.csv, line 8: judge j has labelled model b at seed 2, but not model a"],
            id="seeds",
        ),
        pytest.param(
            [*grid("j", "a"), *grid("k", "b")],
            ["a.csv, line 10: judge k, whose labels begin here, and judge j (", "a.csv, line 2)"],
            id="judges",
        ),
        pytest.param(
            [*grid("jk"), *(row | {"prompt_id": "p9"} for row in grid("l", "a")[::2])],
            ["a.csv, line 34: judge l, whose labels begin here, and judge j (", "no common"],
            id="a third judge",
        ),
        pytest.param(
            [row | {"response_sha256": "0A" * 32} for row in grid()],
            ["a.csv, line 2: the response_sha256 is not 64 digits"],
            id="hash",
        ),
        pytest.param(with_row(1, model="x/y"), ["a.csv, line 3: the model 'x/y' can", "model_al"]),
        pytest.param(with_row(1, judge=".."), ["line 3: the judge '..' cannot", "judge_aliases"]),
        pytest.param(with_row(1, model="All"), ["line 3: the model name 'All' is reserved"]),
        pytest.param(with_row(1, model="B"), ["the model 'b' differs from 'B' in case only"]),
    ],
)
def test_rows_that_are_refused(tmp_path: Path, rows: Rows, fragments: list[str]) -> None:
    message = error_of(write(tmp_path / "a.csv", rows))
    assert all(fragment in message for fragment in fragments), message


def test_a_label_given_twice_through_aliases_and_files_names_both_places(tmp_path: Path) -> None:
    first, second = grid("j", "a"), [row | {"model": "A/a"} for row in grid("j", "a")[3:4]]
    files = write(tmp_path / "a.csv", first), write(tmp_path / "b.parquet", second)
    message = error_of(*files, model_aliases={"a": ["A/a"]})
    assert message.startswith("b.parquet, row 1: judge j has labelled model a, prompt p2")
    assert "before: a.csv, line 5. Hint" in message


def test_temperatures_spelt_in_two_ways_in_two_files(tmp_path: Path) -> None:
    rows = [row | {"temperature": row["temperature"] + "0"} for row in grid("k")]
    message = error_of(write(tmp_path / "a.csv", grid()), write(tmp_path / "b.csv", rows))
    assert message.startswith("b.csv, line 2: the temperatures 0.00 and 0.0 (a.csv, line 2)")


def test_numbers_that_are_written_alike(tmp_path: Path) -> None:
    table = typed([*grid(temperature="0.3"), *grid("k", temperature="0.3")])
    table = table.unique(["judge", "model", "seed", "prompt_id"], maintain_order=True)
    close = pl.when(pl.int_range(pl.len()) == 4).then(0.1 + 0.2).otherwise("temperature")
    table.with_columns(temperature=close).write_parquet(tmp_path / "a.parquet")
    message = error_of(tmp_path / "a.parquet")
    assert message.startswith("a.parquet, row 5: the temperatures 0.30000000000000004 and 0.3 (")
    assert "differ but are both written 0.3" in message


@pytest.mark.parametrize("column", LABEL_COLUMNS)
@pytest.mark.parametrize("name", ["a.csv", "a.parquet"])
def test_a_missing_column(tmp_path: Path, name: str, column: str) -> None:
    rows = [{key: value for key, value in row.items() if key != column} for row in grid()]
    message = error_of(write(tmp_path / name, rows))
    assert message.startswith(f"{name}: there is no column '{column}', only ")
    assert all(other in message for other in rows[0])


HEADER = ",".join(LABEL_COLUMNS)
ROW = "a,p1,0.0,1,REFUSE,j"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "", "a.csv: the file is empty"),
        ("a.csv", f"{HEADER}\n", "a.csv: there are no rows"),
        ("a.csv", f"{HEADER}\n\n\n", "a.csv: there are no rows"),
        ("a.csv", f"{HEADER}\n{ROW}\n\n{ROW}\n", "a.csv, line 3: the model is empty"),
        ("a.csv", f"{HEADER}\n{ROW}\na,p2,0.0\n", "a.csv, line 3: the seed is empty"),
        ("a.csv", f"{HEADER}\n{ROW}\n{ROW},1\n", "a.csv, line 3: 7 values for 6 columns"),
        ("a.csv", f'{HEADER}\n"a,p1\n', "a.csv, line 2: not CSV"),
        ("a.csv", f"{HEADER},label\n{ROW},REFUSE\n", "a.csv: two columns are named 'label'"),
        ("a.csv", f"{HEADER}\n{ROW}\n".encode() + b"a,\xff,0.0,1,REFUSE,j\n", "a.csv, line 3: not"),
        ("a.csv", f"{HEADER}\n".encode("utf-16"), "a.csv, line 1: not UTF-8 text"),
        ("a.csv", HEADER.replace(",", ";"), "a.csv: there is no column 'model', only model;prompt"),
        ("a.parquet", "", "a.parquet: not a Parquet file"),
        ("a.parquet", f"{HEADER}\n{ROW}\n", "a.parquet: not a Parquet file"),
        ("a.txt", f"{HEADER}\n{ROW}\n", "a.txt: unknown kind of file"),
        ("a.csv.gz", b"", "a.csv.gz: unknown kind of file"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, name: str, content: str | bytes, says: str) -> None:
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert error_of(path).startswith(says)


def test_a_missing_file(tmp_path: Path) -> None:
    assert error_of(tmp_path / "a.csv").startswith("a.csv: no such file")


def test_a_parquet_file_without_rows_or_with_lists(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    typed(grid()).clear().write_parquet(path)
    assert error_of(path).startswith("a.parquet: there are no rows")
    typed(grid()).with_columns(pl.struct("label").alias("label")).write_parquet(path)
    assert error_of(path).startswith("a.parquet")


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


def test_the_line_counts_lines_and_not_rows(tmp_path: Path) -> None:
    rows = [row | {"reason": "of\nthree\nlines"} for row in grid()]
    rows[2]["label"] = "no"
    # The header is line 1; each row before has three lines.
    assert error_of(write(tmp_path / "a.csv", rows)).startswith("a.csv, line 8: the label 'no'")


def test_a_reply_in_the_label_column_is_not_shown(tmp_path: Path) -> None:
    message = error_of(write(tmp_path / "a.csv", with_row(0, label="Sure, here is CANARY")))
    assert "CANARY" in message  # as short as a label
    message = error_of(write(tmp_path / "a.csv", with_row(0, label="Sure, here is a CANARY")))
    assert "CANARY" not in message


@pytest.mark.parametrize("name", ["info.csv", "info.parquet"])
def test_prompt_info(tmp_path: Path, name: str) -> None:
    rows = info_rows("p2", "p7", "p1")
    rows[0] |= {"source": "", "category": ""}
    info = write(tmp_path / name, rows)
    labels = load(write(tmp_path / "a.csv", grid()), prompt_info=info)
    assert labels.prompts.rows() == [("p2", "unknown", None), ("p1", "web", "x")]
    assert labels.manifest["prompt_info"]["prompts_without_labels"] == 1
    assert verdicts(labels)["j", "a"]["prompt_id"].to_list()[:2] == ["p2", "p1"]


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (info_rows("p1"), "info.csv: 1 prompt_id(s) of the labels are missing, the first is p2 ("),
        (info_rows("p1", "p2", "p1"), "info.csv, line 4: the prompt_id p1 stands before: info.csv"),
        (info_rows("p1", "", "p2"), "info.csv, line 3: the prompt_id is empty"),
        ([{"prompt_id": "p1", "source": "s"}], "info.csv: there is no column 'category', only"),
    ],
)
def test_prompt_info_that_is_refused(tmp_path: Path, rows: Rows, says: str) -> None:
    info = write(tmp_path / "info.csv", rows)
    assert error_of(write(tmp_path / "a.csv", grid()), prompt_info=info).startswith(says)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (with_row(1, model="x/y"), "a.csv, line 3: the model 'x/y' cannot be a file name"),
        (with_row(1, judge="all"), "a.csv, line 3: the judge name 'all' is reserved"),
        (grid(judge=""), "a.csv: no row names a judge and a model"),
        ([{"model": "a"}], "a.csv: there is no column 'prompt_id', only model"),
    ],
)
def test_names_are_checked_when_a_run_is_planned(tmp_path: Path, rows: Rows, says: str) -> None:
    path = write(tmp_path / "a.csv", rows)
    with pytest.raises(InputError) as caught:
        label_pairs([str(path)], {}, {})
    assert str(caught.value).removeprefix(f"{tmp_path}/").startswith(says)
    assert "Hint: " in str(caught.value)


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
