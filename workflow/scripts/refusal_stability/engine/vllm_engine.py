"""The vLLM engine inside a job, and the way from messages to token ids and back."""

import gc
import itertools
import json
import os
import pickle
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refusal_stability.core.errors import InputError
from refusal_stability.engine import caches, determinism, hardware, multinode
from refusal_stability.hub.access import cache_folder
from refusal_stability.hub.weights import DEFAULT_REVISION, cached_snapshot, refuse_pickles
from refusal_stability.settings import models
from refusal_stability.settings.weights import is_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase
    from vllm import LLM, LLMEngine, RequestOutput, SamplingParams

# Seconds between two progress lines in a log.
PROGRESS_SECONDS = 10.0
# What an engine batches at most. vLLM's own limits depend on the model of the GPU, and which
# requests share a batch decides the last bits of their sums. These are its limits for an A100.
MAX_REQUESTS, MAX_TOKENS = 256, 8192


def prepare_imports(entry: dict[str, Any]) -> None:
    """Get ready to import transformers and vLLM for an entry; :func:`load_engine` ends it."""
    # The imports make a million lasting objects. To look through them for garbage, again and
    # again while they are made, takes a fifth of their time.
    gc.disable()
    # A compute job opens no connection: weights are found on disk or not at all.
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ["VLLM_NO_USAGE_STATS"] = "1"
    # The engine lives in this process: it starts in a third of the time and dies with the job.
    os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    # On a CPU, engines that pin their threads to the same cores slow each other down fivefold.
    os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    # Whether FlashInfer is used would depend on whether a node has nvcc, and its sums differ.
    os.environ.setdefault("VLLM_ALLREDUCE_USE_FLASHINFER", "0")
    os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")
    if entry.get("seed_scope") == "cell":
        # With one seed for all prompts, this runner draws the same numbers for each at every step,
        # as vLLM did at the time of arXiv 2512.12066. Its successor, which GPUs have by default,
        # draws by the position in the sequence: prompts of unequal length then share nothing.
        os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "0"
    determinism.prepare(entry)
    caches.use_own()


def local_weights(entry: dict[str, Any]) -> Path:
    """Return the folder of a model's or judge's weights.

    Args:
        entry: its settings; `weights` is a folder or a Hugging Face id that was downloaded.

    Raises:
        InputError: the folder or the downloaded revision is not on this machine, or its weights
            are pickles that nobody allowed.
    """
    weights, revision = entry["weights"], entry.get("revision")
    if is_folder(weights):
        folder = Path(weights).expanduser()
        if not (folder / "config.json").is_file():
            raise InputError(f"{entry['name']}: no model folder {folder}. Hint: check `weights`")
        refuse_pickles(entry["name"], _names(folder), entry.get("allow_pickle", False))
        return folder
    snapshot = cached_snapshot(weights, revision)
    if snapshot is None:
        raise InputError(
            f"{entry['name']}: the weights {weights}, revision {revision or DEFAULT_REVISION}, are "
            f"not whole in {cache_folder()}, and jobs do not use the network. Hint: run `snakemake "
            "all_weights --forcerun fetch_weights` with your configuration where there is a "
            "network, and with the same HF_HOME"
        )
    refuse_pickles(entry["name"], _names(snapshot), entry.get("allow_pickle", False))
    return snapshot


def _names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def load_tokenizer(
    entry: dict[str, Any], folder: Path, chat: bool = True
) -> "PreTrainedTokenizerBase":
    """Return the tokenizer of a model or judge.

    Raises:
        InputError: there is none, or it has no chat template and ``chat`` asks for one.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{entry['name']}: no tokenizer can be loaded from {folder}. Hint: it must hold the "
            "files that transformers' save_pretrained writes"
        ) from error
    if chat and tokenizer.chat_template is None:
        raise InputError(
            f"{entry['name']}: its tokenizer has no chat template. Hint: use the model's "
            "instruct or chat variant"
        )
    return tokenizer


def load_engine(entry: dict[str, Any], folder: Path, **more: Any) -> "LLM":
    """Start vLLM in this process with the settings of a model or judge, and ``more`` of vLLM's own.

    Raises:
        InputError: the GPUs, their driver or a compiler are not there, the weights do not fit, or
            vLLM refuses the settings, such as a max_model_len that the model lacks.
        EngineError: a worker process failed.
    """
    settings = engine_settings(entry, folder) | more
    multinode.wait_for_workers(entry)
    from vllm import LLM

    # What the imports made stays; it need not be searched either.
    gc.freeze()
    gc.enable()
    try:
        return LLM(**settings)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{entry['name']}: its weights are a pickle that holds more than tensors, which is not "
            "unpickled. Hint: take weights in safetensors"
        ) from error
    # With several GPUs, vLLM raises a bare Exception.
    except Exception as error:
        if line := hardware.start_error(entry, error):
            raise line from error
        if not isinstance(error, ValueError):
            raise
        # pydantic's first line only counts the errors; together the lines are one message.
        reason = " ".join(str(error).split())
        raise InputError(
            f"{entry['name']}: vLLM refuses its settings. Hint: it says: {reason}"
        ) from error


def float32_head(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return the option of vLLM that computes logits in float32, where that is possible.

    In bfloat16 a logit between 16 and 32 is a multiple of 1/8, so that labels and tokens tie. vLLM
    cannot do it for a quantised head, and not by its batch-invariant kernels.

    Args:
        entry: the settings of the model or judge.
        folder: where its checkpoint is; the head of weights in pickles is taken to be plain.

    Raises:
        InputError: a file of its weights is damaged.
    """
    if determinism.mode_of(entry) == models.BATCH_INVARIANT:
        return {}
    names = (name.rpartition("lm_head.") for name in _tensor_names(folder))
    parts = {part for _, head, part in names if head}
    return {} if parts - {"weight", "bias"} else {"hf_overrides": {"head_dtype": "float32"}}


def _tensor_names(folder: Path) -> set[str]:
    from safetensors import SafetensorError, safe_open

    index = folder / "model.safetensors.index.json"
    if index.is_file():
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"])
    names: set[str] = set()
    for path in folder.glob("*.safetensors"):
        try:
            with safe_open(path, framework="numpy") as file:
                names |= set(file.keys())
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"{path}: no whole file of weights ({error}). Hint: fetch or copy it again"
            ) from error
    return names


def do_without_engine(entry: dict[str, Any]) -> None:
    """End what :func:`prepare_imports` began, in a job that has nothing to ask."""
    gc.enable()
    multinode.dismiss_others(entry)


def lend_node(entry: dict[str, Any], **more: Any) -> None:
    """Be one of several nodes, but the first, of a model or judge, until the first is done.

    ``more`` is what the first gives to :func:`load_engine`.

    Raises:
        InputError: weights or GPUs are missing on this node, or the first node did not come.
        EngineError: a worker process of this node failed.
    """
    prepare_imports(entry)
    settings = engine_settings(entry, local_weights(entry)) | more
    try:
        multinode.lend(settings)
    except Exception as error:
        if line := hardware.start_error(entry, error):
            raise line from error
        raise


def engine_settings(entry: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Return what vLLM is told of a model or judge whose weights are in ``folder``.

    Raises:
        InputError: the GPUs are not there or too small.
    """
    from vllm.platforms import current_platform

    hardware.check_gpus(entry, folder, current_platform)
    kv_cache_gib = entry.get("kv_cache_gib")
    if current_platform.is_cpu():
        # vLLM takes back the draw of a prompt that it has read in part, which fails on a CPU: there
        # a prompt is read at once, or at the next step.
        own = {
            "enable_chunked_prefill": False,
            "max_num_batched_tokens": max(MAX_TOKENS, entry["max_model_len"]),
        }
    else:
        own = {
            "max_num_batched_tokens": MAX_TOKENS,
            # FlashInfer's too, and attention kernels that it fetches where a node has a network.
            "compilation_config": {"pass_config": {"fuse_allreduce_rms": False}},
            "attention_config": {"use_trtllm_attention": False},
        }
    return {
        "model": str(folder),
        "dtype": entry["dtype"],
        "max_model_len": entry["max_model_len"],
        # On a CPU, compiled code starts a minute later and is no faster.
        "enforce_eager": entry["enforce_eager"] or current_platform.is_cpu(),
        "kv_cache_memory_bytes": int(kv_cache_gib * 2**30) if kv_cache_gib else None,
        "trust_remote_code": False,
        "max_num_seqs": MAX_REQUESTS,
        "enable_flashinfer_autotune": False,
        # A model that also reads images is run as a text model, with the kernels that text has.
        "language_model_only": True,
        **own,
        **determinism.apply(entry, current_platform),
        **multinode.engine_settings(entry),
    }


def stream(
    llm: "LLM",
    requests: "Iterable[tuple[list[int], SamplingParams]]",
    total: int,
    progress: bool = True,
) -> "Iterator[tuple[int, RequestOutput]]":
    """Run requests, token ids and sampling each, and yield (number, output) as they end.

    The engine has them in flight as they come, never more than it can batch and as many again in
    wait, so that the first are done long before the last are begun. Progress lines go to standard
    error. A request that the engine refuses has an output without text, of finish_reason "error".

    Args:
        llm: from :func:`load_engine`.
        requests: begun in their order.
        total: how many there are.
        progress: whether there are progress lines.
    """
    from tqdm import tqdm
    from vllm.exceptions import VLLMClientError
    from vllm.sampling_params import RequestOutputKind

    core = llm.llm_engine
    in_flight = 2 * core.vllm_config.scheduler_config.max_num_seqs
    waiting = enumerate(requests)
    numbers: dict[str, int] = {}
    with tqdm(
        total=total,
        desc="Processed prompts",
        file=sys.stderr,
        disable=not progress,
        mininterval=PROGRESS_SECONDS,
        # A line each, so that a log can be read while it grows.
        bar_format="{desc}: {n_fmt}/{total_fmt} [{elapsed}<{remaining}]\n",
    ) as bar:
        while True:
            begun = list(itertools.islice(waiting, in_flight - len(numbers)))
            for number, (ids, sampling) in begun:
                sampling.output_kind = RequestOutputKind.FINAL_ONLY
                try:
                    (rendered,) = core.renderer.render_cmpl([{"prompt_token_ids": ids}])
                    core.add_request(str(number), rendered, sampling)
                except (ValueError, VLLMClientError) as error:
                    print(
                        f"warning: vLLM refuses a request ({type(error).__name__})", file=sys.stderr
                    )
                    bar.update()
                    yield number, _no_output(number, ids)
                    continue
                numbers[str(number)] = number
            if not numbers:
                if begun:
                    continue
                break
            if not core.has_unfinished_requests():
                raise RuntimeError(f"vLLM ended {len(numbers)} request(s) without a reply")
            for output in _step(core):
                if output.finished:
                    bar.update()
                    yield numbers.pop(output.request_id), output


def _step(core: "LLMEngine") -> "list[RequestOutput]":
    try:
        return core.step()
    except (RuntimeError, TimeoutError) as error:
        if line := hardware.worker_error(error):
            raise line from error
        raise


def _no_output(number: int, ids: list[int]) -> "RequestOutput":
    from vllm import CompletionOutput, RequestOutput

    failed = CompletionOutput(0, "", [], None, None, finish_reason="error")
    return RequestOutput(str(number), None, ids, None, [failed], finished=True)


def complete(
    llm: "LLM", requests: list[list[int]], sampling: "SamplingParams"
) -> "tuple[list[RequestOutput], dict[str, Any]]":
    """Run all requests, token ids each, with one sampling, longest first.

    Returns:
        The outputs in the order of the requests, and for the manifest what they took (see
        :func:`amounts`).
    """
    # The longest last would keep the engine waiting for a few.
    order = sorted(range(len(requests)), key=lambda number: -len(requests[number]))
    start = time.monotonic()
    outputs = {
        order[number]: output
        for number, output in stream(
            llm, ((requests[number], sampling) for number in order), len(order)
        )
    }
    took = amounts(outputs.values(), time.monotonic() - start)
    return [outputs[number] for number in range(len(requests))], took


def is_answered(finish_reason: str | None) -> bool:
    """Tell whether an output is whole or full, rather than one that the engine failed to give."""
    return finish_reason in ("stop", "length")


def amounts(outputs: "Iterable[RequestOutput]", seconds: float) -> dict[str, Any]:
    """Return what a manifest says of the work: tokens read and written, and seconds of the engine.

    The start of the engine does not belong to them.
    """
    outputs = list(outputs)
    return {
        "input_tokens": sum(len(output.prompt_token_ids) for output in outputs),
        # Of these, what the engine had read before: a rubric stands before every text.
        "cached_tokens": sum(output.num_cached_tokens or 0 for output in outputs),
        "output_tokens": sum(len(output.outputs[0].token_ids) for output in outputs),
        "engine_seconds": round(seconds, 3),
    }


def end_engine(llm: "LLM") -> None:
    """End the engine's worker processes, on all nodes."""
    # An engine without workers ends with this process, at no cost (see command.run).
    if llm.llm_engine.vllm_config.parallel_config.world_size > 1:
        llm.llm_engine.engine_core.shutdown()
        multinode.release_others()
