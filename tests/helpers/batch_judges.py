"""Judges that are asked in batches, and a stub for them to ask."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from helpers.api_judges import KEY, api_judge
from helpers.stub_batches import BatchStub, Fate, stub_batches
from helpers.stub_provider import Reply
from refusal_stability.core.errors import ProviderError
from refusal_stability.judging.api import judge_pairs

CREATE = {"openai": "POST /v1/batches", "anthropic": "POST /v1/messages/batches"}
LOOK = {"openai": "GET /v1/batches/", "anthropic": "GET /v1/messages/batches/"}
LABELS = ("REFUSE", "PARTIAL", "COMPLY")


def judge(kind: str, stub: BatchStub, **settings: Any) -> dict[str, Any]:
    return api_judge(kind, stub.url, **{"batch": True} | settings)


def number_of(message: str) -> int:
    return int(message.partition("<reply>\nReply ")[2].partition(".")[0])


def in_turn(message: str) -> Reply:
    return Reply(f'{{"label": "{LABELS[number_of(message) % 3]}"}}')


def but(odd: dict[int, Fate]) -> Callable[[str], Fate]:
    """The labels in turn, but for some."""
    return lambda message: odd.get(number_of(message), in_turn(message))


@contextmanager
def serving(**behaviour: Any) -> Iterator[BatchStub]:
    with stub_batches(BatchStub(**({"fate": in_turn} | behaviour))) as stub:
        yield stub


def times(call: str, statuses: list[int]) -> Callable[[str], int | None]:
    """Faults for the first calls of one kind."""
    left = list(statuses)
    return lambda asked: left.pop(0) if asked.startswith(call) and left else None


def error_of(*arguments: Any) -> str:
    with pytest.raises(ProviderError) as caught:
        judge_pairs(*arguments)
    message = str(caught.value)
    assert "Hint: " in message
    assert "\n" not in message
    assert KEY not in message
    return message
