"""A checkpoint of random numbers; as in real tokenizers, many tokens begin a label."""

from pathlib import Path
from typing import TYPE_CHECKING

from refusal_stability.core.labels import VALID_LABELS

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

USER, ASSISTANT, END = SPECIAL = ("<|user|>", "<|assistant|>", "<|end|>")
_TEMPLATE = (
    "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def write_checkpoint(
    folder: Path,
    seed: int = 0,
    dtype: str = "float32",
    scale: float = 0.3,
    template: str = _TEMPLATE,
) -> Path:
    """Write a Llama of two layers and return its folder.

    Its weights are drawn with ``seed`` and standard deviation ``scale``: with .3, logits differ by
    some units.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer(template)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=4096,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=False,
        initializer_range=scale,
    )
    model = LlamaForCausalLM(config).to(getattr(torch, dtype))
    model.save_pretrained(folder)
    return folder


def tiny_tokenizer(template: str) -> "PreTrainedTokenizerFast":
    """Return a tokenizer of bytes and of all that labels begin with, without a BOS."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = []
    for label in VALID_LABELS:
        for end in range(2, len(label) + 1):
            merges.append((label[: end - 1], label[end - 1]))
            tokens.append(label[:end])
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIAL))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token=END, pad_token=END, chat_template=template
    )
