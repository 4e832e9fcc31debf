"""What a model's key `determinism` has the engine do so that equal requests get equal replies."""

import importlib.util
import os
from typing import TYPE_CHECKING, Any

from refusal_stability.core.errors import InputError
from refusal_stability.settings.models import (
    BATCH_INVARIANT,
    DEFAULT,
    DETERMINISTIC_KERNELS,
    ONE_AT_A_TIME,
)

if TYPE_CHECKING:
    from vllm.platforms import Platform

# What vLLM's batch-invariant kernels were written for: Ampere and later.
_CAPABILITY = (8, 0)


def mode_of(entry: dict[str, Any]) -> str:
    """Return the mode of a model or judge; what the environment promises holds for all."""
    if os.environ.get("VLLM_BATCH_INVARIANT") == "1":
        return BATCH_INVARIANT
    return _asked(entry)


def prepare(entry: dict[str, Any]) -> None:
    """Set what PyTorch and vLLM read when they are imported, or first use the GPU."""
    mode = _asked(entry)
    if mode == BATCH_INVARIANT:
        os.environ["VLLM_BATCH_INVARIANT"] = "1"
    elif mode == DETERMINISTIC_KERNELS:
        # cuBLAS gives the same sums only if its workspace has a fixed size (PyTorch,
        # "Reproducibility").
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"


def unavailable(entry: dict[str, Any], platform: "Platform") -> str | None:
    """Return why this machine cannot do what an entry asks for; None if it can."""
    if _asked(entry) == BATCH_INVARIANT:
        return _lacks_batch_invariance(platform)
    if _asked(entry) == DETERMINISTIC_KERNELS and entry["gpus"] * entry.get("nodes", 1) > 1:
        return "it is a setting of one process, and several GPUs have one each"
    return None


def _lacks_batch_invariance(platform: "Platform") -> str | None:
    if not platform.is_cuda():
        return "vLLM's batch-invariant kernels are for NVIDIA GPUs, and this is none"
    if not platform.has_device_capability(_CAPABILITY):
        wanted, found = ".".join(map(str, _CAPABILITY)), platform.get_device_capability()
        return (
            f"vLLM's batch-invariant kernels take a compute capability of {wanted}, and this GPU "
            f"has {found.as_version_str()}"
        )
    if importlib.util.find_spec("triton") is None:
        return "vLLM's batch-invariant kernels take Triton, which is not installed"
    return None


def check_variables(entry: dict[str, Any]) -> None:
    """Look whether the environment leaves an entry the mode that it asks for.

    Raises:
        InputError: somebody has set vLLM's variable for all that runs here.
    """
    if mode_of(entry) != _asked(entry):
        raise InputError(
            f"{entry['name']}: VLLM_BATCH_INVARIANT=1 is set here, which would make every way of "
            f"running the engine {BATCH_INVARIANT}. Hint: unset it, that arm sets it by itself"
        )


def apply(entry: dict[str, Any], platform: "Platform") -> dict[str, Any]:
    """Do what is to be done in this process, and return what vLLM is told besides.

    Raises:
        InputError: this machine cannot do it.
    """
    if reason := unavailable(entry, platform):
        raise InputError(
            f"{entry['name']}: determinism: {_asked(entry)} is not available here: {reason}. "
            "Hint: take another mode, or a machine that has it"
        )
    if _asked(entry) == DETERMINISTIC_KERNELS:
        import torch

        # An operation without a deterministic form raises an error instead of being left as it is.
        torch.use_deterministic_algorithms(True)
        # It would also fill new memory with NaN, of which an engine leaves much unused: what is
        # masked by a product with zero would be NaN too.
        torch.utils.deterministic.fill_uninitialized_memory = False
    return {"max_num_seqs": 1} if _asked(entry) == ONE_AT_A_TIME else {}


def _asked(entry: dict[str, Any]) -> str:
    return entry.get("determinism", DEFAULT)
