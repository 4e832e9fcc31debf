"""Draw first tokens of replies on the real engine, and print how often each came.

    python tests/helpers/drawn_first_tokens.py --model JSON --prompts FILE --first-tokens FILE \\
        --samples N --cuts T,top_p,top_k ...

`counts` are, for each cut, {prompt_id: {token ids, as far as the file goes: count}}; `right` says
how many replies, of how many, begin with the tokens for which the experiment takes their text.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))

import polars as pl

from refusal_stability.core import cli
from refusal_stability.engine import chat, vllm_engine
from refusal_stability.experiments.boundary.prefix_tree import PrefixTree
from refusal_stability.generation.requests import chat_messages
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import FirstTokens, Prompts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=json.loads, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--first-tokens", type=Path, required=True)
    parser.add_argument("--samples", type=int, required=True)
    parser.add_argument("--cuts", nargs="+", required=True)
    args = parser.parse_args()
    vllm_engine.prepare_imports({})
    prompts = storage.read_parquet(args.prompts, Prompts)
    first = storage.read_parquet(args.first_tokens, FirstTokens)
    folder = vllm_engine.local_weights(args.model)
    tokenizer = vllm_engine.load_tokenizer(args.model, folder)
    requests = [
        chat.chat_token_ids(tokenizer, chat_messages(args.model, prompt), thinking=False)
        for prompt in prompts["prompt"]
    ]
    llm = vllm_engine.load_engine(args.model, folder)
    from vllm import SamplingParams

    cuts = [tuple(map(float, cut.split(","))) for cut in args.cuts]
    to_ask = [
        (number, cut, seed)
        for number in range(len(requests))
        for cut in cuts
        for seed in range(args.samples)
    ]
    asked = (
        (
            requests[number],
            SamplingParams(
                temperature=cut[0], top_p=cut[1], top_k=int(cut[2]), seed=seed, max_tokens=12
            ),
        )
        for number, cut, seed in to_ask
    )
    counts = {cut: {prompt_id: Counter() for prompt_id in prompts["prompt_id"]} for cut in cuts}
    begun = [
        PrefixTree(first.filter(pl.col("prompt_id") == prompt_id))
        for prompt_id in prompts["prompt_id"]
    ]
    # Of each beginning that is followed, what follows: {token id: text}.
    known = {
        (prompt_id, *beginning): dict(zip(tokens, texts, strict=True))
        for prompt_id, beginning, tokens, texts in first.select(
            "prompt_id", "beginning", "tokens", "texts"
        ).iter_rows()
    }
    right = 0
    for place, output in vllm_engine.stream(llm, asked, len(to_ask)):
        number, cut, _ = to_ask[place]
        prompt_id, reply = prompts["prompt_id"][number], output.outputs[0]
        path, texts = (prompt_id,), []
        for token in reply.token_ids:
            if path not in known:
                break
            texts.append(known[path].get(token))
            path = (*path, token)
        counts[cut][prompt_id][" ".join(map(str, path[1:]))] += 1
        right += begun[number].of_reply(reply.text) == tuple(texts)
    print(json.dumps({"counts": list(counts.values()), "right": right, "of": len(to_ask)}))


if __name__ == "__main__":
    cli.run(main)
