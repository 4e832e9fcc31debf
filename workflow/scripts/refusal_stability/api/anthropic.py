"""Anthropic's models, through the Messages API."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from refusal_stability.api.budget import UNLIMITED, Budget, NoCallError, refused
from refusal_stability.api.client import (
    ANSWER_SCHEMA,
    SUBMIT_SECONDS,
    Answer,
    BatchState,
    FailedRequestError,
    RefusedRequestError,
    UnknownBatchError,
    client_settings,
    failed,
    http_library,
    look_up,
    sdk_name,
)
from refusal_stability.api.rate_limit import RateLimit

if TYPE_CHECKING:
    from anthropic.types import Message

_ENDINGS = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length"}


class Anthropic:
    """A model behind the Messages API."""

    def __init__(self, judge: dict[str, Any], limit: RateLimit, budget: Budget = UNLIMITED) -> None:
        """Raises ProviderError if the key's environment variable is not set."""
        import anthropic

        self._sdk, self._judge = anthropic, judge
        self.sdk = sdk_name(anthropic)
        self._client = anthropic.Anthropic(**client_settings(judge, limit, budget, anthropic))
        self._request: dict[str, Any] = {
            "model": judge["model"],
            "max_tokens": judge["max_tokens"],
        }
        # The SDK has no name for it any more; models of its time still take it.
        self._unnamed: dict[str, Any] = {}
        if judge["temperature"] is not None:
            self._unnamed["temperature"] = judge["temperature"]
        if judge["answer"] == "constrained":
            format_ = {"type": "json_schema", "schema": ANSWER_SCHEMA}
            self._request["output_config"] = {"format": format_}

    def ask(self, message: str) -> Answer:
        """See :class:`~api.client.Provider`."""
        try:
            reply = self._client.messages.create(
                **self._body(message), extra_body=self._unnamed or None
            )
        except NoCallError as error:
            raise refused(self._judge, error) from None
        except self._sdk.AnthropicError as error:
            raise failed(self._judge, self._sdk, error) from error
        return self._answer(reply)

    def _body(self, message: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": message}], **self._request}

    def _answer(self, reply: "Message") -> Answer:
        return Answer(
            text="".join(block.text for block in reply.content if block.type == "text"),
            # "refusal" is Anthropic's word too.
            ending=_ENDINGS.get(reply.stop_reason, str(reply.stop_reason)),
            model=reply.model,
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
        )

    def look_up(self) -> None:
        """See :func:`~api.client.look_up`."""
        name = self._judge["model"]
        hello = [{"role": "user", "content": "Say hello."}]

        def ask_for_one_token() -> None:
            try:
                self._client.messages.create(model=name, max_tokens=1, messages=hello)
            except NoCallError as error:
                raise refused(self._judge, error) from None
            except self._sdk.AnthropicError as error:
                raise failed(self._judge, self._sdk, error) from error

        look_up(
            self._judge, self._sdk, lambda: self._client.models.retrieve(name), ask_for_one_token
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


_PAGE = 100


# A request that is wrong in itself; what else fails may pass later.
_LASTING = ("invalid_request_error", "request_too_large")


class BatchAnthropic(Anthropic):
    """A model behind Message Batches; see :class:`~api.client.BatchProvider`."""

    max_requests = 100_000
    max_bytes = 256_000_000

    def request(self, key: str, message: str) -> dict[str, Any]:
        """See :class:`~api.client.BatchProvider`."""
        return {"custom_id": key, "params": self._body(message) | self._unnamed}

    def submit(self, requests: list[dict[str, Any]], submission: str) -> str:
        """See :class:`~api.client.BatchProvider`."""
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
        """See :class:`~api.client.BatchProvider`.

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
        """See :class:`~api.client.BatchProvider`."""
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
        """See :class:`~api.client.BatchProvider`."""
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
