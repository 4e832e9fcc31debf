"""The plan of a run, by hand: 3 prompts, 2 temperatures, 2 seeds, so 4 cells a model."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from refusal_stability.costs.amounts import EXACTLY_NOTHING, UNKNOWN, Amount, Certainty
from refusal_stability.costs.plan import Work, make_plan, total
from refusal_stability.costs.plan_text import plan_text

MODEL = {
    "name": "llama",
    "weights": "owner/llama",
    "revision": "main",
    "max_model_len": 1000,
    "max_tokens": 100,
    "gpus": 2,
}
JUDGE = {
    "name": "big",
    "weights": "owner/big",
    "max_model_len": 2000,
    "gpus": 4,
    "rubric": "rubric.txt",
    "kind": "vllm",
    "answer": "constrained",
}
API_JUDGE = {
    "name": "remote",
    "kind": "anthropic",
    "model": "some-model",
    "rubric": "rubric.txt",
    "answer": "constrained",
    "max_tokens": 50,
    "max_concurrency": 8,
}
PHRASES = {"name": "phrases", "kind": "string_match", "phrases": "rubric.txt"}
CELLS = [f"T{temperature}_seed{seed}" for temperature in ("0", "1") for seed in (1, 2)]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("rubric.txt").write_text("Label it.\n")
    Path("prompts.csv").write_text("prompt,category\na,x\nb,x\nc,y\na,y\n")


def settings(**changes: Any) -> dict[str, Any]:
    return {
        "run": "results/mine",
        "config": "config/my.yaml",
        "prompts": {"source": "file", "path": "prompts.csv"},
        "models": [MODEL],
        "judges": [JUDGE],
        "temperatures": ["0", "1"],
        "seeds": [1, 2],
        "sharing": "cell",
    } | changes


def everything(of: dict[str, Any]) -> set[str]:
    """What Snakemake would make of a run that has not begun."""
    run = of["run"]
    models = [model["name"] for model in of["models"]]
    return {
        f"{run}/prompts.parquet",
        *(f"{run}/responses/{model}/{cell}.parquet" for model in models for cell in CELLS),
        *(f"{run}/verdicts/{j['name']}/{model}.parquet" for j in of["judges"] for model in models),
    }


def write(path: str, content: dict[str, Any] | str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    Path(path).write_text(text, encoding="utf-8")


def cell(run: str, name: str, seconds: float | None = None, **manifest: Any) -> None:
    """The files of a finished cell; 10 prompts unless told otherwise."""
    content = {"model": MODEL, "device": "A100", "count": 10} | manifest
    write(f"results/{run}/responses/{name}.json", content)
    if seconds is not None:
        write(f"results/{run}/benchmarks/generate/{name}.tsv", f"s\th:m:s\n{seconds}\t-\n")


def verdicts(run: str, name: str, seconds: float, **manifest: Any) -> None:
    content = {"judge": JUDGE, "device": "A100", "count": 40, "invalid": {}} | manifest
    write(f"results/{run}/verdicts/{name}.json", content)
    write(f"results/{run}/benchmarks/judge/{name}.tsv", f"s\th:m:s\n{seconds}\t-\n")


def rubric_sha256() -> str:
    return hashlib.sha256(b"Label it.\n").hexdigest()


def measured(value: float) -> Amount:
    return Amount(pytest.approx(value), Certainty.MEASURED)


def at_most(value: float) -> Amount:
    return Amount(value, Certainty.AT_MOST)


def works(of: dict[str, Any], pending: set[str] | None = None) -> list[Work]:
    return make_plan(of, everything(of) if pending is None else pending).works


def test_nothing_has_run_yet() -> None:
    generate, judge = works(settings())
    assert (generate.stage, generate.model, generate.judge) == ("generate", "llama", "")
    assert (generate.jobs, generate.done) == (4, 0)
    # The fourth prompt repeats the first: 3 prompts x 4 cells.
    assert generate.calls == Amount(12)
    # A reply has at most 100 tokens, and its prompt what is left of 1000.
    assert generate.input_tokens == at_most(12 * 900)
    assert generate.output_tokens == at_most(12 * 100)
    assert generate.hours == generate.gpu_hours == UNKNOWN
    # The responses may all differ; a constrained answer is one token.
    assert (judge.stage, judge.model, judge.judge) == ("judge", "llama", "big")
    assert (judge.jobs, judge.done) == (1, 0)
    assert judge.calls == at_most(12)
    assert judge.input_tokens == at_most(12 * 1999)
    assert judge.output_tokens == at_most(12)
    assert judge.hours == judge.gpu_hours == UNKNOWN
    assert judge.money is None


def test_a_shared_engine_starts_once_for_all_cells() -> None:
    # Two cells of 10 prompts by one engine: its start of 60 s is in the first one's share.
    for name, seconds in (("T0_seed9", 70), ("T1_seed9", 10)):
        shared = {"sharing": "model", "job_started": 5.25, "job_seconds": seconds}
        cell("pilot", f"llama/{name}", engine_seconds=10, **shared)
    generate, _ = works(settings(sharing="model"))
    # 4 cells of 3 prompts, each a second: one start and 12 s.
    assert generate.hours == measured((60 + 12) / 3600)
    # An engine a cell is another thing, of which nothing is known.
    generate, _ = works(settings(sharing="cell"))
    assert generate.hours == UNKNOWN


def test_rates_of_an_earlier_run_with_other_prompts_and_another_name() -> None:
    # Two cells of 10 prompts: 300 and 500 tokens read, 200 and 600 written; 60 and 80 seconds, of
    # which the engine answered in 10 and 30.
    cell("pilot", "same/T0_seed9", 60, input_tokens=300, output_tokens=200, engine_seconds=10)
    cell("pilot", "same/T1_seed9", 80, input_tokens=500, output_tokens=600, engine_seconds=30)
    generate, _ = works(settings(prices={"currency": "EUR", "gpu_hour": 3.0}))
    # 800 / 20 = 40 tokens in a call, 800 / 20 = 40 out.
    assert generate.input_tokens == measured(12 * 40)
    assert generate.output_tokens == measured(12 * 40)
    # ((60 - 10) + (80 - 30)) / 2 = 50 s to start each of 4 jobs; (10 + 30) / 20 = 2 s a call.
    assert generate.hours == measured((4 * 50 + 12 * 2) / 3600)
    assert generate.gpu_hours == measured(2 * 224 / 3600)
    assert generate.money == measured(3 * 2 * 224 / 3600)


@pytest.mark.parametrize(
    "change", [{"revision": "v2"}, {"gpus": 1}, {"max_tokens": 99}, {"weights": "owner/other"}]
)
def test_other_settings_leave_no_rates(change: dict[str, Any]) -> None:
    cell("pilot", "llama/T0_seed9", 60, input_tokens=1, output_tokens=1, model=MODEL | change)
    generate, _ = works(settings())
    assert generate.hours == UNKNOWN
    assert generate.input_tokens == at_most(12 * 900)


def test_a_branch_stands_for_the_commit_that_was_fetched() -> None:
    cell("pilot", "llama/T0_seed9", 60, model=MODEL | {"revision": "0" * 40})
    assert works(settings())[0].hours == UNKNOWN
    write("results/pilot/weights/owner--llama@main.json", {"commit": "0" * 40})
    # 60 s for 10 prompts; 12 calls.
    assert works(settings())[0].hours == measured(12 * 6 / 3600)


def test_of_two_devices_the_newest_counts() -> None:
    cell("old", "llama/T0_seed1", 1000, device="V100")
    cell("new", "llama/T0_seed1", 20)
    os.utime("results/old/responses/llama/T0_seed1.json", (1, 1))
    generate, _ = works(settings())
    # An older manifest does not tell the start apart: 20 s / 10 prompts, 12 calls.
    assert generate.hours == measured(12 * 2 / 3600)
    # And no tokens.
    assert generate.output_tokens == at_most(1200)


def test_a_cell_without_a_benchmark_file_or_with_a_broken_manifest() -> None:
    cell("pilot", "llama/T0_seed1", None, input_tokens=100, output_tokens=100)
    write("results/pilot/responses/llama/T1_seed1.json", "{")
    generate, _ = works(settings())
    assert generate.input_tokens == measured(120)
    assert generate.hours == UNKNOWN


def test_demo_models_are_known_under_another_run() -> None:
    demo = MODEL | {"weights": "results/mine/demo_models/tiny", "gpus": 0}
    made = demo | {"weights": "results/pilot/demo_models/tiny"}
    cell("pilot", "llama/T0_seed1", 20, model=made)
    generate, _ = works(settings(models=[demo], prices={"currency": "EUR"}))
    assert generate.hours == measured(24 / 3600)
    # No GPU, no GPU-hours, and so nothing to pay.
    assert generate.gpu_hours == generate.money == EXACTLY_NOTHING


def test_what_the_cache_gave_leaves_no_rates() -> None:
    # 5 calls of 100 and 50 tokens; those that came from the cache took neither tokens nor time.
    tokens = {"input_tokens": 500, "output_tokens": 250, "engine_seconds": 10}
    cell("old", "llama/T0_seed1", 60.0, asked=5, from_cache=5, **tokens)
    nothing = {"input_tokens": 0, "output_tokens": 0, "engine_seconds": 0}
    cell("old", "llama/T1_seed1", 6.0, asked=0, from_cache=10, **nothing)
    work = works(settings())[0]
    # 4 cells of 3 prompts: 50 s each to start, and 2 s a call.
    assert work.input_tokens == measured(12 * 100)
    assert work.output_tokens == measured(12 * 50)
    assert work.hours == measured((4 * 50 + 12 * 2) / 3600)


def test_a_judge_by_its_own_rates_and_the_share_of_distinct_replies() -> None:
    of = {"rubric_sha256": rubric_sha256(), "distinct_pairs": 20, "engine_seconds": 40}
    cell("pilot", "llama/T0_seed1")
    verdicts("pilot", "anyone/llama", 100, input_tokens=4000, output_tokens=60, **of)
    _, judge = works(settings())
    # 20 of 40 replies are distinct: 12 / 2 = 6 calls of 4000 / 20 and 60 / 20 tokens.
    assert judge.calls == measured(6)
    assert judge.input_tokens == measured(6 * 200)
    assert judge.output_tokens == measured(6 * 3)
    # 100 - 40 s to start, 40 / 20 a call; 4 GPUs.
    assert judge.gpu_hours == measured(4 * (60 + 6 * 2) / 3600)


def test_another_rubric_leaves_no_rates_of_a_judge() -> None:
    verdicts("pilot", "big/llama", 100, rubric_sha256="0" * 64, distinct_pairs=20, input_tokens=4)
    _, judge = works(settings())
    assert judge.hours == UNKNOWN
    # Nor is the model known to be this one.
    assert judge.calls == at_most(12)


def test_a_judge_behind_an_api() -> None:
    price = {"name": "remote", "input_per_million": 1.0, "output_per_million": 5.0}
    of = settings(judges=[API_JUDGE], prices={"currency": "EUR", "tokens": [price]})
    _, judge = works(of)
    # How long its messages may be is not known, so neither is the money.
    assert judge.input_tokens == UNKNOWN
    assert judge.output_tokens == at_most(12 * 50)
    assert judge.money == UNKNOWN
    assert judge.gpu_hours == EXACTLY_NOTHING
    cell("pilot", "llama/T0_seed1")
    verdicts(
        "pilot",
        "remote/llama",
        100,
        # Another speed of asking makes no answer longer.
        judge=API_JUDGE | {"max_concurrency": 2},
        rubric_sha256=rubric_sha256(),
        distinct_pairs=20,
        asked=10,
        input_tokens=4000,
        output_tokens=60,
    )
    _, judge = works(of)
    assert judge.calls == measured(6)
    # 6 calls x 200 tokens at 1, and 6 x 3 at 5, in millionths.
    assert judge.money == measured((6 * 200 * 1 + 6 * 3 * 5) / 1e6)
    # Half of the verdicts were of an earlier attempt: 100 s for 10 calls.
    assert judge.hours == measured(6 * 10 / 3600)


def test_verdicts_that_an_api_was_paid_for_are_not_paid_again() -> None:
    of = settings(judges=[API_JUDGE])
    verdicts(
        "mine",
        "remote/llama",
        100,
        judge=API_JUDGE,
        rubric_sha256=rubric_sha256(),
        count=6,
        distinct_pairs=6,
        input_tokens=60,
        output_tokens=6,
    )
    pending = everything(of) - {
        f"results/mine/responses/llama/{name}.parquet" for name in CELLS[:2]
    }
    generate, judge = works(of, pending)
    assert (generate.jobs, generate.done) == (2, 2)
    # 12 responses less the 6 of two cells that were judged; all of them may differ.
    assert judge.calls == at_most(6)
    # Cells that are made again have other replies: none is known.
    _, judge = works(of)
    assert judge.calls == at_most(12)


def test_phrases_cost_nothing() -> None:
    _, judge = works(settings(judges=[PHRASES], prices={"currency": "EUR"}))
    assert judge.calls == at_most(12)
    assert judge.input_tokens == judge.output_tokens == judge.gpu_hours == EXACTLY_NOTHING
    assert judge.money == EXACTLY_NOTHING


def test_a_person_is_not_called() -> None:
    person = {"name": "me", "kind": "human", "labels": "rubric.txt"}
    _, judge = works(settings(judges=[person], prices={"currency": "EUR"}))
    assert judge.jobs == 1
    assert judge.calls == judge.input_tokens == judge.money == EXACTLY_NOTHING
    # What a person labelled of a model says nothing of how many replies are distinct.
    cell("pilot", "llama/T0_seed1")
    verdicts("pilot", "me/llama", 1, judge=person)
    _, judge = works(settings())
    assert judge.calls == at_most(12)


def test_what_is_done_counts_for_nothing() -> None:
    of = settings()
    done = make_plan(of, set()).works
    assert [(work.jobs, work.done) for work in done] == [(0, 4), (0, 1)]
    for work in (*done, total(done)):
        assert work.calls == work.input_tokens == work.hours == work.gpu_hours == EXACTLY_NOTHING


def test_the_total() -> None:
    cell("pilot", "llama/T0_seed9", 60, input_tokens=300, output_tokens=200, engine_seconds=10)
    rows = works(settings(judges=[JUDGE, PHRASES], prices={"currency": "EUR", "gpu_hour": 3.0}))
    assert total(rows).jobs == 4 + 1 + 1
    assert total(rows).calls == at_most(12 + 12 + 12)
    # 30 and 20 tokens a call are expected of the model, 1999 at most read and 1 written.
    assert total(rows).input_tokens == at_most(12 * 30 + 12 * 1999)
    # One part is not known.
    assert total(rows).gpu_hours == total(rows).money == UNKNOWN


@pytest.mark.parametrize(
    ("prompts", "count"),
    [
        ({"source": "file", "path": "prompts.csv"}, Amount(3)),
        ({"source": "file", "path": "prompts.csv", "limit": 2}, Amount(2)),
        ({"source": "file", "path": "prompts.csv", "limit": 9}, Amount(3)),
        # One of x, and c alone in y: the fourth row is the first one's prompt.
        ({"source": "file", "path": "prompts.csv", "per_category": 1}, Amount(2)),
        ({"source": "beavertails"}, UNKNOWN),
        ({"source": "beavertails", "limit": 876}, at_most(876)),
        ({"source": "beavertails", "limit": 9, "expect": {"count": 8}}, Amount(8)),
        (
            {"sources": [{"source": "file", "path": "prompts.csv"}] * 2, "limit": 5},
            at_most(5),
        ),
        ({"sources": [{"source": "advbench", "limit": 10}, {"source": "xstest"}]}, UNKNOWN),
        (
            {"sources": [{"source": "advbench"}, {"source": "xstest"}], "limit": 300},
            at_most(300),
        ),
    ],
)
def test_the_number_of_prompts_before_they_are_read(prompts: dict, count: Amount) -> None:
    plan = make_plan(settings(prompts=prompts), {"results/mine/prompts.parquet"})
    assert plan.prompts.certainty is count.certainty
    if count.certainty is not Certainty.UNKNOWN:
        assert plan.prompts == count


def test_prompts_that_were_read_are_counted_unless_they_are_to_be_read_again() -> None:
    prompts = {"source": "beavertails"}
    write("results/mine/prompts.json", {"settings": prompts, "count": 7})
    assert make_plan(settings(prompts=prompts), set()).prompts == Amount(7)
    again = make_plan(settings(prompts=prompts), {"results/mine/prompts.parquet"})
    assert again.prompts.certainty is Certainty.UNKNOWN


def test_the_text_is_aligned_and_says_what_its_signs_mean() -> None:
    of = settings()
    pending = dict.fromkeys(everything(of), "generate") | {"results/mine/x": "statistics"}
    lines = plan_text(of, make_plan(of, set(pending)), pending).splitlines()
    assert lines[0] == "Plan of results/mine, by config/my.yaml: what is still to be done"
    assert lines[1].startswith("3 prompts (from the configuration) x 1 model x 2 temperatures")
    header = next(number for number, line in enumerate(lines) if line.startswith("stage"))
    table = lines[header : header + 6]
    assert [len(line) for line in table] == [len(table[0])] * 6
    assert re.split(" +", table[2]) == [
        *("generate", "llama", "4", "0", "12", "<=10,800", "<=1,200"),
        *("?", "?", "no", "price"),
    ]
    assert table[5].split()[:4] == ["total", "5", "0", "<=24"]
    text = "\n".join(lines)
    assert "snakemake --configfile config/my.yaml --cores 8 --resources gpu=1 -- pilot" in text
    assert "Besides, at no such cost: statistics." in text
    assert text.endswith("what each asks besides is in docs/experiments.md.")


def test_no_number_of_calls_is_invented_for_unknown_prompts() -> None:
    of = settings(prompts={"source": "beavertails"})
    text = plan_text(of, make_plan(of, everything(of)), dict.fromkeys(everything(of), "generate"))
    assert "Hint: `snakemake all_prompts` reads them" in text
    row = next(line for line in text.splitlines() if line.startswith("generate"))
    assert row.split() == ["generate", "llama", "4", "0", *"?????", "no", "price"]
