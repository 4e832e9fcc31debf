"""The models of a configuration: which keys belong to which kind, and what jobs are told."""

from pathlib import Path
from typing import Any

import pytest

from refusal_stability.controller.check_config import checked_config
from refusal_stability.core.errors import ConfigError
from refusal_stability.settings import models as model_settings

SCHEMA = Path(__file__).parents[3] / "workflow/schemas/config.schema.yaml"
VLLM = {"name": "large", "weights": "owner/large"}
OPENAI = {"name": "api", "kind": "openai", "model": "gpt-4o-2024-11-20", "api_key_env": "TEST_KEY"}
SERVER = {"name": "own", "kind": "openai", "model": "m", "base_url": "http://localhost:8000/v1"}
JUDGE = {"name": "judge", "weights": "owner/judge", "rubric": "rubric.txt"}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rubric.txt").write_text("Label it.\n")
    monkeypatch.setenv("TEST_KEY", "sk-secret")
    monkeypatch.delenv("NO_KEY", raising=False)
    monkeypatch.chdir(tmp_path)


def checked(model: dict[str, Any], temperatures: tuple[float, ...] = (0, 1)) -> dict[str, Any]:
    config = {
        "run": "study",
        "prompts": {"source": "demo"},
        "models": [model],
        "judges": [JUDGE],
        "temperatures": list(temperatures),
        "seeds": [1],
    }
    return checked_config(config, SCHEMA, "my.yaml", [])["models"][0]


def error_of(model: dict[str, Any], temperatures: tuple[float, ...] = (0, 1)) -> str:
    with pytest.raises(ConfigError) as caught:
        checked(model, temperatures)
    message = str(caught.value)
    assert message.startswith("my.yaml: models[0]")
    assert "Hint: " in message
    assert len(message.splitlines()) == 1
    return message


def test_a_model_in_vllm_is_told_what_it_was_told_before_there_were_kinds() -> None:
    for model in (VLLM, VLLM | {"kind": "vllm"}):
        told = model_settings.job_settings(checked(model))
        assert told == VLLM | {
            "dtype": "auto",
            "max_model_len": 4096,
            "gpus": 1,
            "enforce_eager": False,
            "thinking": False,
            "max_tokens": 512,
            "top_p": 1.0,
            "top_k": 0,
            "seed_scope": "prompt",
        }


def test_a_model_behind_an_api_has_no_engine() -> None:
    assert model_settings.job_settings(checked(SERVER)) == SERVER | {
        "max_tokens": 512,
        "top_p": 1.0,
        "seed_scope": "prompt",
        "send_seed": True,
        "max_concurrency": 8,
        "timeout": 600,
        "max_retries": 5,
    }
    assert checked(SERVER | {"top_p": None})["top_p"] is None


@pytest.mark.parametrize(
    ("model", "fragments"),
    [
        (SERVER | {"kind": "openal"}, [".kind: 'openal'", "did you mean 'openai'?"]),
        (SERVER | {"top_k": 5}, ["unknown key 'top_k'"]),
        (SERVER | {"weights": "owner/a"}, ["unknown key 'weights'"]),
        (SERVER | {"temperature": 0}, ["unknown key 'temperature'"]),
        (VLLM | {"send_seed": False}, ["unknown key 'send_seed'"]),
        (VLLM | {"top_p": None}, [".top_p: nothing is not a number"]),
        ({"name": "api", "kind": "openai"}, ["the key 'model' is missing"]),
        (OPENAI | {"api_key_env": "NO_KEY"}, ["variable NO_KEY is not set", "export your key"]),
        (SERVER | {"base_url": "localhost"}, [".base_url: localhost is no web address"]),
        (SERVER | {"max_tokens": 0}, [".max_tokens: 0 is out of range"]),
        (OPENAI | {"model": "gpt-4.5-preview"}, [".model: gpt-4.5-preview is retired"]),
        (OPENAI | {"model": "o1-mini"}, [".model: o1-mini is retired"]),
    ],
)
def test_mistakes(model: dict[str, Any], fragments: list[str]) -> None:
    message = error_of(model)
    assert all(fragment in message for fragment in fragments), message


def test_a_model_that_takes_no_temperature_has_no_grid_of_them() -> None:
    reasoning = OPENAI | {"model": "o3-mini"}
    message = error_of(reasoning)
    assert "o3-mini takes no temperature" in message
    assert "temperatures are 0, 1. Hint" in message
    assert "temperatures: [1]" in message
    error_of(reasoning, (0.7,))
    checked(reasoning, (1.0,))
    # What lies behind another address is not known.
    checked(SERVER | {"model": "o3-mini"})


def test_a_judge_that_is_also_a_model_is_warned_of() -> None:
    api_judge = SERVER | {"name": "api judge", "rubric": "r.txt"}
    models = [VLLM, VLLM | {"name": "again", "thinking": True}, SERVER]
    judges = [
        JUDGE,
        JUDGE | {"name": "same weights", "weights": "owner/large"},
        api_judge,
        api_judge | {"name": "elsewhere", "base_url": "http://localhost:8001/v1"},
        {"name": "phrases", "kind": "string_match", "phrases": "phrases.txt"},
    ]
    weights, api = model_settings.self_judging(models, judges)
    assert weights.startswith(
        "the judge same weights is also a model under test (large, again), and may favour its own"
    )
    assert api.startswith("the judge api judge is also a model under test (own)")
    assert list(model_settings.self_judging(models, judges[:1])) == []
