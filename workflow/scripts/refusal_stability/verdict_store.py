"""Verdicts that were paid for: no text of a prompt, a response or an answer is kept with them."""

from pathlib import Path

from refusal_stability.answer_store import AnswerStore, answer_key
from refusal_stability.labels import LABELS

verdict_key = answer_key


class VerdictStore(AnswerStore):
    """Verdicts of earlier attempts and of this one."""

    def __init__(self, path: Path) -> None:
        """Read ``path`` if it exists; a line without a label is skipped."""
        super().__init__(path, lambda entry: entry["label"] in LABELS)
