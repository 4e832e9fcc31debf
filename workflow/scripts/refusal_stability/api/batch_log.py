"""Batches that were submitted and are not collected yet: what keeps a killed job from paying twice.

JSON lines beside the verdicts that were paid for. A batch is noted before it is sent, again with
its id, and once more when all its answers are kept.
"""

import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from refusal_stability.core.files import append_json, read_json_lines


@dataclass(frozen=True)
class OpenBatch:
    """A batch that was sent, or was about to be: then ``id`` is None.

    ``begun`` is in seconds since 1970; ``keys`` are those of the verdicts that it asks for;
    ``counted`` says whether the budget of the run counts its requests.
    """

    submission: str
    endpoint: str
    begun: float
    keys: frozenset[str]
    counted: bool
    id: str | None


class BatchLog:
    """The open batches of one judge on one model."""

    def __init__(self, path: Path) -> None:
        """Read ``path`` if it exists."""
        self.path = path
        self._ids: set[str] = set()
        self._open: dict[str, OpenBatch] = {}
        for entry in read_json_lines(path):
            self._note(entry)

    def wanted(self, endpoint: str, keys: Iterable[str]) -> list[OpenBatch]:
        """Return the batches at an endpoint that ask for any of ``keys``, in their order."""
        keys = set(keys)
        return [
            batch
            for batch in self._open.values()
            if batch.endpoint == endpoint and not batch.keys.isdisjoint(keys)
        ]

    def known_ids(self) -> set[str]:
        """Return the ids of all batches of this judge and of those beside it, open or not."""
        others = self.path.parent.parent.glob(f"*/*{self.path.suffix}")
        return self._ids.union(*(BatchLog(path)._ids for path in others if path != self.path))

    def begin(self, endpoint: str, keys: Iterable[str], counted: bool) -> OpenBatch:
        """Note a batch that is about to be sent."""
        submission = uuid.uuid4().hex
        about = {"endpoint": endpoint, "begun": time.time(), "keys": list(keys), "counted": counted}
        self._write({"submission": submission, **about})
        return self._open[submission]

    def submitted(self, batch: OpenBatch, batch_id: str) -> OpenBatch:
        """Note a batch's id."""
        self._write({"submission": batch.submission, "id": batch_id})
        return self._open[batch.submission]

    def close(self, batch: OpenBatch) -> None:
        """Note that nothing more is to be had of a batch."""
        self._write({"submission": batch.submission, "closed": True})

    def _write(self, entry: dict) -> None:
        append_json(entry, self.path)
        self._note(entry)

    def _note(self, entry: dict) -> None:
        submission = entry.get("submission")
        before = self._open.get(submission)
        match entry:
            case {"endpoint": endpoint, "begun": begun, "keys": keys}:
                counted = entry.get("counted", False)
                self._open[submission] = OpenBatch(
                    submission, endpoint, begun, frozenset(keys), counted, None
                )
            case {"id": batch_id} if before:
                self._ids.add(batch_id)
                self._open[submission] = replace(before, id=batch_id)
            case {"closed": True}:
                self._open.pop(submission, None)
