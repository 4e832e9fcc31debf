import os
import threading
from pathlib import Path

import pytest

from refusal_stability.core.errors import InputError
from refusal_stability.engine import multinode

LARGE = {"name": "large", "gpus": 8, "nodes": 2}


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> None:
    """What srun tells the second of two processes."""
    for name, value in {
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_PROCID": "1",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_LAUNCH_NODE_IPADDR": "127.0.0.1",
        "VLLM_HOST_IP": "",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("entry", [{"name": "m"}, {"name": "m", "nodes": 1}])
def test_one_node_needs_no_slurm(entry: dict) -> None:
    assert multinode.number(entry) == 0
    assert multinode.engine_settings(entry | {"gpus": 4}) == {"tensor_parallel_size": 4}
    assert multinode.engine_settings(entry | {"gpus": 0}) == {"tensor_parallel_size": 1}
    multinode.wait_for_workers(entry)
    multinode.release_others()


def test_several_nodes_outside_slurm_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    line = r"^large: nodes: 2 takes a Slurm job of as many nodes\. Hint: .* --profile slurm$"
    for tasks in (None, "1", "3"):
        if tasks is None:
            monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
        else:
            monkeypatch.setenv("SLURM_STEP_NUM_TASKS", tasks)
        with pytest.raises(InputError, match=line):
            multinode.number(LARGE)


def test_a_machine_without_srun_is_one_line_before_the_first_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    multinode.check_machine(set())
    line = r"^generate, judge: jobs over several nodes .*\. Hint: run them with --profile slurm$"
    with pytest.raises(InputError, match=line):
        multinode.check_machine({"judge", "generate"})
    srun = tmp_path / "srun"
    srun.touch(mode=0o755)
    multinode.check_machine({"judge", "generate"})


@pytest.mark.usefixtures("step")
def test_gpus_share_layers_within_a_node_and_nodes_share_the_layers_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12345")
    settings = multinode.engine_settings(LARGE)
    assert settings == {
        "tensor_parallel_size": 8,
        "pipeline_parallel_size": 2,
        "distributed_executor_backend": "mp",
        "nnodes": 2,
        "node_rank": 1,
        "master_addr": "127.0.0.1",
        # 12345 less 2 * 6000 is 345, two ports each.
        "master_port": 20690,
    }
    on_cpus = multinode.engine_settings(LARGE | {"gpus": 0})
    assert (on_cpus["tensor_parallel_size"], on_cpus["pipeline_parallel_size"]) == (2, 1)


@pytest.mark.usefixtures("step")
def test_the_other_node_stays_until_the_first_lets_it_go() -> None:
    heard = []

    def other() -> None:
        with multinode._join() as line:
            heard.append(line.getsockname()[0])
            heard.append(line.recv(1))
            heard.append(line.recv(1))

    thread = threading.Thread(target=other)
    thread.start()
    multinode.wait_for_workers(LARGE)
    thread.join(timeout=0.2)
    assert heard == ["127.0.0.1", b"!"]
    assert os.environ["VLLM_HOST_IP"] == "127.0.0.1"
    multinode.release_others()
    thread.join(timeout=5)
    assert heard == ["127.0.0.1", b"!", b""]


@pytest.mark.usefixtures("step")
def test_a_node_that_is_not_needed_starts_nothing() -> None:
    # Settings that no engine would take.
    thread = threading.Thread(target=multinode.lend, args=({"no": "engine"},))
    thread.start()
    multinode.dismiss_others(LARGE)
    thread.join(timeout=5)
    assert not thread.is_alive()


@pytest.mark.usefixtures("step")
def test_a_node_that_does_not_come_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multinode, "PATIENCE", 0.1)
    with pytest.raises(InputError, match=r"^large: 1 of 2 nodes did not come to 127\.0\.0\.1 "):
        multinode.wait_for_workers(LARGE)


@pytest.mark.usefixtures("step")
def test_a_first_node_may_take_longer_than_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    # It may have all weights to read before it meets them.
    monkeypatch.setattr(multinode, "PATIENCE", 0)
    thread = threading.Thread(target=multinode.lend, args=({"no": "engine"},))
    thread.start()
    thread.join(timeout=0.2)
    assert thread.is_alive()
    monkeypatch.setattr(multinode, "PATIENCE", 10)
    multinode.dismiss_others(LARGE)
    thread.join(timeout=5)
    assert not thread.is_alive()
    monkeypatch.setattr(multinode, "PATIENCE_WITH_FIRST", 0.1)
    with pytest.raises(InputError, match=r"^no first node at 127\.0\.0\.1:\d+ within 0\.1 s"):
        multinode._join()


@pytest.mark.usefixtures("step")
def test_ports_are_below_those_that_systems_hand_out(monkeypatch: pytest.MonkeyPatch) -> None:
    for job in (0, 5999, 6000, 67108863):
        monkeypatch.setenv("SLURM_JOB_ID", str(job))
        _, port = multinode._meeting_point()
        assert 20000 <= port < port + 1 < 32768
