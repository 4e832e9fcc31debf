"""Names of models and judges: what may be one, and which spellings in label files stand for it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from refusal_stability.core.errors import InputError

# As "#/$defs/name" of the configuration's schema: names stand in paths.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Words that stand for an aggregate where a table otherwise names a model or judge.
RESERVED_NAMES = ("all",)

Aliases = Mapping[str, Sequence[str]]


def pattern(entries: Mapping[str, dict[str, Any]], with_weights: bool) -> str:
    """Return a regular expression for the names of those that have weights, or have none."""
    names = [name for name, entry in entries.items() if ("weights" in entry) is with_weights]
    # What matches nothing, where there are none.
    return "|".join(map(re.escape, names)) or "(?!)"


def names_of(
    kind: str, spellings: Iterable[str], aliases: Aliases, place: Callable[[str], str]
) -> dict[str, str]:
    """Return {spelling: name}, names in the order of ``aliases``, then as they were found.

    Args:
        kind: "model" or "judge".
        spellings: the distinct spellings found in label files.
        aliases: {name: its spellings}; a name, and a spelling that is not listed, also stand
            for themselves.
        place: tells file and row of a spelling.

    Raises:
        InputError: a name cannot be used; its place and the key to mend are named.
    """
    listed = {spelling: name for name, listed in aliases.items() for spelling in (name, *listed)}
    found = {spelling: listed.get(spelling, spelling) for spelling in spellings}
    hint = f"Hint: add it to {kind}_aliases, under a name of letters, digits, '.', '_' and '-'"
    by_lower_case: dict[str, str] = {}
    for spelling, name in found.items():
        if not NAME.fullmatch(name):
            raise InputError(
                f"{place(spelling)}: the {kind} {name!r} cannot be a file name. {hint}"
            )
        if name.lower() in RESERVED_NAMES:
            raise InputError(f"{place(spelling)}: the {kind} name {name!r} is reserved. {hint}")
        # Folders of some file systems do not tell upper from lower case.
        other = by_lower_case.setdefault(name.lower(), name)
        if other != name:
            raise InputError(
                f"{place(spelling)}: the {kind} {name!r} differs from {other!r} in case only. "
                f"Hint: add both to {kind}_aliases, under one name"
            )
    order = [name for name in aliases if name in found.values()]
    rank = {name: number for number, name in enumerate(dict.fromkeys([*order, *found.values()]))}
    return dict(sorted(found.items(), key=lambda item: rank[item[1]]))


ALL_MODELS = "all"
