import pytest

from refusal_stability.generation import split_reasoning


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
        # Cut off inside the reasoning: no reply at all.
        ("Maybe I sho", ("Maybe I sho", "")),
        ("Maybe</thin", ("Maybe</thin", "")),
        ("", ("", "")),
        # Cut off right after it: an empty reply.
        ("Maybe.</think>", ("Maybe.", "")),
    ],
)
def test_split_reasoning_with_thinking(text: str, expected: tuple[str, str]) -> None:
    assert split_reasoning(text, thinking=True) == expected


@pytest.mark.parametrize("text", ["", "No.", " No.\n", "a</think>b", "<think>a"])
def test_without_thinking_the_text_is_left_as_it_is(text: str) -> None:
    assert split_reasoning(text, thinking=False) == (None, text)


def test_reasoning_is_stored_without_its_tag_even_if_cut_off() -> None:
    assert split_reasoning("<think>\nMaybe I sho", thinking=True) == ("Maybe I sho", "")
