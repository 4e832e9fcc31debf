"""What models and judges behind an API share: where they are, and what is wrong with settings."""

import os
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

# Where each provider's own models are.
_ENDPOINTS = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
KINDS = tuple(_ENDPOINTS)
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Which of them refuse a temperature: OpenAI's reasoning models, and what Anthropic published after
# Claude 4.6. Another endpoint (base_url) may hold anything; there, the first request tells.
_NO_TEMPERATURE = {
    "openai": re.compile(r"o\d|gpt-([5-9]|\d\d)(?!.*chat)"),
    "anthropic": re.compile(r"(?!claude-3|claude-(opus|sonnet|haiku)-4(-[0-6])?(-\d{8})?$)"),
}
# Which of them answer no more, of those that are known to. A list that is too short does no harm:
# providers are asked for their models before the first job.
_RETIRED = {
    "openai": re.compile(
        r"(gpt-3\.5-turbo(-16k)?-(0301|0613)|gpt-4-32k(-0314|-0613)?|gpt-4(-1106)?-vision-preview"
        r"|gpt-4\.5-preview(-2025-02-27)?|o1-preview(-2024-09-12)?|o1-mini(-2024-09-12)?)$"
    ),
    "anthropic": re.compile(
        r"(claude-(instant-)?1(\.\d)?|claude-2(\.[01])?|claude-3-sonnet-20240229"
        r"|claude-3-opus-(20240229|latest)|claude-3-5-sonnet-(20240620|20241022|latest)"
        r"|claude-3-5-haiku-(20241022|latest)|claude-3-7-sonnet-(20250219|latest))$"
    ),
}


def endpoint(entry: dict[str, Any]) -> str:
    """Return the base URL of a model or judge behind an API."""
    return entry.get("base_url", _ENDPOINTS[entry["kind"]])


def takes_no_temperature(entry: dict[str, Any]) -> bool:
    """Tell whether a model or judge is known to refuse a temperature."""
    return _is_known(entry, _NO_TEMPERATURE)


def problems(where: str, entry: dict[str, Any]) -> Iterator[str]:
    """Yield what is wrong with an API's address, key or model, one line each."""
    variable, url = entry.get("api_key_env"), entry.get("base_url")
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
    if variable is not None and not _VARIABLE.fullmatch(variable):
        # Not shown: it may be the key itself.
        yield (
            f"{where}.api_key_env: that is no name of an environment variable. Hint: export your "
            "key in a variable such as MY_API_KEY, and give that name; no key belongs in this file"
        )
    elif variable is not None and not os.environ.get(variable):
        yield (
            f"{where}.api_key_env: the environment variable {variable} is not set. Hint: export "
            "your key in it before you start snakemake"
        )
    if _is_known(entry, _RETIRED):
        yield (
            f"{where}.model: {entry['model']} is retired and answers no more. Hint: choose one of "
            "the provider's present models"
        )


def _is_known(entry: dict[str, Any], models: dict[str, re.Pattern[str]]) -> bool:
    # The name of a model says something at its provider only.
    if "base_url" in entry:
        return False
    return models[entry["kind"]].match(entry["model"]) is not None
