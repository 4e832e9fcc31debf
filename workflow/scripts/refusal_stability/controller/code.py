"""Which modules of the package a script imports, directly or through others.

By the text of the import statements: a plan reads some 150 files, which to parse would take longer
than all else of it. Imports inside functions count, those for type checkers do not.
"""

import functools
import re
from pathlib import Path

PACKAGE = "refusal_stability"
_IMPORT = re.compile(
    rf"^[ \t]*from ({PACKAGE}[\w.]*) import (\([^)]*\)|[^\n]*)|^[ \t]*import ({PACKAGE}[\w.]*)",
    re.MULTILINE,
)
_FOR_TYPE_CHECKERS = re.compile(r"^if TYPE_CHECKING:\n(?:[ \t]+\S.*\n|\n)+", re.MULTILINE)


def modules_behind(script: Path) -> list[Path]:
    """Return the files of the package that ``script``, which lies beside it, runs; sorted."""
    found: set[Path] = set()
    open_ = [script]
    while open_:
        for file in imported(open_.pop()):
            if file not in found:
                found.add(file)
                open_.append(file)
    return sorted(found)


@functools.cache
def imported(file: Path) -> frozenset[Path]:
    """Return the files of the package that ``file``, of it or beside it, imports itself."""
    parts = file.parts
    root = Path(*parts[: parts.index(PACKAGE)]) if PACKAGE in parts else file.parent
    text = _FOR_TYPE_CHECKERS.sub("", file.read_text(encoding="utf-8"))
    found: set[Path] = set()
    for module, names, whole in _IMPORT.findall(text):
        words = re.sub(r"#.*|\bas \w+", "", names)
        # A name may be a module of a package, or be in a module.
        inside = [f"{module}.{name}" for name in re.findall(r"\w+", words)]
        for dotted in [module or whole, *inside]:
            path = root.joinpath(*dotted.split("."))
            if path.with_suffix(".py").is_file():
                found.add(path.with_suffix(".py"))
            elif (path / "__init__.py").is_file():
                found.add(path / "__init__.py")
    # To import a module is to run its package, and the package's.
    packages = {parent / "__init__.py" for path in found for parent in path.parents}
    return frozenset(found | {path for path in packages if root in path.parents and path.is_file()})
