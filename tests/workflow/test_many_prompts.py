"""More prompts than the engine reads in one step."""

import json
import sys

import polars as pl

from helpers.workspace import Workspace
from refusal_stability.core.hashing import sha256_text

# Read in one step by vLLM on a CPU.
STEP_TOKENS = 4096


def test_a_cell_may_have_more_prompts_than_a_step_reads(finished_copy: Workspace) -> None:
    # vLLM draws a token of a prompt that it has read in part and takes it back, which on a CPU
    # fails where the request has a seed of its own.
    texts = [
        f"May I have a biscuit, please, said {number} to {number + 1}?" for number in range(400)
    ]
    prompts = finished_copy.folder / "many.parquet"
    pl.DataFrame(
        {
            "prompt_id": [sha256_text(text)[:12] for text in texts],
            "prompt": texts,
            "source": "test",
            "category": pl.Series([None] * len(texts), dtype=pl.String),
        }
    ).write_parquet(prompts)
    manifest = json.loads((finished_copy.run / "responses/tiny-llama/T1_seed1.json").read_text())
    result = finished_copy.call(
        *(sys.executable, "workflow/scripts/generate.py", "--prompts", str(prompts)),
        *("--model", json.dumps(manifest["model"]), "--temperature", "1", "--seed", "1"),
        *("--cache", "cache", "--output", "many_replies.parquet"),
    )
    assert result.returncode == 0, result.stderr[-3000:]
    replies = pl.read_parquet(finished_copy.folder / "many_replies.parquet")
    assert replies.height == len(texts)
    assert replies["prompt_tokens"].sum() > STEP_TOKENS
