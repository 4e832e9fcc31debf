import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from refusal_stability.core.errors import InputError
from refusal_stability.engine import hardware

CPU_BUILD = SimpleNamespace(device_type="cpu", is_cpu=lambda: True)
SCRIPTS = Path(hardware.__file__).parents[2]
# vLLM's GPU build where there is no GPU knows nothing of devices.
NO_DEVICE = SimpleNamespace(device_type="", is_cpu=lambda: False)


def gpus(number: int, gib: float) -> SimpleNamespace:
    """What vLLM's platform says where a job sees so many GPUs of so much memory."""
    return SimpleNamespace(
        device_type="cuda",
        is_cpu=lambda: False,
        is_cuda=lambda: True,
        device_count=lambda: number,
        get_device_total_memory=lambda: int(gib * 2**30),
    )


def entry(**settings: object) -> dict:
    return {"name": "m", "gpus": 1, "dtype": "auto", **settings}


def checkpoint(folder: Path, files: dict[str, int], **config: object) -> Path:
    """A folder with weight files of the given sizes in bytes, which hold nothing."""
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    for name, size in files.items():
        with (folder / name).open("wb") as file:
            file.truncate(size)
    return folder


@pytest.mark.parametrize(
    ("number", "platform", "message"),
    [
        (1, CPU_BUILD, r"m: gpus: 1, but vLLM's CPU build .* Hint: --sdm conda .*; gpus: 0 "),
        (1, NO_DEVICE, r"m: gpus: 1, but this job sees none\. Hint: --profile slurm asks"),
        (4, gpus(2, 80), r"m: gpus: 4, but this job sees 2\. Hint: "),
        (0, NO_DEVICE, r"m: gpus: 0 runs on the CPU, but vLLM's GPU build .* Hint: "),
    ],
)
def test_gpus_that_are_not_there_are_one_line(
    tmp_path: Path, number: int, platform: SimpleNamespace, message: str
) -> None:
    with pytest.raises(InputError, match=f"^{message}") as caught:
        hardware.check_gpus(entry(gpus=number), tmp_path, platform)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("platform", [CPU_BUILD, gpus(1, 80)])
def test_what_needs_no_gpu_is_let_be(tmp_path: Path, platform: SimpleNamespace) -> None:
    hardware.check_gpus(entry(gpus=0), tmp_path, platform)


# 70 billion weights of 2 bytes: 140e9 / 2**30 = 130.4 GiB. A sparse file takes no disk.
@pytest.mark.parametrize(
    ("settings", "share"),
    [
        ({"gpus": 1}, "130.4 GiB of weights for each of 1 GPU"),
        ({"gpus": 1, "nodes": 1, "dtype": "float16"}, "130.4 GiB of weights for each of 1 GPU"),
        ({"gpus": 2, "dtype": "float32"}, "130.4 GiB of weights for each of 2 GPU"),
        ({"gpus": 2}, None),
        ({"gpus": 1, "nodes": 2}, None),
    ],
)
def test_weights_that_do_not_fit_are_one_line(
    tmp_path: Path, settings: dict, share: str | None
) -> None:
    files = {"model-1-of-2.safetensors": 100 * 10**9, "model-2-of-2.safetensors": 40 * 10**9}
    folder = checkpoint(tmp_path, files, torch_dtype="bfloat16")
    if share is None:
        hardware.check_gpus(entry(**settings), folder, gpus(2, 80))
        return
    with pytest.raises(InputError) as caught:
        hardware.check_gpus(entry(**settings), folder, gpus(2, 80))
    assert str(caught.value).startswith(f"m: {share}(s), which have 80.0 GiB. Hint: give it more")


@pytest.mark.parametrize(
    ("config", "dtype", "expected"),
    [
        ({"dtype": "bfloat16"}, "auto", 1000),
        ({"torch_dtype": "bfloat16"}, "float32", 2000),
        ({"dtype": "float32"}, "float32", 1000),
        # auto makes bfloat16 of float32.
        ({"dtype": "float32"}, "auto", 500),
        ({"dtype": "float32"}, "bfloat16", 500),
        # Of a model that also sees, the text model's own.
        ({"text_config": {"torch_dtype": "float32"}}, "auto", 500),
        ({"dtype": "float16", "quantization_config": {"quant_method": "awq"}}, "float32", 1000),
        ({}, "float32", 1000),
    ],
)
def test_bytes_in_memory_by_dtype(tmp_path: Path, config: dict, dtype: str, expected: int) -> None:
    folder = checkpoint(tmp_path, {"model.safetensors": 1000}, **config)
    assert hardware.weight_bytes(folder, dtype) == expected


def test_weights_that_are_there_twice_count_once(tmp_path: Path) -> None:
    files = {"a.safetensors": 10, "b.safetensors": 20, "consolidated.safetensors": 30, "a.bin": 40}
    folder = checkpoint(tmp_path, files)
    index = {"weight_map": {"w": "a.safetensors", "v": "b.safetensors", "u": "a.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert hardware.weight_bytes(folder, "auto") == 30


def test_weights_of_the_older_format(tmp_path: Path) -> None:
    assert hardware.weight_bytes(checkpoint(tmp_path, {"pytorch_model.bin": 7}), "auto") == 7


def test_a_machine_without_gpus_is_told_before_any_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "nvidiactl"
    monkeypatch.setattr(hardware, "_DEVICE_FILES", (str(driver),))
    hardware.check_machine(set())
    with pytest.raises(InputError, match=r"^generate, judge: jobs ask for GPUs, and this machine"):
        hardware.check_machine({"judge", "generate"})
    driver.touch()
    hardware.check_machine({"generate"})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("No available memory for the cache blocks. Try", "m: the weights leave too little"),
        (
            "To serve at least one request with the model's max seq len (4096), (2 GiB KV cache",
            "m: the weights leave too little",
        ),
        ("Free memory on device cuda:0 (9/80 GiB) on startup is", "m: another program uses the"),
        (
            "The NVIDIA driver on your system is too old (found version 12020). Please update",
            "m: the driver of the GPU is too old. Hint: take nodes on which `nvidia-smi` shows",
        ),
        # What workers say once they have started: memory is looked for, then kernels are warmed up.
        (
            "Worker failed with error 'CUDA out of memory. Tried to allocate', please check the",
            "m: the GPU is out of memory. Hint: give it more GPUs",
        ),
        (
            "Worker failed with error 'Failed to find C compiler', please check the stack trace",
            "a worker process of the engine failed. Hint: the cause is the first error above",
        ),
        (
            "WorkerProc initialization failed due to an exception in a background process. See",
            "m: the engine's worker processes did not start. Hint: the cause is the first",
        ),
        ("max_model_len is too large", None),
    ],
)
def test_what_vllm_says_of_a_start_that_fails(said: str, expected: str | None) -> None:
    line = hardware.start_error(entry(), ValueError(f"{said}\nSee https://"))
    if expected is None:
        assert line is None
    else:
        assert str(line).startswith(expected)
        assert len(str(line).splitlines()) == 1


def test_what_pytorch_says_of_memory() -> None:
    import torch

    line = hardware.start_error(entry(), torch.OutOfMemoryError("CUDA out of memory. Tried"))
    assert str(line).startswith("m: the GPU is out of memory. Hint: give it more GPUs")


# What pynvml asks of NVIDIA's library, answered as a node with an older or a newer driver does.
NVML = """
#include <string.h>
int nvmlInit_v2(void) { return 0; }
int nvmlInitWithFlags(unsigned flags) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = VERSION; return STATUS; }
int nvmlSystemGetDriverVersion(char *text, unsigned size) { strcpy(text, DRIVER); return 0; }
const char *nvmlErrorString(int status) { return "Unknown Error"; }
"""
CHECK = """
import sys, torch
from pathlib import Path
from types import SimpleNamespace
from refusal_stability.core import cli
from refusal_stability.engine import hardware
torch.version.cuda = sys.argv[1]
gpu = SimpleNamespace(device_type="cuda", is_cpu=lambda: False, is_cuda=lambda: True,
    device_count=lambda: 1, get_device_total_memory=lambda: 2**30)
folder = Path(sys.argv[2])
cli.run(lambda: hardware.check_gpus({"name": "m", "gpus": 1, "dtype": "auto"}, folder, gpu))
"""


@pytest.mark.parametrize(
    ("version", "driver", "built", "says"),
    [
        (12020, "535.104.05", "13.0", "driver 535.104.05 is for CUDA 12.2 and earlier, and this"),
        (12090, "575.51.03", "13.0", "driver 575.51.03 is for CUDA 12.9 and earlier, and this"),
        (13000, "580.65.06", "13.0", None),
        # A driver of CUDA 13.0 runs code of 13.1, and a later one that of an earlier CUDA.
        (13000, "580.65.06", "13.1", None),
        (13010, "590.10", "12.9", None),
    ],
)
def test_a_driver_older_than_the_build_is_one_line_before_the_weights(
    tmp_path: Path, version: int, driver: str, built: str, says: str | None
) -> None:
    result = check_with_nvml(tmp_path, version, driver, built, status=0)
    if says is None:
        assert (result.returncode, said(result)) == (0, [])
        return
    assert result.returncode == 1
    (line,) = said(result)
    assert line.startswith(f"error: m: this node's {says} environment is built for CUDA {built}. ")
    assert f"Hint: take nodes on which `nvidia-smi` shows CUDA Version {built}" in line
    assert "docs/cluster.md, step 1" in line


def test_a_driver_that_does_not_tell_its_version_stops_nothing(tmp_path: Path) -> None:
    result = check_with_nvml(tmp_path, 0, "", "13.0", status=999)
    assert result.returncode == 0
    assert said(result) == ["m: the driver's version is not known (Unknown Error)"]


def said(result: subprocess.CompletedProcess[str]) -> list[str]:
    # PyTorch says that there is no Triton beside its CPU build.
    return [line for line in result.stderr.splitlines() if "flop_counter" not in line]


def check_with_nvml(
    folder: Path, version: int, driver: str, built: str, status: int
) -> subprocess.CompletedProcess[str]:
    """Check a GPU with vLLM's own binding of NVML and a library that answers as told."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc to make the library with")
    (folder / "nvml.c").write_text(NVML, encoding="utf-8")
    subprocess.run(
        ["gcc", "-shared", "-fPIC", f"-DVERSION={version}", f'-DDRIVER="{driver}"',
         f"-DSTATUS={status}", "nvml.c", "-o", "libnvidia-ml.so.1"],
        cwd=folder, check=True,
    )  # fmt: skip
    checkpoint(folder, {"model.safetensors": 1000})
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(SCRIPTS)}
    environment |= {"VLLM_LOGGING_LEVEL": "WARNING"}
    return subprocess.run(
        [sys.executable, "-c", CHECK, built, folder],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.fixture
def compilers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The only folder of PATH, without any program."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    hardware._compiler_problem.cache_clear()
    return tmp_path


def program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)


def test_a_node_without_a_c_compiler_is_one_line_before_the_weights(
    compilers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = r"^m: this node has no C compiler, and Triton .* Hint: --sdm conda .*`precommand`"
    with pytest.raises(InputError, match=line):
        hardware.check_gpus(entry(), compilers, gpus(1, 80))
    hardware._compiler_problem.cache_clear()
    # Triton takes what CC names, and nothing else.
    program(compilers / "gcc", "exit 0")
    monkeypatch.setenv("CC", str(compilers / "cc-that-is-gone"))
    with pytest.raises(InputError, match=r"cc-that-is-gone' cannot be run \(No such file or"):
        hardware.check_gpus(entry(), compilers, gpus(1, 80))
    # Nor another one where it is empty.
    hardware._compiler_problem.cache_clear()
    monkeypatch.setenv("CC", "")
    with pytest.raises(InputError, match=r"the C compiler '' cannot be run"):
        hardware.check_gpus(entry(), compilers, gpus(1, 80))


def test_a_compiler_without_headers_is_one_line(compilers: Path) -> None:
    program(compilers / "clang", "echo 'launcher.c:1:10: fatal error: Python.h: gone' >&2; exit 1")
    with pytest.raises(InputError) as caught:
        hardware.check_gpus(entry(), compilers, gpus(1, 80))
    assert "clang compiles no module of Python: launcher.c:1:10: fatal error: Pyth" in str(
        caught.value
    )


def test_a_compiler_that_hangs_is_one_line(
    compilers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "_COMPILE_SECONDS", 0.2)
    program(compilers / "gcc", "exec /bin/sleep 20")
    with pytest.raises(InputError, match=r"gcc takes more than 0\.2 s"):
        hardware.check_gpus(entry(), compilers, gpus(1, 80))


def test_what_a_compiler_says_need_be_no_text(compilers: Path) -> None:
    program(compilers / "gcc", "printf '\\377 error\\n' >&2; exit 1")
    with pytest.raises(InputError, match="compiles no module of Python: \ufffd error"):
        hardware.check_gpus(entry(), compilers, gpus(1, 80))


def test_the_compiler_of_this_machine_is_taken() -> None:
    if shutil.which("gcc") is None and shutil.which("clang") is None:
        pytest.skip("no C compiler here")
    hardware._compiler_problem.cache_clear()
    assert hardware._compiler_problem() is None


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("Worker failed with error 'CUDA out of memory', please check"), True),
        (RuntimeError("Executor failed."), True),
        (RuntimeError("cancelled"), True),
        (TimeoutError("RPC call to execute_model timed out."), True),
        (RuntimeError("shape mismatch"), False),
    ],
)
def test_what_vllm_says_of_a_worker_that_failed(error: Exception, expected: bool) -> None:
    line = hardware.worker_error(error)
    assert (line is not None) == expected
    if line:
        assert "Hint: the cause is the first error above in a line that begins with (W" in str(line)
        assert str(error) in str(line)
