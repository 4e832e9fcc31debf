"""Labels in place of models: what a configuration that starts from them may hold."""

from typing import Any

import pytest
import yaml

from helpers.configs import check, error_of, valid_config

pytestmark = pytest.mark.usefixtures("folder_of_configurations")

LABELS = """
run: mine
labels: [a.csv, b.parquet]
model_aliases: {llama: [x/llama, x_llama], qwen: [x/qwen]}
judge_aliases: {haiku: [claude-haiku]}
prompt_info: prompts.csv
"""


def with_labels(**changed: Any) -> dict[str, Any]:
    return yaml.safe_load(LABELS) | changed


def test_labels_in_place_of_models() -> None:
    config = check(with_labels())
    assert config["labels"] == ["a.csv", "b.parquet"]
    assert config["statistics"]["unstable_below"] == 0.8
    assert "models" not in config
    check({"run": "mine", "labels": ["a.csv"]})
    # As `--config prompt_info=` gives it.
    check(with_labels(prompt_info=None))
    check(with_labels(model_aliases={"llama": ["llama", "x/llama"]}))


@pytest.mark.parametrize("key", ["prompts", "models", "judges", "temperatures", "seeds"])
def test_labels_beside_what_they_come_with(key: str) -> None:
    message = error_of(with_labels(**{key: valid_config()[key]}))
    assert f"{key}: a run that starts from labels has its {key} from them" in message


@pytest.mark.parametrize(
    ("key", "value"), [("engine", {"sharing": "model"}), ("engine", {}), ("cache", False)]
)
def test_labels_beside_settings_of_engines(key: str, value: object) -> None:
    message = error_of(with_labels(**{key: value}))
    assert f"{key}: a run that starts from labels has no engine. Hint: remove {key}" in message


@pytest.mark.parametrize("key", ["model_aliases", "judge_aliases", "prompt_info"])
def test_what_describes_labels_without_labels(key: str) -> None:
    for config in (valid_config(), {"run": "mine"}):
        message = error_of(config | {key: with_labels()[key]})
        assert f"{key}: there are no labels for it to describe" in message


def test_neither_labels_nor_models() -> None:
    assert "the key 'prompts' is missing" in error_of({"run": "mine"})


@pytest.mark.parametrize(
    ("changed", "fragments"),
    [
        ({"labels": []}, ["labels: the list is empty"]),
        ({"labels": "a.csv"}, ["labels: 'a.csv' is not a list"]),
        ({"labels": ["a.csv", "a.csv"]}, ["labels: 'a.csv' stands twice"]),
        ({"labels": ["a.csv", "./a.csv"]}, ["labels[1]: ./a.csv is also labels[0]"]),
        ({"labels": ["a.csv", 5]}, ["labels[1]: 5 is not text"]),
        ({"labels": ["a.csv", ""]}, ["labels[1]: the text is empty"]),
        ({"labels": ["a.txt"]}, ["labels[0]: unknown kind of file: a.txt", ".csv or .parquet"]),
        ({"labels": ["{a}.csv"]}, ["labels[0]: Snakemake reads { and }"]),
        ({"prompt_info": "a.json"}, ["prompt_info: unknown kind of file: a.json"]),
        ({"prompt_info": "no.csv"}, ["prompt_info: no file no.csv. Hint: "]),
        ({"prompt_info": 5}, ["prompt_info: 5 is not text"]),
        ({"label": ["a.csv"]}, ["unknown key 'label'", "mean 'labels'?"]),
        ({"model_aliases": ["a"]}, ["model_aliases: ['a'] is not a mapping"]),
        ({"model_aliases": {"a": "b"}}, ["model_aliases.a: 'b' is not a list"]),
        ({"model_aliases": {"a": []}}, ["model_aliases.a: the list is empty"]),
        ({"model_aliases": {"a/b": ["c"]}}, ["model_aliases: 'a/b' cannot be a file name"]),
        ({"model_aliases": {7: ["c"]}}, ["model_aliases: 7 is not text"]),
        ({"model_aliases": {"All": ["c"]}}, ["model_aliases: 'All' is reserved"]),
        ({"judge_aliases": {"a": ["x"], "A": ["y"]}}, ["judge_aliases: 'A' and 'a' differ in"]),
        (
            {"judge_aliases": {"a": ["x"], "b": ["y", "x"]}},
            ["judge_aliases.b: 'x' also stands for 'a'"],
        ),
        ({"model_aliases": {"a": ["b"], "b": ["c"]}}, ["model_aliases.b: 'b' also stands for 'a'"]),
    ],
)
def test_labels_and_aliases(changed: dict[str, Any], fragments: list[str]) -> None:
    message = error_of(with_labels(**changed))
    assert all(fragment in message for fragment in fragments), message
