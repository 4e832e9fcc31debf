"""Label files that are refused: one line that names file and row."""

from pathlib import Path

import polars as pl
import pytest

from helpers.label_rows import Rows, error_of, grid, info_rows, typed, with_row, write
from refusal_stability.core.errors import InputError
from refusal_stability.imported_labels.pairs import label_pairs
from refusal_stability.imported_labels.tables import LABEL_COLUMNS


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


@pytest.mark.parametrize(("sign", "word"), [(";", "semicolons"), ("\t", "tabs")])
def test_columns_that_no_commas_separate(tmp_path: Path, sign: str, word: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(HEADER.replace(",", sign))
    assert f"Hint: separate columns by commas, not by {word}; the file needs" in error_of(path)


def test_a_missing_file(tmp_path: Path) -> None:
    assert error_of(tmp_path / "a.csv").startswith("a.csv: no such file")


def test_a_parquet_file_without_rows_or_with_lists(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    typed(grid()).clear().write_parquet(path)
    assert error_of(path).startswith("a.parquet: there are no rows")
    typed(grid()).with_columns(pl.struct("label").alias("label")).write_parquet(path)
    assert error_of(path).startswith("a.parquet")


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
