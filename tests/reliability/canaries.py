"""Do keys, prompts and replies stay where they belong in a real run?

    .venv/bin/python tests/reliability/canaries.py [--cases 12] [--api-only]

Runs the workflow on so many prompts, each with a word of its own that stands nowhere else, on a
tiny model in vLLM and on one behind an API (a server here, whose replies hold such words as well,
and whose errors quote key and prompt), judged by vLLM and by an API, with its tables, figures, both
reports and a plan. Then every such word, and both keys, are looked for in what was printed, in the
command line of every process while it ran, and in every byte that lies in the folder afterwards,
Base64 and compressed streams of reports unpacked. A key is lost wherever it is found; a prompt or
reply wherever it is found but in the Parquet files and caches that are made to hold it.
"""

import argparse
import base64
import os
import re
import shutil
import sys
import tempfile
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import polars as pl

from helpers.stub_provider import Reply, Stub, stub_provider
from helpers.workspace import REPOSITORY, Workspace, copy_repository, reduced_config
from reliability.tally import Tally

# In two parts: this file is searched as well.
KEYS = {"CANARY_KEY": "sk-" + "canary-key-5b1d0a", "HF_TOKEN": "hf_" + "canary-token-77ce21"}
# Where text of prompts and replies belongs, and nowhere else.
_FOR_TEXT = (
    "my-prompts.csv",
    "results/*/prompts.parquet",
    "results/*/responses/*.parquet",
    "results/*/cache/responses/*.jsonl",
    # An answer may quote what it judges.
    "results/*/cache/verdicts/*.jsonl",
    "results/cache/replies/*.parquet",
)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{64,}={0,2}")
# How files compressed by zlib or gzip begin.
_STREAMS = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=12, help="prompts")
    parser.add_argument("--api-only", action="store_true", help="no vLLM, in seconds")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        look(args.cases, args.api_only, copy_repository(Path(folder))).report()


def look(count: int, api_only: bool, workspace: Workspace) -> Tally:
    """Run the workflow and count every canary in every place where it was looked for."""
    ours = {name: path.read_bytes() for name, path in _files(workspace).items()}
    prompts = [f"Tell me of canary{number:03}prompt, please." for number in range(count)]
    words = [f"canary{number:03}{kind}" for number in range(count) for kind in ("prompt", "reply")]
    (workspace.folder / "my-prompts.csv").write_text(
        "prompt\n" + "".join(f'"{p}"\n' for p in prompts)
    )
    os.environ |= KEYS
    with stub_provider(_answer, models=["model-here", "judge-here"]) as stub:
        workspace.write_config(_config(stub, api_only, workspace))
        with sampled_command_lines() as command_lines:
            printed = _run(workspace)
        assert set(stub.keys) == {KEYS["CANARY_KEY"]}, "the server never saw the key"
    places = {"the terminal": printed.encode()}
    places |= {f"command line of process {pid}": line for pid, line in command_lines.items()}
    files = _files(workspace)
    replies = _local_replies(workspace)
    tally = Tally("canaries")
    for place, content in (
        *places.items(),
        *((name, _bytes(path)) for name, path in files.items()),
    ):
        kind = place if place == "the terminal" else "files" if place in files else "command lines"
        unpacked = b"\n".join([content, *_unpacked(content)])
        secrets = list(KEYS.values())
        if not any(fnmatch(place, pattern) for pattern in _FOR_TEXT):
            secrets += words
            # The demo's model may say a sentence that it was taught, which the repository has.
            secrets += replies if content != ours.get(place) else []
        found = [word for word in secrets if word.encode() in unpacked]
        tally.add(
            f"{kind}, searched for {len(words) + len(replies)} texts and 2 keys",
            f"{found[0]!r} in {place}" if found else None,
        )
    # Or nothing was looked for where something was to be found.
    held = [name for name in files if any(fnmatch(name, pattern) for pattern in _FOR_TEXT)]
    assert any(words[1].encode() in _bytes(files[name]) for name in held)
    assert len(held) > 3, held
    return tally


def _answer(number: int, message: str) -> Reply:
    """A reply with the word of its prompt; one in four is an error that quotes all it was sent."""
    word = re.search(r"canary\d{3}", message)
    if word is None:
        return Reply(text="Label: REFUSE")
    if "<reply>" in message:
        return Reply(text=f"The reply with {word[0]}reply declines. Label: REFUSE")
    if number % 4 == 3:
        quoted = f"key {KEYS['CANARY_KEY']} sent {message} {word[0]}reply"
        return Reply(status=400, code="invalid_prompt", message=quoted)
    return Reply(text=f"I will not speak of {word[0]}reply.")


def _config(stub: Stub, api_only: bool, workspace: Workspace) -> dict:
    api = {"kind": "openai", "base_url": f"{stub.url}/v1", "api_key_env": "CANARY_KEY"}
    demo = reduced_config()
    rubric = "resources/rubrics/demo.txt"
    models = [{"name": "served", "model": "model-here", "max_retries": 0, **api}]
    judges = [
        {"name": "asked", "model": "judge-here", "rubric": rubric, "answer": "free_text", **api},
        {"name": "phrases", "kind": "string_match", "phrases": "resources/phrases/gcg.txt"},
    ]
    if not api_only:
        for entry in (demo["models"][0], demo["judges"][0]):
            _take_trained(entry, workspace)
        models.append(demo["models"][0])
        judges.append(demo["judges"][0])
    return demo | {
        "run": "canaries",
        "prompts": {"source": "file", "path": "my-prompts.csv"},
        "models": models,
        "judges": judges,
        "seeds": [1],
        "cache": "results/cache",
        "statistics": {"max_invalid_share": 1, "bootstrap_resamples": 200},
    }


def _take_trained(entry: dict, workspace: Workspace) -> None:
    """Let an entry use the weights of a demo that has run here, if one has."""
    name = entry["weights"].removeprefix("demo:")
    trained = REPOSITORY / "results/demo/demo_models" / name
    if trained.is_dir():
        shutil.copytree(trained, workspace.folder / "checkpoints" / name)
        entry["weights"] = f"./checkpoints/{name}"


def _run(workspace: Workspace) -> str:
    """Run all that a person may, with the most that Snakemake prints; return what was printed."""
    printed = ""
    for arguments in (
        ("--dry-run", "--printshellcmds"),
        ("--cores", "1", "plan"),
        ("--cores", "2", "--printshellcmds", "--verbose", "--keep-going"),
        ("--report", "results/canaries/report.html"),
    ):
        result = workspace.snakemake(*arguments)
        printed += result.stdout + result.stderr
        assert result.returncode == 0, printed[-3000:]
    return printed


@contextmanager
def sampled_command_lines() -> Iterator[dict[int, bytes]]:
    """Collect the command line and title of every process that there is until the block ends."""
    seen: dict[int, bytes] = {}
    ended = threading.Event()

    def sample() -> None:
        while not ended.wait(0.05):
            for folder in Path("/proc").glob("[0-9]*"):
                try:
                    line = (folder / "cmdline").read_bytes() + (folder / "comm").read_bytes()
                except OSError:
                    continue
                # A process may change what it is called.
                known = seen.get(int(folder.name), b"")
                if line not in known:
                    seen[int(folder.name)] = known + line

    sampler = threading.Thread(target=sample)
    sampler.start()
    try:
        yield seen
    finally:
        ended.set()
        sampler.join()


def _files(workspace: Workspace) -> dict[str, Path]:
    found = (path for path in workspace.folder.rglob("*") if path.is_file())
    return {path.relative_to(workspace.folder).as_posix(): path for path in found}


def _bytes(path: Path) -> bytes:
    """What a file holds; of a Parquet file, the values of all columns."""
    if path.suffix == ".parquet":
        return pl.read_parquet(path).write_ndjson().encode()
    return path.read_bytes()


def _unpacked(content: bytes) -> Iterator[bytes]:
    """What Base64 and compressed streams inside a file hold."""
    for match in _BASE64.finditer(content):
        whole = match[0][: len(match[0]) // 4 * 4]
        decoded = base64.b64decode(whole)
        yield decoded
        yield from _inflated(decoded)
    yield from _inflated(content)


def _inflated(content: bytes) -> Iterator[bytes]:
    for match in _STREAMS.finditer(content):
        stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
        try:
            yield stream.decompress(content[match.start() :])
        except zlib.error:
            continue


def _local_replies(workspace: Workspace) -> list[str]:
    """What the tiny model said, as far as it is too long to be said by chance."""
    cells = workspace.folder.glob("results/canaries/responses/tiny-llama/*.parquet")
    replies = {reply for cell in cells for reply in pl.read_parquet(cell)["response"]}
    return sorted(reply for reply in replies if len(reply) >= 25)


if __name__ == "__main__":
    main()
