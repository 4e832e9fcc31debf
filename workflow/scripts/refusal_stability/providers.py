"""Models behind an API, through their providers' own SDKs: one message in, one answer out."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from types import ModuleType
from typing import Any, Protocol

from refusal_stability.api_settings import endpoint
from refusal_stability.errors import ProviderError
from refusal_stability.labels import VALID_LABELS
from refusal_stability.rate_limit import RateLimit

# The answer of a constrained judge.
ANSWER_SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": list(VALID_LABELS)}},
    "required": ["label"],
    "additionalProperties": False,
}
# What no other message would change: the key, the account, the model.
_FATAL = {
    401: "the key is not accepted; it may be wrong or expired",
    402: "the account has no credit",
    403: "the key may not use this model",
    404: "there is no such model or endpoint; it may have been retired",
}
_NO_QUOTA = ("insufficient_quota", "billing_error")
_FILTERED = ("content_filter", "content_policy_violation")


@dataclass(frozen=True)
class Answer:
    """What a model said. ``ending`` is "stop", "length", "refusal" or the provider's own word."""

    text: str
    ending: str
    model: str
    input_tokens: int
    output_tokens: int


class FailedRequestError(Exception):
    """One message got no answer after all retries; its text says why, without any content."""


class Provider(Protocol):
    """A model that can be asked."""

    sdk: str

    def ask(self, message: str) -> Answer:
        """Return the answer to one message.

        Raises:
            ProviderError: no message would get an answer.
            FailedRequestError: this one got none.
        """

    def look_up(self) -> None:
        """See :func:`look_up`."""

    def close(self) -> None:
        """Close the connections."""


def client_settings(entry: dict[str, Any], limit: RateLimit, sdk: ModuleType) -> dict[str, Any]:
    """Return what both SDKs' clients are made with. Every request waits for its turn, retries too.

    Raises:
        ProviderError: the environment variable of the key is not set.
    """
    variable = entry.get("api_key_env")
    key = os.environ.get(variable, "") if variable else "none"
    if not key:
        raise ProviderError(
            f"{entry['name']}: the environment variable {variable} is not set. "
            "Hint: export your key in it; on a cluster, where you start snakemake"
        )
    return {
        "api_key": key,
        # Given, because the SDKs would otherwise take it from the environment, unseen.
        "base_url": endpoint(entry),
        "timeout": entry["timeout"],
        "max_retries": entry["max_retries"],
        "http_client": sdk.DefaultHttpxClient(event_hooks={"request": [lambda _: limit.wait()]}),
    }


def failed(entry: dict[str, Any], sdk: ModuleType, error: Exception) -> Exception:
    """Return what an SDK's error means: a ProviderError or a FailedRequestError.

    A provider's message may quote key or content: only status and code are told.
    """
    if isinstance(error, sdk.APITimeoutError):
        return FailedRequestError(f"no answer within {entry['timeout']:g} s")
    if isinstance(error, sdk.APIConnectionError):
        return FailedRequestError(f"no connection to {endpoint(entry)}")
    if not isinstance(error, sdk.APIStatusError):
        # Such as an answer that is not the provider's JSON.
        return FailedRequestError(f"the SDK could not read the answer ({type(error).__name__})")
    code = error_code(error)
    shown = f"HTTP {error.status_code}" + (f" {code}" if code else "")
    reason = "the quota is used up" if code in _NO_QUOTA else _FATAL.get(error.status_code)
    if reason:
        return ProviderError(
            f"{entry['name']}: {endpoint(entry)} refuses {entry['model']}: {reason} ({shown}). "
            "Hint: mend that and run again; what was paid for is kept"
        )
    return FailedRequestError(shown)


def look_up(
    entry: dict[str, Any],
    sdk: ModuleType,
    retrieve: Callable[[], object],
    ask_for_one_token: Callable[[], object],
) -> None:
    """Find out whether a provider takes the key and has the model, at no cost where it can tell.

    Args:
        entry: the settings of the model or judge.
        sdk: the provider's.
        retrieve: asks for what is known of the model, which is free.
        ask_for_one_token: asks the model itself; raises the two errors below.

    Raises:
        ProviderError: it refuses the key, or has no such model.
        FailedRequestError: it could not be asked; that says nothing.
    """
    try:
        retrieve()
    except sdk.APIStatusError:
        # Some endpoints have no such route, some know a model by other names as well, some keys
        # may do nothing but ask: only a request is sure.
        ask_for_one_token()
    except sdk.APIError as error:
        raise failed(entry, sdk, error) from error


def error_code(error: Exception) -> str:
    """Return the provider's short name of an error, or nothing: never its message."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(inner, dict):
        return ""
    code = str(inner.get("code") or inner.get("type") or "")
    return code if code.replace("_", "").isalnum() and len(code) <= 40 else ""


def is_filtered(error: Exception) -> bool:
    """Tell whether a provider's filter refused the message itself."""
    return error_code(error) in _FILTERED


def sdk_name(sdk: ModuleType) -> str:
    """Return an SDK's name and version, for manifests."""
    return f"{sdk.__name__} {metadata.version(sdk.__name__)}"
