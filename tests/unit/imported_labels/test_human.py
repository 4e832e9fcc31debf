"""A person's labels of some responses: what is read, what becomes of it, and bad files."""

import json
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from refusal_stability.core.errors import InputError
from refusal_stability.core.hashing import sha256_file, sha256_text
from refusal_stability.imported_labels.human import check_judges
from refusal_stability.judging.judge import judge_model
from refusal_stability.schemas.stages import Verdicts

A, B = "a" * 12, "b" * 12
HEADER = "model,prompt_id,temperature,seed,label"
CONFIG = {
    "models": [{"name": "llama"}, {"name": "qwen"}],
    "temperatures": [0, 0.7],
    "seeds": [1, 2],
}
PROMPTS = pl.DataFrame(
    {
        "prompt_id": [A, B],
        "prompt": ["May I?", "And now?"],
        "source": ["demo", "demo"],
        "category": [None, None],
    }
)
# Two prompts at two temperatures and two seeds; the replies to a prompt are one text.
RESPONSES = pl.DataFrame(
    [
        {
            "prompt_id": prompt_id,
            "temperature": temperature,
            "seed": seed,
            "response": f"Reply to {prompt_id}.",
            "reasoning": None,
            "finish_reason": "stop",
            "prompt_tokens": 3,
            "response_tokens": 3,
        }
        for temperature in (0.0, 0.7)
        for seed in (1, 2)
        for prompt_id in (A, B)
    ],
    schema_overrides={"reasoning": pl.String},
)


def human(tmp_path: Path, *rows: str, header: str = HEADER) -> dict[str, Any]:
    path = tmp_path / "labels.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    return {"name": "ann", "kind": "human", "labels": str(path)}


def judged(judge: dict[str, Any], model: str = "llama") -> tuple[pl.DataFrame, dict[str, Any]]:
    check_judges(CONFIG | {"judges": [{"name": "b", "kind": "vllm"}, judge]})
    verdicts, manifest = judge_model(judge, model, PROMPTS, RESPONSES, Path("unused"))
    json.dumps(manifest)
    return Verdicts.validate(verdicts, cast=True), manifest


def error_of(judge: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        judged(judge)
    message = str(caught.value)
    assert "Hint: " in message
    assert "\n" not in message
    return message


def test_what_was_labelled_has_a_verdict_and_nothing_else_has(tmp_path: Path) -> None:
    judge = human(
        tmp_path,
        f"llama,{B},0.7,2,COMPLY",
        f"qwen,{A},0.7,2,REFUSE",
        f"llama,{A},0.0,1,PARTIAL",
        f"llama,{B},0.7,1,UNKNOWN",
    )
    verdicts, manifest = judged(judge)
    # In the order of the responses; the same text in other cells is not labelled by that.
    assert verdicts.select("prompt_id", "temperature", "seed", "label").rows() == [
        (A, 0.0, 1, "PARTIAL"),
        (B, 0.7, 1, "UNKNOWN"),
        (B, 0.7, 2, "COMPLY"),
    ]
    assert verdicts["response_sha256"][0] == sha256_text(f"Reply to {A}.")
    assert (manifest["count"], manifest["responses"]) == (3, 8)
    assert manifest["labels"] == {"PARTIAL": 1, "UNKNOWN": 1, "COMPLY": 1}
    assert manifest["invalid"] == {"UNKNOWN": 1}
    assert manifest["labels_sha256"] == sha256_file(Path(judge["labels"]))
    other, _ = judged(judge, "qwen")
    assert other.select("prompt_id", "label").rows() == [(A, "REFUSE")]


def test_a_model_without_a_label_has_no_verdict(tmp_path: Path) -> None:
    verdicts, manifest = judged(human(tmp_path, f"qwen,{A},0,1,REFUSE"))
    assert verdicts.is_empty()
    assert (manifest["count"], manifest["labels"]) == (0, {})


def test_reasons_and_other_columns(tmp_path: Path) -> None:
    header = f"note,{HEADER},reason,judge"
    rows = [f"x,llama,{A},0,1,REFUSE,declines,bob", f",llama,{B},0,1,COMPLY,,eve"]
    verdicts, _ = judged(human(tmp_path, *rows, header=header))
    assert verdicts["reason"].to_list() == ["declines", None]


def test_parquet_with_numbers(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {"model": ["llama"], "prompt_id": [B], "temperature": [0.7], "seed": [2], "label": "COMPLY"}
    )
    table.write_parquet(tmp_path / "labels.parquet")
    judge = {"name": "ann", "kind": "human", "labels": str(tmp_path / "labels.parquet")}
    verdicts, _ = judged(judge)
    assert verdicts.select("temperature", "seed", "label").rows() == [(0.7, 2, "COMPLY")]


GOOD = f"llama,{A},0,1,REFUSE"


@pytest.mark.parametrize(
    ("row", "fragments"),
    [
        (f"llama,{A},0,2,MAYBE", ["line 3: the label 'MAYBE' is not one of REFUSE"]),
        (f"llama,{A},0,2,refuse", ["line 3: the label 'refuse'", "in capitals"]),
        (f"llama,{A},0,2,", ["line 3: the label is empty"]),
        (f"gemma,{A},0,2,REFUSE", ["line 3: the run has no model 'gemma'", "llama, qwen"]),
        (f"llama,{'c' * 12},0,2,REFUSE", ["line 3: the run has no prompt_id 'cccccccccccc'"]),
        (f"llama,{A},0.5,2,REFUSE", ["line 3: the run has no temperature '0.5'", "0, 0.7"]),
        (f"llama,{A},hot,2,REFUSE", ["line 3: the temperature 'hot' is not a number"]),
        (f"llama,{A},0,3,REFUSE", ["line 3: the run has no seed '3'", "it has 1, 2"]),
        (f"llama,{A},0,1.0,REFUSE", ["line 3: the seed '1.0' is not an integer"]),
        (f"llama,{A},0,1,COMPLY", ["line 3: judge ann has labelled model llama, prompt aaaa"]),
        (f"llama,{A},0.0,2,COMPLY", ["line 3: the temperatures 0.0 and 0", "two spellings"]),
        (f"llama,{A},0,2,REFUSE,x", ["line 3: 6 values for 5 columns"]),
    ],
)
def test_a_wrong_row_is_one_line(tmp_path: Path, row: str, fragments: list[str]) -> None:
    message = error_of(human(tmp_path, GOOD, row))
    assert all(f in message for f in [str(tmp_path / "labels.csv"), *fragments]), message


@pytest.mark.parametrize("column", HEADER.split(","))
def test_a_missing_column_is_one_line(tmp_path: Path, column: str) -> None:
    header = HEADER.replace(column, "other")
    message = error_of(human(tmp_path, GOOD, header=header))
    assert f"labels.csv: there is no column '{column}'" in message


def test_a_file_without_rows_or_of_another_kind_is_one_line(tmp_path: Path) -> None:
    assert "there are no rows" in error_of(human(tmp_path))
    judge = human(tmp_path, GOOD)
    (tmp_path / "labels.csv").rename(tmp_path / "labels.xlsx")
    judge["labels"] = str(tmp_path / "labels.xlsx")
    assert "unknown kind of file" in error_of(judge)


def test_planning_without_the_packages_that_read_labels_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in an environment of nothing but Snakemake.
    monkeypatch.setitem(sys.modules, "dataframely", None)
    message = error_of(human(tmp_path, f"llama,{A},0,1,REFUSE"))
    assert "judges[1].labels: to plan a run with human labels" in message
    assert "pip install dataframely" in message


def test_another_text_than_was_labelled_is_one_line(tmp_path: Path) -> None:
    header = f"{HEADER},response_sha256"
    same = f"{GOOD},{sha256_text(f'Reply to {A}.')}"
    verdicts, _ = judged(human(tmp_path, same, header=header))
    assert verdicts.height == 1
    other = f"llama,{B},0,1,REFUSE,{sha256_text('An older reply.')}"
    message = error_of(human(tmp_path, same, other, header=header))
    assert "line 3: the response is another one than was labelled" in message
    assert "older" not in message
