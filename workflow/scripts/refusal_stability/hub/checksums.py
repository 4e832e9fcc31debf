"""Checksums of weights: a file of many GB is read once, and not again in every job."""

import hashlib
import json
import os
import uuid
from contextlib import suppress
from pathlib import Path

from refusal_stability.core.hashing import sha256_file, sha256_text
from refusal_stability.hub.weights import wanted_files


def weights_checksum(folder: Path, memory: Path) -> str:
    """Return the SHA-256 of a checkpoint: of the files that an engine reads, by name.

    Args:
        folder: the checkpoint.
        memory: folder in which the checksum of each file is remembered, as long as its path, size,
            times and inode are the same.
    """
    names = wanted_files(path.name for path in folder.iterdir() if path.is_file())
    sums = {name: _remembered(folder / name, memory) for name in names}
    return sha256_text(json.dumps(sums, sort_keys=True))


def _remembered(path: Path, memory: Path) -> str:
    path = path.resolve()
    stat = path.stat()
    # Two times: a file that was copied over another may have kept one of them.
    state = [str(path), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
    note = memory / sha256_text(json.dumps(state))
    with suppress(OSError, ValueError):
        checksum, seal = note.read_text(encoding="ascii").split()
        # A note that was cut off or changed is none.
        if seal == _seal(note, checksum):
            return checksum
    checksum = sha256_file(path)
    # A file that is changed while it is read is remembered as neither.
    if path.stat().st_mtime_ns == stat.st_mtime_ns:
        _remember(note, f"{checksum} {_seal(note, checksum)}\n")
    return checksum


def _remember(note: Path, text: str) -> None:
    # Nothing is lost where it cannot be written: the file is read again.
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        aside = note.with_name(f".{uuid.uuid4().hex}.part")
        aside.write_text(text, encoding="ascii")
        os.replace(aside, note)


def _seal(note: Path, checksum: str) -> str:
    return hashlib.sha256(f"{note.name} {checksum}".encode()).hexdigest()
