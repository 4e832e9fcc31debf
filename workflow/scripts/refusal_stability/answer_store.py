"""Answers that were paid for, kept as they arrive: JSON lines, by a hash of all that made them."""

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from refusal_stability.files import sha256_text


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
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                key, valid = entry["key"], is_answer(entry)
            except (ValueError, TypeError, KeyError):
                continue
            if valid:
                self._answers[key] = entry
        # A torn line must not spoil the one that follows it.
        self._start = "" if not text or text.endswith("\n") else "\n"

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the entry of ``key``, if it was paid for."""
        return self._answers.get(key)

    def add(self, key: str, entry: dict[str, Any]) -> None:
        """Keep an entry: it is on disk when this returns."""
        entry = {"key": key, **entry}
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(f"{self._start}{json.dumps(entry)}\n")
                file.flush()
                os.fsync(file.fileno())
            self._start = ""
            self._answers[key] = entry
