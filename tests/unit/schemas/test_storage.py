import hashlib
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from refusal_stability.core import files, hashing, versions
from refusal_stability.core.errors import ContractError, InputError
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts, Responses, Stability, Verdicts
from refusal_stability.schemas.tables import TABLES

CANARY = "CANARY harmful text"
JUDGE_AGREEMENT = TABLES["judge_agreement"]
PROMPTS = pl.DataFrame(
    {
        "prompt_id": ["0123456789ab", "ba9876543210"],
        "prompt": ["first", "second"],
        "source": ["s", "s"],
        "category": ["x", None],
    }
)
RESPONSES = pl.DataFrame(
    {
        "prompt_id": ["0123456789ab"],
        "temperature": [0.7],
        "seed": [42],
        "response": ["No."],
        "reasoning": pl.Series([None], dtype=pl.String),
        "finish_reason": ["stop"],
        "prompt_tokens": [5],
        "response_tokens": [2],
    }
)
VERDICTS = pl.DataFrame(
    {
        "prompt_id": ["0123456789ab"],
        "temperature": [0.7],
        "seed": [42],
        "label": ["REFUSE"],
        "reason": pl.Series([None], dtype=pl.String),
        "p_refuse": [0.5],
        "p_partial": [0.25],
        "p_comply": [0.25],
        "response_sha256": ["0" * 64],
    }
)
AGREEMENT = pl.DataFrame(
    {
        "judge_a": ["007", "1e3", 'a,"b"'],
        "judge_b": ["008", "null", "x"],
        "model": ["0.10", "all", "nan"],
        "n": [10, 20, 0],
        "n_invalid": [0, 1, 5],
        "agreement": [1 / 3, 1.0, None],
        "agreement_low": [0.1, 1.0, None],
        "agreement_high": [0.9, 1.0, None],
        "kappa": [-0.5, None, None],
        "kappa_low": [-1.0, None, None],
        "kappa_high": [0.1 + 0.2, None, None],
        **{
            f"{name}{end}": [0.5, 1.0, None]
            for name in ("krippendorff_alpha", "gwet_ac1")
            for end in ("", "_low", "_high")
        },
        "agreement_with_invalid": [1 / 3, 0.95, 0.0],
        "kappa_with_invalid": [-0.5, None, None],
    }
)


def contents(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_parquet_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "new/folder/prompts.parquet"
    storage.write_parquet(PROMPTS, path, Prompts)
    assert storage.read_parquet(path, Prompts).equals(PROMPTS)
    assert contents(path.parent) == ["prompts.json", "prompts.parquet"]


def test_a_file_has_a_manifest_with_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "prompts.parquet"
    storage.write_parquet(PROMPTS, path, Prompts, {"count": 2})
    manifest = json.loads((tmp_path / "prompts.json").read_text(encoding="utf-8"))
    checksum = hashlib.sha256(path.read_bytes()).hexdigest()
    assert manifest == {"format": versions.FORMAT, "count": 2, "file_sha256": checksum}


def test_a_bit_that_turned_over_is_found(tmp_path: Path) -> None:
    path = tmp_path / "prompts.parquet"
    storage.write_parquet(PROMPTS, path, Prompts)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"prompts.parquet: not the file .* damaged.*Hint: "):
        storage.read_parquet(path, Prompts)


def test_a_manifest_of_another_file_or_of_none_is_named(tmp_path: Path) -> None:
    path, other = tmp_path / "prompts.parquet", tmp_path / "other.parquet"
    storage.write_parquet(PROMPTS, path, Prompts)
    storage.write_parquet(PROMPTS[:1], other, Prompts)
    for text in (other.with_suffix(".json").read_text(), "{", "[]"):
        path.with_suffix(".json").write_text(text)
        with pytest.raises(InputError, match=r"prompts\.json"):
            storage.read_parquet(path, Prompts)


def test_a_file_of_an_older_version_has_no_checksum(tmp_path: Path) -> None:
    path = tmp_path / "prompts.parquet"
    storage.write_parquet(PROMPTS, path, Prompts)
    for text in ('{"version": 1}', None):
        manifest = path.with_suffix(".json")
        manifest.unlink() if text is None else manifest.write_text(text)
        assert storage.read_parquet(path, Prompts).equals(PROMPTS)


def test_columns_are_written_in_the_contracts_order_and_others_left_out(tmp_path: Path) -> None:
    path = tmp_path / "prompts.parquet"
    table = PROMPTS.select("category", "source", "prompt", "prompt_id", more=pl.lit(1))
    storage.write_parquet(table, path, Prompts)
    assert pl.read_parquet(path).equals(PROMPTS)


def test_types_are_those_of_the_contract(tmp_path: Path) -> None:
    path = tmp_path / "verdicts.parquet"
    storage.write_parquet(VERDICTS.with_columns(pl.col("seed").cast(pl.Int32)), path, Verdicts)
    schema = storage.read_parquet(path, Verdicts).schema
    assert schema["seed"] == pl.Int64
    assert isinstance(schema["label"], pl.Enum)


def test_an_empty_table_keeps_its_types(tmp_path: Path) -> None:
    path = tmp_path / "prompts.parquet"
    storage.write_parquet(PROMPTS.clear(), path, Prompts)
    assert storage.read_parquet(path, Prompts).schema == PROMPTS.schema


@pytest.mark.parametrize("rows", [[0], [1], [2], [0, 1, 2]])
def test_csv_comes_back_as_it_was_written(tmp_path: Path, rows: list[int]) -> None:
    # Names that look like numbers or like nothing stay names; floats keep their last digit.
    path = tmp_path / "judge_agreement.csv"
    storage.write_csv(AGREEMENT[rows], path, JUDGE_AGREEMENT)
    assert storage.read_csv(path, JUDGE_AGREEMENT).equals(AGREEMENT[rows])
    assert contents(tmp_path) == ["judge_agreement.csv"]


def test_an_empty_csv_has_its_header(tmp_path: Path) -> None:
    path = tmp_path / "judge_agreement.csv"
    storage.write_csv(AGREEMENT.clear(), path, JUDGE_AGREEMENT)
    assert path.read_text().strip().split(",") == JUDGE_AGREEMENT.column_names()
    assert storage.read_csv(path, JUDGE_AGREEMENT).is_empty()


def test_json_is_readable_and_keeps_the_order_of_its_keys(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    content = {"z": 1, "a": {"text": "Naïve 你好"}}
    storage.write_json(content, path)
    text = path.read_text(encoding="utf-8")
    assert "你好" in text
    assert text.endswith("}\n")
    assert list(json.loads(text)) == ["format", "z", "a"]


@pytest.mark.parametrize("before", [None, "old"])
def test_a_writer_that_fails_leaves_nothing_new(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / "manifest.json"
    if before is not None:
        path.write_text(before)
    # Half a surrogate pair cannot be written in UTF-8: it fails when the part file is open.
    with pytest.raises(UnicodeEncodeError):
        storage.write_json({"text": "\ud800"}, path)
    assert contents(tmp_path) == ([] if before is None else ["manifest.json"])
    assert before is None or path.read_text() == before


def test_a_part_that_cannot_be_renamed_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "prompts.parquet"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        storage.write_parquet(PROMPTS, path, Prompts)
    assert contents(tmp_path) == ["prompts.parquet"]
    assert contents(path) == []


def test_what_breaks_its_contract_is_not_written(tmp_path: Path) -> None:
    path = tmp_path / "prompts.parquet"
    storage.write_parquet(PROMPTS, path, Prompts)
    before = path.read_bytes()
    with pytest.raises(ContractError):
        storage.write_parquet(PROMPTS.drop("prompt"), path, Prompts)
    assert path.read_bytes() == before
    assert contents(tmp_path) == ["prompts.json", "prompts.parquet"]


def changed(table: pl.DataFrame, **columns: Any) -> pl.DataFrame:
    """The table with columns set to a value, or to the values of a list."""
    return table.with_columns(
        **{
            name: pl.Series(value) if isinstance(value, list) else pl.lit(value)
            for name, value in columns.items()
        }
    )


@pytest.mark.parametrize(
    ("table", "contract", "fragment"),
    [
        pytest.param(PROMPTS.drop("source"), Prompts, "source", id="no column"),
        pytest.param(changed(PROMPTS, prompt=""), Prompts, "prompt", id="empty text"),
        pytest.param(changed(PROMPTS, source=None), Prompts, "source", id="null"),
        pytest.param(changed(PROMPTS, prompt_id=CANARY), Prompts, "prompt_id", id="pattern"),
        pytest.param(
            changed(PROMPTS, prompt_id="0123456789ab", prompt=CANARY), Prompts, "", id="twice"
        ),
        pytest.param(changed(RESPONSES, temperature=CANARY), Responses, "", id="not a number"),
        pytest.param(changed(RESPONSES, temperature=-0.1), Responses, "temperature", id="range"),
        pytest.param(changed(RESPONSES, seed=CANARY), Responses, "", id="not an integer"),
        pytest.param(changed(RESPONSES, finish_reason=CANARY), Responses, "", id="no choice"),
        pytest.param(changed(VERDICTS, label=CANARY), Verdicts, "", id="no label"),
        pytest.param(changed(VERDICTS, p_refuse=1.5), Verdicts, "p_refuse", id="over 1"),
        pytest.param(changed(VERDICTS, response_sha256=CANARY), Verdicts, "sha256", id="checksum"),
        pytest.param(changed(RESPONSES, response=[[CANARY]]), Responses, "type", id="list"),
        pytest.param(
            changed(RESPONSES, response=[b"CANARY\xff"]), Responses, "type", id="not UTF-8"
        ),
        pytest.param(pl.DataFrame({"text": [CANARY]}), Stability, "prompt_id", id="another table"),
    ],
)
def test_broken_contracts_are_one_line_that_quotes_no_value(
    tmp_path: Path, table: pl.DataFrame, contract: Any, fragment: str
) -> None:
    path = tmp_path / "table.parquet"
    table.write_parquet(path)
    for act in (
        lambda: storage.read_parquet(path, contract),
        lambda: storage.write_parquet(table, path, contract),
    ):
        with pytest.raises(ContractError) as caught:
            act()
        message = str(caught.value)
        assert message.startswith(f"{path}: breaks the contract {contract.__name__}: ")
        assert fragment in message
        assert "CANARY" not in message
        assert "Hint: " in message
        assert len(message.splitlines()) == 1


@pytest.mark.parametrize("change", [("10", CANARY), ("0.1", CANARY), ("judge_a", "judge_z")])
def test_a_csv_that_breaks_its_contract_is_one_line_that_quotes_no_value(
    tmp_path: Path, change: tuple[str, str]
) -> None:
    path = tmp_path / "judge_agreement.csv"
    storage.write_csv(AGREEMENT, path, JUDGE_AGREEMENT)
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(ContractError) as caught:
        storage.read_csv(path, JUDGE_AGREEMENT)
    message = str(caught.value)
    assert "breaks the contract judge_agreement" in message
    assert "CANARY" not in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9, 0.99])
def test_a_truncated_parquet_is_one_line(tmp_path: Path, share: float) -> None:
    path = tmp_path / "prompts.parquet"
    storage.write_parquet(PROMPTS, path, Prompts)
    # As in results of an older version.
    path.with_suffix(".json").unlink()
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError) as caught:
        storage.read_parquet(path, Prompts)
    message = str(caught.value)
    assert message.startswith(f"{path}: not a readable Parquet file")
    assert "Hint: " in message
    assert len(message.splitlines()) == 1


@pytest.mark.parametrize("name", ["missing.parquet", "missing.csv"])
def test_a_missing_table_is_one_line(tmp_path: Path, name: str) -> None:
    read = storage.read_csv if name.endswith(".csv") else storage.read_parquet
    with pytest.raises(InputError) as caught:
        read(tmp_path / name, Prompts)
    assert len(str(caught.value).splitlines()) == 1


def test_an_empty_file_is_no_csv(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"")
    with pytest.raises(InputError, match="not a readable CSV file"):
        storage.read_csv(tmp_path / "table.csv", JUDGE_AGREEMENT)


def test_read_text(tmp_path: Path) -> None:
    (tmp_path / "rubric.txt").write_text("Naïve 你好\n", encoding="utf-8")
    assert files.read_text(tmp_path / "rubric.txt") == "Naïve 你好\n"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_text_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "rubric.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        files.read_text(path)
    assert str(caught.value).startswith(f"{path}: cannot be read as UTF-8 text")
    assert len(str(caught.value).splitlines()) == 1


def test_checksums(tmp_path: Path) -> None:
    # printf abc | sha256sum
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "abc").write_bytes(b"abc")
    assert hashing.sha256_text("abc") == hashing.sha256_file(tmp_path / "abc") == expected
    assert hashing.sha256_text("你好") == hashlib.sha256("你好".encode()).hexdigest()


OLD_ENDINGS = ["stop", "length", "abort", "error", "content_filter"]


def old_responses() -> pl.DataFrame:
    """Replies as format 1 had them, which knew no too_long."""
    return pl.DataFrame(
        {
            "prompt_id": ["0123456789ab"],
            "temperature": [1.0],
            "seed": [1],
            "response": ["Yes."],
            "reasoning": [None],
            "finish_reason": ["stop"],
            "prompt_tokens": [3],
            "response_tokens": [2],
        },
        schema_overrides={"finish_reason": pl.Enum(OLD_ENDINGS), "reasoning": pl.String},
    )


def test_replies_of_an_older_format_are_read(tmp_path: Path) -> None:
    path = tmp_path / "old.parquet"
    old_responses().write_parquet(path)
    table = storage.read_parquet(path, Responses)
    assert table["finish_reason"].to_list() == ["stop"]
    # And stand beside new ones.
    new = table.with_columns(finish_reason=pl.lit("too_long").cast(table.schema["finish_reason"]))
    assert pl.concat([table, new]).height == 2


def test_a_file_that_is_too_old_says_so_and_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "old.parquet"
    old_responses().drop("response_tokens").write_parquet(path)
    with pytest.raises(ContractError, match=r"not written by this version .*; delete it and run"):
        storage.read_parquet(path, Responses)


def test_every_manifest_says_of_which_format_it_is(tmp_path: Path) -> None:
    storage.write_json({"count": 1}, tmp_path / "m.json")
    assert json.loads((tmp_path / "m.json").read_text()) == {"format": versions.FORMAT, "count": 1}
