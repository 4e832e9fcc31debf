"""Published labels come out of a served archive, by their checksum."""

import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from refusal_stability.core.errors import InputError
from refusal_stability.imported_labels.published import fetch

CONTENT = {"deep/in/it/labels.csv": b"model,label\nm,REFUSE\n", "README.md": b"hello"}
LABELS = CONTENT["deep/in/it/labels.csv"]
FILES = {"mine.csv": hashlib.sha256(LABELS).hexdigest()}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[str]:
    """The address of an archive on this machine."""
    folder = tmp_path / "served"
    folder.mkdir()
    with tarfile.open(folder / "a.tar.gz", "w:gz") as members:
        for name, content in CONTENT.items():
            member = tarfile.TarInfo(f"repository-68728ac/{name}")
            member.size = len(content)
            members.addfile(member, io.BytesIO(content))
    (folder / "broken.tar.gz").write_bytes((folder / "a.tar.gz").read_bytes()[:60])
    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/a.tar.gz"
        server.shutdown()


def test_a_file_is_found_by_its_checksum_under_any_name(archive: str, tmp_path: Path) -> None:
    assert fetch(archive, FILES, tmp_path / "to") == [tmp_path / "to/mine.csv"]
    assert (tmp_path / "to/mine.csv").read_bytes() == LABELS
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["mine.csv"]


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(LABELS)
    # Nothing listens on port 1.
    assert fetch("http://127.0.0.1:1/a.tar.gz", FILES, tmp_path) == [tmp_path / "mine.csv"]


def test_another_file_of_that_name_is_refused(archive: str, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_bytes(b"changed")
    with pytest.raises(InputError, match=r"mine\.csv: not the published file"):
        fetch(archive, FILES, tmp_path)
    assert (tmp_path / "mine.csv").read_bytes() == b"changed"


@pytest.mark.parametrize(
    ("name", "files", "says"),
    [
        ("a.tar.gz", {"other.csv": "0" * 64}, r"no file has the checksum of other\.csv"),
        ("none.tar.gz", FILES, r"cannot be downloaded \(HTTP Error 404"),
        ("broken.tar.gz", FILES, "cannot be downloaded"),
    ],
)
def test_what_cannot_be_had_is_one_line_and_writes_nothing(
    archive: str, tmp_path: Path, name: str, files: dict[str, str], says: str
) -> None:
    with pytest.raises(InputError, match=says) as caught:
        fetch(archive.replace("a.tar.gz", name), files, tmp_path / "to")
    assert len(str(caught.value).splitlines()) == 1
    assert not (tmp_path / "to").exists()


def test_no_network_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Hint: this needs the network once"):
        fetch("http://127.0.0.1:1/a.tar.gz", FILES, tmp_path / "to")
