"""Can a checkpoint run a program, and can a job reach the network?

    .venv/bin/python tests/reliability/isolation.py [--cases 20] [--without-engine]

Each case is a checkpoint that would write a file if any of its code ran: Python files named by
auto_map for its configuration, model and tokenizer, chat templates that reach for Python's insides,
weights that are a pickle with a program. The real jobs generate with it. A case is lost if the
file is there afterwards, or if the job ends in anything but success or a line. Then one cell is
generated and judged in a network namespace that has no way out, and once more as usual: the bytes
must be the same, and no system call of the latter may ask for a connection off this machine.
"""

import argparse
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "workflow/scripts"))
sys.path.insert(0, str(Path(__file__).parents[1]))

import yaml

from helpers.workspace import REPOSITORY, Workspace, copy_repository
from reliability.forked import Outcome, run_in_fork
from reliability.tally import Tally

_PROGRAM = "open({marker!r}, 'w').write('ran')"
# What is known to lead from a template to Python, and what only tries.
_TEMPLATES = [
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ messages.__class__.__base__.__subclasses__() }}",
    "{{ self.__init__.__globals__.__builtins__.__import__('os').system('touch MARKER') }}",
    "{{ cycler.__init__.__globals__.os.popen('touch MARKER').read() }}",
    "{{ lipsum.__globals__['os'].popen('touch MARKER').read() }}",
    "{{ namespace.__init__.__globals__ }}",
    "{{ raise_exception.__globals__['__builtins__']['open']('MARKER', 'w') }}",
    "{{ strftime_now.__globals__['__builtins__']['open']('MARKER', 'w') }}",
    "{{ ''|attr('__class__')|attr('__mro__') }}{{ lipsum|attr('__globals__') }}",
    "{{ request.application.__globals__ }}",
    "{% for c in [].__class__.__base__.__subclasses__() %}{{ c }}{% endfor %}",
    "{{ '%s'.__format__.__self__.__class__.__base__.__subclasses__() }}",
    "{{ '{0.__class__.__mro__}'.format('') }}",
    "{{ messages.append(messages) }}{{ messages.pop() }}",
    "{% set messages.x = 1 %}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}{{ os.system('touch MARKER') }}",
]


class _Program:
    """What is unpickled by running a program."""

    def __init__(self, program: str) -> None:
        self.program = program

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return exec, (self.program,)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=len(_TEMPLATES) + 4)
    parser.add_argument("--without-engine", action="store_true", help="templates only, in seconds")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = copy_repository(Path(folder))
        tally = Tally("isolation")
        _templates(workspace, tally, args.cases)
        if not args.without_engine:
            _checkpoints(workspace, tally)
            _network(workspace, tally)
    tally.report()


def _checkpoint(workspace: Workspace, name: str = "tiny-llama") -> Path:
    """A fresh copy of a demo's weights."""
    folder = workspace.folder / "attack" / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(REPOSITORY / "results/demo/demo_models" / name, folder)
    return folder


def _templates(workspace: Workspace, tally: Tally, cases: int) -> None:
    marker = workspace.folder / "attack/ran"
    folder = workspace.folder / "attack/template"
    from refusal_stability.engine import vllm_engine

    # So that no fork has to import what this does.
    _tokenizer(folder)
    vllm_engine.load_tokenizer({"name": "attack"}, folder, chat=False)
    for template in _TEMPLATES[:cases]:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _tokenizer(folder)
        (folder / "chat_template.jinja").write_text(template.replace("MARKER", str(marker)))
        outcome = run_in_fork(lambda: _apply(folder), workspace.folder)
        tally.add(
            "chat template " + ("refused" if outcome.code else "rendered"),
            f"{template}: {wrong}" if (wrong := _wrong(outcome, marker)) else None,
        )


def _wrong(outcome: Outcome, marker: Path) -> str | None:
    """What is wrong with how a template was rendered or refused."""
    if marker.exists():
        return "its code ran"
    if re.search("<class|<module|root:", outcome.output):
        return f"it saw Python's insides: {outcome.output[-200:]}"
    lines = outcome.output.strip().splitlines()
    if outcome.code and not (len(lines) == 1 and lines[0].startswith("error: ")):
        return f"more than a line: {outcome.output[-300:]}"
    return None


def _apply(folder: Path) -> None:
    """Turn a message into token ids as the jobs do, and print them as text."""
    from refusal_stability.core import cli
    from refusal_stability.engine import chat, vllm_engine

    def apply() -> None:
        tokenizer = vllm_engine.load_tokenizer({"name": "attack"}, folder)
        ids = chat.chat_token_ids(tokenizer, [{"role": "user", "content": "Hello"}], False)
        print(tokenizer.decode(ids))

    cli.run(apply)


def _tokenizer(folder: Path) -> None:
    """A tokenizer of letters, which needs no training."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    model = models.BPE({letter: number for number, letter in enumerate(alphabet)}, [])
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer).save_pretrained(folder)


def _checkpoints(workspace: Workspace, tally: Tally) -> None:
    marker = workspace.folder / "attack/ran"
    program = _PROGRAM.format(marker=str(marker))

    def auto_map(
        file: str, classes: dict[str, str], model_type: str | None
    ) -> Callable[[Path], None]:
        def spoil(folder: Path) -> None:
            (folder / "modeling_attack.py").write_text(f"{program}\nclass Attack: pass\n")
            content = json.loads((folder / file).read_text())
            content["auto_map"] = classes
            if model_type:
                content["model_type"] = model_type
            (folder / file).write_text(json.dumps(content))

        return spoil

    def pickled(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        with zipfile.ZipFile(folder / "pytorch_model.bin", "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(_Program(program), protocol=2))
            archive.writestr("archive/version", "3\n")

    classes = {
        "AutoConfig": "modeling_attack.Attack",
        "AutoModelForCausalLM": "modeling_attack.Attack",
    }
    tokenizers = {"AutoTokenizer": ["modeling_attack.Attack", "modeling_attack.Attack"]}
    attacks = {
        "auto_map of a known kind": (auto_map("config.json", classes, None), {}),
        "auto_map of a kind of its own": (auto_map("config.json", classes, "attack"), {}),
        "auto_map of the tokenizer": (auto_map("tokenizer_config.json", tokenizers, None), {}),
        "pickle": (pickled, {}),
        "pickle that was allowed": (pickled, {"allow_pickle": True}),
    }
    for name, (spoil, settings) in attacks.items():
        spoil(_checkpoint(workspace))
        (workspace.folder / "attack.parquet").unlink(missing_ok=True)
        result = _generate(workspace, "attack/tiny-llama", "attack.parquet", settings)
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        loss = None
        if marker.exists():
            loss = "its code ran"
            marker.unlink()
        elif result.returncode and len(errors) != 1:
            loss = f"no line but {result.stderr[-500:]}"
        elif result.returncode and (workspace.folder / "attack.parquet").exists():
            loss = "a result of a job that failed"
        tally.add(f"{name}: " + ("refused" if result.returncode else "ignored"), loss)


def _network(workspace: Workspace, tally: Tally) -> None:
    """Generate and judge as usual, watched, and once more without a network."""
    _checkpoint(workspace)
    _checkpoint(workspace, "judge-good")
    watch = ["strace", "-f", "-qq", "-e", "trace=connect,sendto", "-o", "calls.txt"]
    closed = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    made = {}
    for way, before in (("watched", watch), ("without a network", closed)):
        generated = _generate(
            workspace, "attack/tiny-llama", "responses/m/T1_seed1.parquet", {}, before
        )
        calls = _outside(workspace) if way == "watched" else []
        judged = _judge(workspace, before)
        calls += _outside(workspace) if way == "watched" else []
        loss = None
        if generated.returncode or judged.returncode:
            loss = (generated.stderr + judged.stderr)[-800:]
        elif calls:
            loss = f"connections: {calls[:3]}"
        tally.add(f"generate and judge {way}", loss)
        files = ("responses/m/T1_seed1.parquet", "verdicts.parquet")
        made[way] = [
            (workspace.folder / name).read_bytes() if loss is None else b"" for name in files
        ]
    same = made["watched"] == made["without a network"]
    tally.add("results without a network the same", None if same else "they differ")


def _outside(workspace: Workspace) -> list[str]:
    """The connections in strace's record that lead off this machine."""
    lines = (workspace.folder / "calls.txt").read_text(errors="replace").splitlines()
    addresses = re.compile(r'sin_addr=inet_addr\("([^"]+)"\)|inet_pton\(AF_INET6, "([^"]+)"')
    return [
        line
        for line in lines
        if (found := addresses.search(line))
        and not (found[1] or found[2]).startswith(("127.", "::1", "::ffff:127."))
    ]


def _generate(
    workspace: Workspace,
    weights: str,
    output: str,
    changed: dict[str, object],
    before: list[str] | None = None,
) -> subprocess.CompletedProcess[str]:
    demo = yaml.safe_load((workspace.folder / "config/demo.yaml").read_text(encoding="utf-8"))
    model = (
        demo["models"][0]
        | {
            "weights": weights,
            "thinking": False,
            "top_p": 1.0,
            "top_k": 0,
            "seed_scope": "prompt",
        }
        | changed
    )
    settings = json.dumps({"source": "demo", "limit": 4})
    workspace.call(
        *(sys.executable, "workflow/scripts/prompts.py", "--settings", settings),
        *("--output", "prompts.parquet"),
    )
    return workspace.call(
        *(before or []),
        *(sys.executable, "workflow/scripts/generate.py", "--model", json.dumps(model)),
        *("--temperature", "1", "--seed", "1", "--prompts", "prompts.parquet"),
        *("--cache", "cache", "--output", output),
    )


def _judge(workspace: Workspace, before: list[str]) -> subprocess.CompletedProcess[str]:
    demo = yaml.safe_load((workspace.folder / "config/demo.yaml").read_text(encoding="utf-8"))
    judge = demo["judges"][0] | {"weights": "attack/judge-good"}
    return workspace.call(
        *before,
        *(sys.executable, "workflow/scripts/judge.py", "--judge", json.dumps(judge)),
        *("--prompts", "prompts.parquet", "--responses", "responses/m"),
        *("--temperatures", "1", "--seeds", "1", "--cache", "cache.jsonl"),
        *("--output", "verdicts.parquet"),
    )


if __name__ == "__main__":
    os.environ.pop("HF_TOKEN", None)
    main()
