"""OpenAI's Batch API: a file of requests in, a file of answers and one of errors out."""

import json
from collections.abc import Iterator
from typing import Any

from refusal_stability.provider_openai import OpenAI
from refusal_stability.providers import (
    SUBMIT_SECONDS,
    Answer,
    BatchState,
    FailedRequestError,
    RefusedRequestError,
    UnknownBatchError,
    error_code,
    failed,
    failed_request,
    is_filtered,
)

_ENDED = ("completed", "failed", "expired", "cancelled")
_NOTE = "submission"
_PAGE = 100


class BatchOpenAI(OpenAI):
    """A model behind the Batch API; see :class:`~refusal_stability.providers.BatchProvider`."""

    max_requests = 50_000
    max_bytes = 200_000_000

    def request(self, key: str, message: str) -> dict[str, Any]:
        """See :class:`~refusal_stability.providers.BatchProvider`."""
        return {
            "custom_id": key,
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": self._body(*self._asked(message)) | self._request,
        }

    def submit(self, requests: list[dict[str, Any]], submission: str) -> str:
        """See :class:`~refusal_stability.providers.BatchProvider`."""
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
        """See :class:`~refusal_stability.providers.BatchProvider`."""
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
        """See :class:`~refusal_stability.providers.BatchProvider`."""
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
        """See :class:`~refusal_stability.providers.BatchProvider`."""
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
