"""Files of this repository, which need not be where Snakemake runs."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]


def own_file(path: str) -> str:
    """Return where a file of this repository is.

    It is ``path`` itself where Snakemake runs in the repository, as ever in its records, and
    absolute elsewhere.
    """
    return path if Path.cwd() == ROOT else str(ROOT / path)


def named_file(path: str) -> str:
    """Return a path that a configuration gives: from where Snakemake runs, or of `resources/` here.

    A rubric of this repository is found so from any folder; a file of the same name where
    Snakemake runs goes before it.
    """
    is_own = path.startswith("resources/") and not Path(path).exists() and (ROOT / path).exists()
    return own_file(path) if is_own else path
