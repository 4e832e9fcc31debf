"""Published label files: found in a pinned archive by their checksum, wherever they lie in it."""

import hashlib
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from refusal_stability.core.errors import InputError
from refusal_stability.core.hashing import sha256_file

_TIMEOUT_SECONDS = 60


def fetch(archive: str, files: dict[str, str], folder: Path) -> list[Path]:
    """Put each file into ``folder`` unless it is there, and return their paths.

    Args:
        archive: URL of a .tar.gz, of a repository at a pinned commit.
        files: {file name: SHA-256}; a file of the archive is known by its content alone.

    Raises:
        InputError: the archive cannot be read or lacks a file, or a file that is there is
            another one. Nothing is written then.
    """
    missing = {name: digest for name, digest in files.items() if not (folder / name).exists()}
    for name in files.keys() - missing.keys():
        if sha256_file(folder / name) != files[name]:
            raise InputError(
                f"{folder / name}: not the published file, its checksum differs. "
                "Hint: move it away and run again"
            )
    if missing:
        with tempfile.TemporaryDirectory() as temporary:
            found = _extracted(archive, missing, Path(temporary))
            lacking = sorted(missing.keys() - found.keys())
            if lacking:
                raise InputError(
                    f"{archive}: no file has the checksum of {', '.join(lacking)}. Hint: the "
                    "archive changed; get the labels from its authors and name them in LABELS"
                )
            folder.mkdir(parents=True, exist_ok=True)
            for name, path in found.items():
                shutil.move(path, folder / name)
    return [folder / name for name in files]


def _extracted(archive: str, wanted: dict[str, str], folder: Path) -> dict[str, Path]:
    names = {digest: name for name, digest in wanted.items()}
    found = {}
    try:
        with (
            urllib.request.urlopen(archive, timeout=_TIMEOUT_SECONDS) as stream,
            tarfile.open(fileobj=stream, mode="r|gz") as members,
        ):
            for member in members:
                content = members.extractfile(member) if member.isfile() else None
                if content is None:
                    continue
                path = folder / str(len(found))
                digest = _copied(content, path)
                if digest in names:
                    found[names[digest]] = path
                else:
                    path.unlink()
    except (OSError, EOFError, tarfile.TarError) as error:
        if isinstance(error, urllib.error.HTTPError):
            error.close()
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{archive}: cannot be downloaded ({reason}). Hint: this needs the network once; or "
            'name files that you have: make replicate LABELS="a.csv b.csv"'
        ) from error
    return found


def _copied(content: BinaryIO, path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while block := content.read(1 << 20):
            digest.update(block)
            file.write(block)
    return digest.hexdigest()
