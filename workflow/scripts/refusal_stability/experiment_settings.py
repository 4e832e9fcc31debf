"""The key `experiments` of the configuration: whom an experiment is about.

Only the standard library: it is read while a run is planned.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from refusal_stability.errors import ConfigError

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
