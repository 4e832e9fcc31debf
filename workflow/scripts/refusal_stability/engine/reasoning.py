"""What a model says before its answer, between tags."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import CompletionOutput


START_OF_REASONING, END_OF_REASONING = "<think>", "</think>"


def opens_reasoning(tokenizer: "PreTrainedTokenizerBase", request: list[int]) -> bool:
    """Tell whether a request, token ids, ends with the tag that opens the reasoning.

    DeepSeek-R1's chat template writes it, Qwen 3's leaves it to the model.
    """
    # A few tokens hold the tag and its line break, even written in letters.
    return tokenizer.decode(request[-16:]).rstrip().endswith(START_OF_REASONING)


def text_with_tags(tokenizer: "PreTrainedTokenizerBase", reply: "CompletionOutput") -> str:
    """Return a reply's text with the tags of its reasoning.

    vLLM leaves special tokens out of the text; in most tokenizers the tags are none, in some they
    are.
    """
    tags = {
        token_id: token.content
        for token_id, token in tokenizer.added_tokens_decoder.items()
        if token.special and token.content in (START_OF_REASONING, END_OF_REASONING)
    }
    if tags.keys().isdisjoint(reply.token_ids):
        return reply.text
    text, part = "", []
    for token_id in reply.token_ids:
        if token_id in tags:
            text += tokenizer.decode(part, skip_special_tokens=True) + tags[token_id]
            part = []
        else:
            part.append(token_id)
    return text + tokenizer.decode(part, skip_special_tokens=True)


def split_reasoning(text: str, thinking: bool, opened: bool) -> tuple[str | None, str]:
    """Split a reply into (reasoning, response); the reasoning of a reply without any is None.

    A reply that ends before its reasoning does has no response: it is all reasoning.

    Args:
        text: the reply, with the tags of its reasoning.
        thinking: whether reasoning was asked for. Where it was not, a reply is only split if it
            was opened as reasoning, which some models do whatever they are told.
        opened: whether the request ends with the tag that opens the reasoning.
    """
    opened = opened or text.lstrip().startswith(START_OF_REASONING)
    reasoning, end, response = text.partition(END_OF_REASONING)
    if not opened and not (thinking and end):
        return None, text
    reasoning = reasoning.lstrip().removeprefix(START_OF_REASONING).strip()
    return reasoning, response.strip()
