"""Models behind an API, through their providers' own SDKs: one message in, one answer out."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module, metadata
from types import ModuleType
from typing import Any, Protocol

from refusal_stability.api.budget import Budget
from refusal_stability.api.rate_limit import RateLimit
from refusal_stability.core.errors import ProviderError
from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.settings.api import endpoint

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
# Request timeout, conflict, too many requests: the same message may pass later.
_PASSING = (408, 409, 429)
# Least patience for a batch to be taken in, in seconds: it is many megabytes.
SUBMIT_SECONDS = 600.0
# Where a request may cost something; others ask about models and batches.
_PAID = ("/chat/completions", "/messages")
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


class RefusedRequestError(FailedRequestError):
    """One message is refused for what it is: it would be refused again."""


class UnknownBatchError(Exception):
    """The provider knows no batch of this id, or not under this key."""


@dataclass(frozen=True)
class BatchState:
    """How far a batch is: ``done`` requests of ``total``, whatever came of them.

    ``refused`` says why the provider will work on none of them; a batch that was ``cancelled``
    on its page has answers to some.
    """

    ended: bool
    done: int
    total: int
    refused: str | None = None
    cancelled: bool = False


class Provider(Protocol):
    """A model that can be asked."""

    sdk: str

    def ask(self, message: str) -> Answer:
        """Return the answer to one message.

        Raises:
            ProviderError: no message would get an answer.
            FailedRequestError: this one got none.
            BudgetError: it may not be sent.
        """

    def look_up(self) -> None:
        """See :func:`look_up`."""

    def close(self) -> None:
        """Close the connections."""


class BatchProvider(Provider, Protocol):
    """A provider that also takes many messages at once and answers within a day."""

    max_requests: int
    max_bytes: int

    def request(self, key: str, message: str) -> dict[str, Any]:
        """Return one request of a batch; ``key`` has at most 64 letters and digits."""

    def submit(self, requests: list[dict[str, Any]], submission: str) -> str:
        """Send a batch and return its id; ``submission`` is noted in it where that is possible.

        It is sent once: after an error that is no RefusedRequestError, it may have got through.

        Raises:
            ProviderError, FailedRequestError: as of a message.
        """

    def find(self, submission: str, since: float, count: int, known: set[str]) -> str | None:
        """Return the id of a batch that got through although its answer did not.

        Args:
            submission: as it was noted.
            since: when it was submitted at the earliest, in seconds since 1970.
            count: how many requests it holds.
            known: ids of other batches.
        """

    def state(self, batch_id: str) -> BatchState:
        """Tell how far a batch is. Raises UnknownBatchError too."""

    def results(self, batch_id: str) -> Iterator[tuple[str, Answer | FailedRequestError]]:
        """Yield key and answer, or what went wrong, of the requests of a batch that has ended."""


def client_settings(
    entry: dict[str, Any], limit: RateLimit, budget: Budget, sdk: ModuleType
) -> dict[str, Any]:
    """Return what both SDKs' clients are made with.

    Every request waits for its turn and is counted, retries too.

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

    def before(request: Any) -> None:
        limit.wait()
        if request.method == "POST" and request.url.path.endswith(_PAID):
            budget.take()

    return {
        "api_key": key,
        # Given, because the SDKs would otherwise take it from the environment, unseen.
        "base_url": endpoint(entry),
        "timeout": entry["timeout"],
        "max_retries": entry["max_retries"],
        "http_client": sdk.DefaultHttpxClient(
            event_hooks={"request": [before]},
            # A connection a request: on one that is used again, an answer that a gateway sends
            # twice is read as that of the next request, and is filed under another prompt.
            limits=http_library(sdk).Limits(max_keepalive_connections=0),
        ),
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
    code = error_code(error.body)
    shown = f"HTTP {error.status_code}"
    # vLLM's server says the status once more.
    if code not in ("", str(error.status_code)):
        shown += f" {code}"
    reason = "the quota is used up" if code in _NO_QUOTA else _FATAL.get(error.status_code)
    if reason:
        return ProviderError(
            f"{entry['name']}: {endpoint(entry)} refuses {entry['model']}: {reason} ({shown}). "
            "Hint: mend that and run again; what was paid for is kept"
        )
    return failed_request(error.status_code, shown)


def failed_request(status: int, reason: str) -> FailedRequestError:
    """Return the failure of one message, by its HTTP status."""
    lasting = 400 <= status < 500 and status not in _PASSING
    return RefusedRequestError(reason) if lasting else FailedRequestError(reason)


def first_request_failed(
    entry: dict[str, Any], error: FailedRequestError, refused_hint: str
) -> ProviderError:
    """Return what a failed first request means; ``refused_hint`` is for one that was refused."""
    refused = isinstance(error, RefusedRequestError)
    hint = refused_hint if refused else "look at base_url, and run again when it answers"
    return ProviderError(
        f"{entry['name']}: the first request to {endpoint(entry)} failed: {error}. Hint: {hint}"
    )


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


def error_code(body: Any) -> str:
    """Return the provider's short name of an error, of its JSON, or nothing: never its message."""
    inner = body.get("error", body) if isinstance(body, dict) else None
    if not isinstance(inner, dict):
        return ""
    code = str(inner.get("code") or inner.get("type") or "")
    return code if code.replace("_", "").isalnum() and len(code) <= 40 else ""


def is_filtered(body: Any) -> bool:
    """Tell, by the JSON of an error, whether a provider's filter refused the message itself."""
    return error_code(body) in _FILTERED


def http_library(sdk: ModuleType) -> ModuleType:
    """Return the HTTP library that an SDK sends with: httpx or its successor httpx2."""
    return import_module(type(sdk.DEFAULT_CONNECTION_LIMITS).__module__.partition(".")[0])


def sdk_name(sdk: ModuleType) -> str:
    """Return an SDK's name and version, for manifests."""
    return f"{sdk.__name__} {metadata.version(sdk.__name__)}"
