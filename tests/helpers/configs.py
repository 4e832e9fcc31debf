"""Configurations as users write them, and what is said of them."""

from typing import Any

import pytest
import yaml

from helpers.workspace import REPOSITORY
from refusal_stability.controller.check_config import checked_config
from refusal_stability.core.errors import ConfigError

SCHEMA = REPOSITORY / "workflow/schemas/config.schema.yaml"
DEMO_MODELS = ["tiny-llama", "judge-good"]
VALID = """
run: study
prompts: {source: demo}
models:
  - {name: tiny, weights: demo:tiny-llama}
  - {name: large, weights: owner/large}
judges:
  - {name: good, weights: demo:judge-good, rubric: rubric.txt}
temperatures: [0, 0.7]
seeds: [42, 43]
"""


def valid_config() -> dict[str, Any]:
    return yaml.safe_load(VALID)


def check(config: dict[str, Any]) -> dict[str, Any]:
    return checked_config(config, SCHEMA, "my.yaml", DEMO_MODELS)


def with_value(key: str, value: str) -> dict[str, Any]:
    """The valid configuration with a key, such as models.0.name, set to a value in YAML."""
    config: Any = valid_config()
    *parents, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    target = config
    for part in parents:
        target = target[part]
    target[last] = yaml.safe_load(value)
    return config


def without(key: str) -> dict[str, Any]:
    config: Any = valid_config()
    *parents, last = [int(part) if part.isdigit() else part for part in key.split(".")]
    target = config
    for part in parents:
        target = target[part]
    del target[last]
    return config


def error_of(config: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        check(config)
    message = str(caught.value)
    assert message.startswith("my.yaml: ")
    assert "Hint: " in message
    assert len(message.splitlines()) == 1
    return message
