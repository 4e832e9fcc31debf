import json
from pathlib import Path

import polars as pl
import pytest

from refusal_stability.core.errors import InputError
from refusal_stability.prompts.files import read_prompt_file


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows_of(path: Path) -> list[tuple[str, str, str | None]]:
    """Rows with the file's own name taken off their places."""
    return [(place.removeprefix(str(path)), *row) for place, *row in read_prompt_file(path)]


def error_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        list(read_prompt_file(path))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert len(message.splitlines()) == 1
    return message.removeprefix(str(path))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            "prompt,category\nfirst,x\nsecond,\n",
            [(", line 2", "first", "x"), (", line 3", "second", None)],
            id="categories",
        ),
        pytest.param("id,prompt\n1,first\n", [(", line 2", "first", None)], id="other columns"),
        pytest.param("\ufeffprompt\nfirst\n", [(", line 2", "first", None)], id="byte order mark"),
        pytest.param("prompt\r\nfirst\r\n", [(", line 2", "first", None)], id="CRLF"),
        pytest.param("prompt\nfirst", [(", line 2", "first", None)], id="no last line break"),
        pytest.param('prompt\n"a, ""b"""\n', [(", line 2", 'a, "b"', None)], id="quotes"),
        pytest.param(
            'prompt\n"a\nb\nc"\nsecond\n',
            [(", line 2", "a\nb\nc", None), (", line 5", "second", None)],
            id="several lines",
        ),
        pytest.param('prompt\n"a\r\nb"\n', [(", line 2", "a\r\nb", None)], id="CRLF kept in text"),
        pytest.param("prompt\nfirst\n\n\n", [(", line 2", "first", None)], id="blank at the end"),
        pytest.param("prompt\n  first \n", [(", line 2", "  first ", None)], id="spaces kept"),
        pytest.param("prompt\n007\n", [(", line 2", "007", None)], id="digits are text"),
        pytest.param("prompt\nNaïve 你好\n", [(", line 2", "Naïve 你好", None)], id="unicode"),
    ],
)
def test_csv(tmp_path: Path, content: str, expected: list[tuple[str, str, str | None]]) -> None:
    assert rows_of(written(tmp_path, "my.csv", content)) == expected


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        pytest.param("", ["no column 'prompt', only nothing", "Hint"], id="no bytes"),
        pytest.param("prompt\n", ["there are no rows", "Hint"], id="header only"),
        pytest.param("text,id\na,1\n", ["no column 'prompt', only text, id", "Hint"], id="column"),
        pytest.param("Prompt\na\n", ["no column 'prompt', only Prompt"], id="case of the column"),
        pytest.param("prompt,id\na,1\n,2\n", [", line 3: the prompt is empty"], id="empty"),
        pytest.param('prompt\na\n"  "\n', [", line 3: the prompt is empty"], id="spaces"),
        pytest.param("prompt\na\n\nb\n", [", line 3: the prompt is empty"], id="blank between"),
        pytest.param('prompt\n"a\nb"\n\nc\n', [", line 4: the prompt is empty"], id="blank later"),
        pytest.param("prompt\na, b\n", [", line 2: 2 values for 1 columns"], id="more values"),
        pytest.param(
            "prompt,id\n1,2\na\n", [", line 3: 1 values for 2 columns"], id="fewer values"
        ),
        pytest.param('prompt\n"a\nb"\nc,d\n', [", line 4: 2 values"], id="line after a long text"),
        pytest.param('prompt\na\n"b\n', [", line 3: not CSV", "Hint"], id="open quote"),
        pytest.param('prompt\n"a"b\n', [", line 2: not CSV", "Hint"], id="text after a quote"),
        pytest.param(b"prompt\n\xff\xfe\n", ["not UTF-8", "Hint"], id="not UTF-8"),
        pytest.param("prompt\na\n".encode("utf-16"), ["not UTF-8", "Hint"], id="UTF-16"),
    ],
)
def test_csv_that_is_refused(tmp_path: Path, content: str | bytes, fragments: list[str]) -> None:
    message = error_of(written(tmp_path, "my.csv", content))
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(
            '{"prompt": "first", "category": "x"}\n{"prompt": "second", "id": 2}\n',
            [(", line 1", "first", "x"), (", line 2", "second", None)],
            id="categories",
        ),
        pytest.param('\ufeff{"prompt": "a"}\n', [(", line 1", "a", None)], id="byte order mark"),
        pytest.param('{"prompt": "a\\nb"}', [(", line 1", "a\nb", None)], id="escaped line break"),
        pytest.param('{"prompt": "a\u2028b"}', [(", line 1", "a\u2028b", None)], id="U+2028"),
        pytest.param('{"prompt": "a"}\n\n \n', [(", line 1", "a", None)], id="blank at the end"),
        pytest.param('{"prompt": "a", "category": null}', [(", line 1", "a", None)], id="null"),
        pytest.param('{"prompt": "a", "category": 3}', [(", line 1", "a", "3")], id="number"),
    ],
)
def test_jsonl(tmp_path: Path, content: str, expected: list[tuple[str, str, str | None]]) -> None:
    assert rows_of(written(tmp_path, "my.jsonl", content)) == expected


GOOD_LINE = json.dumps({"prompt": "good"})


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        pytest.param("", ["there are no rows", "Hint"], id="no bytes"),
        pytest.param("\n\n", ["there are no rows", "Hint"], id="blank lines"),
        pytest.param(f"{GOOD_LINE}\n{{oops\n", [", line 2: not JSON", "Hint"], id="not JSON"),
        pytest.param(f'{GOOD_LINE}\n["a"]\n', [", line 2: not a JSON object", "Hint"], id="list"),
        pytest.param('"text"\n', [", line 1: not a JSON object", "Hint"], id="text"),
        pytest.param(f"[\n{GOOD_LINE}\n]\n", [", line 1: not JSON", "Hint"], id="JSON, not JSONL"),
        pytest.param(
            f'{GOOD_LINE}\n{{"text": "a"}}\n',
            [", line 2: there is no column 'prompt', only text"],
            id="column",
        ),
        pytest.param("{}\n", [", line 1: there is no column 'prompt', only nothing"], id="nothing"),
        pytest.param('{"prompt": ""}\n', [", line 1: the prompt is empty", "Hint"], id="empty"),
        pytest.param('{"prompt": null}\n', [", line 1: the prompt is empty", "Hint"], id="null"),
        pytest.param(
            '{"prompt": " \\n"}\n', [", line 1: the prompt is empty", "Hint"], id="spaces"
        ),
        pytest.param('{"prompt": 5}\n', [", line 1: the prompt is not text", "Hint"], id="number"),
        pytest.param('{"prompt": 0}\n', [", line 1: the prompt is not text", "Hint"], id="zero"),
        pytest.param('{"prompt": false}\n', [", line 1: the prompt is not text"], id="boolean"),
        pytest.param(
            '{"prompt": ["a"]}\n', [", line 1: the prompt is not text"], id="list of text"
        ),
        pytest.param(
            f"{GOOD_LINE}\n\n{GOOD_LINE}\n", [", line 2: the prompt is empty"], id="blank between"
        ),
        pytest.param(b'{"prompt": "\xff"}\n', ["not UTF-8", "Hint"], id="not UTF-8"),
        # Half of a surrogate pair can be written in JSON, but not in UTF-8, nor hashed.
        pytest.param(
            f'{GOOD_LINE}\n{{"prompt": "\\ud800"}}\n', [", line 2: ", "Hint"], id="lone surrogate"
        ),
    ],
)
def test_jsonl_that_is_refused(tmp_path: Path, content: str | bytes, fragments: list[str]) -> None:
    message = error_of(written(tmp_path, "my.jsonl", content))
    assert all(fragment in message for fragment in fragments), message


def parquet(folder: Path, columns: dict[str, list[object]]) -> Path:
    path = folder / "my.parquet"
    pl.DataFrame(columns).write_parquet(path)
    return path


def test_parquet(tmp_path: Path) -> None:
    path = parquet(tmp_path, {"prompt": ["first", "second"], "category": ["x", None], "id": [1, 2]})
    assert rows_of(path) == [(", row 1", "first", "x"), (", row 2", "second", None)]


def test_parquet_without_categories(tmp_path: Path) -> None:
    assert rows_of(parquet(tmp_path, {"prompt": ["first"]})) == [(", row 1", "first", None)]


@pytest.mark.parametrize(
    ("columns", "fragments"),
    [
        ({"text": ["a"], "id": [1]}, ["no column 'prompt', only text, id", "Hint"]),
        ({"prompt": ["a", ""]}, [", row 2: the prompt is empty", "Hint"]),
        ({"prompt": ["a", None]}, [", row 2: the prompt is empty", "Hint"]),
        ({"prompt": [1]}, [", row 1: the prompt is not text", "Hint"]),
        ({"prompt": [b"a"]}, [", row 1: the prompt is not text", "Hint"]),
        ({"prompt": []}, ["there are no rows", "Hint"]),
    ],
)
def test_parquet_that_is_refused(
    tmp_path: Path, columns: dict[str, list[object]], fragments: list[str]
) -> None:
    message = error_of(parquet(tmp_path, columns))
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize("content", [b"", b"PAR1", b"prompt\nfirst\n"])
def test_what_is_no_parquet(tmp_path: Path, content: bytes) -> None:
    assert "not a Parquet file. Hint" in error_of(written(tmp_path, "my.parquet", content))


@pytest.mark.parametrize("name", ["my.txt", "my.json", "my", "my.csv.gz"])
def test_unknown_kind_of_file(tmp_path: Path, name: str) -> None:
    message = error_of(written(tmp_path, name, "prompt\nfirst\n"))
    assert "unknown kind of file. Hint: give a .csv, .jsonl or .parquet file" in message


def test_the_kind_does_not_depend_on_case(tmp_path: Path) -> None:
    assert rows_of(written(tmp_path, "MY.CSV", "prompt\nfirst\n")) == [(", line 2", "first", None)]


@pytest.mark.parametrize("name", ["my.csv", "my.jsonl", "my.parquet"])
def test_a_missing_file_says_so(tmp_path: Path, name: str) -> None:
    message = error_of(tmp_path / name)
    assert "cannot be read (" in message
    assert "No such file" in message


def test_a_folder_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "my.csv").mkdir()
    assert "cannot be read (Is a directory)" in error_of(tmp_path / "my.csv")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("my.csv", 'prompt\n"CANARY"x\n'),
        ("my.csv", "prompt\nCANARY, CANARY\n"),
        ("my.jsonl", '{"prompt": "CANARY\n'),
        ("my.jsonl", '["CANARY"]\n'),
        ("my.jsonl", '{"prompt": ["CANARY"]}\n'),
    ],
)
def test_messages_do_not_quote_the_text(tmp_path: Path, name: str, content: str) -> None:
    assert "CANARY" not in error_of(written(tmp_path, name, content))
