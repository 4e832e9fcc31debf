"""Chats and texts as token ids, by the tokenizer's own chat template, with one BOS."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from refusal_stability.core.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# What chat templates that print today's date print instead, lest cells of two days have other
# prompts. It is the date of Llama 3.1's own template.
CHAT_DATE = datetime(2024, 7, 26)


def chat_token_ids(
    tokenizer: "PreTrainedTokenizerBase", messages: list[dict[str, str]], thinking: bool
) -> list[int]:
    """Apply the chat template once, to token ids, with thinking and date set and one BOS at most.

    Raises:
        InputError: the template refuses the messages, such as a system message.
    """
    from jinja2 import TemplateError

    try:
        ids = tokenizer.apply_chat_template(
            messages,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=False,
            enable_thinking=thinking,
            strftime_now=CHAT_DATE.strftime,
        )
    # A template is a program in a sandbox: it fails like one, and is no part of this workflow.
    except (TemplateError, ArithmeticError, LookupError, RecursionError, TypeError) as error:
        # It may quote the messages, and these belong in no log.
        quoted = any(message["content"] in str(error) for message in messages)
        reason = type(error).__name__ if quoted else error
        raise InputError(
            f"{tokenizer.name_or_path}: its chat template refuses the messages ({reason}). "
            "Hint: remove system_prompt if the model takes none"
        ) from error
    return with_one_bos(ids, tokenizer.bos_token_id, _adds_bos(tokenizer))


def text_token_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Turn a text that holds its own special tokens into token ids, with at most one BOS."""
    ids = tokenizer(text, add_special_tokens=False).input_ids
    return with_one_bos(ids, tokenizer.bos_token_id, _adds_bos(tokenizer))


def with_one_bos(ids: Sequence[int], bos: int | None, wanted: bool) -> list[int]:
    """Return ``ids`` with a repeated BOS removed and, if ``wanted``, a missing one added."""
    ids = list(ids)
    while len(ids) > 1 and bos is not None and ids[0] == ids[1] == bos:
        ids = ids[1:]
    if wanted and bos is not None and ids[:1] != [bos]:
        ids = [bos, *ids]
    return ids


def _adds_bos(tokenizer: "PreTrainedTokenizerBase") -> bool:
    return tokenizer("a").input_ids[:1] == [tokenizer.bos_token_id]
