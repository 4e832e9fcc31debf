"""The harmless examples that the demo models learn from, and the prompts kept from them.

Every example is drawn from the committed text of ``resources/demo/corpus.yaml``.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from refusal_stability.labels import VALID_LABELS
from refusal_stability.rubric import judge_message

Corpus = dict[str, Any]


class Example(NamedTuple):
    """A request, the reply to learn, and the true label of the reply that was drawn."""

    request: str
    reply: str
    label: str


def load_corpus(path: Path) -> Corpus:
    """Read the corpus: requests, circumstances by tier, openings by label, topics."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def heldout_prompts(corpus: Corpus) -> list[dict[str, str]]:
    """Return the prompts whose deeds no training request has.

    One for each held-out deed and tier. The topic changes from each prompt to the next and so
    does the tier, which makes the first prompts of the list a fair sample of it.

    Returns:
        Dictionaries with the keys prompt, category (the topic) and tier.
    """
    tiers = list(corpus["circumstances"])
    topics = list(corpus["topics"])
    wordings = corpus["requests"]
    prompts = []
    for round_number in range(len(corpus["topics"][topics[0]]["heldout"])):
        for shift in range(len(tiers)):
            for number, topic in enumerate(topics):
                tier = tiers[(number + shift) % len(tiers)]
                circumstances = corpus["circumstances"][tier]
                turn = number + round_number
                wording = wordings[(turn + shift) % len(wordings)]
                circumstance = circumstances[(turn + 2 * shift) % len(circumstances)]
                deed = corpus["topics"][topic]["heldout"][round_number]
                prompt = wording.format(deed=deed, circumstance=circumstance)
                prompts.append({"prompt": prompt, "category": topic, "tier": tier})
    return prompts


def training_requests(corpus: Corpus) -> list[dict[str, str]]:
    """Return every request that training may show, with the keys of a held-out prompt."""
    return [
        {
            "prompt": wording.format(deed=deed, circumstance=circumstance),
            "category": topic,
            "tier": tier,
        }
        for topic, texts in corpus["topics"].items()
        for deed in texts["deeds"]
        for tier, circumstances in corpus["circumstances"].items()
        for circumstance in circumstances
        for wording in corpus["requests"]
    ]


def label_chances(leaning: Sequence[float], strictness: float) -> list[float]:
    """Return the chances of REFUSE, PARTIAL and COMPLY on a topic; they sum to 1.

    Args:
        leaning: the chances on a topic of strictness 1, in the order of the labels.
        strictness: the odds of REFUSE against PARTIAL, and of PARTIAL against COMPLY, are
            multiplied by it.
    """
    refuse, partial, comply = leaning
    weights = [refuse * strictness, partial, comply / strictness]
    return [weight / sum(weights) for weight in weights]


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
