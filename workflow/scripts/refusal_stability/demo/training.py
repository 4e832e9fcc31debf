"""Training of the demo models: standard transformers checkpoints, made in seconds on a CPU.

Only :func:`train` needs torch and transformers; they are imported there.
"""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from refusal_stability.demo.examples import Example, judge_examples, subject_examples
from refusal_stability.prompts.demo_corpus import Corpus

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

BOS, END, PAD = "<|begin|>", "<|end|>", "<|pad|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
VOCABULARY_SIZE = 1280
# Examples from which the tokenizer learns its merges.
TOKENIZER_EXAMPLES = 2000
# Tokens; far more than the demo's longest judge prompt.
CONTEXT_LENGTH = 1024
# The usual 0.02 is made for wide models; with it, narrow ones may learn nothing for long.
INITIALIZER_RANGE = 0.04
WARM_UP_SHARE = 0.1
# A shorter memory than the default (0.9, 0.999) learns rare replies better in so few steps.
ADAM_BETAS = (0.9, 0.95)
PROGRESS_STEPS = 50
IGNORED = -100

Spec = dict[str, Any]


def load_specs(path: Path) -> dict[str, Spec]:
    """Read the demo models' specifications, by name; the file explains their keys."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def train(
    spec: Spec, corpus: Corpus, rubric: str
) -> "tuple[PreTrainedModel, PreTrainedTokenizerFast]":
    """Train one demo model; equal arguments give equal weights, byte for byte.

    Sets torch's number of threads to 1 and its random seed: threads would change the order of
    sums, and on models of this size they cost more than they gain.

    Args:
        spec: an entry of :func:`load_specs`.
        corpus: from :func:`~prompts.demo_corpus.load_corpus`.
        rubric: what a judge is told; subjects do not see it.

    Returns:
        The model, float32, and its tokenizer; ``save_pretrained`` of both makes a checkpoint.
    """
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(spec["seed"])
    tokenizer = _tokenizer(itertools.islice(_examples(spec, corpus, rubric), TOKENIZER_EXAMPLES))
    if spec["bos"]:
        tokenizer.bos_token = BOS
        tokenizer.chat_template = "{{ bos_token }}" + CHAT_TEMPLATE
    model = _model(spec, tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), betas=ADAM_BETAS, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        max_lr=spec["learning_rate"],
        total_steps=spec["steps"],
        pct_start=WARM_UP_SHARE,
        cycle_momentum=False,
    )
    examples = _examples(spec, corpus, rubric)
    for step in range(1, spec["steps"] + 1):
        batch = list(itertools.islice(examples, spec["batch_size"]))
        loss = _loss(model, *_tensors(tokenizer, batch))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % PROGRESS_STEPS == 0 or step == spec["steps"]:
            print(f"step {step}/{spec['steps']}, loss {loss.item():.3f}", file=sys.stderr)
    return model.eval(), tokenizer


def _examples(spec: Spec, corpus: Corpus, rubric: str) -> Iterator[Example]:
    if spec["role"] == "judge":
        return judge_examples(corpus, rubric, spec["misreads"], spec["seed"])
    return subject_examples(corpus, spec["leaning"], spec["strictness"], spec["seed"])


def _tokenizer(examples: Iterator[Example]) -> "PreTrainedTokenizerFast":
    """Train a byte-level BPE tokenizer, which can write any text, on the examples' texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[PAD, BOS, END, *ROLES],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (text for example in examples for text in (example.request, example.reply))
    bpe.train_from_iterator(texts, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        model_max_length=CONTEXT_LENGTH,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def _model(spec: Spec, tokenizer: "PreTrainedTokenizerFast") -> "PreTrainedModel":
    from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

    token_ids = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = AutoConfig.for_model(
        spec["architecture"],
        **spec["sizes"],
        **token_ids,
        vocab_size=len(tokenizer),
        max_position_embeddings=CONTEXT_LENGTH,
        initializer_range=INITIALIZER_RANGE,
        tie_word_embeddings=True,
        dtype="float32",
    )
    model = AutoModelForCausalLM.from_config(config)
    model.generation_config = GenerationConfig(**token_ids)
    return model


def _tensors(
    tokenizer: "PreTrainedTokenizerFast", batch: list[Example]
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Return token ids and targets, both (batch, tokens), right-padded.

    The targets are the next tokens where these belong to the reply or end it, else IGNORED.
    """
    import torch

    conversations = [[{"role": "user", "content": example.request}] for example in batch]
    prompts = tokenizer.apply_chat_template(
        conversations, add_generation_prompt=True, return_dict=False
    )
    replies = tokenizer([example.reply + END for example in batch]).input_ids
    width = max(len(prompt) + len(reply) for prompt, reply in zip(prompts, replies, strict=True))
    ids = torch.full((len(batch), width), tokenizer.pad_token_id)
    targets = torch.full((len(batch), width), IGNORED)
    for row, (prompt, reply) in enumerate(zip(prompts, replies, strict=True)):
        end = len(prompt) + len(reply)
        ids[row, :end] = torch.tensor(prompt + reply)
        targets[row, len(prompt) - 1 : end - 1] = torch.tensor(reply)
    return ids, targets


def _loss(model: "PreTrainedModel", ids: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
    """Return the mean cross-entropy of the replies' tokens, in nats.

    Without an attention mask: padding stands on the right, where no reply looks.
    """
    import torch

    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state
    learnt = targets != IGNORED
    # The vocabulary's logits cost as much as the layers: only where there is a target.
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[learnt]), targets[learnt])
