"""What is to be said of an engine: in manifests, and in the keys of its results."""

import os
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refusal_stability.core.hashing import sha256_text
from refusal_stability.engine.chat import CHAT_DATE
from refusal_stability.engine.determinism import mode_of
from refusal_stability.engine.hardware import kind_of_cpu
from refusal_stability.engine.vllm_engine import engine_settings

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import LLM

# Settings of the engine that decide no result: what is told otherwise, memory, and addresses.
_NEUTRAL_SETTINGS = {
    "model", "kv_cache_memory_bytes", "trust_remote_code",
    "node_rank", "master_addr", "master_port",
}  # fmt: skip
# The same of vLLM's variables; any other that somebody has set counts.
_NEUTRAL_VARIABLES = {
    "VLLM_BATCH_INVARIANT", "VLLM_CACHE_ROOT", "VLLM_CONFIG_ROOT", "VLLM_CPU_KVCACHE_SPACE",
    "VLLM_ENABLE_V1_MULTIPROCESSING", "VLLM_HOST_IP",
    "VLLM_LOGGING_LEVEL", "VLLM_NO_USAGE_STATS", "VLLM_PORT",
}  # fmt: skip


def dtype_of(llm: "LLM") -> str:
    """Return the type that an engine took for weights and activations, such as bfloat16."""
    return str(llm.llm_engine.model_config.dtype).removeprefix("torch.")


def runner_of(llm: "LLM") -> str:
    """Return which of vLLM's two model runners an engine has: each draws in its own way."""
    return "v2" if llm.llm_engine.vllm_config.use_v2_model_runner else "v1"


def template_sha256(tokenizer: "PreTrainedTokenizerBase") -> str | None:
    """Return the hash of a chat template; some classifiers have none, but a prompt instead."""
    return sha256_text(tokenizer.get_chat_template()) if tokenizer.chat_template else None


def engine_manifest(
    dtype: str | None,
    tokenizer: "PreTrainedTokenizerBase",
    folder: Path,
    mode: str,
    runner: str | None,
) -> dict[str, Any]:
    """Return what a manifest says of the engine: versions, device, dtype, template, revision.

    Args:
        dtype: that of the engine, None where nothing was asked.
        tokenizer: its tokenizer.
        folder: where the weights are.
        mode: its determinism.
        runner: its model runner; None where no engine was started.
    """
    # A snapshot of the hub's cache lies in .../snapshots/<commit>.
    commit = folder.name if folder.parent.name == "snapshots" else None
    return {
        **_versions_and_device(),
        "dtype": dtype,
        "determinism": mode,
        "model_runner": runner,
        "revision": commit,
        "chat_template_sha256": template_sha256(tokenizer),
        "chat_date": CHAT_DATE.date().isoformat(),
    }


def deciding_facts(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what of an engine may decide its results, without starting one: a part of their key.

    Raises:
        InputError: the GPUs are not there or too small.
    """
    import torch
    from vllm.platforms import current_platform

    settings = engine_settings(entry, folder)
    facts = {
        **_versions_and_device(),
        "determinism": mode_of(entry),
        "settings": {k: v for k, v in settings.items() if k not in _NEUTRAL_SETTINGS},
        "variables": {
            name: value
            for name, value in os.environ.items()
            if name.startswith("VLLM_") and name not in _NEUTRAL_VARIABLES
        },
    }
    if current_platform.is_cuda():
        from vllm.utils.flashinfer import has_flashinfer

        # Some of its kernels, such as those of quantised weights, no switch turns off.
        facts["flashinfer"] = has_flashinfer()
    if current_platform.is_cpu():
        # Sums are split among threads, and each kind of CPU has instructions of its own.
        facts |= {"threads": torch.get_num_threads(), "cpu": kind_of_cpu()}
    return facts


def _versions_and_device() -> dict[str, str]:
    import torch
    import vllm
    from vllm.platforms import current_platform

    return {
        "engine": "vllm",
        "engine_version": vllm.__version__,
        "torch_version": torch.__version__,
        "transformers_version": metadata.version("transformers"),
        "device": current_platform.get_device_name() or current_platform.device_type,
    }
