"""One model over several nodes: the first runs the job, the others lend it their GPUs.

srun starts the job's command once on every node. Each node's part of the model lives in processes
that vLLM starts there; they find each other at the address of the first node.
"""

import os
import shutil
import socket
import time
from typing import TYPE_CHECKING, Any

from refusal_stability.core.errors import InputError

if TYPE_CHECKING:
    from vllm.config import VllmConfig

# Seconds to wait for the other nodes: Python's start from a slow file system, on all of them.
PATIENCE = 600
# Seconds to wait for the first node, which reads a folder's weights for their checksum before it
# meets the others. If it dies, srun ends them.
PATIENCE_WITH_FIRST = 6 * 3600
# Two ports a job, below those that systems hand out by themselves (from 32768 on).
_FIRST_PORT, _JOBS = 20000, 6000
# What the first node sends when it is about to start its engine.
_NEEDED = b"!"
# Open connections to the other nodes, which stay while these do.
_lines: list[socket.socket] = []


def check_machine(rules: set[str]) -> None:
    """Look whether this machine can start jobs over several nodes, before the first of them.

    Args:
        rules: the rules that have such jobs.

    Raises:
        InputError: there are such rules, and no srun.
    """
    if rules and not shutil.which("srun"):
        raise InputError(
            f"{', '.join(sorted(rules))}: jobs over several nodes (`nodes`) are started by Slurm's "
            "srun, which is not here. Hint: run them with --profile slurm"
        )


def number(entry: dict[str, Any]) -> int:
    """Return the number of this node among those of a model or judge, from 0.

    Raises:
        InputError: there are to be several, and srun did not start a process on each.
    """
    nodes = entry.get("nodes", 1)
    if nodes == 1:
        return 0
    if os.environ.get("SLURM_STEP_NUM_TASKS") != str(nodes):
        raise InputError(
            f"{entry['name']}: nodes: {nodes} takes a Slurm job of as many nodes. Hint: run it "
            "with --profile slurm"
        )
    return int(os.environ["SLURM_PROCID"])


def engine_settings(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what vLLM is told of the GPUs of a model or judge, and of its nodes."""
    nodes, gpus = entry.get("nodes", 1), entry["gpus"]
    if nodes == 1:
        return {"tensor_parallel_size": max(1, gpus)}
    address, port = _meeting_point()
    return {
        # Within a node GPUs exchange much, between nodes little: vLLM's advice. On the CPU, vLLM
        # shares tensors only.
        "tensor_parallel_size": gpus or nodes,
        "pipeline_parallel_size": nodes if gpus else 1,
        "distributed_executor_backend": "mp",
        "nnodes": nodes,
        "node_rank": number(entry),
        "master_addr": address,
        "master_port": port,
    }


def wait_for_workers(entry: dict[str, Any]) -> None:
    """Wait on the first node until all others are there; nothing to do where there are none.

    Raises:
        InputError: one of them did not come.
    """
    _meet_others(entry)
    for line in _lines:
        line.sendall(_NEEDED)


def dismiss_others(entry: dict[str, Any]) -> None:
    """Let the other nodes go, if there are any: the first has nothing to do for them.

    Raises:
        InputError: one of them did not come.
    """
    _meet_others(entry)
    release_others()


def _meet_others(entry: dict[str, Any]) -> None:
    others = entry.get("nodes", 1) - 1
    if not others:
        return
    address, port = _meeting_point()
    os.environ["VLLM_HOST_IP"] = address
    with socket.create_server((address, port + 1)) as server:
        server.settimeout(PATIENCE)
        try:
            _lines.extend(server.accept()[0] for _ in range(others))
        except TimeoutError as error:
            raise InputError(
                f"{entry['name']}: {others - len(_lines)} of {others + 1} nodes did not come to "
                f"{address} within {PATIENCE} s. Hint: look at their lines in this log"
            ) from error


def release_others() -> None:
    """Let the other nodes go: the first is done with them."""
    for line in _lines:
        # Unlike closing it, this holds for the copies in vLLM's processes too.
        line.shutdown(socket.SHUT_RDWR)
        line.close()
    _lines.clear()


def lend(settings: dict[str, Any]) -> None:
    """Run this node's part of the engine, if it is needed, until the first node is done or gone.

    If a part of it dies, the process does: srun then ends the others.

    Args:
        settings: what the first node gives vLLM, but for the number of the node.

    Raises:
        InputError: the first node did not come.
    """
    # One byte at most is sent: the line closes when the first node leaves, however it does.
    with _join() as line:
        if line.recv(1) != _NEEDED:
            return
        os.environ["VLLM_HOST_IP"] = line.getsockname()[0]
        from vllm.v1.executor.multiproc_executor import MultiprocExecutor

        executor = MultiprocExecutor(engine_config(settings))
        executor.register_failure_callback(lambda: os._exit(1))
        line.recv(1)
    executor.shutdown()


def engine_config(settings: dict[str, Any]) -> "VllmConfig":
    """Return what vLLM makes of ``settings`` on a node that is not the first.

    The usage context decides some defaults: it is that of ``LLM``, as on the first node.
    """
    from vllm import EngineArgs
    from vllm.usage.usage_lib import UsageContext

    return EngineArgs(**settings).create_engine_config(
        usage_context=UsageContext.LLM_CLASS, headless=True
    )


def _join() -> socket.socket:
    address, port = _meeting_point()
    end = time.monotonic() + PATIENCE_WITH_FIRST
    while True:
        try:
            line = socket.create_connection((address, port + 1), timeout=5)
            line.settimeout(None)
            return line
        except OSError as error:
            if time.monotonic() > end:
                raise InputError(
                    f"no first node at {address}:{port + 1} within {PATIENCE_WITH_FIRST} s. Hint: "
                    "look at its lines in this log"
                ) from error
            time.sleep(1)


def _meeting_point() -> tuple[str, int]:
    """Return the address of the first node, where srun runs, and the first of the job's ports."""
    job = int(os.environ["SLURM_JOB_ID"])
    return os.environ["SLURM_LAUNCH_NODE_IPADDR"], _FIRST_PORT + job % _JOBS * 2
