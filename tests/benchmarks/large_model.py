"""What an engine of 8 billion weights costs on a GPU: its start, its speed, one for many cells.

    python tests/benchmarks/large_model.py [--cells 4] [--prompts 876] [--tokens 256]
    .venv/bin/python tests/benchmarks/large_model.py --tiny

The architecture is that of Llama 3.1 8B, the weights are random numbers, the tokenizer is made on
the spot: nothing is downloaded. It takes a Python with vLLM's GPU build, such as that of the
environment envs/engine.yaml. --tiny runs the same on a CPU with a tiny architecture.

Each line is a process of its own, that starts as a job does. Every reply has the same length, so
that all ways have the same work; equal hashes of them are equal replies.
"""

import argparse
import gc
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import processes

sys.path.insert(0, str(processes.SCRIPTS))

from refusal_stability.core.errors import InputError
from refusal_stability.engine import hardware, vllm_engine

if TYPE_CHECKING:
    from vllm import LLM

# https://huggingface.co/meta-llama/Llama-3.1-8B/blob/main/config.json, in other words.
LLAMA_8B = {
    "hidden_size": 4096,
    "intermediate_size": 14336,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "vocab_size": 128256,
    "torch_dtype": "bfloat16",
}
TINY = LLAMA_8B | {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 512,
}
HEADS = (
    f"{'':34} {'start s':>8} {'generate s':>10} {'tokens/s':>9} {'job s':>7} {'MiB':>7}  replies"
)
PROMPT_TOKENS = 64
SETTINGS = {"name": "large", "dtype": "bfloat16", "max_model_len": 1024, "enforce_eager": False}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a tiny architecture, on a CPU")
    parser.add_argument("--cells", type=int, default=4)
    parser.add_argument("--prompts", type=int, default=876)
    parser.add_argument("--tokens", type=int, default=256, help="of a reply")
    parser.add_argument("--child", type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        generate(**args.child)
    elif args.tiny or has_gpu():
        measure(args.tiny, args.cells, args.prompts, args.tokens)


def has_gpu() -> bool:
    """Tell whether this Python's vLLM has a GPU to work with; say so where it has none."""
    try:
        hardware.check_machine({"8 billion weights"})
    except InputError:
        print("8 billion weights: skipped, there is no GPU here")
        return False
    code = "from vllm.platforms import current_platform as p; raise SystemExit(p.is_cpu())"
    if subprocess.run([sys.executable, "-c", code], check=False).returncode != 0:
        print(
            "8 billion weights: skipped, this Python has vLLM's CPU build. Hint: run "
            "tests/benchmarks/large_model.py with that of envs/engine.yaml"
        )
        return False
    return True


def measure(tiny: bool, cells: int, prompts: int, tokens: int) -> None:
    """Print what each way takes."""
    name = "tiny, on a CPU" if tiny else "8 billion weights"
    print(f"{name}: {prompts} prompts a cell, {tokens} tokens a reply")
    print(HEADS)
    with tempfile.TemporaryDirectory() as folder:
        model = write_checkpoint(Path(folder) / "model", TINY if tiny else LLAMA_8B)
        work = {"folder": str(model), "gpus": int(not tiny), "prompts": prompts, "tokens": tokens}
        cache = Path(folder) / "cache"

        def line(label: str, variables: dict[str, str] | None = None, **settings: Any) -> float:
            environment = {"VLLM_CACHE_ROOT": str(cache), **(variables or {})}
            return report(label, {"cells": 1, "eager": False, **work, **settings}, environment)[0]

        line("compiled, empty cache")
        one = line("compiled, filled cache")
        line("eager", eager=True)
        # On a CPU it takes Triton, which is not installed there, and nothing needs it.
        if not tiny:
            line("batch-invariant, empty cache", {"VLLM_BATCH_INVARIANT": "1"})
            line("batch-invariant, filled cache", {"VLLM_BATCH_INVARIANT": "1"})
        shared = line(f"one engine for {cells} cells", cells=cells)
        print(f"job seconds of one engine over those of {cells} jobs: {shared / (cells * one):.2f}")


def report(label: str, work: dict[str, Any], environment: dict[str, str]) -> tuple[float, str]:
    """Run a process, print its line, and return its seconds and the hash of its replies.

    What fails is said, and is nan seconds and no replies.
    """
    with tempfile.NamedTemporaryFile("r") as took:
        child = json.dumps(work | {"output": took.name})
        try:
            cost = processes.run(
                sys.executable, __file__, "--child", child, environment=environment
            )
        except SystemExit as error:
            print(f"{label:34} failed: {str(error).strip().splitlines()[-1]}", flush=True)
            return float("nan"), ""
        found = json.load(took)
    speed = work["cells"] * work["prompts"] * work["tokens"] / found["generate"]
    numbers = f"{found['start']:8.1f} {found['generate']:10.1f} {speed:9,.0f} {cost.wall:7.1f}"
    print(f"{label:34} {numbers} {cost.memory:7.0f}  {found['replies']}", flush=True)
    return cost.wall, found["replies"]


def generate(
    folder: str,
    gpus: int,
    cells: int,
    prompts: int,
    tokens: int,
    eager: bool,
    output: str,
) -> None:
    """Start an engine as a job does, but for its weights, and generate all cells with it."""
    vllm_engine.prepare_imports({})
    entry = SETTINGS | {"enforce_eager": eager, "gpus": gpus, "weights": folder}
    entry |= {} if gpus else {"kv_cache_gib": 0.25}
    start = time.perf_counter()
    llm = load_without_weights(entry, Path(folder))
    started = time.perf_counter()
    from vllm import SamplingParams

    vocabulary = llm.llm_engine.model_config.get_vocab_size()
    requests = [
        {
            "prompt_token_ids": [
                (number * 7919 + place * 31) % vocabulary for place in range(PROMPT_TOKENS)
            ]
        }
        for _ in range(cells)
        for number in range(prompts)
    ]
    sampling = [
        SamplingParams(
            temperature=1.0,
            max_tokens=tokens,
            ignore_eos=True,
            # The tokenizer knows only some of the tokens.
            detokenize=False,
            seed=number,
        )
        for number in range(len(requests))
    ]
    outputs = llm.generate(requests, sampling, use_tqdm=False)
    ended = time.perf_counter()
    assert all(len(one.outputs[0].token_ids) == tokens for one in outputs)
    replies = hashlib.sha256(str([list(one.outputs[0].token_ids) for one in outputs]).encode())
    took = {"start": started - start, "generate": ended - started}
    took["replies"] = replies.hexdigest()[:8]
    Path(output).write_text(json.dumps(took), encoding="utf-8")
    sys.stdout.flush()
    os._exit(0)


def load_without_weights(entry: dict[str, Any], folder: Path) -> "LLM":
    """Start vLLM with the settings of a job and random weights."""
    from vllm import LLM

    gc.freeze()
    gc.enable()
    settings = vllm_engine.engine_settings(entry, folder)
    # A job does not compile on a CPU; what that would cost is measured here.
    settings |= {"enforce_eager": entry["enforce_eager"], "load_format": "dummy"}
    return LLM(**settings)


def write_checkpoint(folder: Path, sizes: dict[str, Any]) -> Path:
    """Write a model's configuration and a tokenizer of bytes; there are no weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder.mkdir()
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
        **sizes,
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    characters = ["<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {character: number for number, character in enumerate(characters)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    return folder


if __name__ == "__main__":
    main()
