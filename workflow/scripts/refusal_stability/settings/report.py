"""The key `report` of the configuration: what the page of a run shows.

Only the standard library: it is read while a run is planned.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from refusal_stability.core.errors import ConfigError
from refusal_stability.settings.experiments import RESULTS, verdicts_of

HIDE, INCLUDE = "hide", "include"


def check(config: dict[str, Any]) -> None:
    """Raise ConfigError if the page is to show what is not there."""
    for problem in _problems(config):
        raise ConfigError(f"report.{problem}")


def includes_text(config: dict[str, Any]) -> bool:
    """Tell whether the page is to hold prompts and replies."""
    return config["report"]["text"] == INCLUDE


def other_models(config: dict[str, Any]) -> str:
    """Return the table of models of the run that this one is set beside, or "" if there is none."""
    other = config["report"].get("compare_with")
    return str(_models_table(other)) if other else ""


def other_verdicts(config: dict[str, Any], models: list[str]) -> list[str]:
    """Return the verdicts of that run on the models that both runs have."""
    other = config["report"].get("compare_with")
    return [path for model in models for path in verdicts_of(other, model)] if other else []


def _models_table(run: str) -> Path:
    return RESULTS / run / "tables" / "models.csv"


def _problems(config: dict[str, Any]) -> Iterator[str]:
    if includes_text(config) and "labels" in config:
        yield (
            "text: a run that starts from labels has no replies to include. Hint: remove the key, "
            f"or write {HIDE}"
        )
    other = config["report"].get("compare_with")
    if other == config["run"]:
        yield "compare_with: that is this run. Hint: name another one, or remove the key"
    elif other and not _models_table(other).is_file():
        yield (
            f"compare_with: there is no {_models_table(other)}. Hint: name a finished run, or "
            "finish that one first"
        )
    elif other and not any((RESULTS / other / "verdicts").glob("*/*.parquet")):
        yield (
            f"compare_with: there are no verdicts in {RESULTS / other}. Hint: name a finished run, "
            "or finish that one first"
        )
