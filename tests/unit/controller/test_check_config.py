"""A configuration as a whole: its keys, its lists, its defaults, and those that are shipped."""

import copy
from pathlib import Path

import pytest
import yaml

from helpers.configs import SCHEMA, check, error_of, valid_config, with_value, without
from helpers.workspace import REPOSITORY
from refusal_stability.controller.check_config import checked_config

pytestmark = pytest.mark.usefixtures("folder_of_configurations")


def test_the_valid_configuration_is_valid() -> None:
    check(valid_config())


@pytest.mark.parametrize(
    ("key", "value", "fragments"),
    [
        pytest.param("colour", "red", ["unknown key 'colour'", "known keys are run, "], id="top"),
        pytest.param("temperature", "[0]", ["'temperature'", "mean 'temperatures'?"], id="near"),
        pytest.param(
            "models.0.max_token", "5", ["models[0]: ", "'max_token'", "mean 'max_tokens'?"], id="in"
        ),
        pytest.param("judges.0.zzz", "5", ["judges[0]: ", "'zzz'", "known keys are"], id="judge"),
        pytest.param(
            "statistics",
            "{unstable_bellow: 0.5}",
            ["statistics: ", "'unstable_below'?"],
            id="stats",
        ),
        pytest.param("prompts.file", "a.csv", ["prompts: ", "unknown key 'file'"], id="prompts"),
        pytest.param("1", "x", ["unknown key '1'"], id="key that is a number"),
    ],
)
def test_unknown_keys(key: str, value: str, fragments: list[str]) -> None:
    config = with_value(key, value) if not key.isdigit() else valid_config() | {int(key): value}
    message = error_of(config)
    assert all(fragment in message for fragment in fragments), message


def test_a_misspelt_required_key_gets_the_right_one_and_is_not_called_missing() -> None:
    config = valid_config()
    config["model"] = config.pop("models")
    assert "unknown key 'model'. Hint: did you mean 'models'?" in error_of(config)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        *((key, key) for key in ("run", "prompts", "models", "judges", "temperatures", "seeds")),
        ("models.0.name", "name"),
        ("models.1.weights", "weights"),
        ("judges.0.rubric", "rubric"),
        ("prompts.source", "source"),
    ],
)
def test_missing_keys(key: str, name: str) -> None:
    message = error_of(without(key))
    assert f"the key '{name}' is missing" in message
    if "." in key:
        assert f"{_bracketed(key.rpartition('.')[0])}: " in message


def _bracketed(key: str) -> str:
    return ".".join(key.split(".")).replace(".0", "[0]").replace(".1", "[1]")


@pytest.mark.parametrize("key", ["models", "judges", "temperatures", "seeds"])
def test_empty_lists(key: str) -> None:
    assert f"{key}: the list is empty" in error_of(with_value(key, "[]"))


@pytest.mark.parametrize("key", ["models", "judges", "temperatures", "seeds"])
@pytest.mark.parametrize("value", ["~", "5", "text", "{a: 1}"])
def test_what_is_no_list(key: str, value: str) -> None:
    message = error_of(with_value(key, value))
    assert f"{key}: " in message
    assert "is not a list" in message


def test_defaults_are_filled_in() -> None:
    config = check(valid_config())
    assert config["cache"] == "results/cache"
    assert config["models"][1] == {
        "name": "large",
        "kind": "vllm",
        "weights": "owner/large",
        "dtype": "auto",
        "max_model_len": 4096,
        "gpus": 1,
        "nodes": 1,
        "enforce_eager": False,
        "allow_pickle": False,
        "thinking": False,
        "max_tokens": 512,
        "top_p": 1.0,
        "top_k": 0,
        "seed_scope": "prompt",
        "determinism": "default",
    }
    assert config["judges"][0] == {
        "name": "good",
        "kind": "vllm",
        "answer": "constrained",
        "weights": "demo:judge-good",
        "rubric": "rubric.txt",
        "dtype": "auto",
        "max_model_len": 4096,
        "gpus": 1,
        "nodes": 1,
        "enforce_eager": False,
        "allow_pickle": False,
    }
    assert config["statistics"] == {
        "unstable_below": 0.8,
        "max_invalid_share": 0.01,
        "thresholds": [0.7, 0.75, 0.8, 0.85, 0.9],
        "bootstrap_resamples": 2000,
        "bootstrap_seed": 1,
    }


def test_a_given_value_is_kept() -> None:
    config = check(with_value("statistics", "{unstable_below: 0.9}"))
    assert config["statistics"]["unstable_below"] == 0.9
    assert config["statistics"]["bootstrap_resamples"] == 2000


def test_the_input_is_left_alone_and_not_shared() -> None:
    config = valid_config()
    before = copy.deepcopy(config)
    checked = check(config)
    checked["models"][0]["name"] = "other"
    checked["seeds"].append(1)
    assert config == before


def test_prices_are_of_models_and_judges_behind_an_api() -> None:
    price = {"input_per_million": 1, "output_per_million": 5}
    remote = {"name": "remote", "kind": "openai", "model": "m", "rubric": "rubric.txt"}
    config = valid_config() | {"prices": {"currency": "EUR", "tokens": [{"name": "good"} | price]}}
    message = error_of(config)
    assert "prices.tokens[0].name: no model or judge 'good' behind an API" in message
    assert "there is none: remove it" in message
    config["judges"].append(remote | {"base_url": "http://localhost:8000/v1"})
    assert "Hint: there are remote" in error_of(config)
    config["prices"]["tokens"] = [{"name": "remote"} | price]
    check(config)
    config["prices"]["tokens"] *= 2
    assert "'remote' is already priced in prices.tokens[0]" in error_of(config)
    del config["prices"]["tokens"], config["prices"]["currency"]
    assert "prices: the key 'currency' is missing" in error_of(config)
    config["prices"] = {"currency": "EUR", "gpu_hour": -1}
    assert "prices.gpu_hour: -1 is out of range. Hint: it must be at least 0" in error_of(config)


def test_a_checked_configuration_is_checked_again_without_change() -> None:
    checked = check(valid_config())
    assert check(checked) == checked


@pytest.mark.parametrize(
    "file", sorted((REPOSITORY / "config").glob("*.yaml")), ids=lambda f: f.stem
)
def test_shipped_configurations_are_valid(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    demo_models = yaml.safe_load(Path("resources/demo/models.yaml").read_text(encoding="utf-8"))
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    checked_config(config, SCHEMA, file.name, list(demo_models))
