"""What of an engine decides its results, by vLLM's own account of the machine; none is started."""

from pathlib import Path

import pytest

from refusal_stability.engine import facts as engine_facts

MODEL = {
    "name": "m",
    "dtype": "float32",
    "max_model_len": 256,
    "enforce_eager": True,
    "gpus": 0,
    "kv_cache_gib": 1,
}


def facts(**changed: object) -> dict:
    return engine_facts.deciding_facts(MODEL | changed, Path("unused"))


def test_settings_that_decide_results_are_facts_and_others_are_none() -> None:
    # On a CPU nothing is compiled, whatever is asked.
    assert facts(name="another", kv_cache_gib=2, enforce_eager=False) == facts()
    for changed in ({"dtype": "auto"}, {"max_model_len": 512}):
        assert facts(**changed) != facts()


def test_how_much_is_batched_is_a_fact() -> None:
    settings = facts()["settings"]
    assert (settings["max_num_seqs"], settings["max_num_batched_tokens"]) == (256, 8192)
    assert facts(determinism="one_at_a_time")["settings"]["max_num_seqs"] == 1


def test_the_model_runner_that_a_seed_a_cell_takes_is_a_fact(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = facts()
    # As prepare_imports sets it.
    monkeypatch.setenv("VLLM_USE_V2_MODEL_RUNNER", "0")
    assert facts() != before


def test_variables_count_unless_they_are_known_to_decide_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = facts()
    monkeypatch.setenv("VLLM_LOGGING_LEVEL", "DEBUG")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "7")
    monkeypatch.setenv("SOMETHING_ELSE", "1")
    assert facts() == before
    monkeypatch.setenv("VLLM_SOMETHING_NEW", "1")
    assert facts() != before
    monkeypatch.delenv("VLLM_SOMETHING_NEW")
    monkeypatch.setenv("VLLM_BATCH_INVARIANT", "1")
    assert facts() == before | {"determinism": "batch_invariant"}


def test_a_cpu_is_told_by_its_kind_and_by_the_threads_that_it_has() -> None:
    told = facts()
    assert told["device"] == "cpu"
    assert told["threads"] >= 1
    assert told["cpu"][0]
    assert told["engine_version"].startswith("0.")
