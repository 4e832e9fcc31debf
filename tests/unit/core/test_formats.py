"""Older formats are read, newer ones and none are one line."""

import json
import os
from pathlib import Path

import pytest

from refusal_stability.core import formats, versions
from refusal_stability.core.errors import InputError


@pytest.mark.parametrize("manifest", [{}, {"format": 1}, {"format": versions.FORMAT}])
def test_formats_up_to_this_one_are_read(manifest: dict, tmp_path: Path) -> None:
    formats.check(manifest, tmp_path / "a.json")


def test_a_newer_format_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.json: its format is 99, .* a newer version wrote it"):
        formats.check({"format": 99}, tmp_path / "a.json")


@pytest.mark.parametrize("value", [None, True, 0, -1, 1.0, "2", [], "x\n" * 99])
def test_what_is_no_format_says_so(value: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none of this workflow. Hint: delete it") as line:
        formats.check({"format": value}, tmp_path / "a.json")
    assert "\n" not in str(line.value)


@pytest.mark.parametrize("name", ["prompts", "labels"])
def test_a_run_of_a_newer_version_is_left_alone(name: str, tmp_path: Path) -> None:
    formats.check_run(tmp_path)
    manifest = tmp_path / f"{name}.json"
    for harmless in ("{", "[]", "{}"):
        manifest.write_text(harmless)
        formats.check_run(tmp_path)
    manifest.write_text(json.dumps({"format": versions.FORMAT + 1}))
    with pytest.raises(InputError, match=rf"{name}\.json: .* newer version"):
        formats.check_run(tmp_path)


@pytest.mark.parametrize("stage", ["responses", "verdicts"])
def test_so_is_one_that_a_newer_version_went_on_with(stage: str, tmp_path: Path) -> None:
    for number, name in enumerate(["T1_seed1", "T0_seed1", "T0_seed2"]):
        path = tmp_path / stage / "m" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"format": versions.FORMAT}))
        os.utime(path, (number, number))
    formats.check_run(tmp_path)
    path.write_text(json.dumps({"format": versions.FORMAT + 1}))
    with pytest.raises(InputError, match=r"T0_seed2\.json: .* newer version"):
        formats.check_run(tmp_path)
