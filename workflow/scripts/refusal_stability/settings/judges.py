"""The kinds of judges: what each reads, what it can say, and what is wrong with its settings."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from refusal_stability.core.labels import COMPLY, REFUSE, VALID_LABELS
from refusal_stability.settings import api

# The key that names the file which a judge of each kind follows.
FILE_KEYS = {
    "vllm": "rubric",
    "classifier": "classifier",
    "openai": "rubric",
    "anthropic": "rubric",
    "string_match": "phrases",
    "human": "labels",
}
# Of these, those that are text of any form.
_TEXT_FILES = ("rubric", "phrases")
# The key of judges that label the sample of the experiment judge_agreement only.
SAMPLE_JUDGES = "experiments.judge_agreement.judges"
# Kinds that know no PARTIAL.
_TWO_LABELS = ("string_match",)
# Settings that say the same as their absence, which is how they stand in what jobs are told: what
# was judged before there were such keys needs no judging again.
_IMPLIED = {
    "vllm": {"kind": "vllm", "answer": "constrained", "nodes": 1, "allow_pickle": False},
    "classifier": {"nodes": 1, "allow_pickle": False},
    "openai": {"batch": False},
    "anthropic": {"batch": False},
}
# The answer of a constrained judge with weights: its first token decides the label.
CONSTRAINED_ANSWER_TOKENS = 1


def job_settings(judge: dict[str, Any]) -> dict[str, Any]:
    """Return what a job is told of its judge: its settings, less what goes without saying."""
    implied = _IMPLIED.get(judge["kind"], {})
    return {
        key: value for key, value in judge.items() if key not in implied or value != implied[key]
    }


def with_defaults(judge: dict[str, Any]) -> dict[str, Any]:
    """Return a judge's settings with what :func:`job_settings` left out."""
    return {**_IMPLIED.get(judge.get("kind", "vllm"), {}), **judge}


def instructions_file(judge: dict[str, Any]) -> str:
    """Return the path of the file that a judge follows."""
    return judge[FILE_KEYS[judge["kind"]]]


def labels_of(judge: dict[str, Any]) -> tuple[str, ...]:
    """Return the valid labels that a judge can give; of a classifier, its file says more."""
    return (REFUSE, COMPLY) if judge["kind"] in _TWO_LABELS else VALID_LABELS


def sample_judges(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the judges of a configuration that label a sample only; see SAMPLE_JUDGES."""
    return config.get("experiments", {}).get("judge_agreement", {}).get("judges", [])


def numbered(config: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return (key, entry) of the judges of a run, and of those that label a sample only."""
    lists = {"judges": config.get("judges", []), SAMPLE_JUDGES: sample_judges(config)}
    return [
        (f"{key}[{number}]", judge)
        for key, judges in lists.items()
        for number, judge in enumerate(judges)
    ]


def sample_problems(config: dict[str, Any]) -> Iterator[str]:
    """Yield the judges of a sample that are also judges of the run, by name, one line each."""
    names = {judge["name"].lower(): f"judges[{n}]" for n, judge in enumerate(config["judges"])}
    for number, judge in enumerate(sample_judges(config)):
        if judge["name"].lower() in names:
            yield (
                f"{SAMPLE_JUDGES}[{number}].name: '{judge['name']}' is already the name of "
                f"{names[judge['name'].lower()]}, which is compared anyhow. Hint: remove it, or "
                "give it a name of its own"
            )


def problems(where: str, judge: dict[str, Any]) -> Iterator[str]:
    """Yield what no schema can say of a judge at ``where``, one line each."""
    key = FILE_KEYS[judge["kind"]]
    if not Path(judge[key]).is_file():
        yield (
            f"{where}.{key}: no file {judge[key]}. Hint: give a path from the folder in which "
            "snakemake runs"
        )
    elif key in _TEXT_FILES:
        yield from _text_problems(f"{where}.{key}", Path(judge[key]))
    if judge["kind"] == "vllm" and "max_tokens" in judge:
        yield from _max_tokens_problems(where, judge)
    if judge["kind"] in api.KINDS:
        yield from api.problems(where, judge)
        if api.takes_no_temperature(judge) and judge["temperature"] is not None:
            yield (
                f"{where}.temperature: {judge['model']} takes no temperature, as far as is known. "
                "Hint: write temperature: null"
            )


def _text_problems(key: str, path: Path) -> Iterator[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        yield f"{key}: {path} cannot be read as UTF-8 text. Hint: save it as such"
    else:
        if not text.strip():
            yield f"{key}: {path} is empty. Hint: write into it what the judge goes by"


def _max_tokens_problems(where: str, judge: dict[str, Any]) -> Iterator[str]:
    if judge["answer"] == "constrained":
        yield (
            f"{where}.max_tokens: a constrained answer is a label and no longer. "
            "Hint: remove it, or set answer: free_text"
        )
    elif judge["max_tokens"] >= judge["max_model_len"]:
        yield (
            f"{where}.max_tokens: {judge['max_tokens']} leaves no room for a message in "
            f"max_model_len {judge['max_model_len']}. Hint: raise max_model_len"
        )
