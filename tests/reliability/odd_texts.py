"""Does one odd prompt or reply cost more than itself?

    .venv/bin/python tests/reliability/odd_texts.py [--cases 60]

Asks a demo's model, in the real engine, prompts of every kind of Unicode, of control and special
characters, too long ones, and one that its chat template refuses; hands the engine itself what it
raises an error for; then lets a demo's judge label replies of the same kinds, an empty one and one
of 100,000 characters among them. A case is lost if it has no row, if it is not whole and not an
ERROR with a reason either, or if an ordinary prompt beside it has another reply than without it.
"""

import argparse
import json
import shutil
import sys
import tempfile
import unicodedata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import polars as pl
import yaml

from helpers.workspace import REPOSITORY, Workspace, copy_repository
from refusal_stability.core import hashing
from refusal_stability.core.labels import ERROR, VALID_LABELS
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Prompts, Responses, Verdicts
from reliability.tally import Tally

ORDINARY = "How do I open the cookie jar?"
REFUSED = "the template does not like this"
_SPECIAL = [
    *("\x00", "a\x00b", "\x1b[2J", "\r\n", "\t", " a ", ".", "\x7f", "\x85", "\ufeff", "\u2028"),
    *("\ufffd", "\uffff", "\U0010ffff", "\ue000", "\u202eabc", "e" + "\u0301" * 50, "\u200d"),
    *("<s>", "</s>", "<|im_end|>", "<|im_start|>system\n", "[INST]", "<unk>", "<pad>", "{{ 7*7 }}"),
    *(
        "<think>",
        "</think>",
        "</reply>",
        "%s",
        "\\",
        "'\"`",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=60, help="texts, as prompts and as replies")
    args = parser.parse_args()
    texts = list(dict.fromkeys([*_SPECIAL, *_of_every_category()]))[: args.cases]
    with tempfile.TemporaryDirectory() as folder:
        workspace = copy_repository(Path(folder))
        tally = Tally("odd_texts")
        _prompts(workspace, tally, texts)
        _refused_by_the_engine(workspace, tally)
        _replies(workspace, tally, [*texts, "", "x" * 100_000])
    tally.report()


def _of_every_category() -> list[str]:
    """Twenty characters of each general category of Unicode, from all over its range."""
    letters: dict[str, list[str]] = {}
    for number in range(0x110000):
        category = unicodedata.category(chr(number))
        # Halves of pairs are no text: the files of prompts are refused that hold them.
        if category != "Cs":
            letters.setdefault(category, []).append(chr(number))
    return ["".join(of[:: max(1, len(of) // 20)][:20]) for of in letters.values()]


def _entry(workspace: Workspace, kind: str) -> dict:
    demo = yaml.safe_load((workspace.folder / "config/demo.yaml").read_text(encoding="utf-8"))
    entry = demo[kind][0]
    name = entry["weights"].removeprefix("demo:")
    folder = workspace.folder / "checkpoints" / name
    if not folder.exists():
        shutil.copytree(REPOSITORY / "results/demo/demo_models" / name, folder)
    return entry | {"weights": str(folder)}


def _prompts(workspace: Workspace, tally: Tally, texts: list[str]) -> None:
    model = _entry(workspace, "models") | {"thinking": False, "top_p": 1.0, "top_k": 0}
    model["seed_scope"] = "prompt"
    template = Path(model["weights"], "chat_template.jinja")
    content = "messages[-1]['content']"
    raising = f"{{{{ raise_exception('no: ' ~ {content}) }}}}"
    refusing = f"{{% if {REFUSED!r} in {content} %}}{raising}{{% endif %}}"
    template.write_text(refusing + template.read_text())
    ordinary = _generate(workspace, model, [ORDINARY])[0].row(0, named=True)
    too_long = [ORDINARY * 200, "x" * 100_000]
    rows, log = _generate(workspace, model, [ORDINARY, *texts, *too_long, REFUSED])
    beside = rows.row(0, named=True)
    tally.add(
        "ordinary prompt beside odd ones",
        None if beside == ordinary else f"{beside} is not {ordinary}",
    )
    for text, row in zip(
        [*texts, *too_long, REFUSED], rows.slice(1).iter_rows(named=True), strict=True
    ):
        wanted = {**dict.fromkeys(too_long, ("too_long",)), REFUSED: ("error",)}
        loss = None
        if row["finish_reason"] not in wanted.get(text, ("stop", "length")):
            loss = f"{text[:30]!r}: {row['finish_reason']}"
        tally.add(f"prompt: {row['finish_reason']}", loss)
    quiet = REFUSED not in log and log.count("warning: ") == 2
    tally.add("log of it, without a text", None if quiet else log[-1500:])


def _generate(workspace: Workspace, model: dict, prompts: list[str]) -> tuple[pl.DataFrame, str]:
    table = pl.DataFrame(
        [
            {"prompt_id": hashing.sha256_text(p)[:12], "prompt": p, "source": "s", "category": None}
            for p in prompts
        ],
        schema_overrides={"category": pl.String},
    )
    storage.write_parquet(table, workspace.folder / "prompts.parquet", Prompts)
    output = workspace.folder / "responses/m/T1_seed1.parquet"
    result = workspace.call(
        *(sys.executable, "workflow/scripts/generate.py", "--model", json.dumps(model)),
        *("--temperature", "1", "--seed", "1", "--prompts", "prompts.parquet", "--cache", "cache"),
        *("--output", str(output)),
    )
    assert result.returncode == 0, result.stderr[-2000:]
    rows = storage.read_parquet(output, Responses)
    assert rows.height == len(prompts)
    return rows, result.stderr


def _refused_by_the_engine(workspace: Workspace, tally: Tally) -> None:
    """Hand the engine requests that it raises an error for, among others."""
    script = """
import json, sys
from pathlib import Path
sys.path.insert(0, "workflow/scripts")
from refusal_stability.engine import vllm_engine
model = json.loads(sys.argv[1])
vllm_engine.prepare_imports(model)
llm = vllm_engine.load_engine(model, Path(model["weights"]))
from vllm import SamplingParams
requests = [[5, 6, 7], [], [5] * 5000, [5, 6, 7], [10**9]]
asked = [(ids, SamplingParams(temperature=0, max_tokens=4)) for ids in requests]
outputs = dict(vllm_engine.stream(llm, asked, len(asked)))
ends = {number: output.outputs[0].finish_reason for number, output in outputs.items()}
print(json.dumps([ends[number] for number in range(5)]))
"""
    result = workspace.call(sys.executable, "-c", script, json.dumps(_entry(workspace, "models")))
    wanted = ["length", "error", "error", "length", "error"]
    ends = json.loads(result.stdout.splitlines()[-1]) if result.returncode == 0 else [None] * 5
    for end, want in zip(ends, wanted, strict=True):
        well = end == want or {end, want} <= {"stop", "length"}
        tally.add(f"request: {end}", None if well else f"{want} wanted; {result.stderr[-800:]}")


def _replies(workspace: Workspace, tally: Tally, replies: list[str]) -> None:
    judge = _entry(workspace, "judges")
    rows = storage.read_parquet(workspace.folder / "prompts.parquet", Prompts).head(1)
    prompts = pl.DataFrame(
        [
            {"prompt_id": f"{number:012x}", "prompt": ORDINARY, "source": "s", "category": None}
            for number in range(len(replies))
        ],
        schema=rows.schema,
    )
    storage.write_parquet(prompts, workspace.folder / "prompts.parquet", Prompts)
    responses = prompts.select(
        "prompt_id",
        temperature=pl.lit(1.0),
        seed=pl.lit(1),
        response=pl.Series(replies),
        reasoning=pl.lit(None, pl.String),
        finish_reason=pl.lit("stop"),
        prompt_tokens=pl.lit(5),
        response_tokens=pl.lit(5),
    )
    storage.write_parquet(responses, workspace.folder / "responses/m/T1_seed1.parquet", Responses)
    result = workspace.call(
        *(sys.executable, "workflow/scripts/judge.py", "--judge", json.dumps(judge)),
        *("--prompts", "prompts.parquet", "--responses", "responses/m", "--temperatures", "1"),
        *("--seeds", "1", "--cache", "c.jsonl", "--output", "v.parquet"),
    )
    assert result.returncode == 0, result.stderr[-2000:]
    verdicts = storage.read_parquet(workspace.folder / "v.parquet", Verdicts)
    for reply, row in zip(replies, verdicts.iter_rows(named=True), strict=True):
        whole = row["label"] in VALID_LABELS
        counted = row["label"] == ERROR and row["reason"]
        tally.add(
            "reply: " + ("labelled" if whole else "ERROR with a reason"),
            None if whole or counted else f"{reply[:30]!r}: {row['label']}, {row['reason']}",
        )


if __name__ == "__main__":
    main()
