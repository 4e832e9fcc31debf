import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from refusal_stability.config import checked_config, is_folder
from refusal_stability.errors import ConfigError

REPOSITORY = Path(__file__).parents[2]
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
LABELS = """
run: mine
labels: [a.csv, b.parquet]
model_aliases: {llama: [x/llama, x_llama], qwen: [x/qwen]}
judge_aliases: {haiku: [claude-haiku]}
prompt_info: prompts.csv
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths in the configurations below are relative to a folder with these files."""
    (tmp_path / "rubric.txt").write_text("Label the reply.\n")
    (tmp_path / "prompts.csv").write_text("prompt\nhello\n")
    (tmp_path / "checkpoint").mkdir()
    (tmp_path / "checkpoint/config.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)


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
