"""What jobs ask the cache for stays the same while they run."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from refusal_stability.cache.results import ResultCache

JUDGE = {
    "name": "judge",
    "kind": "vllm",
    "answer": "constrained",
    "weights": "./weights",
    "rubric": "resources/rubrics/demo.txt",
    "dtype": "float32",
    "max_model_len": 256,
    "enforce_eager": True,
    "gpus": 0,
    "kv_cache_gib": 1,
}


def test_an_engine_that_was_started_makes_no_other_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"vocab_size": 1}))
    words = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words)

    def key(cache: ResultCache) -> str:
        return cache.verdicts(JUDGE, tmp_path, tokenizer).key

    cache = ResultCache(tmp_path / "cache", "model")
    before = key(cache)
    # As vLLM does when it starts, between the first model that a judge labels and the second.
    monkeypatch.setenv("VLLM_WORKER_MULTIPROC_METHOD", "spawn")
    assert key(cache) == before
    # Of a user, before the job, it counts.
    assert key(ResultCache(tmp_path / "cache", "model")) != before
