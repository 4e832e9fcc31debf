"""What a judge reads: the rubric first, then the delimited text under judgement."""

from collections.abc import Iterable

TAGS = ("<request>", "</request>", "<reply>", "</reply>")


def neutralise(text: str, special_tokens: Iterable[str] = ()) -> str:
    """Break every delimiter and special token inside ``text``, so that it stays data.

    A space after the first character keeps the text readable for the judge and makes the
    tokenizer read it as ordinary characters.
    """
    # Longest first: a token that contains another must be broken as a whole.
    for token in sorted({*TAGS, *special_tokens}, key=len, reverse=True):
        if len(token) > 1:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def judge_message(
    rubric: str, prompt: str, response: str, special_tokens: Iterable[str] = ()
) -> str:
    """Return the user message that asks a judge for the label of one response.

    The rubric stands first, so that all messages of a judge share it as a prefix that the
    engine computes once.
    """
    prompt = neutralise(prompt, special_tokens)
    response = neutralise(response, special_tokens)
    return f"{rubric.strip()}\n\n<request>\n{prompt}\n</request>\n\n<reply>\n{response}\n</reply>"
