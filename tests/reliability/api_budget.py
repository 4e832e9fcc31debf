"""Is a call more than the budget ever sent, by jobs that ask at the same time and are killed?

    .venv/bin/python tests/reliability/api_budget.py [--cases 1500] [--rounds 15] [--seed 0]

Three cells of so many replies in all are asked at the same time from the server of api_faults.py,
again and again under a budget that rises by a random step; in a third of the rounds, one of the
three jobs is killed by SIGKILL at a random moment. A round is lost if the server has seen more
requests than the budget allows; if it has seen fewer, other than those that a kill can have
swallowed; or if a job ends neither whole nor with the one line that says what to do. After the last
round the budget is lifted: each reply is lost that is not there or not its own, or that was asked
for again after it was read.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.stub_provider import stub_provider
from refusal_stability.schemas import storage
from refusal_stability.schemas.stages import Responses
from reliability import api_faults
from reliability.api_faults import CONCURRENCY, Provider, cache, output, printed, start
from reliability.tally import Tally

CELLS = (1, 2, 3)
# A request that is sent in vain is counted, whatever it comes to: waiting for none is no loss.
_FAULTS = {name: fault for name, fault in api_faults.FAULTS.items() if name != "no answer in time"}
_LINE = re.compile(r"^error: m: budget\.calls: .* Hint: raise budget\.calls .*$", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1500, help="replies, over three cells")
    parser.add_argument("--rounds", type=int, default=15, help="budgets")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ask(args.cases, args.rounds, args.seed, Path(folder)).report()


def ask(cases: int, rounds: int, seed: int, folder: Path) -> Tally:
    """Ask under each budget, and then without one."""
    tally, rng = Tally("api_budget"), random.Random(seed)
    prompts = api_faults.write_prompts(cases // len(CELLS), folder)
    provider = Provider(seed, _FAULTS)
    # Three of ten requests fail: more than these are needed.
    budgets = sorted(rng.sample(range(len(CELLS), cases), rounds))
    with stub_provider(provider.answer, models=["m"]) as stub:
        provider.requests = stub.requests
        swallowed = 0
        for calls in budgets:
            jobs = [start(folder, stub.url, n, "--budget", "calls", str(calls)) for n in CELLS]
            if rng.random() < 1 / 3:
                _kill(rng.choice(jobs), rng)
                swallowed += CONCURRENCY
            codes = [job.wait() for job in jobs]
            lines = [len(_LINE.findall(printed(folder, number))) for number in CELLS]
            seen = len(stub.requests)
            wrong = f"{seen} requests of {calls}, {swallowed} swallowed at most; {codes}, {lines}"
            right = calls - swallowed <= seen <= calls and all(
                (code, said) in ((0, 0), (1, 1), (-9, 0), (-9, 1))
                for code, said in zip(codes, lines, strict=True)
            )
            tally.add("budget", None if right else wrong)
        for number in CELLS:
            provider.forget_what_is_not_in(cache(folder, number), number)
        while not all(_is_whole(folder, number) for number in CELLS):
            for job in [start(folder, stub.url, n) for n in CELLS]:
                assert job.wait() == 0
    kept = provider.swallowed_by_kill <= swallowed
    tally.add("answers swallowed, by kills only", None if kept else "an answer is not kept")
    print(f"{len(stub.requests)} requests of jobs under {rounds} budgets and then none")
    print(f"answered and not kept: {provider.swallowed_by_kill}, at most {swallowed} by kills")
    for number in CELLS:
        replies = storage.read_parquet(output(folder, number), Responses)["response"]
        for prompt, reply in zip(prompts, replies, strict=True):
            tally.add("reply asked for under budgets", provider.wrong(prompt, number, reply))
    return tally


def _kill(job: subprocess.Popen[bytes], rng: random.Random) -> None:
    try:
        job.wait(timeout=rng.uniform(0.5, 4))
    except subprocess.TimeoutExpired:
        job.kill()


def _is_whole(folder: Path, cell: int) -> bool:
    path = output(folder, cell)
    return (
        path.exists() and (storage.read_parquet(path, Responses)["finish_reason"] == "stop").all()
    )


if __name__ == "__main__":
    main()
