"""Text files of JSON lines, read and added to. Only the standard library."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from refusal_stability.core.errors import InputError
from refusal_stability.core.text import first_line


def append_json(entry: dict[str, Any], path: Path) -> None:
    """Add one line to a file of JSON lines: it is on disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        # A line that was torn off must not spoil the one that follows it.
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(json.dumps(entry).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a file of JSON lines, if it exists; what is none, is skipped."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    for line in text.split("\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def read_text(path: Path) -> str:
    """Read a text file that the user named. Raises InputError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({first_line(error)})") from error
