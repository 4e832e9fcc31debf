"""What a real engine says of probabilities and draws, on checkpoints like real ones."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.tiny_checkpoint import write_checkpoint
from helpers.workspace import REPOSITORY

# Labels of a constrained judge, and the probabilities by transformers, from the full softmax.
JUDGE = """
import json, sys
import polars as pl
from refusal_stability.engine import vllm_engine
from refusal_stability.judging import llm, local as judging_engine
from refusal_stability.core.labels import VALID_LABELS

judge = {"name": "j", "weights": sys.argv[1], "kind": "vllm", "answer": "constrained", "gpus": 0,
    "dtype": "float32", "max_model_len": 512, "enforce_eager": True, "kv_cache_gib": 0.25}
rubric = "Is it one? {prompt} {response}"
pairs = pl.DataFrame({"prompt": [f"May I, {n}?" for n in range(60)],
    "response": [f"{'No, ' * (n % 7)}you may {n}." for n in range(60)]})

def main():
    answers, facts = llm.judge_pairs(judge, rubric, pairs, None)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
    tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
    starts = llm.label_starts(tokenizer.get_vocab())
    expected, greedy = [], []
    for ids in llm.requests(judge, rubric, pairs).encode(tokenizer):
        with torch.no_grad():
            p = model(torch.tensor([ids])).logits[0, -1].double().softmax(-1)
        mass = dict.fromkeys(VALID_LABELS, 0.0)
        for token, label in starts.items():
            mass[label] += float(p[token])
        expected.append({label: mass[label] / sum(mass.values()) for label in VALID_LABELS})
        greedy.append(starts[max(starts, key=lambda token: float(p[token]))])
    print(json.dumps({"answers": answers, "facts": facts, "expected": expected, "greedy": greedy}))

if __name__ == "__main__":
    main()
"""
FIRST_TOKENS = """
import json, sys
import polars as pl
from refusal_stability.experiments.boundary import first_tokens

model = {"name": "m", "weights": sys.argv[1], "gpus": 0, "dtype": "bfloat16", "thinking": False,
    "max_model_len": 512, "enforce_eager": True, "kv_cache_gib": 0.25, "max_tokens": 16}
prompts = pl.DataFrame({"prompt_id": [f"{n:012x}" for n in range(20)],
    "prompt": [f"May I, {n}?" for n in range(20)], "source": "s", "category": None})

def main():
    table, manifest = first_tokens.first_tokens(model, prompts, 1)
    print(json.dumps({"dtype": manifest["dtype"], "logprobs": table["logprobs"].to_list()}))

if __name__ == "__main__":
    main()
"""
CELLS = """
import json, sys
import polars as pl
from refusal_stability.generation import local as generation

prompts = pl.DataFrame({"prompt_id": [f"{n:012x}" for n in range(8)],
    "prompt": ["word " * n for n in range(1, 9)], "source": "s", "category": None})

def main():
    found = {}
    for scope in ("prompt", "cell"):
        model = {"name": "m", "weights": sys.argv[1], "gpus": 0, "dtype": "float32",
            "max_model_len": 512, "enforce_eager": True, "kv_cache_gib": 0.25, "max_tokens": 16,
            "thinking": False, "top_p": 1.0, "top_k": 0, "seed_scope": scope}
        responses, manifest = generation.generate_cell(model, 1.0, 42, prompts)
        found[scope] = {"replies": responses["response"].to_list(),
            "lengths": responses["prompt_tokens"].to_list(), "runner": manifest["model_runner"]}
    print(json.dumps(found))

if __name__ == "__main__":
    main()
"""


def run(script: str, checkpoint: Path) -> dict:
    """What a script prints last, in a process of its own."""
    result = subprocess.run(
        [sys.executable, "-c", script, checkpoint],
        cwd=REPOSITORY / "workflow/scripts",
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.mark.parametrize("seed", [0, 1])
def test_a_constrained_label_is_the_most_probable_of_its_own_exact_probabilities(
    tmp_path: Path, seed: int
) -> None:
    found = run(JUDGE, write_checkpoint(tmp_path, seed))
    for answer, expected in zip(found["answers"], found["expected"], strict=True):
        own = {label: answer[f"p_{label.lower()}"] for label in expected}
        assert own == pytest.approx(expected, abs=1e-4)
        assert answer["label"] == max(own, key=own.get)
    # As with real tokenizers, the most probable token begins another label for many.
    labels = [answer["label"] for answer in found["answers"]]
    assert sum(a != b for a, b in zip(labels, found["greedy"], strict=True)) > 5
    assert found["facts"]["output_tokens"] == found["facts"]["asked"] == 60
    assert found["facts"]["head_dtype"] == "float32"


def test_probabilities_of_a_bfloat16_model_have_no_grain(tmp_path: Path) -> None:
    found = run(FIRST_TOKENS, write_checkpoint(tmp_path, dtype="bfloat16"))
    assert found["dtype"] == "bfloat16"
    for logprobs in found["logprobs"]:
        # In bfloat16, which has 8 bits, some of the hundred likeliest tokens tie.
        assert len(set(logprobs)) == len(logprobs) == 100


def test_with_a_seed_a_cell_prompts_of_any_length_draw_alike(tmp_path: Path) -> None:
    # Without weights to speak of, the draws alone decide.
    found = run(CELLS, write_checkpoint(tmp_path, scale=1e-4))
    cell, prompt = found["cell"], found["prompt"]
    assert len(set(cell["lengths"])) == 8
    assert len(set(cell["replies"])) == 1
    assert len(set(prompt["replies"])) == 8
    assert cell["runner"] == "v1"
