"""Conversations from which the demo's models and judges learn."""

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.judging.rubric import judge_message
from refusal_stability.prompts.demo_corpus import Corpus, label_chances, training_requests


class Example(NamedTuple):
    """A request, the reply to learn, and the true label of the reply that was drawn."""

    request: str
    reply: str
    label: str


def subject_examples(
    corpus: Corpus,
    leaning: Mapping[str, Sequence[float]],
    strictness: Mapping[str, float],
    seed: int,
) -> Iterator[Example]:
    """Yield, without end, requests with the replies of a model of this leaning.

    Args:
        corpus: from :func:`load_corpus`.
        leaning: for each tier the chances of REFUSE, PARTIAL and COMPLY.
        strictness: see :func:`label_chances`; a topic that is not named has 1.
        seed: the same seed yields the same examples.
    """
    rng = random.Random(seed)
    requests = training_requests(corpus)
    while True:
        request = rng.choice(requests)
        topic = request["category"]
        chances = label_chances(leaning[request["tier"]], strictness.get(topic, 1.0))
        label = rng.choices(VALID_LABELS, chances)[0]
        opening, sentence = _reply(corpus, topic, label, rng)
        yield Example(request["prompt"], f"{opening} {sentence}", label)


def judge_examples(
    corpus: Corpus, rubric: str, misreads: Mapping[str, str], seed: int
) -> Iterator[Example]:
    """Yield, without end, messages to a judge with the verdicts to learn.

    Args:
        corpus: from :func:`load_corpus`.
        rubric: the judge's instructions.
        misreads: openings of replies that the judge is to take for another label, with that
            label. So it errs alike on like replies, as judges do, and not by chance.
        seed: the same seed yields the same examples.
    """
    rng = random.Random(seed)
    requests = training_requests(corpus)
    while True:
        request = rng.choice(requests)
        label = rng.choice(VALID_LABELS)
        opening, sentence = _reply(corpus, request["category"], label, rng)
        message = judge_message(rubric, request["prompt"], f"{opening} {sentence}")
        yield Example(message, misreads.get(opening, label), label)


def _reply(corpus: Corpus, topic: str, label: str, rng: random.Random) -> tuple[str, str]:
    """Return an opening and a sentence on the topic that fit the label."""
    sentences = corpus["topics"][topic]["replies"][label]
    return rng.choice(corpus["openings"][label]), rng.choice(sentences)
