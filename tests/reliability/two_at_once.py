"""Does anything break where two people do the same thing at the same time?

    .venv/bin/python tests/reliability/two_at_once.py [--rounds 20] [--keys 100] [--seed 0]

A second Snakemake in the folder of a run must be refused with Snakemake's message about its lock,
whatever it is asked to do, and the run must end with the tables of an undisturbed one, having asked
for each reply once. Two runs of different names share a folder. Fetches of the same weights into
one cache, in a third of the rounds with one of them killed, must give both the whole files. Four
writers, and others that are killed, keep replies under the same keys of one cache: none may be
missing or differ between readers.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))
sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.hub_server import HubRepository, hub
from helpers.stub_provider import Reply, stub_provider
from helpers.workspace import REPOSITORY, Workspace, copy_repository, reduced_config, tables
from refusal_stability.cache.store import reply_store
from reliability import store_writer
from reliability.tally import Tally

# What the second person types.
SECOND = [[], ["--forceall"], ["all_responses"], ["--touch"], ["--forcerun", "prompts"]]
LOCKED = "LockException:\nError: Directory cannot be locked."
COMMIT = "0123456789" * 4
WRITERS = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20, help="second Snakemakes, and fetches")
    parser.add_argument("--keys", type=int, default=100, help="of the cache of replies")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    tally, rng = Tally("two_at_once"), random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        keep(args.keys, rng, Path(folder) / "store", tally)
        fetch(args.rounds, rng, Path(folder), tally)
        run(args.rounds, Path(folder), tally)
    tally.report()


def run(attempts: int, folder: Path, tally: Tally) -> None:
    """Start Snakemake again and again where one is running."""
    tried = attempts

    def answer(_: int, message: str) -> Reply:
        # The run waits for those that disturb it.
        while tried < attempts:
            time.sleep(0.1)
        return Reply(f"I am sorry, no. {len(message)}")

    with stub_provider(answer, models=["m"]) as stub:
        alone, shared = (_workspace(folder / name, stub.url) for name in ("alone", "shared"))
        with _started(alone, "test") as undisturbed:
            assert undisturbed.wait() == 0, "the undisturbed run"
        asked, tried = len(stub.requests), 0
        with _started(shared, "test") as first:
            while not list((shared.folder / ".snakemake/locks").glob("*")):
                time.sleep(0.1)
            for tried in range(1, attempts + 1):
                second = shared.snakemake("--cores", "1", *SECOND[tried % len(SECOND)])
                assert first.poll() is None, "the first one has ended"
                tally.add("second Snakemake in the folder of a run", _wrong_refusal(second))
            code = first.wait()
        tally.add("run that was disturbed", _wrong_run(code, shared, alone, "reduced"))
        again = len(stub.requests) - asked
        tally.add("replies of it", None if again == asked else f"{again} requests, not {asked}")
        for name in ("one", "two"):
            config = shared.read_config() | {"run": name}
            (shared.folder / f"config/{name}.yaml").write_text(json.dumps(config))
        with _started(shared, "one") as one, _started(shared, "two") as two:
            for name, code in (("one", one.wait()), ("two", two.wait())):
                wrong = _wrong_run(code, shared, alone, name)
                tally.add("run beside another one of its folder", wrong)


@contextmanager
def _started(workspace: Workspace, config: str) -> Iterator[subprocess.Popen[bytes]]:
    command = [Path(sys.executable).parent / "snakemake", "--cores", "2", "all_tables"]
    command += ["--configfile", f"config/{config}.yaml"]
    quiet = subprocess.DEVNULL
    run = subprocess.Popen(command, cwd=workspace.folder, stdout=quiet, stderr=quiet)
    try:
        yield run
    finally:
        # Its jobs end with it.
        run.terminate()
        run.wait()


def _workspace(folder: Path, url: str) -> Workspace:
    folder.mkdir()
    workspace = copy_repository(folder)
    model = {"name": "m", "kind": "openai", "model": "m", "base_url": f"{url}/v1", "max_tokens": 8}
    model["timeout"] = 3600
    phrases = {"name": "phrases", "kind": "string_match", "phrases": "resources/phrases/gcg.txt"}
    config = reduced_config() | {"models": [model], "judges": [phrases], "seeds": [1]}
    workspace.write_config(config)
    return workspace


def _wrong_refusal(second: subprocess.CompletedProcess[str]) -> str | None:
    said = second.stdout + second.stderr
    if second.returncode != 0 and said.count(LOCKED) == 1 and "Traceback" not in said:
        return None
    return f"exit code {second.returncode}: {said[-500:]}"


def _wrong_run(code: int, workspace: Workspace, alone: Workspace, name: str) -> str | None:
    if code != 0:
        return f"exit code {code}"
    made, expected = tables(workspace.folder / "results" / name), tables(alone.run)
    wrong = [table for table in sorted(expected | made) if expected.get(table) != made.get(table)]
    return f"{wrong} differ" if wrong else None


def fetch(rounds: int, rng: random.Random, folder: Path, tally: Tally) -> None:
    """Fetch two repositories twice at the same time."""
    weights = rng.randbytes(4_000_000)
    files = {"config.json": b"{}", "tokenizer.json": b"{}" * 9, "model.safetensors": weights}
    names = ["tiny/model", "tiny/judge"]
    served = {name: HubRepository({"main": COMMIT}, {COMMIT: files}) for name in names}
    with hub({}, served) as address:
        for number in range(rounds):
            home = folder / f"home{number}"
            before = _gets(served)
            environment = os.environ | {"HF_HOME": str(home), "HF_ENDPOINT": address}
            records = [folder / f"{number}-{person}.json" for person in range(2 * len(names))]
            # Two people, and each of them both repositories at the same time.
            jobs = [
                _fetching(names[person % 2], record, environment)
                for person, record in enumerate(records)
            ]
            killed = rng.random() < 1 / 3
            if killed:
                time.sleep(rng.uniform(0.3, 3.0))
                jobs[0].kill()
            ends = [job.communicate()[1] for job in jobs]
            if killed:
                jobs[0] = _fetching(names[0], records[0], environment)
                ends[0] = jobs[0].communicate()[1]
            for person, (job, end) in enumerate(zip(jobs, ends, strict=True)):
                wrong = None if job.returncode == 0 else end.decode()[-300:]
                wrong = wrong or _wrong_files(home, records[person], files)
                tally.add("fetch beside others" + ", one killed" * killed, wrong)
            sent = _gets(served) - before
            # What is whole is not fetched again.
            right = sent == len(names) or (killed and sent <= len(names) + 1)
            tally.add("weights sent to several at once", None if right else f"{sent} times")


def _fetching(name: str, record: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(REPOSITORY / "workflow/scripts/fetch_weights.py")]
    command += ["--weights", name, "--revision", "main", "--output", str(record)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def _wrong_files(home: Path, record: Path, files: dict[str, bytes]) -> str | None:
    noted = json.loads(record.read_text())
    if noted["files"] != {name: len(content) for name, content in files.items()}:
        return f"the record has {noted['files']}"
    repository = f"models--{noted['weights'].replace('/', '--')}"
    snapshot = home / "hub" / repository / "snapshots" / COMMIT
    different = [name for name in files if (snapshot / name).read_bytes() != files[name]]
    return f"{different} differ" if different else None


def _gets(served: dict[str, HubRepository]) -> int:
    return sum(
        request.startswith("GET") and request.endswith("/model.safetensors")
        for repository in served.values()
        for request in repository.requests
    )


def keep(keys: int, rng: random.Random, folder: Path, tally: Tally) -> None:
    """Keep replies under the same keys from several processes, some of which are killed."""
    writers = [_writer(folder, 0, keys, seed) for seed in range(WRITERS)]
    killed = 0
    while any(writer.poll() is None for writer in writers):
        victim = _writer(folder, rng.randrange(keys), keys, WRITERS + killed)
        time.sleep(rng.uniform(1.5, 4.0))
        victim.kill()
        victim.wait()
        killed += 1
    said = [
        [json.loads(line) for line in (folder / f"{seed}.said").read_text().splitlines()]
        for seed in range(WRITERS)
    ]
    assert all(writer.returncode == 0 for writer in writers)
    readers = [reply_store(folder), reply_store(folder)]
    for number in range(keys):
        key, requests = store_writer.key_of(number), store_writer.requests_of(number)
        first, second = (reader.get(key, requests) for reader in readers)
        texts = {
            request: {store_writer.row(request, seed)["text"] for seed in range(WRITERS + killed)}
            for request in requests
        }
        kept = {request for lines in said for request in lines[number]["kept"]}
        wrong = None
        if first != second:
            wrong = "two readers find different replies"
        elif not kept <= first.keys() or any(lines[number]["missing"] for lines in said):
            wrong = "a reply is missing"
        elif any(row["text"] not in texts[request] for request, row in first.items()):
            wrong = "a reply is of another request"
        tally.add("key with many writers", wrong)
    left = len(list(folder.rglob(".*.part")))
    tally.add("part files", None if left <= killed else f"{left} are left of {killed} killed")
    print(f"{WRITERS} writers and {killed} killed ones; {left} unfinished parts, which none reads")


def _writer(folder: Path, first: int, keys: int, seed: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, store_writer.__file__, str(folder)]
    command += [str(first), str(keys - 1), str(seed)]
    folder.mkdir(exist_ok=True)
    with (folder / f"{seed}.said").open("wb") as said:
        return subprocess.Popen(command, stdout=said)


if __name__ == "__main__":
    main()
