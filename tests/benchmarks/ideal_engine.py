"""One vLLM engine, told all requests of a model's cells at once: the least that they can cost.

    .venv/bin/python tests/benchmarks/ideal_engine.py --model JSON --prompts FILE \\
        --temperatures 0 0.7 --seeds 1 2 --output FILE

What a researcher would write who needs no cells, no restart and no Snakemake: start the engine
with the settings of the configuration, generate, write the replies.
"""

import argparse
import json
import sys
from itertools import product
from pathlib import Path

import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

from refusal_stability.core import cli
from refusal_stability.core.cells import request_seed
from refusal_stability.engine import chat, vllm_engine
from refusal_stability.generation.requests import chat_messages
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=json.loads, required=True, help="its settings, as JSON")
    parser.add_argument("--prompts", type=Path, required=True, help="prompts, Parquet")
    parser.add_argument("--temperatures", type=float, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, nargs="+", required=True)
    parser.add_argument("--output", type=Path, required=True, help="replies, Parquet")
    args = parser.parse_args()
    model, prompts = args.model, storage.read_parquet(args.prompts, Prompts)
    vllm_engine.prepare_imports({})
    folder = vllm_engine.local_weights(model)
    tokenizer = vllm_engine.load_tokenizer(model, folder)
    ids = {
        prompt_id: chat.chat_token_ids(tokenizer, chat_messages(model, text), model["thinking"])
        for prompt_id, text in prompts.select("prompt_id", "prompt").iter_rows()
    }
    llm = vllm_engine.load_engine(model, folder)
    from vllm import SamplingParams

    cells = list(product(args.temperatures, args.seeds, ids))
    sampling = [
        SamplingParams(
            temperature=temperature,
            top_p=model["top_p"],
            top_k=model["top_k"],
            max_tokens=model["max_tokens"],
            seed=request_seed(seed, prompt_id, model["seed_scope"]),
        )
        for temperature, seed, prompt_id in cells
    ]
    requests = [{"prompt_token_ids": ids[prompt_id]} for *_, prompt_id in cells]
    outputs = llm.generate(requests, sampling, use_tqdm=False)
    replies = pl.DataFrame(cells, schema=["temperature", "seed", "prompt_id"], orient="row")
    texts = [output.outputs[0].text for output in outputs]
    replies.with_columns(response=pl.Series(texts)).write_parquet(args.output)


if __name__ == "__main__":
    cli.run(main)
