"""The judges of a configuration: which keys belong to which kind, and what jobs are told."""

import re
from pathlib import Path
from typing import Any

import pytest

from refusal_stability.controller.check_config import checked_config
from refusal_stability.core import names
from refusal_stability.core.errors import ConfigError
from refusal_stability.settings import api
from refusal_stability.settings import judges as judge_settings

SCHEMA = Path(__file__).parents[3] / "workflow/schemas/config.schema.yaml"
ENGINE = {"dtype": "auto", "max_model_len": 4096, "gpus": 1, "enforce_eager": False}
VLLM = {"name": "llm", "weights": "owner/judge", "rubric": "rubric.txt"}
OPENAI = {"name": "api", "kind": "openai", "model": "gpt-4o", "rubric": "rubric.txt"}
SERVER = OPENAI | {"base_url": "http://localhost:8000/v1"}
CLAUDE = {
    "name": "claude",
    "kind": "anthropic",
    "model": "claude-haiku-4-5-20251001",
    "rubric": "rubric.txt",
    "api_key_env": "TEST_KEY",
}
DELIVERY = {
    "temperature": 0,
    "answer": "constrained",
    "max_tokens": 512,
    "max_concurrency": 8,
    "timeout": 60,
    "max_retries": 5,
}
CLASSIFIER = {
    "name": "guard",
    "kind": "classifier",
    "weights": "owner/guard",
    "classifier": "phrases.txt",
}
STRING_MATCH = {"name": "phrases", "kind": "string_match", "phrases": "phrases.txt"}


HUMAN = {"name": "ann", "kind": "human", "labels": "labels.csv"}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("rubric.txt", "phrases.txt", "labels.csv"):
        (tmp_path / name).write_text("Sorry\n")
    monkeypatch.setenv("TEST_KEY", "sk-secret")
    monkeypatch.delenv("NO_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


def checked(judge: dict[str, Any]) -> dict[str, Any]:
    config = {
        "run": "study",
        "prompts": {"source": "demo"},
        "models": [{"name": "large", "weights": "owner/large"}],
        "judges": [judge],
        "temperatures": [0],
        "seeds": [1],
    }
    return checked_config(config, SCHEMA, "my.yaml", [])["judges"][0]


def error_of(judge: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        checked(judge)
    message = str(caught.value)
    assert message.startswith("my.yaml: judges[0]")
    assert "Hint: " in message
    assert len(message.splitlines()) == 1
    return message


def test_a_judge_without_a_kind_is_told_what_it_was_told_before_there_were_kinds() -> None:
    for judge in (VLLM, VLLM | {"kind": "vllm"}):
        told = judge_settings.job_settings(checked(judge))
        assert told == VLLM | ENGINE
        assert judge_settings.with_defaults(told) == checked(judge)


def test_free_text_is_told() -> None:
    free = checked(VLLM | {"answer": "free_text"})
    assert judge_settings.job_settings(free) == VLLM | ENGINE | {
        "answer": "free_text",
        "max_tokens": 512,
    }
    assert judge_settings.with_defaults(judge_settings.job_settings(free)) == free


def test_a_classifier_has_an_engine() -> None:
    assert checked(CLASSIFIER) == CLASSIFIER | ENGINE | {"nodes": 1, "allow_pickle": False}
    assert judge_settings.job_settings(checked(CLASSIFIER)) == CLASSIFIER | ENGINE


def test_string_match_has_no_engine() -> None:
    assert checked(STRING_MATCH) == STRING_MATCH
    assert judge_settings.job_settings(STRING_MATCH) == STRING_MATCH
    assert judge_settings.with_defaults(STRING_MATCH) == STRING_MATCH


def test_a_human_has_labels_and_nothing_else() -> None:
    assert checked(HUMAN) == HUMAN
    assert judge_settings.job_settings(HUMAN) == judge_settings.with_defaults(HUMAN) == HUMAN
    assert judge_settings.labels_of(HUMAN) == ("REFUSE", "PARTIAL", "COMPLY")


def test_judges_behind_an_api_have_no_engine_and_are_told_all() -> None:
    assert checked(SERVER) == SERVER | DELIVERY | {"batch": False}
    assert checked(CLAUDE) == CLAUDE | DELIVERY | {"batch": False}
    assert checked(SERVER | {"temperature": None})["temperature"] is None
    assert api.endpoint(checked(SERVER)) == "http://localhost:8000/v1"
    assert api.endpoint(checked(CLAUDE)) == "https://api.anthropic.com"


@pytest.mark.parametrize("judge", [SERVER, CLAUDE])
def test_no_batch_is_what_was_told_before_there_were_batches(judge: dict[str, Any]) -> None:
    one_by_one, batch = checked(judge), checked(judge | {"batch": True})
    assert judge_settings.job_settings(one_by_one) == judge | DELIVERY
    assert judge_settings.job_settings(batch) == judge | DELIVERY | {"batch": True}
    for settings in (one_by_one, batch):
        assert judge_settings.with_defaults(judge_settings.job_settings(settings)) == settings


@pytest.mark.parametrize(
    ("judge", "refused"),
    [
        (OPENAI | {"model": "gpt-4o-2024-11-20"}, False),
        (OPENAI | {"model": "gpt-4.1-mini"}, False),
        (OPENAI | {"model": "gpt-5-chat-latest"}, False),
        (OPENAI | {"model": "gpt-5"}, True),
        (OPENAI | {"model": "gpt-5-mini-2025-08-07"}, True),
        (OPENAI | {"model": "o3-mini"}, True),
        (CLAUDE | {"model": "claude-haiku-4-5"}, False),
        (CLAUDE | {"model": "claude-sonnet-4-20250514"}, False),
        (CLAUDE | {"model": "claude-opus-4-6"}, False),
        (CLAUDE | {"model": "claude-opus-4-7"}, True),
        (CLAUDE | {"model": "claude-sonnet-5"}, True),
    ],
)
def test_a_model_that_takes_no_temperature_is_refused_when_planned(
    judge: dict[str, Any], refused: bool
) -> None:
    judge = judge | {"api_key_env": "TEST_KEY"}
    if refused:
        message = error_of(judge)
        assert f"temperature: {judge['model']} takes no temperature" in message
        assert "write temperature: null" in message
    else:
        checked(judge)
    checked(judge | {"temperature": None})
    # What lies behind another address is not known.
    checked(judge | {"base_url": "https://example.org/v1"})


@pytest.mark.parametrize(
    ("judge", "model", "retired"),
    [
        # The paper's external judge.
        (CLAUDE, "claude-3-5-haiku-20241022", True),
        (CLAUDE, "claude-3-7-sonnet-20250219", True),
        (CLAUDE, "claude-2.1", True),
        (CLAUDE, "claude-haiku-4-5-20251001", False),
        (OPENAI, "gpt-4.5-preview", True),
        (OPENAI, "gpt-4-32k", True),
        (OPENAI, "gpt-4o-mini", False),
    ],
)
def test_a_model_that_is_known_to_be_retired_is_refused_when_planned(
    judge: dict[str, Any], model: str, retired: bool
) -> None:
    judge = judge | {"model": model, "api_key_env": "TEST_KEY"}
    if retired:
        assert f".model: {model} is retired and answers no more" in error_of(judge)
    else:
        checked(judge)
    # Somebody else may go on serving it under that name.
    checked(judge | {"base_url": "https://example.org/v1"})


def test_the_names_of_judges_with_and_without_weights() -> None:
    judges = {"a.b": VLLM, "c": STRING_MATCH, "d": SERVER}
    assert names.pattern(judges, with_weights=True) == r"a\.b"
    assert names.pattern(judges, with_weights=False) == "c|d"
    nothing = names.pattern({"c": STRING_MATCH}, with_weights=True)
    assert not re.fullmatch(nothing, "c")
    assert not re.fullmatch(nothing, "")


def test_the_labels_that_a_kind_can_give() -> None:
    assert judge_settings.labels_of(checked(VLLM)) == ("REFUSE", "PARTIAL", "COMPLY")
    assert judge_settings.labels_of(STRING_MATCH) == ("REFUSE", "COMPLY")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty. Hint: write into it"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "cannot be read as UTF-8"),
    ],
)
def test_instructions_that_are_none(content: bytes, said: str) -> None:
    Path("odd.txt").write_bytes(content)
    for key, judge in (("rubric", VLLM), ("phrases", STRING_MATCH)):
        assert f"judges[0].{key}: odd.txt {said}" in error_of(judge | {key: "odd.txt"})


@pytest.mark.parametrize(
    ("judge", "fragments"),
    [
        (VLLM | {"kind": "vlm"}, [".kind: 'vlm'", "did you mean 'vllm'?"]),
        (VLLM | {"kind": "string_match"}, ["unknown key ", "known keys are name, kind, phrases"]),
        (VLLM | {"phrases": "phrases.txt"}, ["unknown key 'phrases'"]),
        (HUMAN | {"labels": "no.csv"}, [".labels: no file no.csv"]),
        (HUMAN | {"rubric": "rubric.txt"}, ["unknown key 'rubric'", "name, kind, labels"]),
        ({"name": "ann", "kind": "human"}, ["the key 'labels' is missing"]),
        (SERVER | {"batch": 1}, [".batch: 1 is not true or false"]),
        (STRING_MATCH | {"gpus": 1}, ["unknown key 'gpus'"]),
        ({"name": "a", "kind": "string_match"}, ["the key 'phrases' is missing"]),
        ({"kind": "string_match", "phrases": "phrases.txt"}, ["the key 'name' is missing"]),
        (STRING_MATCH | {"phrases": "no.txt"}, [".phrases: no file no.txt"]),
        (VLLM | {"max_tokens": 9}, [".max_tokens: a constrained answer", "answer: free_text"]),
        (
            VLLM | {"answer": "free_text", "max_model_len": 512},
            [".max_tokens: 512 leaves no room", "max_model_len 512"],
        ),
        (CLASSIFIER | {"rubric": "rubric.txt"}, ["unknown key 'rubric'"]),
        (CLASSIFIER | {"classifier": "no.yaml"}, [".classifier: no file no.yaml"]),
        (CLASSIFIER | {"weights": "nothing"}, [".weights: no model folder nothing"]),
        (OPENAI, ["judges[0]: the key 'api_key_env' is missing", "or give the base_url"]),
        (OPENAI | {"api_key_env": "NO_KEY"}, ["variable NO_KEY is not set", "export your key"]),
        ({k: v for k, v in CLAUDE.items() if k != "api_key_env"}, ["'api_key_env' is missing"]),
        ({k: v for k, v in SERVER.items() if k != "model"}, ["the key 'model' is missing"]),
        (SERVER | {"weights": "owner/a"}, ["unknown key 'weights'"]),
        (SERVER | {"base_url": "localhost:8000"}, [".base_url: localhost:8000 is no web address"]),
        (SERVER | {"temperature": "0"}, [".temperature: '0' is not a number"]),
        (SERVER | {"temperature": 3}, [".temperature: 3 is out of range"]),
        (SERVER | {"answer": "free"}, [".answer: 'free'", "did you mean 'free_text'?"]),
        (SERVER | {"max_concurrency": 0}, [".max_concurrency: 0 is out of range"]),
        (SERVER | {"rubric": "no.txt"}, [".rubric: no file no.txt"]),
        (STRING_MATCH | {"phrases": "{a}.txt"}, [".phrases: Snakemake reads { and }"]),
    ],
)
def test_mistakes(judge: dict[str, Any], fragments: list[str]) -> None:
    message = error_of(judge)
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize(
    "url", ["https://user:sk-secret@example.org/v1", "https://example.org/v1?key=sk-secret"]
)
def test_a_key_in_the_address_is_refused_and_not_shown(url: str) -> None:
    message = error_of(OPENAI | {"base_url": url})
    assert ".base_url: it holds more than an address" in message
    assert "sk-secret" not in message


def test_a_key_in_place_of_its_variable_is_refused_and_not_shown() -> None:
    message = error_of(OPENAI | {"api_key_env": "sk-secret"})
    assert "judges[0].api_key_env: that is no name of an environment variable. Hint: " in message
    assert "sk-secret" not in message
