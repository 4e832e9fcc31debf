"""The harmless examples that the demo models learn from, and the prompts kept from them.

Every example is drawn from the committed text of ``resources/demo/corpus.yaml``.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

Corpus = dict[str, Any]


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
