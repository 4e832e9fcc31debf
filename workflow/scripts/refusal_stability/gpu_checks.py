"""Whether the GPUs that a model or judge asks for are there, and hold its weights."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refusal_stability.errors import InputError

if TYPE_CHECKING:
    from vllm.platforms import Platform

GIB = 2**30
# Bytes of a weight; `auto` stands for bfloat16 where the checkpoint has float32.
_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "auto": 2}
# What the drivers of NVIDIA's and AMD's GPUs make: one of them is there, or no GPU can be used.
_DEVICE_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
_MORE_MEMORY = (
    "give it more GPUs (`gpus`), GPUs with more memory, a shorter max_model_len, or take a "
    "quantised checkpoint"
)


def check_machine(rules: set[str]) -> None:
    """Look whether this machine has any GPU, in no time: before a run that starts its jobs here.

    Args:
        rules: the rules whose jobs ask for GPUs.

    Raises:
        InputError: there are such rules, and the machine has none.
    """
    if rules and not any(map(os.path.exists, _DEVICE_FILES)):
        raise InputError(
            f"{', '.join(sorted(rules))}: jobs ask for GPUs, and this machine has none. Hint: "
            "--profile slurm gets them from a cluster; gpus: 0 runs a model or judge on the CPU"
        )


def check_gpus(entry: dict[str, Any], folder: Path, platform: "Platform") -> None:
    """Look whether vLLM sees the GPUs of a model or judge, before it loads the weights.

    Args:
        entry: the settings of the model or judge.
        folder: where its checkpoint is.
        platform: vLLM's ``current_platform``.

    Raises:
        InputError: there are none, too few of them, or they cannot hold the weights.
    """
    name, gpus = entry["name"], entry["gpus"]
    if gpus == 0:
        if not platform.device_type:
            raise InputError(
                f"{name}: gpus: 0 runs on the CPU, but vLLM's GPU build is installed here. Hint: "
                "use the environment of `make setup`, or ask for a GPU"
            )
        return
    if platform.is_cpu():
        raise InputError(
            f"{name}: gpus: {gpus}, but vLLM's CPU build is installed here. Hint: --sdm conda "
            "takes its GPU build; gpus: 0 runs on the CPU"
        )
    # Without a GPU, vLLM's GPU build does not know what it runs on.
    there = platform.device_count() if platform.device_type else 0
    if there < gpus:
        raise InputError(
            f"{name}: gpus: {gpus}, but this job sees {there or 'none'}. Hint: --profile slurm "
            "asks the cluster for them; on a machine of your own, give as many as it has"
        )
    _check_memory(entry, folder, platform.get_device_total_memory())


def _check_memory(entry: dict[str, Any], folder: Path, memory: int) -> None:
    # The cache and the activations need room as well; how much, vLLM finds out.
    parts = entry["gpus"] * entry.get("nodes", 1)
    share = weight_bytes(folder, entry["dtype"]) / parts
    if share > memory:
        raise InputError(
            f"{entry['name']}: {share / GIB:.1f} GiB of weights for each of {parts} GPU(s), which "
            f"have {memory / GIB:.1f} GiB. Hint: {_MORE_MEMORY}"
        )


def weight_bytes(folder: Path, dtype: str) -> int:
    """Return the size in bytes that a checkpoint's weights have in memory, as ``dtype``."""
    size = sum(file.stat().st_size for file in _weight_files(folder))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text = config.get("text_config", {})
    stored = next(
        (part[key] for part in (config, text) for key in ("dtype", "torch_dtype") if part.get(key)),
        None,
    )
    # Quantised weights stay as they are, and so does what `auto` finds in 16 bits.
    if "quantization_config" in config or stored not in _BYTES:
        return size
    return size * _BYTES[dtype] // _BYTES[stored]


def _weight_files(folder: Path) -> list[Path]:
    # Some repositories hold the same weights once more in another format; the index tells.
    for name, kind in (("model", "safetensors"), ("pytorch_model", "bin")):
        index = folder / f"{name}.{kind}.index.json"
        if index.is_file():
            named = json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()
            return [file for file in (folder / name for name in set(named)) if file.is_file()]
        if files := list(folder.glob(f"*.{kind}")):
            return files
    return []


def memory_error(entry: dict[str, Any], error: Exception) -> InputError | None:
    """Return one line for what vLLM or PyTorch says of too little memory; None for other errors."""
    import torch

    text = " ".join(str(error).split())
    if "Free memory on device" in text:
        reason, hint = (
            "another program uses the memory of the GPU",
            "wait for it, or keep jobs apart with --resources gpu=1",
        )
    elif "memory for the cache blocks" in text or "To serve at least one request" in text:
        reason, hint = (
            "the weights leave too little memory for the key-value cache",
            f"{_MORE_MEMORY}; if kv_cache_gib is given, raise it",
        )
    elif isinstance(error, torch.OutOfMemoryError):
        reason, hint = "the GPU is out of memory", _MORE_MEMORY
    else:
        return None
    return InputError(f"{entry['name']}: {reason}. Hint: {hint}. It says: {text[:300]}")
