"""Where an engine keeps what it compiles: on Slurm, in a folder of the job on its own node.

Jobs that start together compile the same kernels. In one folder on a network file system some of
them then fail: Triton's cache removes folders in which another job is about to write
(triton-lang/triton #11512: 21 of 60 rounds of 16 processes; none on a local disk).
"""

import os
import shutil
import tempfile
from pathlib import Path

from refusal_stability.core import cli

# The variable that moves each cache away from the user's home, which nodes share.
_CACHES = {
    "VLLM_CACHE_ROOT": "vllm",
    "TRITON_CACHE_DIR": "triton",
    "FLASHINFER_WORKSPACE_BASE": "flashinfer",
}
# File systems of a node's own disks and memory; others may be shared by several nodes.
_LOCAL = {"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "ramfs", "tmpfs", "xfs", "zfs"}


def use_own() -> None:
    """Give a job on Slurm caches of its own; it removes them when it ends.

    A cache that the user has put somewhere stays there. Outside Slurm, jobs of one machine share
    those in the user's home.
    """
    job = os.environ.get("SLURM_JOB_ID")
    missing = [name for name in _CACHES if name not in os.environ]
    if job is None or not missing:
        return
    # No name that other users can foresee: vLLM unpickles what it finds in its cache.
    folder = tempfile.mkdtemp(prefix=f"refusal-stability-{job}-", dir=_node_local_folder())
    cli.clean_up_with(lambda: shutil.rmtree(folder, ignore_errors=True))
    for name in missing:
        os.environ[name] = str(Path(folder, _CACHES[name]))


def _node_local_folder() -> str:
    """Return the first folder for temporary files that is on this node; else the first usable one.

    Triton loads the libraries that it compiles, which a file system mounted with noexec forbids.
    """
    named = [os.environ.get("SLURM_TMPDIR"), os.environ.get("TMPDIR"), "/tmp"]
    folders = [folder for folder in named if folder and os.path.isdir(folder)]
    usable = [folder for folder in folders if os.access(folder, os.W_OK | os.X_OK)]
    kinds = {folder: _file_system(folder) for folder in usable}
    usable = [folder for folder in usable if "noexec" not in kinds[folder][1]] or usable
    local = [folder for folder in usable if kinds[folder][0] in _LOCAL]
    # If none is usable, Python's error names those that it tried.
    return next(iter(local + usable), None) or tempfile.gettempdir()


def _file_system(folder: str) -> tuple[str, list[str]]:
    """Return the type and the mount options of the file system that holds a folder."""
    import psutil

    path = Path(folder).resolve()
    holding = [
        partition
        for partition in psutil.disk_partitions(all=True)
        if path.is_relative_to(partition.mountpoint)
    ]
    if not holding:
        return "unknown", []
    # The last one mounted at a place covers the others there.
    found = max(reversed(holding), key=lambda partition: len(partition.mountpoint))
    return found.fstype, found.opts.split(",")
