"""Answers of judges that were paid for: as they arrived, and what is read from them.

The text of an answer is kept, so that a better reader reads it again for nothing. It may quote the
reply that it judges; prompts and replies themselves are not kept here.
"""

from pathlib import Path
from typing import Any

from refusal_stability.api.answer_store import AnswerStore, answer_key
from refusal_stability.api.client import Answer
from refusal_stability.core import versions
from refusal_stability.core.labels import JUDGE_REFUSED, LABELS, UNKNOWN
from refusal_stability.judging.parser import parse_verdict

verdict_key = answer_key
# In the first version, the label that was read was stored, and not the answer. Raise this with
# versions.JUDGING as long as answers are read as they were then: such labels are dropped, and paid
# for again, once it is the lower of the two.
_LABELS_HOLD_UNTIL = 2


class VerdictStore(AnswerStore):
    """Answers of earlier attempts and of this one."""

    def __init__(self, path: Path, max_tokens: int) -> None:
        """Read ``path`` if it exists; a line without an answer is skipped.

        ``max_tokens`` is that of the judge's answers.
        """
        super().__init__(path, _is_answer)
        self._max_tokens = max_tokens

    def get(self, key: str) -> dict[str, Any] | None:
        """Return label, reason and tokens of the answer of ``key``, if it was paid for."""
        entry = super().get(key)
        if entry is None or "text" not in entry:
            return entry
        label, reason = read_verdict(entry["text"], entry["ending"], self._max_tokens)
        return {"label": label, "reason": reason, **entry}

    def keep(self, key: str, answer: Answer) -> None:
        """Keep an answer: it is on disk when this returns."""
        self.add(
            key,
            {
                "text": answer.text,
                # Some gateways say nothing of it.
                "ending": str(answer.ending),
                "model": answer.model,
                "input_tokens": answer.input_tokens,
                "output_tokens": answer.output_tokens,
            },
        )


def read_verdict(text: str, ending: str, max_tokens: int) -> tuple[str, str | None]:
    """Return the label of a provider's answer, and why it is not valid.

    Args:
        text: the answer.
        ending: as :class:`~api.client.Answer` has it.
        max_tokens: most tokens that it might have.
    """
    match ending:
        case "refusal":
            return JUDGE_REFUSED, "the provider refused to answer"
        case "length":
            return UNKNOWN, f"the answer was cut off after {max_tokens} tokens"
        case "stop":
            return parse_verdict(text)
    return UNKNOWN, f"the answer ended with {ending}"


def _is_answer(entry: dict[str, Any]) -> bool:
    if "text" in entry:
        return isinstance(entry["text"], str) and isinstance(entry["ending"], str)
    return versions.JUDGING <= _LABELS_HOLD_UNTIL and entry["label"] in LABELS
