"""Any OpenAI-compatible endpoint: OpenAI's own, or a server such as vLLM's."""

import json
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
    error_code,
    failed,
    failed_request,
    is_filtered,
    look_up,
    sdk_name,
)
from refusal_stability.api.rate_limit import RateLimit

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

_RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "verdict", "strict": True, "schema": ANSWER_SCHEMA},
}


class ChatCompletions:
    """A model behind the Chat Completions API: a judge, or a model under test."""

    def __init__(self, entry: dict[str, Any], limit: RateLimit, budget: Budget = UNLIMITED) -> None:
        """Raises ProviderError if the key's environment variable is not set."""
        import openai

        self._sdk, self._entry = openai, entry
        self.sdk = sdk_name(openai)
        self._client = openai.OpenAI(**client_settings(entry, limit, budget, openai))
        # OpenAI's reasoning models know only the new name, many other servers only the old one.
        self._max_tokens = "max_tokens" if "base_url" in entry else "max_completion_tokens"

    def complete(
        self, messages: list[dict[str, str]], max_tokens: int, **request: Any
    ) -> "ChatCompletion | None":
        """Return the completion of a chat, or None if the provider's filter refused it.

        Raises:
            ProviderError: no message would get an answer.
            FailedRequestError: this one got none.
            BudgetError: it may not be sent.
        """
        body = self._body(messages, max_tokens) | request
        try:
            completion = self._client.chat.completions.create(**body)
        except NoCallError as error:
            raise refused(self._entry, error) from None
        except self._sdk.OpenAIError as error:
            if is_filtered(getattr(error, "body", None)):
                return None
            raise failed(self._entry, self._sdk, error) from error
        if not completion.choices:
            raise FailedRequestError("the answer is empty")
        return completion

    def look_up(self) -> None:
        """See :func:`~api.client.look_up`."""
        hello = [{"role": "user", "content": "Say hello."}]
        look_up(
            self._entry,
            self._sdk,
            lambda: self._client.models.retrieve(self._entry["model"]),
            lambda: self.complete(hello, max_tokens=1),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _body(self, messages: list[dict[str, str]], max_tokens: int) -> dict[str, Any]:
        return {
            "model": self._entry["model"],
            "messages": messages,
            self._max_tokens: max_tokens,
        }


class OpenAI(ChatCompletions):
    """A judge behind the Chat Completions API."""

    def __init__(self, judge: dict[str, Any], limit: RateLimit, budget: Budget = UNLIMITED) -> None:
        """Raises ProviderError if the key's environment variable is not set."""
        super().__init__(judge, limit, budget)
        self._request: dict[str, Any] = {}
        if judge["temperature"] is not None:
            self._request["temperature"] = judge["temperature"]
        if judge["answer"] == "constrained":
            self._request["response_format"] = _RESPONSE_FORMAT

    def ask(self, message: str) -> Answer:
        """See :class:`~api.client.Provider`."""
        asked = self._asked(message)
        return self._answer(self.complete(*asked, **self._request))

    def _asked(self, message: str) -> tuple[list[dict[str, str]], int]:
        return [{"role": "user", "content": message}], self._entry["max_tokens"]

    def _answer(self, completion: "ChatCompletion | None") -> Answer:
        if completion is None:
            return Answer("", "refusal", self._entry["model"], 0, 0)
        choice, usage = completion.choices[0], completion.usage
        refused = choice.message.refusal or choice.finish_reason == "content_filter"
        return Answer(
            text=choice.message.content or "",
            ending="refusal" if refused else choice.finish_reason,
            model=completion.model,
            input_tokens=usage.prompt_tokens if usage else 0,
            output_tokens=usage.completion_tokens if usage else 0,
        )


_ENDED = ("completed", "failed", "expired", "cancelled")


_NOTE = "submission"


_PAGE = 100


class BatchOpenAI(OpenAI):
    """A model behind the Batch API; see :class:`~api.client.BatchProvider`."""

    max_requests = 50_000
    max_bytes = 200_000_000

    def request(self, key: str, message: str) -> dict[str, Any]:
        """See :class:`~api.client.BatchProvider`."""
        return {
            "custom_id": key,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": self._body(*self._asked(message)) | self._request,
        }

    def submit(self, requests: list[dict[str, Any]], submission: str) -> str:
        """See :class:`~api.client.BatchProvider`."""
        lines = "".join(f"{json.dumps(request)}\n" for request in requests)
        patient = self._client.with_options(timeout=max(SUBMIT_SECONDS, self._entry["timeout"]))
        try:
            file = patient.files.create(file=("requests.jsonl", lines.encode()), purpose="batch")
            # A file may be sent again, a batch may not.
            batch = patient.with_options(max_retries=0).batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={_NOTE: submission},
            )
        except self._sdk.NotFoundError as error:
            raise RefusedRequestError("HTTP 404") from error
        except self._sdk.OpenAIError as error:
            raise failed(self._entry, self._sdk, error) from error
        return batch.id

    def find(self, submission: str, since: float, count: int, known: set[str]) -> str | None:
        """See :class:`~api.client.BatchProvider`."""
        del count, known
        try:
            # The newest come first.
            for batch in self._client.batches.list(limit=_PAGE):
                if batch.created_at < since:
                    return None
                if (batch.metadata or {}).get(_NOTE) == submission:
                    return batch.id
        except self._sdk.OpenAIError as error:
            raise failed(self._entry, self._sdk, error) from error
        return None

    def state(self, batch_id: str) -> BatchState:
        """See :class:`~api.client.BatchProvider`."""
        batch = self._retrieve(batch_id)
        counts = batch.request_counts
        done = counts.completed + counts.failed if counts else 0
        refused = None
        if batch.status == "failed":
            errors = (batch.errors and batch.errors.data) or []
            codes = dict.fromkeys(error_code({"code": error.code}) for error in errors)
            refused = ", ".join(filter(None, codes)) or "no reason given"
        total = counts.total if counts else 0
        return BatchState(batch.status in _ENDED, done, total, refused, batch.status == "cancelled")

    def results(self, batch_id: str) -> Iterator[tuple[str, Answer | FailedRequestError]]:
        """See :class:`~api.client.BatchProvider`."""
        batch = self._retrieve(batch_id)
        for file_id in filter(None, (batch.output_file_id, batch.error_file_id)):
            try:
                content = self._client.files.content(file_id).content
            except self._sdk.OpenAIError as error:
                raise failed(self._entry, self._sdk, error) from error
            for line in filter(None, content.split(b"\n")):
                try:
                    entry = json.loads(line)
                    result = entry["custom_id"], self._result(entry)
                except (ValueError, TypeError, KeyError, AttributeError, IndexError):
                    # Its request counts as not answered.
                    continue
                yield result

    def _result(self, entry: dict[str, Any]) -> Answer | FailedRequestError:
        from openai.types.chat import ChatCompletion

        response = entry.get("response")
        if not response:
            # Such as batch_expired: it was never asked.
            code = error_code(entry.get("error"))
            kind = RefusedRequestError if code == "batch_cancelled" else FailedRequestError
            return kind(code or "the batch has no answer")
        status, body = response["status_code"], response["body"]
        if status == 200:
            return self._answer(ChatCompletion.construct(**body))
        if is_filtered(body):
            return self._answer(None)
        return failed_request(status, f"HTTP {status} {error_code(body)}".strip())

    def _retrieve(self, batch_id: str) -> Any:
        try:
            return self._client.batches.retrieve(batch_id)
        except self._sdk.NotFoundError as error:
            raise UnknownBatchError from error
        except self._sdk.OpenAIError as error:
            raise failed(self._entry, self._sdk, error) from error
