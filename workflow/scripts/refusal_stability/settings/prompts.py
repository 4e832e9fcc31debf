"""The key `prompts` of the configuration: what no schema can say of it, and the files behind it.

Only the standard library at import: it is checked while the workflow is planned, in Snakemake's
own environment.
"""

from pathlib import Path
from typing import Any

from refusal_stability.core.errors import InputError
from refusal_stability.core.repository import own_file

DEMO_CORPUS = Path(own_file("resources/demo/corpus.yaml"))


def entries(prompts: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return (key, settings) of each source, whether the configuration has one or a list."""
    if "sources" not in prompts:
        return [("prompts", {key: value for key, value in prompts.items() if key != "expect"})]
    return [
        (f"prompts.sources[{number}]", entry) for number, entry in enumerate(prompts["sources"])
    ]


def recipe(prompts: dict[str, Any]) -> dict[str, Any]:
    """Return what the prompts are made from; what is expected of them makes none."""
    return {key: value for key, value in prompts.items() if key != "expect"}


def files_behind(prompts: dict[str, Any]) -> list[str]:
    """Return the local files that the prompts are read from; none for a dataset of the hub."""
    files: list[str] = []
    for _, entry in entries(prompts):
        if entry["source"] == "demo":
            files.append(str(DEMO_CORPUS))
        elif "path" in entry and Path(entry["path"]).is_dir():
            files += map(str, _visible_files(Path(entry["path"])))
        elif "path" in entry:
            files.append(entry["path"])
    return list(dict.fromkeys(files))


def _visible_files(folder: Path) -> list[Path]:
    # A clone holds .git, a download .cache.
    return sorted(
        file
        for file in folder.rglob("*")
        if file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(folder).parts)
    )


def check_expectation(expected: dict[str, Any], found: dict[str, Any], where: str) -> None:
    """Compare count and checksum of the prompts with what the configuration expects.

    Args:
        expected: the key `prompts.expect`; it may lack either.
        found: manifest of the prompts.
        where: what holds the prompts, for the message.

    Raises:
        InputError: they differ.
    """
    if any(found[key] != value for key, value in expected.items()):
        wanted = ", ".join(f"{key} {value}" for key, value in expected.items())
        raise InputError(
            f"prompts.expect: {wanted}; but {where} has count {found['count']}, sha256 "
            f"{found['sha256']}. Hint: pin the source's revision, or correct prompts.expect"
        )
