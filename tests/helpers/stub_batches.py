"""A small HTTP server on loopback that takes batches, in both providers' wire formats."""

import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from typing import Any

from helpers.stub_provider import Reply, anthropic_body, openai_body, serving

# What may become of a request in a batch besides a reply.
EXPIRED, CANCELED, LOST = "expired", "canceled", "lost"
Fate = Reply | str
_CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


@dataclass
class Batch:
    """A batch that the stub has taken."""

    id: str
    requests: list[dict[str, Any]]
    metadata: dict[str, str]
    created: float
    looks: int = 0
    status: str = ""  # OpenAI's word for how it ends, instead of "completed"

    def messages(self) -> list[str]:
        return [message_of(request) for request in self.requests]


@dataclass
class BatchStub:
    """A running server: how it behaves, what it was asked, and where it is.

    ``looks`` is how often a batch is found unfinished; None is for ever. ``fault`` is called with
    each request's "METHOD path" before it is answered; a status in place of None is an error, 0
    closes the connection, and -1 does so after the request was obeyed.
    """

    fate: Callable[[str], Fate]
    looks: int | None = 1
    status: str = "completed"
    fault: Callable[[str], int | None] = lambda _: None
    url: str = ""
    batches: list[Batch] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    trials: list[dict[str, Any]] = field(default_factory=list)

    def calls(self, start: str) -> int:
        return sum(call.startswith(start) for call in self.asked)


def message_of(request: dict[str, Any]) -> str:
    return request.get("params", request.get("body"))["messages"][0]["content"]


@contextmanager
def stub_batches(stub: BatchStub) -> Iterator[BatchStub]:
    """Serve ``stub`` until the block ends."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self._answer("POST", self.rfile.read(int(self.headers["Content-Length"])))

        def do_GET(self) -> None:
            self._answer("GET", b"")

        def _answer(self, method: str, data: bytes) -> None:
            call = f"{method} {self.path.partition('?')[0]}"
            with lock:
                stub.asked.append(call)
                status = stub.fault(call)
                if status == 0:
                    self._hang_up()
                    return
                if status not in (None, -1):
                    content: Any = {"error": {"type": "x_error", "message": "why", "code": None}}
                    self._send(status, json.dumps(content).encode())
                    return
                try:
                    result = _route(stub, call, self.headers, data)
                except _BadRequestError as error:
                    content = {"error": {"type": "bad_request", "message": str(error)}}
                    self._send(400, json.dumps(content).encode())
                    return
            if status == -1:
                self._hang_up()
            elif result is None:
                self._send(404, b"{}")
            else:
                self._send(
                    200, result if isinstance(result, bytes) else json.dumps(result).encode()
                )

        def _hang_up(self) -> None:
            self.close_connection = True
            self.connection.close()

        def _send(self, status: int, data: bytes) -> None:
            # The client may have been killed.
            with suppress(OSError):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("retry-after-ms", "5")
                self.end_headers()
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as stub.url:
        yield stub


class _BadRequestError(Exception):
    pass


def _route(stub: BatchStub, call: str, headers: Any, data: bytes) -> Any:
    """What the server says, None where there is nothing."""
    method, path = call.split()
    match method, *path.removeprefix("/v1/").split("/"):
        case "POST", "chat", "completions":
            stub.trials.append(json.loads(data))
            return openai_body(Reply(), stub.trials[-1])
        case "POST", "messages":
            stub.trials.append(json.loads(data))
            return anthropic_body(Reply(), stub.trials[-1])
        case "GET", "models", name:
            about = {"id": name, "object": "model", "created": 1, "owned_by": "stub"}
            return about | {
                "type": "model",
                "display_name": name,
                "created_at": "2026-01-01T00:00:00Z",
            }
        case "POST", "files":
            return _upload(stub, headers["Content-Type"], data)
        case "POST", "batches":
            return _openai_batch(stub, _taken(stub, *_of_file(stub, json.loads(data))))
        case "POST", "messages", "batches":
            return _anthropic_batch(stub, _taken(stub, json.loads(data)["requests"], {}))
        case "GET", "batches":
            return _page([_openai_batch(stub, batch) for batch in reversed(stub.batches)])
        case "GET", "messages", "batches":
            return _page([_anthropic_batch(stub, batch) for batch in reversed(stub.batches)])
        case "GET", "batches", batch_id:
            return _look(stub, batch_id, _openai_batch)
        case "GET", "messages", "batches", batch_id:
            return _look(stub, batch_id, _anthropic_batch)
        case "GET", "files", file_id, "content":
            kind, _, batch_id = file_id.partition("-")
            return _openai_lines(stub, _batch(stub, batch_id), errors=kind == "err")
        case "GET", "messages", "batches", batch_id, "results":
            return _anthropic_lines(stub, _batch(stub, batch_id))
    return None


def _batch(stub: BatchStub, batch_id: str) -> Batch:
    return next(batch for batch in stub.batches if batch.id == batch_id)


def _look(stub: BatchStub, batch_id: str, show: Callable[[BatchStub, Batch], Any]) -> Any:
    if all(batch.id != batch_id for batch in stub.batches):
        return None
    batch = _batch(stub, batch_id)
    batch.looks += 1
    return show(stub, batch)


def _page(data: list[dict[str, Any]]) -> dict[str, Any]:
    ids = [batch["id"] for batch in data] or [None]
    return {
        "object": "list",
        "data": data,
        "has_more": False,
        "first_id": ids[0],
        "last_id": ids[-1],
    }


def _taken(stub: BatchStub, requests: list[dict[str, Any]], metadata: dict[str, str]) -> Batch:
    ids = [request["custom_id"] for request in requests]
    if not all(map(_CUSTOM_ID.fullmatch, ids)) or len(set(ids)) != len(ids) or not ids:
        raise _BadRequestError("custom_id")
    batch = Batch(f"batch_{uuid.uuid4().hex}", requests, metadata, time.time())
    stub.batches.append(batch)
    return batch


def _upload(stub: BatchStub, content_type: str, data: bytes) -> dict[str, Any]:
    boundary = content_type.partition("boundary=")[2].encode()
    parts = {}
    for part in data.split(b"--" + boundary)[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        parts[re.search(rb'name="(\w+)"', head)[1]] = body.removesuffix(b"\r\n")
    if parts[b"purpose"] != b"batch":
        raise _BadRequestError("purpose")
    file_id = f"file-{len(stub.files)}"
    stub.files[file_id] = parts[b"file"]
    return {
        "id": file_id,
        "object": "file",
        "bytes": len(parts[b"file"]),
        "created_at": int(time.time()),
        "filename": "requests.jsonl",
        "purpose": "batch",
        "status": "processed",
    }


def _of_file(stub: BatchStub, body: dict[str, Any]) -> tuple[list[dict[str, Any]], dict[str, str]]:
    lines = stub.files[body["input_file_id"]].splitlines()
    requests = [json.loads(line) for line in lines]
    urls = {(request["method"], request["url"]) for request in requests}
    if urls != {("POST", body["endpoint"])} or body["completion_window"] != "24h":
        raise _BadRequestError("endpoint")
    return requests, body["metadata"]


def _ended(stub: BatchStub, batch: Batch) -> bool:
    return stub.looks is not None and batch.looks > stub.looks


def _openai_batch(stub: BatchStub, batch: Batch) -> dict[str, Any]:
    ended = _ended(stub, batch)
    failed = ended and stub.status == "failed"
    files = ended and not failed
    error = {"code": "token_limit_exceeded", "message": "why", "line": None, "param": None}
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "created_at": int(batch.created),
        "input_file_id": "file-0",
        "status": stub.status if ended else "in_progress",
        "errors": {"object": "list", "data": [error]} if failed else None,
        "output_file_id": f"out-{batch.id}" if files else None,
        "error_file_id": f"err-{batch.id}" if files else None,
        "metadata": batch.metadata,
        "request_counts": {
            "total": len(batch.requests),
            "completed": len(batch.requests) if files else 0,
            "failed": 0,
        },
    }


def _openai_lines(stub: BatchStub, batch: Batch, errors: bool) -> bytes:
    """The lines of an output or of an error file; errors of single requests are in the latter."""
    lines = []
    for request in reversed(batch.requests):
        fate = stub.fate(message_of(request))
        entry: dict[str, Any] = {"id": "1", "custom_id": request["custom_id"], "error": None}
        if fate == LOST or (isinstance(fate, Reply) and fate.status == 200) is errors:
            continue
        if isinstance(fate, Reply):
            body = openai_body(fate, request["body"])
            entry["response"] = {"status_code": fate.status, "request_id": "r", "body": body}
        else:
            code = {EXPIRED: "batch_expired", CANCELED: "batch_cancelled"}[fate]
            entry |= {"response": None, "error": {"code": code, "message": "why"}}
        lines.append(entry)
    return _lines(lines)


def _anthropic_batch(stub: BatchStub, batch: Batch) -> dict[str, Any]:
    ended, total = _ended(stub, batch), len(batch.requests)
    created = datetime.fromtimestamp(batch.created, UTC).isoformat()
    counts = dict.fromkeys(("canceled", "errored", "expired", "processing", "succeeded"), 0)
    return {
        "id": batch.id,
        "type": "message_batch",
        "created_at": created,
        "expires_at": created,
        "processing_status": "ended" if ended else "in_progress",
        "request_counts": counts | {"succeeded" if ended else "processing": total},
        "results_url": f"{stub.url}/v1/messages/batches/{batch.id}/results" if ended else None,
    }


def _anthropic_lines(stub: BatchStub, batch: Batch) -> bytes:
    lines = []
    for request in reversed(batch.requests):
        fate = stub.fate(message_of(request))
        if fate == LOST:
            continue
        if not isinstance(fate, Reply):
            result: dict[str, Any] = {"type": fate}
        elif fate.status == 200:
            message = anthropic_body(fate, request["params"])
            result = {"type": "succeeded", "message": message}
        else:
            result = {"type": "errored", "error": anthropic_body(fate, request["params"])}
        lines.append({"custom_id": request["custom_id"], "result": result})
    return _lines(lines)


def _lines(entries: list[dict[str, Any]]) -> bytes:
    return "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in entries).encode()
