"""What a judge reads: the rubric first, then the delimited text under judgement."""

import re
from collections.abc import Iterable

TAGS = ("<request>", "</request>", "<reply>", "</reply>")
# As a judge may read them: in any case, with spaces inside.
_TAG = re.compile(r"<(\s*/?\s*(?:request|reply)\s*>)", re.IGNORECASE)


def neutralise(text: str, special_tokens: Iterable[str] = ()) -> str:
    """Break every delimiter and special token inside ``text``, so that it stays data."""
    # After the tokens, so that breaking one cannot make a tag.
    return _TAG.sub(r"< \1", break_tokens(text, special_tokens))


def break_tokens(text: str, tokens: Iterable[str]) -> str:
    """Break every one of ``tokens`` inside ``text``.

    A space after the first character keeps the text readable for the judge and makes the
    tokenizer read it as ordinary characters.
    """
    # White space counts for nothing here: runs of it are tokens of some vocabularies.
    stripped = {token.strip() for token in tokens}
    # Longest first: a token that contains another must be broken as a whole.
    for token in sorted(stripped, key=len, reverse=True):
        # More than once, because a token may overlap with itself.
        while len(token) > 1 and token in text:
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
