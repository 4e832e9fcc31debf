"""The key `experiments` of the configuration: whom an experiment is about.

Only the standard library: it is read while a run is planned.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from refusal_stability.core.errors import ConfigError

RESULTS = Path("results")


def check(config: dict[str, Any], models: Sequence[str]) -> None:
    """Raise ConfigError if an experiment names what is not there.

    Args:
        config: with every default filled in.
        models: names of the models of the run.
    """
    for problem in _compare_problems(config, models):
        raise ConfigError(f"experiments.compare{problem}")
    for problem in _determinism_problems(config):
        raise ConfigError(f"experiments.determinism{problem}")
    for problem in _seed_scope_problems(config, models):
        raise ConfigError(f"experiments.seed_scope{problem}")


def compared(config: dict[str, Any], models: Sequence[str]) -> list[tuple[str, str]]:
    """Return (run, model) of the two sides that `compare` compares; of one, if there is one."""
    settings, run = config["experiments"]["compare"], config["run"]
    if "run" not in settings:
        return [(run, model) for model in settings.get("models", models)[:2]]
    others = _models_of(settings["run"])
    first, second = settings.get("models", [models[0], None])
    # The same model, if that run has it: before and after.
    second = second or (first if first in others else others[0])
    return [(run, first), (settings["run"], second)]


def determinism_model(config: dict[str, Any]) -> dict[str, Any] | None:
    """Return the entry of the model that `determinism` is about; None if none has weights."""
    entries = {entry["name"]: entry for entry in _with_weights(config)}
    named = config["experiments"]["determinism"].get("model", next(iter(entries), None))
    return entries.get(named)


def seed_arms(config: dict[str, Any]) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Return the arms of `seed_scope`, {model: its seed scope}, and those that are no model yet.

    The second arm is the first but for its seed scope: another entry that is the same but for its
    name, if there is one, or else one derived here, {name: entry}. Without a model that is sent
    seeds there is no arm.
    """
    entries = config["models"]
    wanted = config["experiments"]["seed_scope"].get("model")
    first = next(
        (e for e in entries if _takes_seeds(e) and wanted in (None, e["name"])),
        None,
    )
    if first is None:
        return {}, {}
    scope = {"cell": "prompt", "prompt": "cell"}[first["seed_scope"]]
    second = first | {"seed_scope": scope, "name": f"{first['name']}+{scope}"}
    arms = {first["name"]: first["seed_scope"]}
    for entry in entries:
        if entry | {"name": ""} == second | {"name": ""}:
            return arms | {entry["name"]: scope}, {}
    return arms | {second["name"]: scope}, {second["name"]: second}


def verdicts_of(run: str, model: str) -> list[str]:
    """Return the files of another run's verdicts on a model, a judge each."""
    return sorted(map(str, (RESULTS / run / "verdicts").glob(f"*/{model}.parquet")))


def _with_weights(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in config.get("models", []) if "weights" in entry]


def _determinism_problems(config: dict[str, Any]) -> Iterator[str]:
    name = config["experiments"]["determinism"].get("model")
    known = [entry["name"] for entry in _with_weights(config)]
    if name is not None and name not in known:
        there = f"there are {', '.join(known)}" if known else "there is none with weights"
        yield f".model: no model '{name}' with weights. Hint: {there}"


def _models_of(run: str) -> list[str]:
    found = (RESULTS / run / "verdicts").glob("*/*.parquet")
    return sorted({path.stem for path in found})


def _takes_seeds(entry: dict[str, Any]) -> bool:
    return entry.get("send_seed", True)


def _seed_scope_problems(config: dict[str, Any], models: Sequence[str]) -> Iterator[str]:
    wanted = config["experiments"]["seed_scope"].get("model")
    if wanted is None:
        return
    if wanted not in models:
        yield f".model: no model '{wanted}'. Hint: there are {', '.join(models)}"
    for entry in config.get("models", []):
        if entry["name"] == wanted and not _takes_seeds(entry):
            yield f".model: '{wanted}' is sent no seeds (send_seed). Hint: name another model"


def _compare_problems(config: dict[str, Any], models: Sequence[str]) -> Iterator[str]:
    settings = config["experiments"]["compare"]
    there = [list(models)] * 2
    if "run" in settings:
        if settings["run"] == config["run"]:
            yield ".run: that is this run. Hint: name another one, or remove the key"
        there = [list(models), _models_of(settings["run"])]
        if not there[1]:
            yield (
                f".run: no verdicts in {RESULTS / settings['run']}. Hint: name a finished run, "
                "or finish that one first"
            )
    for number, (name, known) in enumerate(zip(settings.get("models", []), there, strict=False)):
        if name not in known:
            yield f".models[{number}]: no model '{name}'. Hint: there are {', '.join(known)}"
    if "run" not in settings and len(set(settings.get("models", []))) == 1:
        yield ".models: one model twice. Hint: name two"
