from types import SimpleNamespace

import pytest

from refusal_stability.generation import opens_reasoning, split_reasoning, text_with_tags


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


class Tokenizer:
    """A vocabulary of words; of the tags, only those given are special tokens."""

    WORDS = ("<think>", "</think>", "<end>", "Maybe.", " No.", "\n")

    def __init__(self, *special: str) -> None:
        self.added_tokens_decoder = {
            number: SimpleNamespace(content=word, special=word in (*special, "<end>"))
            for number, word in enumerate(self.WORDS[:3])
        }

    def ids(self, *words: str) -> list[int]:
        return [self.WORDS.index(word) for word in words]

    def decode(self, ids: list[int], skip_special_tokens: bool = False) -> str:
        special = [n for n, token in self.added_tokens_decoder.items() if token.special]
        return "".join(self.WORDS[n] for n in ids if not (skip_special_tokens and n in special))

    def reply(self, *words: str) -> SimpleNamespace:
        """What vLLM returns: ids, and the text without special tokens."""
        ids = self.ids(*words)
        return SimpleNamespace(token_ids=ids, text=self.decode(ids, skip_special_tokens=True))


@pytest.mark.parametrize("special", [(), ("<think>", "</think>"), ("</think>",)])
def test_tags_that_are_special_tokens_are_not_lost(special: tuple[str, ...]) -> None:
    tokenizer = Tokenizer(*special)
    words = ("<think>", "\n", "Maybe.", "\n", "</think>", " No.", "<end>")
    text = text_with_tags(tokenizer, tokenizer.reply(*words))
    assert text == "<think>\nMaybe.\n</think> No."
    assert text_with_tags(tokenizer, tokenizer.reply("Maybe.", "<end>")) == "Maybe."


def test_a_request_that_opens_the_reasoning() -> None:
    tokenizer = Tokenizer()
    # DeepSeek-R1's template ends so; Qwen 3's, with thinking switched off, ends as the last one.
    assert opens_reasoning(tokenizer, tokenizer.ids(" No.", "<think>", "\n"))
    assert not opens_reasoning(tokenizer, tokenizer.ids("<think>", "\n", " No."))
    assert not opens_reasoning(tokenizer, tokenizer.ids("<think>", "\n", "\n", "</think>", "\n"))
