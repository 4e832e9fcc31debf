"""What vLLM is told: the same on every GPU of a kind, on every node of a model."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from helpers.tiny_checkpoint import write_checkpoint
from refusal_stability.core.errors import InputError
from refusal_stability.engine import determinism, hardware, vllm_engine

SCRIPTS = Path(vllm_engine.__file__).parents[2]
MODEL = {
    "name": "m",
    "dtype": "float32",
    "max_model_len": 256,
    "enforce_eager": True,
    "gpus": 0,
    "kv_cache_gib": 0.25,
}
# Those of prepare_imports.
VARIABLES = (
    "HF_HUB_OFFLINE", "VLLM_NO_USAGE_STATS", "VLLM_ENABLE_V1_MULTIPROCESSING",
    "VLLM_LOGGING_LEVEL", "VLLM_CPU_OMP_THREADS_BIND", "VLLM_CPU_KVCACHE_SPACE",
    "VLLM_ALLREDUCE_USE_FLASHINFER", "VLLM_USE_FLASHINFER_SAMPLER", "VLLM_USE_V2_MODEL_RUNNER",
)  # fmt: skip


@pytest.fixture(autouse=True)
def _variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        # Set before it is deleted, so that it is as before after the test.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM's platform is a GPU's, and the GPUs are there."""
    import vllm.platforms

    platform = SimpleNamespace(is_cpu=lambda: False)
    monkeypatch.setattr(vllm.platforms, "_current_platform", platform)
    monkeypatch.setattr(hardware, "check_gpus", lambda *_: None)
    monkeypatch.setattr(determinism, "apply", lambda *_: {})


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("length", [1024, 32768])
def test_on_a_gpu_nothing_is_left_to_its_model_or_to_what_its_node_has(length: int) -> None:
    settings = vllm_engine.engine_settings(MODEL | {"gpus": 4, "max_model_len": length}, Path("m"))
    assert settings["max_num_seqs"] == 256
    assert settings["max_num_batched_tokens"] == 8192
    assert settings["language_model_only"] is True
    assert settings["enable_flashinfer_autotune"] is False
    assert settings["compilation_config"] == {"pass_config": {"fuse_allreduce_rms": False}}
    assert settings["attention_config"] == {"use_trtllm_attention": False}


def test_on_a_cpu_a_batch_holds_the_longest_prompt() -> None:
    limits = [
        vllm_engine.engine_settings(MODEL | {"max_model_len": length}, Path("m"))
        for length in (256, 32768)
    ]
    # Prompts are read whole there.
    assert [limit["max_num_batched_tokens"] for limit in limits] == [8192, 32768]
    assert [limit["max_num_seqs"] for limit in limits] == [256, 256]
    alone = vllm_engine.engine_settings(MODEL | {"determinism": "one_at_a_time"}, Path("m"))
    assert alone["max_num_seqs"] == 1


@pytest.mark.parametrize(
    ("entry", "runner"),
    [
        pytest.param({"seed_scope": "cell"}, "0", id="a seed a cell draws as the paper's did"),
        pytest.param({"seed_scope": "prompt"}, None, id="a seed a prompt needs no runner"),
        pytest.param({}, None, id="nor does a judge"),
    ],
)
def test_variables_of_the_engine(entry: dict[str, Any], runner: str | None) -> None:
    vllm_engine.prepare_imports(entry)
    assert os.environ["VLLM_ALLREDUCE_USE_FLASHINFER"] == "0"
    assert os.environ["VLLM_USE_FLASHINFER_SAMPLER"] == "0"
    assert os.environ.get("VLLM_USE_V2_MODEL_RUNNER") == runner


def test_a_runner_of_the_users_own_is_not_taken_for_a_seed_a_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("VLLM_USE_V2_MODEL_RUNNER", "1")
    vllm_engine.prepare_imports({"seed_scope": "prompt"})
    assert os.environ["VLLM_USE_V2_MODEL_RUNNER"] == "1"
    vllm_engine.prepare_imports({"seed_scope": "cell"})
    assert os.environ["VLLM_USE_V2_MODEL_RUNNER"] == "0"


# On the first node, what LLM(...) makes of its settings before it starts workers.
COMPARE = """
import dataclasses, json, os, sys
from pathlib import Path
from refusal_stability.engine import multinode, vllm_engine

folder, more = Path(sys.argv[1]), json.loads(sys.argv[2])
model = json.loads(sys.argv[3]) | {"nodes": 2}
vllm_engine.prepare_imports(model)
from vllm import LLM
from vllm.v1.engine.llm_engine import LLMEngine

class Configured(Exception):
    pass

def configure(engine_args, usage_context, **_):
    raise Configured(engine_args.create_engine_config(usage_context))

LLMEngine.from_engine_args = configure
try:
    LLM(**vllm_engine.engine_settings(model, folder) | more)
except Configured as made:
    (first,) = made.args
os.environ["SLURM_PROCID"] = "1"
second = multinode.engine_config(vllm_engine.engine_settings(model, folder) | more)

def differences(one, other, path=""):
    if not dataclasses.is_dataclass(one):
        return [] if one == other else [path]
    names = [field.name for field in dataclasses.fields(one)]
    found = [differences(getattr(one, n), getattr(other, n), f"{path}.{n}") for n in names]
    return sum(found, [])

limits = second.scheduler_config
print(json.dumps({
    "differences": differences(first, second),
    "limits": [limits.max_num_seqs, limits.max_num_batched_tokens],
    "head": str(second.model_config.head_dtype),
}))
"""


@pytest.mark.parametrize(
    ("more", "head"),
    [({}, "torch.bfloat16"), ({"hf_overrides": {"head_dtype": "float32"}}, "torch.float32")],
)
def test_the_second_nodes_engine_has_the_configuration_of_the_firsts(
    tmp_path: Path, more: dict[str, Any], head: str
) -> None:
    checkpoint = write_checkpoint(tmp_path)
    model = MODEL | {"dtype": "bfloat16"}
    variables = {
        "PYTHONPATH": str(SCRIPTS),
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_JOB_ID": "5",
        "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1",
        "SLURM_PROCID": "0",
        # It ends without a word to its caches.
        "TMPDIR": str(tmp_path),
    }
    result = subprocess.run(
        [sys.executable, "-c", COMPARE, checkpoint, json.dumps(more), json.dumps(model)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(result.stdout.splitlines()[-1])
    # Its number, and a random one.
    assert found["differences"] == [".parallel_config.node_rank", ".instance_id"]
    assert found["limits"] == [256, 8192]
    assert found["head"] == head


@pytest.mark.parametrize(
    ("names", "float32"),
    [
        (["lm_head.weight", "model.norm.weight"], True),
        (["language_model.lm_head.weight", "lm_head.bias"], True),
        # Tied to the embedding.
        (["model.embed_tokens.weight"], True),
        (["lm_head.weight", "lm_head.weight_scale"], False),
        (["lm_head.qweight", "lm_head.scales", "lm_head.qzeros"], False),
    ],
)
def test_a_quantised_head_keeps_its_type(tmp_path: Path, names: list[str], float32: bool) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    for number, name in enumerate(names):
        file = tmp_path / f"model-{number}.safetensors"
        save_file({name: np.zeros(1, np.float32)}, file)
    option = {"hf_overrides": {"head_dtype": "float32"}}
    assert vllm_engine.float32_head(MODEL, tmp_path) == (option if float32 else {})
    # The matrix product in another type is not among the batch-invariant kernels.
    invariant = MODEL | {"determinism": "batch_invariant"}
    assert vllm_engine.float32_head(invariant, tmp_path) == {}


def test_damaged_weights_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"no tensors")
    with pytest.raises(InputError, match=r"model\.safetensors: no whole file of .* Hint: fetch"):
        vllm_engine.float32_head(MODEL, tmp_path)


def test_the_index_of_a_checkpoint_says_what_is_in_it(tmp_path: Path) -> None:
    # Other formats of the same weights may lie beside them, or be gone.
    (tmp_path / "consolidated.safetensors").symlink_to("gone")
    index = {"weight_map": {"lm_head.weight": "a", "lm_head.weight_scale": "b"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert vllm_engine.float32_head(MODEL, tmp_path) == {}


def test_weights_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(InputError, match=r"model\.safetensors: no whole file of weights"):
        vllm_engine.float32_head(MODEL, tmp_path)
