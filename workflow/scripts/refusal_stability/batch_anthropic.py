"""Anthropic's Message Batches API."""

from collections.abc import Iterator
from typing import Any

from refusal_stability.provider_anthropic import Anthropic
from refusal_stability.providers import (
    SUBMIT_SECONDS,
    Answer,
    BatchState,
    FailedRequestError,
    RefusedRequestError,
    UnknownBatchError,
    failed,
    http_library,
)

_PAGE = 100
# A request that is wrong in itself; what else fails may pass later.
_LASTING = ("invalid_request_error", "request_too_large")


class BatchAnthropic(Anthropic):
    """A model behind Message Batches; see :class:`~refusal_stability.providers.BatchProvider`."""

    max_requests = 100_000
    max_bytes = 256_000_000

    def request(self, key: str, message: str) -> dict[str, Any]:
        """See :class:`~refusal_stability.providers.BatchProvider`."""
        return {"custom_id": key, "params": self._body(message) | self._unnamed}

    def submit(self, requests: list[dict[str, Any]], submission: str) -> str:
        """See :class:`~refusal_stability.providers.BatchProvider`."""
        # A batch of Anthropic's holds no note.
        del submission
        once = self._client.with_options(
            timeout=max(SUBMIT_SECONDS, self._judge["timeout"]), max_retries=0
        )
        try:
            return once.messages.batches.create(requests=requests).id
        except self._sdk.NotFoundError as error:
            raise RefusedRequestError("HTTP 404") from error
        except self._sdk.AnthropicError as error:
            raise failed(self._judge, self._sdk, error) from error

    def find(self, submission: str, since: float, count: int, known: set[str]) -> str | None:
        """See :class:`~refusal_stability.providers.BatchProvider`.

        The number of requests is all that tells it; should it be another's, its results hold
        none of the keys.
        """
        del submission
        try:
            # The newest come first.
            for batch in self._client.messages.batches.list(limit=_PAGE):
                if batch.created_at.timestamp() < since:
                    return None
                if batch.id not in known and _total(batch) == count:
                    return batch.id
        except self._sdk.AnthropicError as error:
            raise failed(self._judge, self._sdk, error) from error
        return None

    def state(self, batch_id: str) -> BatchState:
        """See :class:`~refusal_stability.providers.BatchProvider`."""
        try:
            batch = self._client.messages.batches.retrieve(batch_id)
        except self._sdk.NotFoundError as error:
            raise UnknownBatchError from error
        except self._sdk.AnthropicError as error:
            raise failed(self._judge, self._sdk, error) from error
        total = _total(batch)
        return BatchState(
            batch.processing_status == "ended", total - batch.request_counts.processing, total
        )

    def results(self, batch_id: str) -> Iterator[tuple[str, Answer | FailedRequestError]]:
        """See :class:`~refusal_stability.providers.BatchProvider`."""
        # The SDK does not translate the errors of a stream.
        broken_off = http_library(self._sdk).HTTPError
        try:
            for entry in self._client.messages.batches.results(batch_id):
                yield entry.custom_id, self._result(entry.result)
        except self._sdk.AnthropicError as error:
            raise failed(self._judge, self._sdk, error) from error
        except (broken_off, ValueError) as error:
            raise FailedRequestError("the download of the answers broke off") from error

    def _result(self, result: Any) -> Answer | FailedRequestError:
        match result.type:
            case "succeeded":
                return self._answer(result.message)
            case "errored":
                code = str(result.error.error.type)
                kind = RefusedRequestError if code in _LASTING else FailedRequestError
                return kind(code)
            case "canceled":
                return RefusedRequestError("the batch was cancelled")
        return FailedRequestError(f"the request {result.type} in its batch")


def _total(batch: Any) -> int:
    counts = batch.request_counts
    return counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
