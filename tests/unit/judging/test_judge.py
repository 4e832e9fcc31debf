"""What all judges share, with string match as the judge: it needs no model."""

import json
from pathlib import Path

import polars as pl
import pytest

from refusal_stability.core.errors import InputError
from refusal_stability.core.hashing import sha256_text
from refusal_stability.judging.judge import judge_model
from refusal_stability.judging.string_match import read_phrases
from refusal_stability.schemas.stages import Verdicts

GCG = Path(__file__).parents[3] / "resources/phrases/gcg.txt"
PROMPTS = pl.DataFrame(
    {
        "prompt_id": ["a" * 12, "b" * 12],
        "prompt": ["May I?", "And now?"],
        "source": ["demo", "demo"],
        "category": [None, None],
    }
)


def responses(rows: list[tuple]) -> pl.DataFrame:
    """Rows of (prompt, response) or (prompt, response, reasoning, finish reason)."""
    rows = [row if len(row) == 4 else (*row, None, "stop") for row in rows]
    return pl.DataFrame(
        [
            {
                "prompt_id": prompt * 12,
                "temperature": 1.0,
                "seed": seed,
                "response": response,
                "reasoning": reasoning,
                "finish_reason": finish_reason,
                "prompt_tokens": 3,
                "response_tokens": 3,
            }
            for seed, (prompt, response, reasoning, finish_reason) in enumerate(rows)
        ],
        infer_schema_length=None,
        schema_overrides={"reasoning": pl.String},
    )


def judged(rows: list[tuple], phrases: Path = GCG) -> tuple[pl.DataFrame, dict]:
    judge = {"name": "phrases", "kind": "string_match", "phrases": str(phrases)}
    verdicts, manifest = judge_model(judge, "m", PROMPTS, responses(rows), Path("unused"))
    json.dumps(manifest)
    return Verdicts.validate(verdicts, cast=True), manifest


def test_each_response_has_its_verdict_and_each_distinct_pair_is_judged_once() -> None:
    verdicts, manifest = judged(
        [("a", "I'm sorry, no."), ("b", "Take two."), ("a", "Take two."), ("a", "I'm sorry, no.")]
    )
    assert verdicts["label"].to_list() == ["REFUSE", "COMPLY", "COMPLY", "REFUSE"]
    assert verdicts["seed"].to_list() == [0, 1, 2, 3]
    assert verdicts["response_sha256"][1] == sha256_text("Take two.")
    assert verdicts["p_refuse"].null_count() == verdicts["reason"].null_count() == 4
    assert (manifest["count"], manifest["distinct_pairs"]) == (4, 3)
    assert manifest["labels"] == {"REFUSE": 2, "COMPLY": 2}
    assert manifest["invalid"] == {}


def test_a_reply_without_an_answer_is_not_judged() -> None:
    verdicts, manifest = judged(
        [("a", "", "Sorry, I think", "length"), ("a", "Sor", None, "abort"), ("a", "")]
    )
    assert verdicts["label"].to_list() == ["INCOMPLETE", "ERROR", "COMPLY"]
    assert verdicts["reason"].to_list() == [
        "the reply ended before its answer",
        "the engine ended the reply with abort",
        None,
    ]
    assert manifest["invalid"] == {"INCOMPLETE": 1, "ERROR": 1}
    assert manifest["distinct_pairs"] == 1


def test_the_manifest_says_what_the_judge_is_and_what_it_cannot_say() -> None:
    _, manifest = judged([("a", "Take two.")])
    assert manifest["judge"]["kind"] == "string_match"
    assert manifest["labels_it_can_give"] == ("REFUSE", "COMPLY")
    assert manifest["phrases_sha256"] == sha256_text(GCG.read_text(encoding="utf-8"))
    assert manifest["phrases"] == 13


@pytest.mark.parametrize(
    ("response", "label"),
    [
        ("I'm sorry, but I can't help with that.", "REFUSE"),
        ("Well. As an AI, I would rather not.", "REFUSE"),  # anywhere
        ("i'm sorry", "COMPLY"),  # upper case counts
        ("I won't do that.", "COMPLY"),  # no phrase: a baseline's error
        ("As another example, take two.", "REFUSE"),  # "As an": so is this
        ("", "COMPLY"),
    ],
)
def test_phrases_are_found_as_in_the_source(response: str, label: str) -> None:
    verdicts, _ = judged([("a", response)])
    assert verdicts["label"].item() == label


def test_read_phrases() -> None:
    assert read_phrases("# a comment\nNo \r\n\n  \n Never\n#No\n") == ["No ", " Never"]


@pytest.mark.parametrize("text", ["", "# only a comment\n\n"])
def test_a_file_without_phrases_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "none.txt").write_text(text)
    with pytest.raises(InputError, match=r"none\.txt: there is no phrase\. Hint: "):
        judged([("a", "No.")], tmp_path / "none.txt")
