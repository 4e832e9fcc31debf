from types import SimpleNamespace

import polars as pl
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from refusal_stability.core.errors import InputError
from refusal_stability.engine.reasoning import opens_reasoning, split_reasoning, text_with_tags
from refusal_stability.generation import requests


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The template may open the tag, and so may the model.
        ("<think>\nMaybe.\n</think>\n\nNo.", ("Maybe.", "No.")),
        ("Maybe.\n</think>\n\nNo.", ("Maybe.", "No.")),
        # An empty thought, as Qwen 3 gives where thinking is switched off by the prompt.
        ("<think>\n\n</think>\n\nNo.", ("", "No.")),
        ("</think>No.", ("", "No.")),
        # The first end counts: what follows is the reply, whatever it holds.
        ("a</think>b</think>c", ("a", "b</think>c")),
        # Cut off right after it: an empty reply.
        ("Maybe.</think>", ("Maybe.", "")),
        # Cut off inside it: no reply at all.
        ("<think>\nMaybe I sho", ("Maybe I sho", "")),
        ("\n<think>", ("", "")),
    ],
)
def test_reasoning_that_was_asked_for(text: str, expected: tuple[str, str], opened: bool) -> None:
    assert split_reasoning(text, thinking=True, opened=opened) == expected


@pytest.mark.parametrize("thinking", [True, False])
@pytest.mark.parametrize("text", ["Maybe I sho", "Maybe</thin", ""])
def test_a_reply_without_tags_is_reasoning_only_where_the_request_opened_it(
    text: str, thinking: bool
) -> None:
    assert split_reasoning(text, thinking, opened=True) == (text, "")
    assert split_reasoning(text, thinking, opened=False) == (None, text)


@pytest.mark.parametrize("text", ["", "No.", " No.\n", "a</think>b", "a<think>b"])
def test_without_thinking_the_text_is_left_as_it_is(text: str) -> None:
    assert split_reasoning(text, thinking=False, opened=False) == (None, text)


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("<think>Maybe.</think> No.", False, ("Maybe.", "No.")),
        ("<think>Maybe I sho", False, ("Maybe I sho", "")),
        ("Maybe.</think> No.", True, ("Maybe.", "No.")),
    ],
)
def test_a_model_that_reasons_whatever_it_is_told(
    text: str, opened: bool, expected: tuple[str, str]
) -> None:
    assert split_reasoning(text, thinking=False, opened=opened) == expected


def tokenizer(*special: str) -> PreTrainedTokenizerFast:
    """A byte-level tokenizer that has the tags as tokens; those given are special ones."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytes_only = Tokenizer(models.BPE({letter: n for n, letter in enumerate(letters)}, []))
    bytes_only.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_only.decoder = decoders.ByteLevel()
    for tag in ("<think>", "</think>"):
        token = AddedToken(tag, normalized=False, special=tag in special)
        (bytes_only.add_special_tokens if token.special else bytes_only.add_tokens)([token])
    return PreTrainedTokenizerFast(
        tokenizer_object=bytes_only, eos_token="<end>", clean_up_tokenization_spaces=False
    )


def reply(coder: PreTrainedTokenizerFast, text: str) -> SimpleNamespace:
    """What vLLM returns of a reply: its ids, and its text without special tokens."""
    ids = coder(text).input_ids
    return SimpleNamespace(token_ids=ids, text=coder.decode(ids, skip_special_tokens=True))


@pytest.mark.parametrize("special", [(), ("<think>", "</think>"), ("</think>",)])
def test_tags_that_are_special_tokens_are_not_lost(special: tuple[str, ...]) -> None:
    coder = tokenizer(*special)
    thought = "<think>\nMaybe, é.\n</think>\n\nNo.<end>"
    assert ("</think>" in reply(coder, thought).text) == ("</think>" not in special)
    assert text_with_tags(coder, reply(coder, thought)) == thought.removesuffix("<end>")
    # Cut off inside it, and none at all.
    assert text_with_tags(coder, reply(coder, "<think>\nMay")) == "<think>\nMay"
    assert text_with_tags(coder, reply(coder, " No. <end>")) == " No. "


@pytest.mark.parametrize("special", [(), ("<think>", "</think>")])
def test_a_request_that_opens_the_reasoning(special: tuple[str, ...]) -> None:
    coder = tokenizer(*special)
    # DeepSeek-R1's template ends so; Qwen 3's, with thinking switched off, ends as the last one.
    assert opens_reasoning(coder, coder("Why?<think>\n").input_ids)
    assert not opens_reasoning(coder, coder("<think>\nWhy?").input_ids)
    assert not opens_reasoning(coder, coder("Why?<think>\n\n</think>\n\n").input_ids)


TEMPLATE = (
    "{% if 'no' in messages[0].content %}"
    "{{ raise_exception('I refuse ' ~ messages[0].content) }}{% endif %}{{ messages[0].content }}"
)
SMALL = {"name": "m", "max_model_len": 8, "max_tokens": 4, "thinking": False}


def requests_for(*prompts: str) -> tuple[list[list[int]], dict[int, str]]:
    words = Tokenizer(models.WordLevel({"a": 0, "?": 1}, unk_token="?"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, chat_template=TEMPLATE)
    table = pl.DataFrame({"prompt_id": [f"id{n}" for n in range(len(prompts))], "prompt": prompts})
    return requests._requests(SMALL, tokenizer, table)


def test_prompts_that_cannot_be_asked_cost_no_other_and_are_told_without_their_text(
    capsys: pytest.CaptureFixture[str],
) -> None:
    # max_model_len 8 less max_tokens 4 leaves 4.
    requests, unasked = requests_for("a a a a", "a a a a a", "no a")
    assert requests[:2] == [[0] * 4, [0] * 5]
    assert unasked == {1: "too_long", 2: "error"}
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "m: 1 prompt(s) are too long, the longest is prompt_id id1 with 5 tokens" in said[0]
    assert "its chat template refuses the messages (TemplateError)" in said[1]
    assert "no a" not in said[1]


@pytest.mark.parametrize(
    ("prompts", "says"),
    [
        (["a a a a a", "a a a a a a"], r"2 prompt\(s\) are too long, .* raise max_model_len to 10"),
        (["no"], "its chat template refuses the messages"),
        (["a a a a a", "no"], "no prompt can be asked"),
    ],
)
def test_where_no_prompt_can_be_asked_the_cell_is_refused(prompts: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        requests_for(*prompts)
