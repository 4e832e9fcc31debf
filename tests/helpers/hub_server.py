"""A stand-in for the Hugging Face hub on loopback: the few answers that a download needs.

The real `datasets` and `huggingface_hub` talk to it; set HF_ENDPOINT to its address.
"""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_stand_in"


@dataclass
class HubRepository:
    """A dataset or a model: {revision: commit}, {commit: {path: content}}."""

    refs: dict[str, str]
    commits: dict[str, dict[str, bytes]]
    gated: bool = False
    public_card: bool = True  # a gated repository's README.md may be read by anybody
    sizes: dict[str, int] = field(default_factory=dict)  # in bytes, where the listing lies
    broken: set[str] = field(default_factory=set)  # files that break off in the middle
    requests: list[str] = field(default_factory=list)


@contextmanager
def hub(
    datasets: dict[str, HubRepository], models: dict[str, HubRepository] | None = None
) -> Iterator[str]:
    """Serve datasets and models by id; yields the address."""
    # Pages and files of a model stand at the top, and its kind in addresses of the API only.
    repositories = {f"datasets/{name}": dataset for name, dataset in datasets.items()}
    repositories |= models or {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def do_POST(self) -> None:
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer()

        def _answer(self) -> None:
            path = unquote(urlsplit(self.path).path).removeprefix("/api")
            path = path.removeprefix("/models").strip("/")
            authorization = self.headers.get("Authorization")
            if authorization not in (None, f"Bearer {TOKEN}"):
                self._fail(401, "", "Invalid credentials in Authorization header")
                return
            name = next((name for name in repositories if f"{path}/".startswith(f"{name}/")), None)
            if name is None:
                self._fail(401, "RepoNotFound", "Repository not found")
                return
            repository = repositories[name]
            repository.requests.append(f"{self.command} {self.path}")
            rest = path.removeprefix(name).strip("/")
            action, _, rest = rest.partition("/")
            if action == "auth-check":
                if repository.gated and not authorization:
                    self._fail(401, "GatedRepo", f"Access to {name} is restricted.")
                else:
                    self._send_json({})
                return
            revision, _, file = rest.partition("/")
            commit = repository.refs.get(revision or "main", revision)
            if commit not in repository.commits:
                self._fail(404, "RevisionNotFound", f"Invalid rev id: {revision}")
                return
            files = repository.commits[commit]
            match action:
                case "" | "revision":
                    # Anybody may see what a gated repository is called and holds.
                    self._send_json(
                        {
                            "id": name.removeprefix("datasets/"),
                            "sha": commit,
                            "private": False,
                            "gated": "auto" if repository.gated else False,
                            "disabled": False,
                            "downloads": 0,
                            "likes": 0,
                            "tags": [],
                            "siblings": [{"rfilename": file} for file in files],
                        }
                    )
                case "tree":
                    self._send_json([entry(repository, name, files[name]) for name in files])
                case "paths-info":
                    asked = json.loads(self.body)["paths"]
                    self._send_json(
                        [entry(repository, name, files[name]) for name in asked if name in files]
                    )
                case "resolve" if file not in files:
                    self._fail(404, "EntryNotFound", "Entry not found", commit)
                case "resolve" if closed(repository, file) and not authorization:
                    self._fail(401, "GatedRepo", f"Access to {name} is restricted.", commit)
                case "resolve":
                    etag = hashlib.sha1(files[file]).hexdigest()
                    headers = {"X-Repo-Commit": commit, "ETag": f'"{etag}"'}
                    self._send(files[file], headers, broken=file in repository.broken)
                case _:
                    self._fail(404, "", "Not found")

        def _fail(self, status: int, code: str, message: str, commit: str = "") -> None:
            headers = {"X-Error-Code": code, "X-Error-Message": message, "X-Repo-Commit": commit}
            self._send(
                json.dumps({"error": message}).encode(),
                {key: value for key, value in headers.items() if value},
                status,
            )

        def _send_json(self, content: object) -> None:
            self._send(json.dumps(content).encode(), {"Content-Type": "application/json"})

        def _send(
            self, body: bytes, headers: dict[str, str], status: int = 200, broken: bool = False
        ) -> None:
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if broken else body)
                self.close_connection = broken

        def log_message(self, *_: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def closed(repository: HubRepository, file: str) -> bool:
    return repository.gated and not (repository.public_card and file == "README.md")


def entry(repository: HubRepository, path: str, content: bytes) -> dict[str, object]:
    """A file as the hub lists it."""
    oid = hashlib.sha1(content).hexdigest()
    size = repository.sizes.get(path, len(content))
    return {"type": "file", "oid": oid, "size": size, "path": path}
