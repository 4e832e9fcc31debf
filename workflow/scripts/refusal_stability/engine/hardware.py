"""Whether a job's GPUs, their driver and its compiler are there, before weights are loaded."""

import functools
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refusal_stability.core.errors import EngineError, InputError

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
_SEE_WORKER = (
    "Hint: the cause is the first error above in a line that begins with (Worker; if there is "
    "none, the process was killed, perhaps for memory"
)
# Patience with a compiler; from a network file system, its first start may take some seconds.
_COMPILE_SECONDS = 120
# What vLLM says in its main process of a worker that raised an error, died, or does not answer.
_WORKER_FAILED = ("Worker failed with error", "Executor failed", "cancelled", "RPC call to")


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
        InputError: there are none, too few, their driver is too old, there is no C compiler,
            or the weights do not fit.
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
    if platform.is_cuda():
        _check_driver(name)
        if problem := _compiler_problem():
            raise InputError(f"{name}: {problem}")
    _check_memory(entry, folder, platform.get_device_total_memory())


def _check_driver(name: str) -> None:
    """Look whether the driver runs code of the CUDA that PyTorch, and vLLM with it, was built for.

    A driver of CUDA 13.0 or later runs that of any CUDA 13 (NVIDIA, "CUDA Compatibility").
    """
    import torch
    from vllm.utils.import_utils import import_pynvml

    nvml = import_pynvml()
    try:
        nvml.nvmlInit()
        try:
            number = nvml.nvmlSystemGetCudaDriverVersion_v2()
            driver = nvml.nvmlSystemGetDriverVersion()
        finally:
            nvml.nvmlShutdown()
    except nvml.NVMLError as error:
        # Some GPUs, such as those of Jetson, have no such library: the engine's start will tell.
        print(f"{name}: the driver's version is not known ({error})", file=sys.stderr)
        return
    # 12040 is CUDA 12.4.
    major, minor = number // 1000, number % 1000 // 10
    if major < int(torch.version.cuda.partition(".")[0]):
        raise InputError(
            f"{name}: this node's driver {driver} is for CUDA {major}.{minor} and earlier, and "
            f"this environment is built for CUDA {torch.version.cuda}. {_newer_driver()}"
        )


def _newer_driver() -> str:
    import torch

    major = (torch.version.cuda or "").partition(".")[0]
    return (
        f"Hint: take nodes on which `nvidia-smi` shows CUDA Version {major}.0 or later; "
        "docs/cluster.md, step 1"
    )


@functools.cache
def _compiler_problem() -> str | None:
    """Return why Triton could compile no launcher of a kernel here; None if it can.

    It takes the compiler that CC names, else gcc, else clang; without one each job on a GPU fails,
    after the weights were loaded.
    """
    compiler = os.environ.get("CC")
    if compiler is None:
        compiler = shutil.which("gcc") or shutil.which("clang")
    hint = (
        "Hint: --sdm conda brings one; else load one on the node, with `precommand` in "
        "profiles/slurm/config.yaml"
    )
    if compiler is None:
        return f"this node has no C compiler, and Triton compiles kernels in every job. {hint}"
    include = sysconfig.get_paths(scheme="posix_prefix")["include"]
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "launcher.c")
            source.write_text("#include <Python.h>\n#include <stdio.h>\n", encoding="utf-8")
            command = [compiler, source, "-shared", "-fPIC", f"-I{include}", "-o", f"{folder}/l.so"]
            subprocess.run(
                command, check=True, capture_output=True, errors="replace", timeout=_COMPILE_SECONDS
            )
    except OSError as error:
        return f"the C compiler {compiler!r} cannot be run ({error.strerror}). {hint}"
    except subprocess.TimeoutExpired:
        return f"the C compiler {compiler} takes more than {_COMPILE_SECONDS} s. {hint}"
    except subprocess.CalledProcessError as error:
        says = next((line for line in error.stderr.splitlines() if "error" in line), "it fails")
        return f"the C compiler {compiler} compiles no module of Python: {says}. {hint}"
    return None


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


def start_error(entry: dict[str, Any], error: Exception) -> InputError | EngineError | None:
    """Return one line for what keeps an engine from starting; None for other errors.

    Args:
        entry: the settings of the model or judge.
        error: what vLLM, PyTorch or Triton raised.
    """
    import torch

    text = " ".join(str(error).split())
    if "Free memory on device" in text:
        reason, hint = (
            "another program uses the memory of the GPU",
            "Hint: wait for it, or keep jobs apart with --resources gpu=1",
        )
    elif "memory for the cache blocks" in text or "To serve at least one request" in text:
        reason, hint = (
            "the weights leave too little memory for the key-value cache",
            f"Hint: {_MORE_MEMORY}; if kv_cache_gib is given, raise it",
        )
    # A worker's own error is known by its text only.
    elif isinstance(error, torch.OutOfMemoryError) or "CUDA out of memory" in text:
        reason, hint = "the GPU is out of memory", f"Hint: {_MORE_MEMORY}"
    elif "driver on your system is too old" in text:
        reason, hint = "the driver of the GPU is too old", _newer_driver()
    # A bare Exception, which does not say what the worker's was.
    elif "WorkerProc initialization failed" in text:
        return EngineError(
            f"{entry['name']}: the engine's worker processes did not start. {_SEE_WORKER}. It "
            f"says: {text[:300]}"
        )
    else:
        return worker_error(error)
    return InputError(f"{entry['name']}: {reason}. {hint}. It says: {text[:300]}")


def worker_error(error: Exception) -> EngineError | None:
    """Return one line for a worker process that failed while the engine ran, else None."""
    text = " ".join(str(error).split())
    if text.startswith(_WORKER_FAILED):
        return EngineError(
            f"a worker process of the engine failed. {_SEE_WORKER}. It says: {text[:300]}"
        )
    return None


def kind_of_cpu() -> list[str]:
    """Return the name of the CPU and its vector instructions: code and sums differ by them."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    # Those of the first core; other architectures have other names for them, or none.
    told = {}
    for name, _, value in (line.partition(":") for line in lines):
        told.setdefault(name.strip(), value.strip())
    vector = [flag for flag in told.get("flags", "").split() if flag.startswith(("avx", "amx"))]
    return [told.get("model name", os.uname().machine), *sorted(vector)]
