"""The key `determinism` of a model: what jobs are told, what is set, and what a machine lacks."""

import os
from pathlib import Path

import polars as pl
import pytest

from refusal_stability import determinism, model_settings, repeated_passes
from refusal_stability.engine import engine_settings
from refusal_stability.errors import InputError

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


def settings(mode: str) -> dict:
    return engine_settings(MODEL | {"determinism": mode}, Path("unused"))


def test_the_default_goes_without_saying() -> None:
    # Cells that were made before there was the key need not be made again.
    assert "determinism" not in model_settings.told(MODEL | {"determinism": "default"})
    assert model_settings.told(MODEL | {"determinism": "one_at_a_time"})["determinism"]
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
    for several in ({"gpus": 2}, {"gpus": 1, "nodes": 2}):
        reason = determinism.unavailable(entry | several, current_platform)
        assert reason is not None
        assert "several GPUs have one each" in reason


class Failing:
    """An engine of a machine that has no memory left."""

    requests = ([1], [2])

    def __init__(self, model: dict, prompts: pl.DataFrame) -> None: ...

    def unavailable(self) -> None: ...

    def start(self) -> None:
        raise RuntimeError("out of memory")


def test_a_failing_engine_is_no_way_that_the_machine_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeated_passes, "_Arm", Failing)
    for mode in ("default", "one_at_a_time"):
        with pytest.raises(RuntimeError, match="out of memory"):
            repeated_passes.self_test(MODEL | {"determinism": mode}, pl.DataFrame())
    found = repeated_passes.self_test(
        MODEL | {"determinism": "deterministic_kernels"}, pl.DataFrame()
    )
    assert (found["available"], found["reason"]) == (False, "out of memory")


def test_a_setting_of_one_process_is_refused_for_several_gpus() -> None:
    entry = MODEL | {"determinism": "deterministic_kernels", "gpus": 2}
    (problem,) = model_settings.problems("models[0]", entry, [0])
    assert problem.startswith("models[0].determinism: deterministic_kernels is a setting of one")
    assert not list(model_settings.problems("models[0]", entry | {"gpus": 1}, [0]))
