"""Jobs on a real Slurm that keeps no accounting, where sacct only says so."""

import pytest

from helpers.slurm_cluster import fill_in_profile, run_on_slurm, slurm_cluster
from helpers.workspace import Workspace


def test_the_profile_needs_one_line_more(
    finished_copy: Workspace, tmp_path_factory: pytest.TempPathFactory
) -> None:
    fill_in_profile(finished_copy, keys=["slurm-status-command"], engines_get_a_gpu=False)
    files = list((finished_copy.run / "stability").iterdir())
    for file in files:
        file.unlink()
    with slurm_cluster(tmp_path_factory.mktemp("slurm"), "without-accounting"):
        run = run_on_slurm(finished_copy, "all_stability")
    assert run.returncode == 0, run.stderr
    assert files
    assert all(file.is_file() for file in files)
