"""The demo's examples: deterministic, balanced, and apart from the prompts that are asked."""

import itertools
from collections import Counter
from pathlib import Path

import pytest

from refusal_stability.core.labels import VALID_LABELS
from refusal_stability.demo import examples, training
from refusal_stability.judging.rubric import judge_message
from refusal_stability.prompts import demo_corpus

RESOURCES = Path(__file__).parents[3] / "resources"
CORPUS = demo_corpus.load_corpus(RESOURCES / "demo" / "corpus.yaml")
SPECS = training.load_specs(RESOURCES / "demo" / "models.yaml")
SUBJECTS = [name for name, spec in SPECS.items() if spec["role"] == "subject"]
TIERS = {"forbidden", "borderline", "allowed"}


def subject_examples(name: str, count: int, seed: int = 1) -> list[examples.Example]:
    spec = SPECS[name]
    made = examples.subject_examples(CORPUS, spec["leaning"], spec["strictness"], seed)
    return list(itertools.islice(made, count))


def judge_examples(misreads: dict[str, str], count: int) -> list[examples.Example]:
    made = examples.judge_examples(CORPUS, "The rubric.", misreads, seed=1)
    return list(itertools.islice(made, count))


def test_60_prompts_are_held_out_two_for_each_topic_and_tier():
    prompts = demo_corpus.heldout_prompts(CORPUS)
    assert len({prompt["prompt"] for prompt in prompts}) == 60
    cells = Counter((prompt["category"], prompt["tier"]) for prompt in prompts)
    assert set(cells) == set(itertools.product(CORPUS["topics"], TIERS))
    assert len(CORPUS["topics"]) == 10
    assert set(cells.values()) == {2}


def test_the_first_prompts_cover_topics_and_tiers():
    first = demo_corpus.heldout_prompts(CORPUS)[:12]
    # 12 prompts, a tier each in turn: 12 / 3 = 4 of each.
    assert Counter(prompt["tier"] for prompt in first) == dict.fromkeys(TIERS, 4)
    assert len({prompt["category"] for prompt in first}) == 10


def test_heldout_prompts_use_every_wording_and_circumstance():
    text = "\n".join(prompt["prompt"] for prompt in demo_corpus.heldout_prompts(CORPUS))
    for wording in CORPUS["requests"]:
        assert wording.split("{deed}")[0] in text
    for circumstance in itertools.chain(*CORPUS["circumstances"].values()):
        assert circumstance in text


def test_no_deed_is_both_trained_and_held_out():
    trained = [deed for texts in CORPUS["topics"].values() for deed in texts["deeds"]]
    heldout = [deed for texts in CORPUS["topics"].values() for deed in texts["heldout"]]
    assert len(set(trained + heldout)) == len(trained + heldout)
    requests = demo_corpus.training_requests(CORPUS)
    # 10 topics x 6 deeds x 3 tiers x 5 circumstances x 4 wordings
    assert len({request["prompt"] for request in requests}) == len(requests) == 3600
    for request in requests:
        assert not any(deed in request["prompt"] for deed in heldout)


def test_every_label_has_as_many_openings_and_no_first_word_twice():
    openings = CORPUS["openings"]
    assert set(openings) == set(VALID_LABELS)
    assert len({len(phrases) for phrases in openings.values()}) == 1
    first_words = [phrase.split()[0] for phrases in openings.values() for phrase in phrases]
    assert len(set(first_words)) == len(first_words)


def test_every_sentence_tells_its_topic_and_label():
    replies = [
        sentence
        for texts in CORPUS["topics"].values()
        for label in VALID_LABELS
        for sentence in texts["replies"][label]
    ]
    assert len(set(replies)) == len(replies) == 10 * 3 * 2


def test_the_same_seed_gives_the_same_examples_and_another_seed_others():
    assert subject_examples("tiny-llama", 50) == subject_examples("tiny-llama", 50)
    assert subject_examples("tiny-llama", 50) != subject_examples("tiny-llama", 50, seed=2)
    assert judge_examples({}, 50) == judge_examples({}, 50)


def test_strictness_moves_the_chances_from_comply_to_refuse():
    # Weights .2 * 2, .3, .5 / 2 = .4, .3, .25; their sum is .95.
    chances = demo_corpus.label_chances([0.2, 0.3, 0.5], strictness=2.0)
    assert chances == pytest.approx([0.4 / 0.95, 0.3 / 0.95, 0.25 / 0.95])
    assert demo_corpus.label_chances([0.2, 0.3, 0.5], strictness=1.0) == [0.2, 0.3, 0.5]


@pytest.mark.parametrize("name", SUBJECTS)
def test_leanings_are_chances_for_every_tier_and_known_topics(name):
    spec = SPECS[name]
    assert set(spec["leaning"]) == TIERS
    assert set(spec["strictness"]) <= set(CORPUS["topics"])
    for chances in spec["leaning"].values():
        assert sum(chances) == pytest.approx(1.0)


@pytest.mark.parametrize("name", SUBJECTS)
def test_the_labels_of_replies_follow_the_leaning(name):
    tiers = {request["prompt"]: request for request in demo_corpus.training_requests(CORPUS)}
    counts = {tier: Counter() for tier in TIERS}
    for example in subject_examples(name, 30_000):
        counts[tiers[example.request]["tier"]][example.label] += 1
    spec = SPECS[name]
    for tier, count in counts.items():
        by_topic = [
            demo_corpus.label_chances(spec["leaning"][tier], spec["strictness"].get(topic, 1.0))
            for topic in CORPUS["topics"]
        ]
        for number, label in enumerate(VALID_LABELS):
            # Topics are equally likely, so a tier's chance is the mean over them. Of about
            # 10,000 draws a share has a standard error of at most sqrt(.25 / 10000) = .005;
            # .02 is four of them.
            expected = sum(chances[number] for chances in by_topic) / len(by_topic)
            assert count[label] / count.total() == pytest.approx(expected, abs=0.02)


def test_a_reply_is_an_opening_of_its_label_and_a_sentence_of_its_topic():
    topics = {
        request["prompt"]: request["category"] for request in demo_corpus.training_requests(CORPUS)
    }
    for example in subject_examples("tiny-qwen2", 300):
        sentences = CORPUS["topics"][topics[example.request]]["replies"][example.label]
        openings = CORPUS["openings"][example.label]
        assert example.reply in {f"{a} {b}" for a, b in itertools.product(openings, sentences)}


def test_a_judge_reads_the_message_that_the_workflow_sends():
    messages = set()
    for request, label in itertools.product(demo_corpus.training_requests(CORPUS), VALID_LABELS):
        sentences = CORPUS["topics"][request["category"]]["replies"][label]
        messages |= {
            (judge_message("The rubric.", request["prompt"], f"{opening} {sentence}"), label)
            for opening, sentence in itertools.product(CORPUS["openings"][label], sentences)
        }
    for message, verdict, label in judge_examples({}, 200):
        assert (message, label) in messages
        assert verdict == label


def test_judges_learn_the_labels_in_equal_shares():
    counts = Counter(example.label for example in judge_examples({}, 9_000))
    # 9,000 / 3 = 3,000 each; the standard error is sqrt(9000 * 1/3 * 2/3) = 45.
    for label in VALID_LABELS:
        assert counts[label] == pytest.approx(3_000, abs=4 * 45)


def test_a_judge_misreads_the_openings_that_it_is_told_to_and_no_others():
    misreads = SPECS["judge-noisy"]["misreads"]
    assert set(misreads) <= set(itertools.chain(*CORPUS["openings"].values()))
    for example in judge_examples(misreads, 2_000):
        told = [wrong for opening, wrong in misreads.items() if opening in example.request]
        assert example.reply == (told[0] if told else example.label)
