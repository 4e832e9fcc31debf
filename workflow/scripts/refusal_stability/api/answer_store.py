"""Answers that were paid for, kept as they arrive: JSON lines, by a hash of all that made them."""

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from refusal_stability.core.files import append_json, read_json_lines
from refusal_stability.core.hashing import sha256_text


def answer_key(settings: dict[str, Any], message: str) -> str:
    """Return the key of an answer.

    Args:
        settings: those that make a difference to the answer.
        message: all that was read.
    """
    return sha256_text(json.dumps([settings, message], sort_keys=True))


class AnswerStore:
    """What an earlier attempt paid for, and a place for what this one does."""

    def __init__(self, path: Path, is_answer: Callable[[dict[str, Any]], bool]) -> None:
        """Read ``path`` if it exists; a line that is no answer, such as a torn one, is skipped."""
        self._path = path
        self._lock = threading.Lock()
        self._answers: dict[str, dict[str, Any]] = {}
        for entry in read_json_lines(path):
            try:
                key, valid = entry["key"], is_answer(entry)
            except (TypeError, KeyError):
                continue
            if valid and isinstance(key, str):
                self._answers[key] = entry

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the entry of ``key``, if it was paid for."""
        return self._answers.get(key)

    def add(self, key: str, entry: dict[str, Any]) -> None:
        """Keep an entry: it is on disk when this returns."""
        entry = {"key": key, **entry}
        with self._lock:
            append_json(entry, self._path)
            self._answers[key] = entry
