import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from refusal_stability import gpu_checks
from refusal_stability.errors import InputError

CPU_BUILD = SimpleNamespace(device_type="cpu", is_cpu=lambda: True)
# vLLM's GPU build where there is no GPU knows nothing of devices.
NO_DEVICE = SimpleNamespace(device_type="", is_cpu=lambda: False)


def gpus(number: int, gib: float) -> SimpleNamespace:
    """What vLLM's platform says where a job sees so many GPUs of so much memory."""
    return SimpleNamespace(
        device_type="cuda",
        is_cpu=lambda: False,
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
        gpu_checks.check_gpus(entry(gpus=number), tmp_path, platform)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("platform", [CPU_BUILD, gpus(1, 80)])
def test_what_needs_no_gpu_is_let_be(tmp_path: Path, platform: SimpleNamespace) -> None:
    gpu_checks.check_gpus(entry(gpus=0), tmp_path, platform)


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
        gpu_checks.check_gpus(entry(**settings), folder, gpus(2, 80))
        return
    with pytest.raises(InputError) as caught:
        gpu_checks.check_gpus(entry(**settings), folder, gpus(2, 80))
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
    assert gpu_checks.weight_bytes(folder, dtype) == expected


def test_weights_that_are_there_twice_count_once(tmp_path: Path) -> None:
    files = {"a.safetensors": 10, "b.safetensors": 20, "consolidated.safetensors": 30, "a.bin": 40}
    folder = checkpoint(tmp_path, files)
    index = {"weight_map": {"w": "a.safetensors", "v": "b.safetensors", "u": "a.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    assert gpu_checks.weight_bytes(folder, "auto") == 30


def test_weights_of_the_older_format(tmp_path: Path) -> None:
    assert gpu_checks.weight_bytes(checkpoint(tmp_path, {"pytorch_model.bin": 7}), "auto") == 7


def test_a_machine_without_gpus_is_told_before_any_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "nvidiactl"
    monkeypatch.setattr(gpu_checks, "_DEVICE_FILES", (str(driver),))
    gpu_checks.check_machine(set())
    with pytest.raises(InputError, match=r"^generate, judge: jobs ask for GPUs, and this machine"):
        gpu_checks.check_machine({"judge", "generate"})
    driver.touch()
    gpu_checks.check_machine({"generate"})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("No available memory for the cache blocks. Try", "m: the weights leave too little"),
        (
            "To serve at least one request with the model's max seq len (4096), (2 GiB KV cache",
            "m: the weights leave too little",
        ),
        ("Free memory on device cuda:0 (9/80 GiB) on startup is", "m: another program uses the"),
        ("max_model_len is too large", None),
    ],
)
def test_what_vllm_says_of_memory(said: str, expected: str | None) -> None:
    line = gpu_checks.memory_error(entry(), ValueError(f"{said}\nSee https://"))
    if expected is None:
        assert line is None
    else:
        assert str(line).startswith(expected)
        assert len(str(line).splitlines()) == 1


def test_what_pytorch_says_of_memory() -> None:
    import torch

    line = gpu_checks.memory_error(entry(), torch.OutOfMemoryError("CUDA out of memory. Tried"))
    assert str(line).startswith("m: the GPU is out of memory. Hint: give it more GPUs")
