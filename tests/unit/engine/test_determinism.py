"""The key `determinism` of a model: what jobs are told, what is set, and what a machine lacks."""

import os
from pathlib import Path

import polars as pl
import pytest

from refusal_stability.core.errors import EngineError, InputError
from refusal_stability.engine import determinism
from refusal_stability.engine.vllm_engine import engine_settings
from refusal_stability.experiments.determinism import passes
from refusal_stability.settings import models

MODEL = {
    "name": "m",
    "kind": "vllm",
    "dtype": "float32",
    "max_model_len": 256,
    "max_tokens": 64,
    "enforce_eager": True,
    "gpus": 0,
    "nodes": 1,
    "kv_cache_gib": 1,
}


class Gpu:
    """A GPU of NVIDIA's, as far as vLLM's platform tells of it."""

    def __init__(self, capability: tuple[int, int]) -> None:
        self.capability = capability

    def is_cuda(self) -> bool:
        return True

    def has_device_capability(self, wanted: tuple[int, int]) -> bool:
        return self.capability >= wanted

    def get_device_capability(self) -> "Gpu":
        return self

    def as_version_str(self) -> str:
        return ".".join(map(str, self.capability))


def settings(mode: str) -> dict:
    return engine_settings(MODEL | {"determinism": mode}, Path("unused"))


def test_the_default_goes_without_saying() -> None:
    # Cells that were made before there was the key need not be made again.
    assert "determinism" not in models.job_settings(MODEL | {"determinism": "default"})
    assert models.job_settings(MODEL | {"determinism": "one_at_a_time"})["determinism"]
    assert settings("default") == engine_settings(MODEL, Path("unused"))


def test_one_at_a_time_lets_nothing_share_a_batch() -> None:
    assert settings("one_at_a_time") == settings("default") | {"max_num_seqs": 1}


def test_deterministic_kernels_are_asked_of_pytorch_and_of_cublas(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    entry = MODEL | {"determinism": "deterministic_kernels"}
    try:
        determinism.prepare(entry)
        assert os.environ.pop("CUBLAS_WORKSPACE_CONFIG") == ":4096:8"
        engine_settings(entry, Path("unused"))
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.utils.deterministic.fill_uninitialized_memory
    finally:
        torch.use_deterministic_algorithms(False)


def test_what_the_machine_lacks_is_one_line() -> None:
    with pytest.raises(InputError) as caught:
        settings("batch_invariant")
    message = str(caught.value)
    assert message.startswith("m: determinism: batch_invariant is not available here: vLLM's batch")
    assert "Hint: " in message
    assert len(message.splitlines()) == 1


def test_deterministic_kernels_of_several_gpus_are_not_available() -> None:
    from vllm.platforms import current_platform

    entry = MODEL | {"determinism": "deterministic_kernels"}
    assert determinism.unavailable(entry | {"gpus": 1}, current_platform) is None
    # Jobs are not told of one node.
    assert determinism.unavailable(models.job_settings(entry), current_platform) is None
    for several in ({"gpus": 2}, {"gpus": 1, "nodes": 2}):
        reason = determinism.unavailable(entry | several, current_platform)
        assert reason is not None
        assert "several GPUs have one each" in reason


class Failing:
    """An engine of a machine that has no memory left."""

    requests = ([1], [2])

    def __init__(self, model: dict, prompts: pl.DataFrame) -> None: ...

    def unavailable(self) -> None: ...

    error = RuntimeError("out of memory")

    def start(self) -> None:
        raise self.error


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), EngineError("out of memory")])
def test_a_failing_engine_is_no_way_that_the_machine_lacks(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(Failing, "error", error)
    monkeypatch.setattr(passes, "_Arm", Failing)
    for mode in ("default", "one_at_a_time"):
        with pytest.raises(type(error), match="out of memory"):
            passes.self_test(MODEL | {"determinism": mode}, pl.DataFrame())
    found = passes.self_test(MODEL | {"determinism": "deterministic_kernels"}, pl.DataFrame())
    assert (found["available"], found["reason"]) == (False, "out of memory")


def test_a_setting_of_one_process_is_refused_for_several_gpus() -> None:
    entry = MODEL | {"determinism": "deterministic_kernels", "gpus": 2}
    (problem,) = models.problems("models[0]", entry, [0])
    assert problem.startswith("models[0].determinism: deterministic_kernels is a setting of one")
    assert not list(models.problems("models[0]", entry | {"gpus": 1}, [0]))


@pytest.mark.parametrize(
    ("capability", "triton", "lacking"),
    [
        ((9, 0), True, None),
        ((8, 0), True, None),
        ((7, 5), True, "take a compute capability of 8.0, and this GPU has 7.5"),
        ((9, 0), False, "take Triton, which is not installed"),
    ],
)
def test_which_gpus_are_batch_invariant(
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    triton: bool,
    lacking: str | None,
) -> None:
    spec = {"triton": object()} if triton else {}
    monkeypatch.setattr(determinism.importlib.util, "find_spec", spec.get)
    found = determinism.unavailable({"determinism": "batch_invariant"}, Gpu(capability))
    assert lacking in found if lacking else found is None
    assert determinism.unavailable({"determinism": "one_at_a_time"}, Gpu(capability)) is None


def test_a_variable_that_makes_all_arms_alike_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "1")
    determinism.check_variables(MODEL | {"determinism": "batch_invariant"})
    for mode in ("default", "one_at_a_time"):
        with pytest.raises(
            InputError, match=r"^m: VLLM_BATCH_INVARIANT=1 is set .* Hint: unset it"
        ):
            determinism.check_variables(MODEL | {"determinism": mode})
