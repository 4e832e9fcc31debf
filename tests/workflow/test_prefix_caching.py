"""The rubric stands before every text, and an engine reads it once."""

import json
import sys

from helpers.workspace import Workspace

# What vLLM keeps together on a CPU: of a prefix that was read, whole blocks are known.
BLOCK = 128


def test_the_rubric_is_read_once(finished_copy: Workspace) -> None:
    manifest = json.loads((finished_copy.run / "verdicts/judge-good/tiny-llama.json").read_text())
    judge = manifest["judge"] | {"max_model_len": 512, "rubric": "long.txt"}
    rubric = (finished_copy.folder / manifest["judge"]["rubric"]).read_text(encoding="utf-8")
    (finished_copy.folder / "long.txt").write_text(rubric * 5, encoding="utf-8")
    result = finished_copy.call(
        *(sys.executable, "workflow/scripts/judge.py", "--judge", json.dumps(judge)),
        *("--prompts", str(finished_copy.run / "prompts.parquet")),
        *("--responses", str(finished_copy.run / "responses/tiny-llama"), "--cache", "cache.jsonl"),
        *("--temperatures", "0", "1", "--seeds", "1", "2"),
        *("--output", "verdicts.parquet"),
    )
    assert result.returncode == 0, result.stderr
    took = json.loads((finished_copy.folder / "verdicts.json").read_text(encoding="utf-8"))
    # All but the first find at least the first block.
    assert took["cached_tokens"] >= (took["distinct_pairs"] - 1) * BLOCK
    assert took["cached_tokens"] < took["input_tokens"]
