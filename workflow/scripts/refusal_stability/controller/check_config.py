"""The configuration: checked in full before anything is planned, defaults filled in."""

import copy
import difflib
import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from refusal_stability.controller import check_prompts
from refusal_stability.core.cells import temperature_text
from refusal_stability.core.errors import ConfigError
from refusal_stability.core.names import RESERVED_NAMES
from refusal_stability.core.repository import named_file
from refusal_stability.costs import prices
from refusal_stability.hub.weights import pickle_problem
from refusal_stability.imported_labels.tables import KINDS
from refusal_stability.settings import judges, prompts
from refusal_stability.settings import models as model_settings
from refusal_stability.settings.weights import DEMO_PREFIX, is_folder

# vLLM raises a temperature between 0 and this to this, which would run another cell than named.
MIN_SAMPLING_TEMPERATURE = 0.01
# What a run that starts from labels has no use for.
MODEL_KEYS = ("prompts", "models", "judges", "temperatures", "seeds")
ENGINE_KEYS = ("engine", "cache")
# The loader in C is ten times as fast; not every build of pyyaml has it.
_YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9_][\w.-]*")


def checked_config(
    config: dict[str, Any], schema_file: Path, config_file: str, demo_models: Sequence[str]
) -> dict[str, Any]:
    """Return a copy of ``config`` with every default filled in.

    Raises ConfigError, or InputError for a file of prompts, with one line that names the
    file, the key or row, and what to do.
    """
    schema = yaml.load(schema_file.read_text(encoding="utf-8"), Loader=_YAML_LOADER)
    config = copy.deepcopy(config)
    try:
        # Of several errors, best_match takes the one nearest the top: mend that one first.
        error = jsonschema.exceptions.best_match(_validator(schema).iter_errors(config))
        if error is not None:
            raise ConfigError(_explain(error))
        # These have defaults: only here is it known whether they were given.
        for key in ENGINE_KEYS:
            if "labels" in config and key in config:
                raise ConfigError(
                    f"{key}: a run that starts from labels has no engine. Hint: remove {key}, or "
                    "labels"
                )
        _fill_defaults(config, schema, schema)
        _locate(config)
        for problem in _problems(config, demo_models):
            raise ConfigError(problem)
    except ConfigError as error:
        raise ConfigError(f"{config_file}: {error}") from None
    return config


def _locate(config: dict[str, Any]) -> None:
    """Find files of this repository that the configuration names, from wherever it is run."""
    for judge in [*config.get("judges", []), *judges.sample_judges(config)]:
        key = judges.FILE_KEYS[judge["kind"]]
        if isinstance(judge.get(key), str):
            judge[key] = named_file(judge[key])
    if "published_figures" in config:
        config["published_figures"] = named_file(config["published_figures"])


def _strict_validator() -> type[jsonschema.Draft202012Validator]:
    # JSON Schema lets 42.0 pass as an integer, and YAML's .nan and .inf as numbers.
    types = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda _, value: isinstance(value, int) and not isinstance(value, bool),
            "number": lambda _, value: (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and math.isfinite(value)
            ),
        }
    )
    return jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=types)


# Made once: a configuration is looked at branch by branch, and every job reads it again.
_validator = _strict_validator()


def _explain(error: jsonschema.ValidationError) -> str:
    where = _key(error.absolute_path)
    value, limit = error.instance, error.validator_value
    prefix = f"{where}: " if where else ""
    match error.validator:
        case "additionalProperties":
            known = list(error.schema["properties"])
            unknown = next(key for key in value if key not in known)
            near = difflib.get_close_matches(str(unknown), known, n=1, cutoff=0.6)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys are {', '.join(known)}"
            return f"{prefix}unknown key '{unknown}'. Hint: {hint}"
        case "required":
            missing = next(key for key in limit if key not in value)
            return f"{prefix}the key '{missing}' is missing. Hint: see config/README.md"
        case "dependentRequired":
            key = next(key for key in limit if key in value)
            return f"{key}: there are no labels for it to describe. Hint: give labels, or remove it"
        case "minItems" | "maxItems" if value:
            return f"{prefix}{len(value)} entries are too many or too few. Hint: give {limit}"
        case "minItems":
            return f"{prefix}the list is empty. Hint: give at least one entry"
        case "uniqueItems":
            twice = next(item for item in value if value.count(item) > 1)
            return f"{prefix}{twice!r} stands twice. Hint: remove one of them"
        case "enum":
            choices = ", ".join(map(str, limit))
            near = difflib.get_close_matches(str(value), list(map(str, limit)), n=1)
            hint = f"did you mean '{near[0]}'?" if near else "choose one of them"
            return f"{prefix}{value!r} is not one of {choices}. Hint: {hint}"
        case "pattern":
            return (
                f"{prefix}{value!r} cannot be a file name. Hint: use letters, digits, '.', '_' "
                "and '-', starting with a letter or digit"
            )
        case "type":
            return f"{prefix}{_wrong_type(value, limit)}"
        case "minimum" | "exclusiveMinimum" | "maximum" | "exclusiveMaximum":
            bound = {
                "minimum": "at least",
                "exclusiveMinimum": "above",
                "maximum": "at most",
                "exclusiveMaximum": "below",
            }[error.validator]
            return f"{prefix}{value} is out of range. Hint: it must be {bound} {limit}"
        case "minLength":
            return f"{prefix}the text is empty. Hint: give a value or remove the key"
    return f"{prefix}{error.message}. Hint: see config/README.md"


def _wrong_type(value: Any, wanted: str) -> str:
    shown = "nothing" if value is None else repr(value)
    names = {
        "number": "a number",
        "integer": "an integer",
        "boolean": "true or false",
        "string": "text",
        "array": "a list",
        "object": "a mapping of keys",
    }
    if isinstance(wanted, list):
        wanted = wanted[0]
    if wanted == "integer" and isinstance(value, str):
        hint = "write it without quotes, as 42"
    elif wanted == "number" and isinstance(value, str):
        hint = "write it without quotes, and 0.1 rather than 1e-1, which YAML reads as text"
    elif wanted == "array":
        hint = "write [a, b] or one '- item' a line"
    else:
        hint = "see config/README.md"
    return f"{shown} is not {names[wanted]}. Hint: {hint}"


def _key(path: Sequence[str | int]) -> str:
    key = ""
    for part in path:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    return key


def _fill_defaults(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> None:
    if isinstance(value, list):
        for item in value:
            _fill_defaults(item, resolved(schema["items"], root), root)
    elif isinstance(value, dict):
        for key, subschema in schema.get("properties", {}).items():
            subschema = resolved(subschema, root)
            if "default" in subschema:
                value.setdefault(key, copy.deepcopy(subschema["default"]))
            if key in value:
                _fill_defaults(value[key], subschema, root)
        for branch in schema.get("allOf", []):
            if "then" in branch and _validator(branch["if"]).is_valid(value):
                _fill_defaults(value, resolved(branch["then"], root), root)


def resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with its "$ref" into ``root``'s "$defs" followed."""
    if "$ref" not in schema:
        return schema
    return {**root["$defs"][schema["$ref"].rsplit("/", 1)[1]], **schema}


def _problems(config: dict[str, Any], demo_models: Sequence[str]) -> Iterator[str]:
    """Yield what no schema can say, one line each."""
    figures = config.get("published_figures")
    if figures is not None and not Path(figures).is_file():
        yield (
            f"published_figures: no file {figures}. Hint: give a path from the folder in which "
            "snakemake runs"
        )
    if "labels" in config:
        yield from _label_problems(config)
    else:
        yield from _model_problems(config, demo_models)
    yield from prices.problems(config)
    yield from _cache_problems(config)


def _cache_problems(config: dict[str, Any]) -> Iterator[str]:
    cache = config["cache"]
    if cache is True:
        yield "cache: true names no folder. Hint: give one, or remove the key for results/cache"
    elif cache:
        yield from _path_problems("cache", cache)
        run = Path("results", config["run"]).absolute()
        if Path(cache).expanduser().absolute() in (run, *run.parents):
            yield (
                f"cache: {cache} is the folder of this run, or holds it. Hint: name another folder "
                "or another run"
            )


def _label_problems(config: dict[str, Any]) -> Iterator[str]:
    if judges.sample_judges(config):
        yield (
            f"{judges.SAMPLE_JUDGES}: a run that starts from labels has no replies "
            "for them to judge. Hint: remove the key, and add their labels to labels"
        )
    for key in MODEL_KEYS:
        if key in config:
            yield (
                f"{key}: a run that starts from labels has its {key} from them. "
                f"Hint: remove {key}, or labels"
            )
    paths = {f"labels[{number}]": path for number, path in enumerate(config["labels"])}
    seen: dict[Path, str] = {}
    for key, path in paths.items():
        first = seen.setdefault(Path(path), key)
        if first != key:
            yield f"{key}: {path} is also {first}. Hint: remove one of them"
    if config.get("prompt_info"):
        paths["prompt_info"] = config["prompt_info"]
    for key, path in paths.items():
        yield from _path_problems(key, path)
        if Path(path).suffix.lower() not in KINDS:
            yield f"{key}: unknown kind of file: {path}. Hint: give a .csv or .parquet file"
        # Those of labels are opened before the first job.
        elif key == "prompt_info" and not Path(path).is_file():
            yield (
                f"{key}: no file {path}. Hint: give a path from the folder in which snakemake runs"
            )
    yield from _alias_problems("model_aliases", config.get("model_aliases", {}))
    yield from _alias_problems("judge_aliases", config.get("judge_aliases", {}))


def _alias_problems(key: str, aliases: dict[str, list[str]]) -> Iterator[str]:
    names: dict[str, str] = {}
    owners: dict[str, str] = {}
    for name, spellings in aliases.items():
        if name.lower() in RESERVED_NAMES:
            yield f"{key}: '{name}' is reserved. Hint: choose another name"
        # Folders of some file systems do not tell upper from lower case.
        other = names.setdefault(name.lower(), name)
        if other != name:
            yield f"{key}: '{name}' and '{other}' differ in case only. Hint: make them one name"
        for spelling in (name, *spellings):
            owner = owners.setdefault(spelling, name)
            if owner != name:
                yield (
                    f"{key}.{name}: '{spelling}' also stands for '{owner}'. "
                    "Hint: give each spelling one name"
                )


def _model_problems(config: dict[str, Any], demo_models: Sequence[str]) -> Iterator[str]:
    for where, entry in prompts.entries(config["prompts"]):
        yield from _path_problems(f"{where}.path", entry.get("path", ""))
    yield from check_prompts.problems(config["prompts"])
    for kind in ("models", "judges"):
        yield from _name_problems(kind, [entry["name"] for entry in config[kind]])
    sample_judges = judges.sample_judges(config)
    yield from _name_problems(judges.SAMPLE_JUDGES, [judge["name"] for judge in sample_judges])
    yield from judges.sample_problems(config)
    models = [(f"models[{number}]", model) for number, model in enumerate(config["models"])]
    for where, entry in models + judges.numbered(config):
        if "weights" in entry:
            yield from _path_problems(f"{where}.weights", entry["weights"])
            yield from _weights_problems(where, entry, demo_models)
    for where, model in models:
        yield from model_settings.problems(where, model, config["temperatures"])
    for where, judge in judges.numbered(config):
        key = judges.FILE_KEYS[judge["kind"]]
        yield from _path_problems(f"{where}.{key}", judge[key])
        yield from judges.problems(where, judge)
    yield from _temperature_problems("temperatures", config["temperatures"])
    of_pilot = config["experiments"]["pilot"]["temperatures"]
    yield from _temperature_problems("experiments.pilot.temperatures", of_pilot)


def _temperature_problems(key: str, temperatures: Sequence[float]) -> Iterator[str]:
    seen: dict[str, float] = {}
    for number, temperature in enumerate(temperatures):
        if 0 < temperature < MIN_SAMPLING_TEMPERATURE:
            yield (
                f"{key}[{number}]: vLLM raises {temperature} to "
                f"{MIN_SAMPLING_TEMPERATURE}. Hint: use 0 for greedy decoding"
            )
        text = temperature_text(temperature)
        if text in seen:
            yield (
                f"{key}[{number}]: {temperature} and {seen[text]} are both written "
                f"T{text} in paths. Hint: remove one of them"
            )
        seen[text] = temperature


def _lacks_chat_template(folder: Path) -> bool:
    """Tell whether a checkpoint's tokenizer surely has none; the job knows the rest."""
    if any((folder / f"chat_template.{kind}").is_file() for kind in ("jinja", "json")):
        return False
    try:
        settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return not settings.get("chat_template") and not (folder / "tekken.json").is_file()


def _path_problems(where: str, path: str) -> Iterator[str]:
    if "{" in path or "}" in path:
        yield f"{where}: Snakemake reads {{ and }} in a path as a wildcard. Hint: rename {path}"


def _name_problems(kind: str, names: list[str]) -> Iterator[str]:
    seen: dict[str, int] = {}
    for number, name in enumerate(names):
        if name.lower() in RESERVED_NAMES:
            yield f"{kind}[{number}].name: '{name}' is reserved. Hint: choose another name"
        # Folders of some file systems do not tell upper from lower case.
        first = seen.setdefault(name.lower(), number)
        if first != number:
            yield (
                f"{kind}[{number}].name: '{name}' is already the name of {kind}[{first}]. "
                "Hint: give each entry a name of its own"
            )


def _weights_problems(
    where: str, entry: dict[str, Any], demo_models: Sequence[str]
) -> Iterator[str]:
    weights = entry["weights"]
    local = True
    if weights.startswith(DEMO_PREFIX):
        name = weights.removeprefix(DEMO_PREFIX)
        if name not in demo_models:
            yield (
                f"{where}.weights: no demo model '{name}'. Hint: there are {', '.join(demo_models)}"
            )
    elif is_folder(weights):
        folder = Path(weights).expanduser()
        if not (folder / "config.json").is_file():
            yield (
                f"{where}.weights: no model folder {weights} (it must hold a config.json). "
                "Hint: check the path, or give a Hugging Face id as owner/name"
            )
        elif problem := pickle_problem(
            [path.name for path in folder.iterdir()], entry.get("allow_pickle", False)
        ):
            yield f"{where}.weights: {problem}"
        # Classifiers come with a prompt of their own.
        elif entry["kind"] != "classifier" and _lacks_chat_template(folder):
            yield (
                f"{where}.weights: the tokenizer in {weights} has no chat template. Hint: use the "
                "model's instruct or chat variant, or copy the chat_template.jinja of the model "
                "that it was trained from"
            )
    else:
        local = False
        if not _HUB_ID.fullmatch(weights):
            yield (
                f"{where}.weights: {weights!r} is neither a folder nor a Hugging Face id. "
                "Hint: write owner/name, or a path that begins with ./"
            )
    if local and "revision" in entry:
        yield (
            f"{where}.revision: only weights from the Hugging Face hub have a revision. "
            "Hint: remove the key"
        )
