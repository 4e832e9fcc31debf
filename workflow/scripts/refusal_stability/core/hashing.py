"""SHA-256 of texts and files."""

import hashlib
from collections.abc import Iterable
from pathlib import Path


def sha256_text(text: str) -> str:
    """Return the hexadecimal SHA-256 of a text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def prompts_sha256(prompt_ids: Iterable[str]) -> str:
    """Return a checksum over the prompt ids in their order; an id is a hash of its text."""
    return sha256_text("\n".join(prompt_ids))
