"""The kinds of judges: what each reads, what it can say, and what is wrong with its settings."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from refusal_stability.labels import COMPLY, REFUSE, VALID_LABELS

# The key that names the file which a judge of each kind follows.
FILE_KEYS = {
    "vllm": "rubric",
    "classifier": "classifier",
    "openai": "rubric",
    "anthropic": "rubric",
    "string_match": "phrases",
}
# Where each provider's own models are.
_ENDPOINTS = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
# Which of them refuse a temperature: OpenAI's reasoning models, and what Anthropic published after
# Claude 4.6. Another endpoint (base_url) may hold anything; there, the first request tells.
_NO_TEMPERATURE = {
    "openai": re.compile(r"o\d|gpt-([5-9]|\d\d)(?!.*chat)"),
    "anthropic": re.compile(r"(?!claude-3|claude-(opus|sonnet|haiku)-4(-[0-6])?(-\d{8})?$)"),
}
# Kinds that know no PARTIAL.
_TWO_LABELS = ("string_match",)
# Settings that say the same as their absence, which is how they stand in what jobs are told: what
# was judged before there were such keys needs no judging again.
_IMPLIED = {"kind": "vllm", "answer": "constrained"}


def told(judge: dict[str, Any]) -> dict[str, Any]:
    """Return what a job is told of its judge: its settings, less what goes without saying."""
    if judge["kind"] != "vllm":
        return judge
    return {key: value for key, value in judge.items() if _IMPLIED.get(key) != value}


def complete(judge: dict[str, Any]) -> dict[str, Any]:
    """Return a judge's settings with what :func:`told` left out."""
    return {**_IMPLIED, **judge} if judge.get("kind", "vllm") == "vllm" else judge


def instructions_file(judge: dict[str, Any]) -> str:
    """Return the path of the file that a judge follows."""
    return judge[FILE_KEYS[judge["kind"]]]


def labels_of(judge: dict[str, Any]) -> tuple[str, ...]:
    """Return the valid labels that a judge can give; of a classifier, its file says more."""
    return (REFUSE, COMPLY) if judge["kind"] in _TWO_LABELS else VALID_LABELS


def pattern(judges: dict[str, dict[str, Any]], with_weights: bool) -> str:
    """Return a regular expression for the names of those judges that have weights, or have none."""
    names = [name for name, judge in judges.items() if ("weights" in judge) is with_weights]
    # What matches nothing, where there are none.
    return "|".join(map(re.escape, names)) or "(?!)"


def endpoint(judge: dict[str, Any]) -> str:
    """Return the base URL of a judge behind an API."""
    return judge.get("base_url", _ENDPOINTS[judge["kind"]])


def problems(where: str, judge: dict[str, Any]) -> Iterator[str]:
    """Yield what no schema can say of a judge at ``where``, one line each."""
    key = FILE_KEYS[judge["kind"]]
    if not Path(judge[key]).is_file():
        yield (
            f"{where}.{key}: no file {judge[key]}. Hint: give a path from the folder in which "
            "snakemake runs"
        )
    if judge["kind"] == "vllm" and "max_tokens" in judge:
        yield from _max_tokens_problems(where, judge)
    if judge["kind"] in _ENDPOINTS:
        yield from _api_problems(where, judge)


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


def _api_problems(where: str, judge: dict[str, Any]) -> Iterator[str]:
    variable, url = judge.get("api_key_env"), judge.get("base_url")
    if url is not None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            yield f"{where}.base_url: {url} is no web address. Hint: begin it with https://"
        # Not shown: this is where a key would be.
        if "@" in parts.netloc or parts.query:
            yield (
                f"{where}.base_url: it holds more than an address. Hint: name the environment "
                "variable of your key in api_key_env instead"
            )
    elif variable is None:
        yield (
            f"{where}: the key 'api_key_env' is missing. Hint: name the environment variable that "
            "holds your key, or give the base_url of a server that asks for none"
        )
    if variable is not None and not os.environ.get(variable):
        yield (
            f"{where}.api_key_env: the environment variable {variable} is not set. Hint: export "
            "your key in it before you start snakemake"
        )
    unwelcome = url is None and _NO_TEMPERATURE[judge["kind"]].match(judge["model"])
    if unwelcome and judge["temperature"] is not None:
        yield (
            f"{where}.temperature: {judge['model']} takes no temperature, as far as is known. "
            "Hint: write temperature: null"
        )
