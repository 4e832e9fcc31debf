"""Values of a configuration: names, temperatures, seeds, settings, and what of them is refused."""

from pathlib import Path
from typing import Any

import pytest

from helpers.configs import check, error_of, valid_config, with_value
from refusal_stability.controller.overrides import with_overrides
from refusal_stability.core.errors import ConfigError
from refusal_stability.settings.weights import is_folder

pytestmark = pytest.mark.usefixtures("folder_of_configurations")


@pytest.mark.parametrize(
    ("key", "value", "fragments"),
    [
        ("models.1.name", "tiny", ["models[1].name: 'tiny'", "models[0]"]),
        ("models.1.name", "TINY", ["models[1].name: 'TINY'", "models[0]"]),
        ("models.0.name", "all", ["models[0].name: 'all' is reserved"]),
        ("judges.0.name", "All", ["judges[0].name: 'All' is reserved"]),
        ("models.0.name", "a/b", ["models[0].name: 'a/b' cannot be a file name"]),
        ("models.0.name", "''", ["models[0].name: '' cannot be a file name"]),
        ("models.0.name", "..", ["models[0].name: '..' cannot be a file name"]),
        ("models.0.name", ".hidden", ["'.hidden' cannot be a file name"]),
        ("models.0.name", "two words", ["'two words' cannot be a file name"]),
        ("models.0.name", '"line\\n"', ["'line\\n' cannot be a file name"]),
        ("models.0.name", "x" * 101, ["cannot be a file name"]),
        ("models.0.name", "7", ["models[0].name: 7 is not text"]),
        ("judges.0.name", "a\\b", ["judges[0].name: ", "cannot be a file name"]),
        ("run", "../elsewhere", ["run: '../elsewhere' cannot be a file name"]),
        ("run", '"demo\\n"', ["run: 'demo\\n' cannot be a file name"]),
    ],
)
def test_names(key: str, value: str, fragments: list[str]) -> None:
    message = error_of(with_value(key, value))
    assert all(fragment in message for fragment in fragments), message


def test_two_judges_of_one_name() -> None:
    config = valid_config()
    config["judges"].append(config["judges"][0] | {"name": "GOOD"})
    assert "judges[1].name: 'GOOD' is already the name of judges[0]" in error_of(config)


def test_a_model_and_a_judge_may_share_a_name() -> None:
    check(with_value("judges.0.name", "tiny"))


@pytest.mark.parametrize(
    ("value", "fragments"),
    [
        ("[-0.1]", ["temperatures[0]: -0.1 is out of range", "at least 0"]),
        ("[0, '0.7']", ["temperatures[1]: '0.7' is not a number", "without quotes"]),
        ("[1e-1]", ["temperatures[0]: '1e-1' is not a number", "0.1 rather than 1e-1"]),
        ("[warm]", ["temperatures[0]: 'warm' is not a number"]),
        ("[.nan]", ["temperatures[0]: nan is not a number"]),
        ("[.inf]", ["temperatures[0]: inf is not a number"]),
        ("[true]", ["temperatures[0]: True is not a number"]),
        ("[~]", ["temperatures[0]: nothing is not a number"]),
        ("[0, 0.001]", ["temperatures[1]: ", "0.001 to 0.01", "use 0 for greedy"]),
        ("[0.7, 0.70]", ["temperatures: 0.7 stands twice"]),
        ("[0, 0.0]", ["temperatures: 0 stands twice"]),
        ("[0.3, 0.30000000000000004]", ["temperatures[1]: ", "both written T0.3"]),
    ],
)
def test_temperatures(value: str, fragments: list[str]) -> None:
    message = error_of(with_value("temperatures", value))
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize(
    ("value", "fragments"),
    [
        ("[0, 0.001]", ["experiments.pilot.temperatures[1]: ", "0.001 to 0.01"]),
        ("[0.3, 0.30000000000000004]", ["experiments.pilot.temperatures[1]: ", "written T0.3"]),
    ],
)
def test_temperatures_of_the_pilot(value: str, fragments: list[str]) -> None:
    message = error_of(with_value("experiments", f"{{pilot: {{temperatures: {value}}}}}"))
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize(
    ("value", "fragments"),
    [
        ("[42.5]", ["seeds[0]: 42.5 is not an integer"]),
        ("[42, 43.0]", ["seeds[1]: 43.0 is not an integer"]),
        ("[true]", ["seeds[0]: True is not an integer"]),
        ("['42']", ["seeds[0]: '42' is not an integer", "without quotes, as 42"]),
        ("[.nan]", ["seeds[0]: nan is not an integer"]),
        ("[-1]", ["seeds[0]: -1 is out of range", "at least 0"]),
        ("[4294967296]", ["seeds[0]: 4294967296 is out of range", "at most 4294967295"]),
        ("[42, 42]", ["seeds: 42 stands twice"]),
    ],
)
def test_seeds(value: str, fragments: list[str]) -> None:
    message = error_of(with_value("seeds", value))
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize(
    ("key", "value", "fragments"),
    [
        ("models.0.weights", "./nowhere", ["models[0].weights: no model folder ./nowhere"]),
        ("models.0.weights", "empty", ["models[0].weights: no model folder empty", "config.json"]),
        ("models.0.weights", "empty/sub", ["models[0].weights: no model folder empty/sub"]),
        ("models.0.weights", "/a/b/c", ["models[0].weights: no model folder /a/b/c"]),
        ("models.0.weights", "demo:huge", ["no demo model 'huge'", "tiny-llama, judge-good"]),
        ("models.0.weights", "''", ["models[0].weights: the text is empty"]),
        ("judges.0.weights", "~/nowhere/at/all", ["judges[0].weights: no model folder ~/nowhere"]),
        ("models.0.revision", "main", ["models[0].revision: only weights from the Hugging Face"]),
        ("models.0.dtype", "float61", ["models[0].dtype: 'float61'", "mean 'float16'?"]),
        ("models.0.max_tokens", "4096", ["models[0].max_tokens: 4096 leaves no room", "4096"]),
        ("models.0.max_tokens", "0", ["models[0].max_tokens: 0 is out of range", "at least 1"]),
        ("models.0.top_p", "0", ["models[0].top_p: 0 is out of range", "above 0"]),
        ("models.0.top_p", "1.5", ["models[0].top_p: 1.5 is out of range", "at most 1"]),
        ("models.0.thinking", "1", ["models[0].thinking: 1 is not true or false"]),
        ("models.0.seed_scope", "cells", ["models[0].seed_scope: 'cells'", "mean 'cell'?"]),
        ("models.0", "tiny", ["models[0]: 'tiny' is not a mapping"]),
        ("judges.0.rubric", "no.txt", ["judges[0].rubric: no file no.txt"]),
        ("statistics", "~", ["statistics: nothing is not a mapping"]),
        ("statistics", "{max_invalid_share: 2}", ["statistics.max_invalid_share: 2 is out of"]),
    ],
)
def test_models_judges_and_statistics(key: str, value: str, fragments: list[str]) -> None:
    message = error_of(with_value(key, value))
    assert all(fragment in message for fragment in fragments), message


def test_max_tokens_that_leave_room_for_one_token_pass() -> None:
    check(with_value("models.0.max_tokens", "4095"))


def test_a_revision_of_a_folder() -> None:
    config = with_value("models.0.weights", "./checkpoint")
    config["models"][0]["revision"] = "main"
    assert "models[0].revision: only weights from the Hugging Face hub" in error_of(config)


@pytest.mark.parametrize(
    ("value", "fragments"),
    [
        ("{source: demmo}", ["prompts.source: 'demmo'", "did you mean 'demo'?"]),
        ("{source: file}", ["prompts: the key 'path' is missing"]),
        ("{source: file, path: no.csv}", ["prompts.path: no file no.csv"]),
        ("{source: file, path: empty}", ["prompts.path: no file empty"]),
        ("{source: demo, revision: main}", ["prompts.revision: does not belong"]),
        ("{source: demo, path: prompts.csv}", ["prompts.path: does not belong"]),
        ("{source: file, path: prompts.csv, revision: a}", ["prompts.revision: does not belong"]),
        ("{source: demo, limit: 0}", ["prompts.limit: 0 is out of range", "at least 1"]),
        ("{source: demo, limit: 5.0}", ["prompts.limit: 5.0 is not an integer"]),
        ("demo", ["prompts: 'demo' is not a mapping"]),
    ],
)
def test_prompts(value: str, fragments: list[str]) -> None:
    message = error_of(with_value("prompts", value))
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("models.0", "{name: a, weights: owner/name, revision: abc}"),
        ("models.0", "{name: a, weights: ./checkpoint}"),
        ("models.0", "{name: a, weights: checkpoint}"),
        ("models.0", "{name: '007', weights: owner/name}"),
        ("prompts", "{source: file, path: prompts.csv, limit: 3}"),
        ("prompts", "{source: beavertails, revision: main}"),
        ("temperatures", "[0.01]"),
        ("seeds", "[0, 4294967295]"),
    ],
)
def test_what_is_accepted(key: str, value: str) -> None:
    check(with_value(key, value))


@pytest.mark.parametrize(
    ("weights", "folder"),
    [
        ("owner/name", False),
        ("meta-llama/Llama-3.1-8B-Instruct", False),
        ("checkpoint", True),
        ("./owner/name", True),
        ("/owner", True),
        ("~/name", True),
        ("a/b/c", True),
        ("checkpoint/name", True),  # it begins with a folder that exists
    ],
)
def test_is_folder(weights: str, folder: bool) -> None:
    assert is_folder(weights) is folder


@pytest.mark.parametrize(
    "cache", ["elsewhere", "/scratch/our group/cache", "results/studies", False]
)
def test_a_folder_for_the_cache_or_none(cache: str | bool) -> None:
    assert check(valid_config() | {"cache": cache})["cache"] == cache


@pytest.mark.parametrize(
    ("changed", "fragments"),
    [
        ({"cache": True}, ["cache: true names no folder", "results/cache"]),
        ({"cache": ""}, ["cache: the text is empty"]),
        ({"cache": 5}, ["cache: 5 is not text"]),
        ({"cache": "{a}"}, ["cache: Snakemake reads { and }"]),
        ({"run": "cache"}, ["cache: results/cache is the folder of this run"]),
        ({"cache": "./results/study"}, ["cache: ./results/study is the folder of this run"]),
        ({"cache": "results"}, ["cache: results is the folder of this run, or holds it"]),
    ],
)
def test_what_cannot_be_the_cache(changed: dict[str, Any], fragments: list[str]) -> None:
    message = error_of(valid_config() | changed)
    assert all(fragment in message for fragment in fragments), message


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"tokenizer_config.json": "{}"}, True),
        ({"tokenizer_config.json": '{"chat_template": null}'}, True),
        ({"tokenizer_config.json": '{"chat_template": "{{ messages }}"}'}, False),
        ({"tokenizer_config.json": "{}", "chat_template.jinja": "{{ messages }}"}, False),
        ({"tokenizer_config.json": "{}", "chat_template.json": "{}"}, False),
        # Mistral's own tokenizers, and what only the job can tell.
        ({"tokenizer_config.json": "{}", "tekken.json": "{}"}, False),
        ({"tokenizer_config.json": "no JSON"}, False),
        ({}, False),
    ],
)
def test_a_folder_without_a_chat_template(files: dict[str, str], says: bool) -> None:
    folder = Path("checkpoint")
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    config = with_value("models.0.weights", "./checkpoint")
    if not says:
        check(config)
        return
    assert error_of(config).startswith(
        "my.yaml: models[0].weights: the tokenizer in ./checkpoint has no chat template. Hint: "
    )
    # A classifier comes with a prompt of its own.
    config = valid_config()
    config["judges"] = [
        {
            "name": "guard",
            "kind": "classifier",
            "weights": "./checkpoint",
            "classifier": "rubric.txt",
        }
    ]
    check(config)


def test_a_checkpoint_of_pickles_is_refused_unless_allowed(tmp_path: Path) -> None:
    (tmp_path / "checkpoint/pytorch_model.bin").touch()
    config = with_value("models.0.weights", "./checkpoint")
    message = error_of(config)
    assert "models[0].weights: " in message
    assert "pytorch_model.bin, a pickle" in message
    config["models"][0]["allow_pickle"] = True
    check(config)


@pytest.mark.parametrize(
    ("argument", "merged", "expected"),
    [
        # As Snakemake has merged it, and as a file has it.
        ("cache=false", "false", False),
        ("cache=off", "off", False),
        ("cache=no", "no", False),
        ("cache=False", False, False),
        ("cache=/scratch/cache", "/scratch/cache", "/scratch/cache"),
        ('cache="off"', "off", "off"),
        ("run=2026-11-30", "2026-11-30", "2026-11-30"),
        ("run=a: b: c", "a: b: c", "a: b: c"),
        ("run=7", 7, 7),
        # YAML's number needs a point.
        ("run=1e-3", 0.001, "1e-3"),
        ("run=0x_", "0x_", "0x_"),
        ("prompt_info=", None, None),
        ("temperatures=[0.5, 1]", ["0.5", "1"], [0.5, 1]),
        ('labels=["a.csv",]', ["a.csv"], ["a.csv"]),
        # What a file says beside it stays.
        (
            "statistics={bootstrap_resamples: 500}",
            {"bootstrap_resamples": "500", "bootstrap_seed": 3},
            {"bootstrap_resamples": 500, "bootstrap_seed": 3},
        ),
        (
            "report={text: include}",
            {"text": "include", "compare_with": ["x"]},
            {"text": "include", "compare_with": ["x"]},
        ),
        ("engine={a: {b: no}}", {"a": {"b": "no", "c": 1}}, {"a": {"b": False, "c": 1}}),
    ],
)
def test_the_command_line_is_read_as_a_file_is(
    argument: str, merged: object, expected: object
) -> None:
    key = argument.partition("=")[0]
    config = {key: merged, "other": "off"}
    assert with_overrides(config, [argument]) == {key: expected, "other": "off"}
    # Without it, all stays as the files say.
    assert with_overrides(config, []) == with_overrides(config, None) == config


@pytest.mark.parametrize(
    ("arguments", "merged", "expected"),
    [
        (["cache=false", "cache=/scratch"], "/scratch", "/scratch"),
        (["cache=/scratch", "cache=false"], "false", False),
        (["engine={a: no}", "engine={b: 2}"], {"a": "no", "b": "2"}, {"a": False, "b": 2}),
    ],
)
def test_the_last_of_several_values_counts(
    arguments: list[str], merged: object, expected: object
) -> None:
    key = arguments[0].partition("=")[0]
    assert with_overrides({key: merged}, arguments) == {key: expected}


def test_a_key_that_the_command_line_gives_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^--config engine, line 1: the key 'a' stands before"):
        with_overrides({"engine": {"a": "2"}}, ["engine={a: 1, a: 2}"])
