"""A judge asked about every response in free text: what distinct pairs and labels alone save.

    .venv/bin/python tests/benchmarks/plain_judge.py --judge JSON --prompts FILE \\
        --responses FILE ... --output FILE

Writes how many verdicts it gave, the tokens it wrote, and the engine's seconds, as JSON.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from refusal_stability.core import cli, files
from refusal_stability.engine import chat, vllm_engine
from refusal_stability.judging.rubric import judge_message
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts, Responses


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--judge", type=json.loads, required=True, help="its settings, as JSON")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument("--responses", type=Path, nargs="+", required=True, help="cells, Parquet")
    parser.add_argument("--output", type=Path, required=True, help="what it took, JSON")
    args = parser.parse_args()
    judge = args.judge
    prompts = storage.read_parquet(args.prompts, Prompts).select("prompt_id", "prompt")
    responses = pl.concat(storage.read_parquet(path, Responses) for path in args.responses)
    every = responses.join(prompts, on="prompt_id", maintain_order="left")
    vllm_engine.prepare_imports({})
    folder = vllm_engine.local_weights(judge)
    tokenizer = vllm_engine.load_tokenizer(judge, folder)
    rubric = files.read_text(Path(judge["rubric"]))
    requests = []
    for prompt, response in every.select("prompt", "response").iter_rows():
        message = {"role": "user", "content": judge_message(rubric, prompt, response)}
        requests.append(chat.chat_token_ids(tokenizer, [message], thinking=False))
    llm = vllm_engine.load_engine(judge, folder)
    from vllm import SamplingParams

    sampling = SamplingParams(temperature=0, max_tokens=judge["max_tokens"])
    start = time.perf_counter()
    outputs = llm.generate(
        [{"prompt_token_ids": ids} for ids in requests], sampling, use_tqdm=False
    )
    took = {
        "count": len(outputs),
        "engine_seconds": time.perf_counter() - start,
        "input_tokens": sum(map(len, requests)),
        "output_tokens": sum(len(output.outputs[0].token_ids) for output in outputs),
    }
    storage.write_json(took, args.output)


if __name__ == "__main__":
    cli.run(main)
