"""Models behind an API, through their providers' own SDKs: one message in, one answer out."""

import os
from dataclasses import dataclass
from importlib import metadata
from types import ModuleType
from typing import Any, Protocol

from refusal_stability.errors import ProviderError
from refusal_stability.judge_settings import endpoint
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
    401: "the key is not accepted",
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

    def close(self) -> None:
        """Close the connections."""


def client_settings(judge: dict[str, Any], limit: RateLimit, sdk: ModuleType) -> dict[str, Any]:
    """Return what both SDKs' clients are made with. Every request waits for its turn, retries too.

    Raises:
        ProviderError: the environment variable of the key is not set.
    """
    variable = judge.get("api_key_env")
    key = os.environ.get(variable, "") if variable else "none"
    if not key:
        raise ProviderError(
            f"{judge['name']}: the environment variable {variable} is not set. "
            "Hint: export your key in it; on a cluster, where you start snakemake"
        )
    return {
        "api_key": key,
        # Given, because the SDKs would otherwise take it from the environment, unseen.
        "base_url": endpoint(judge),
        "timeout": judge["timeout"],
        "max_retries": judge["max_retries"],
        "http_client": sdk.DefaultHttpxClient(event_hooks={"request": [lambda _: limit.wait()]}),
    }


def failed(judge: dict[str, Any], sdk: ModuleType, error: Exception) -> Exception:
    """Return what an SDK's error means: a ProviderError or a FailedRequestError.

    A provider's message may quote key or content: only status and code are told.
    """
    if isinstance(error, sdk.APITimeoutError):
        return FailedRequestError(f"no answer within {judge['timeout']:g} s")
    if isinstance(error, sdk.APIConnectionError):
        return FailedRequestError(f"no connection to {endpoint(judge)}")
    if not isinstance(error, sdk.APIStatusError):
        # Such as an answer that is not the provider's JSON.
        return FailedRequestError(f"the SDK could not read the answer ({type(error).__name__})")
    code = error_code(error)
    shown = f"HTTP {error.status_code}" + (f" {code}" if code else "")
    reason = "the quota is used up" if code in _NO_QUOTA else _FATAL.get(error.status_code)
    if reason:
        return ProviderError(
            f"{judge['name']}: {endpoint(judge)} refuses {judge['model']}: {reason} ({shown}). "
            "Hint: mend that and run again; verdicts that were paid for are kept"
        )
    return FailedRequestError(shown)


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
