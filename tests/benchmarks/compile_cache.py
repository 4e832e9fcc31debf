"""What compiling costs and gains on a CPU: empty and filled cache, eager, two engines at once.

    .venv/bin/python tests/benchmarks/compile_cache.py

Two sizes of Llama with random weights: that of the demo's models, and 12 layers of width 768. Each
line is a process that starts as a job does, but for that a job never compiles on a CPU. Two engines
that start at once on an empty cache must generate what one after them does.
"""

import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import large_model

SIZES = {
    "tiny": large_model.TINY,
    "small": large_model.TINY
    | {
        "hidden_size": 768,
        "intermediate_size": 2048,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_key_value_heads": 12,
        "vocab_size": 32000,
    },
}


def main() -> None:
    print(large_model.HEADS)
    with tempfile.TemporaryDirectory() as folder:
        for size, sizes in SIZES.items():
            model = large_model.write_checkpoint(Path(folder) / size, sizes)
            work = {"folder": str(model), "gpus": 0, "prompts": 60, "tokens": 64, "cells": 1}
            cache = {"VLLM_CACHE_ROOT": str(Path(folder) / f"{size}_cache")}
            for label, eager in (("empty cache", False), ("filled cache", False), ("eager", True)):
                large_model.report(f"{size}, {label}", work | {"eager": eager}, cache)
        both = {"VLLM_CACHE_ROOT": str(Path(folder) / "both")}
        work = work | {"folder": str(Path(folder) / "tiny"), "eager": False}
        with ThreadPoolExecutor(2) as pool:
            labels = ["tiny, one of two, empty cache", "tiny, the other"]
            found = list(pool.map(lambda label: large_model.report(label, work, both), labels))
        found.append(large_model.report("tiny, after them", work, both))
        if len({replies for _, replies in found}) != 1:
            sys.exit("engines that compiled at once generated something else")


if __name__ == "__main__":
    main()
