"""Verdicts that were paid for, kept as they arrive: JSON lines, by a hash of all that made them.

The file holds no text of a prompt, a response or an answer.
"""

import json
import os
import threading
from pathlib import Path
from typing import Any

from refusal_stability.files import sha256_text
from refusal_stability.labels import LABELS


def verdict_key(settings: dict[str, Any], message: str) -> str:
    """Return the key of a verdict.

    Args:
        settings: those of the judge that make a difference to its answer.
        message: all that it read: rubric, prompt and response.
    """
    return sha256_text(json.dumps([settings, message], sort_keys=True))


class VerdictStore:
    """What an earlier attempt paid for, and a place for what this one does."""

    def __init__(self, path: Path) -> None:
        """Read ``path`` if it exists; a line that is no verdict, such as a torn one, is skipped."""
        self._path = path
        self._lock = threading.Lock()
        self._verdicts: dict[str, dict[str, Any]] = {}
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                key, label = entry["key"], entry["label"]
            except (ValueError, TypeError, KeyError):
                continue
            if label in LABELS:
                self._verdicts[key] = entry
        # A torn line must not spoil the one that follows it.
        self._start = "" if not text or text.endswith("\n") else "\n"

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the entry of ``key``, if it was paid for."""
        return self._verdicts.get(key)

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
            self._verdicts[key] = entry
