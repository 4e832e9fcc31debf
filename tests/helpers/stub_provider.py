"""A small HTTP server on loopback that shows the faults of a provider, in both wire formats."""

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What the stub does with one request."""

    text: str = "Label: REFUSE"
    ending: str = "stop"  # or length, refusal
    status: int = 200
    code: str = ""
    message: str = "the provider says why"
    delay: float = 0.0  # seconds
    # Of the whole answer: its share that is sent before the connection breaks, and how often it is.
    sent: float = 1.0
    times: int = 1
    headers: dict[str, str] = field(default_factory=dict)
    # Of OpenAI's wire format: what differs in the message and in what surrounds it.
    message_body: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)


@dataclass
class Stub:
    """A running server: what it was asked, and where it is."""

    url: str
    requests: list[dict[str, Any]]
    times: list[float]
    keys: list[str]
    looked_up: list[str] = field(default_factory=list)

    def messages(self) -> list[str]:
        return [request["messages"][0]["content"] for request in self.requests]


@contextmanager
def stub_provider(
    answer: Callable[[int, str], Reply], models: Collection[str] | None = None
) -> Iterator[Stub]:
    """Serve ``answer(number of the request from 0, its message)`` until the block ends.

    ``models`` are those that it knows when it is asked about one, which is no request to a model;
    without them it does not know the question either.
    """
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                number = len(stub.requests)
                stub.requests.append(body)
                stub.times.append(time.monotonic())
                key = self.headers.get("x-api-key") or self.headers.get("Authorization", "")
                stub.keys.append(key.removeprefix("Bearer "))
            reply = answer(number, body["messages"][0]["content"])
            time.sleep(reply.delay)
            anthropic = self.path.endswith("/messages")
            content = (anthropic_body if anthropic else openai_body)(reply, body)
            # The client may have waited no longer.
            with suppress(BrokenPipeError, ConnectionResetError):
                self._send(reply, json.dumps(content).encode())

        def do_GET(self) -> None:
            """A question about a model, as free as with a provider."""
            stub.looked_up.append(self.path)
            found = models is not None and self.path.rpartition("/")[2] in models
            reply = Reply() if found else Reply(status=404, code="not_found_error")
            body = {"id": "m", "object": "model", "created": 1, "owned_by": "stub"}
            body |= {"type": "model", "display_name": "m", "created_at": "2026-01-01T00:00:00Z"}
            anthropic = "anthropic-version" in self.headers
            content = body if found else (anthropic_body if anthropic else openai_body)(reply, {})
            self._send(reply, json.dumps(content).encode())

        def _send(self, reply: Reply, data: bytes) -> None:
            self.send_response(reply.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.sent == 0:
                self.close_connection = True
                return
            self.end_headers()
            self.wfile.write(data[: int(reply.sent * len(data))])
            if reply.sent < 1:
                self.close_connection = True
            if reply.times > 1:
                self._send(replace(reply, times=reply.times - 1), data)

        def log_message(self, *_: object) -> None:
            pass

    with serving(Handler) as url:
        stub = Stub(url, [], [], [])
        yield stub


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve on a free port of loopback until the block ends; yield the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    # A client that goes away is what some tests are about.
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def openai_body(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    """What OpenAI answers to a request."""
    if reply.status != 200:
        return {"error": {"message": reply.message, "type": "x_error", "code": reply.code or None}}
    refused = reply.ending == "refusal"
    message = {
        "role": "assistant",
        "content": None if refused else reply.text,
        "refusal": reply.text if refused else None,
        **reply.message_body,
    }
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": f"{body['model']}-2026",
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": "stop" if refused else reply.ending,
            }
        ],
        "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13},
        **reply.body,
    }


def anthropic_body(reply: Reply, body: dict[str, Any]) -> dict[str, Any]:
    """What Anthropic answers to a request."""
    if reply.status != 200:
        return {"type": "error", "error": {"type": reply.code, "message": reply.message}}
    endings = {"stop": "end_turn", "length": "max_tokens"}
    text = [] if reply.ending == "refusal" else [{"type": "text", "text": reply.text}]
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": f"{body['model']}-2026",
        "content": text,
        "stop_reason": endings.get(reply.ending, reply.ending),
        "stop_sequence": None,
        "usage": {"input_tokens": 11, "output_tokens": 2},
    }
