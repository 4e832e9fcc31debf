"""The kinds of models under test: what jobs are told, and what is wrong with their settings."""

from collections.abc import Iterator, Sequence
from typing import Any

from refusal_stability.core.cells import temperature_text
from refusal_stability.settings import api

# The temperature at which a provider samples that takes none.
FIXED_TEMPERATURE = 1
# Ways to run an engine (`determinism`).
DEFAULT = "default"
DETERMINISTIC_KERNELS = "deterministic_kernels"
ONE_AT_A_TIME = "one_at_a_time"
BATCH_INVARIANT = "batch_invariant"
MODES = (DEFAULT, DETERMINISTIC_KERNELS, ONE_AT_A_TIME, BATCH_INVARIANT)
_IMPLIED = {"kind": "vllm", "nodes": 1, "allow_pickle": False, "determinism": "default"}


def job_settings(model: dict[str, Any]) -> dict[str, Any]:
    """Return what a job is told of its model: vLLM, on one node, goes without saying.

    That is how cells that were generated before there were such keys need not be generated again.
    """
    return {key: value for key, value in model.items() if _IMPLIED.get(key) != value}


def problems(where: str, model: dict[str, Any], temperatures: Sequence[float]) -> Iterator[str]:
    """Yield what no schema can say of a model at ``where``, one line each."""
    if model["kind"] == "vllm":
        if model["max_tokens"] >= model["max_model_len"]:
            yield (
                f"{where}.max_tokens: {model['max_tokens']} leaves no room for a prompt in "
                f"max_model_len {model['max_model_len']}. Hint: raise max_model_len"
            )
        if model["determinism"] == DETERMINISTIC_KERNELS and model["gpus"] * model["nodes"] > 1:
            yield (
                f"{where}.determinism: {DETERMINISTIC_KERNELS} is a setting of one process, and "
                "several GPUs have one each. Hint: take one GPU, or batch_invariant"
            )
        return
    yield from api.problems(where, model)
    if api.takes_no_temperature(model) and list(temperatures) != [FIXED_TEMPERATURE]:
        asked = ", ".join(map(temperature_text, temperatures))
        yield (
            f"{where}: {model['model']} takes no temperature, as far as is known, and is sampled "
            f"at {FIXED_TEMPERATURE}; temperatures are {asked}. Hint: ask it in a run of its own "
            f"with temperatures: [{FIXED_TEMPERATURE}], or remove it"
        )


def pilot_problem(models: list[dict[str, Any]]) -> str | None:
    """Return why some models cannot be asked at several temperatures; None if all can."""
    fixed = [
        model["name"]
        for model in models
        if model["kind"] != "vllm" and api.takes_no_temperature(model)
    ]
    if not fixed:
        return None
    return (
        f"pilot compares temperatures, and {', '.join(fixed)} takes none: every reply would be one "
        f"at {FIXED_TEMPERATURE}. Hint: run the pilot on a configuration of other models"
    )


def self_judging(models: list[dict[str, Any]], judges: list[dict[str, Any]]) -> Iterator[str]:
    """Yield a warning for each judge that labels its own replies."""
    for judge in judges:
        itself = [model["name"] for model in models if _identity(model) == _identity(judge)]
        if itself:
            yield (
                f"the judge {judge['name']} is also a model under test ({', '.join(itself)}), and "
                "may favour its own replies. Hint: add a judge of another kind or family"
            )


def _identity(entry: dict[str, Any]) -> tuple[str, ...] | None:
    """Return what two entries of one model have in common; phrases are nobody's."""
    if "weights" in entry:
        return ("weights", entry["weights"].rstrip("/").removeprefix("./"))
    if "model" in entry:
        return (api.endpoint(entry).rstrip("/"), entry["model"])
    return None
