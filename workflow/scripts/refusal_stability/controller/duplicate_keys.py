"""Keys that stand twice in a YAML file: readers take the last one, without a word.

Only what Snakemake brings along: the Snakefile looks at its configuration before the first job.
"""

from pathlib import Path

import yaml

from refusal_stability.core.errors import ConfigError

# Adds the keys of other mappings, and may stand more than once.
_MERGE = "<<"


def check(path: Path) -> None:
    """Raise ConfigError if a mapping of a YAML file has a key twice.

    What is no YAML has been refused by Snakemake, or it is JSON that only looks otherwise.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return
    check_text(text, str(path))


def check_text(text: str, where: str) -> None:
    """Raise ConfigError, which names ``where``, if a mapping of a YAML text has a key twice."""
    try:
        left = [yaml.compose(text, Loader=yaml.SafeLoader)]
    except yaml.YAMLError:
        return
    # Of aliases, a node stands in several places.
    seen = set()
    while left:
        node = left.pop()
        if id(node) in seen or not isinstance(node, yaml.CollectionNode):
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            left += node.value
            continue
        # As a reader tells them apart: 1 is not "1".
        lines: dict[tuple[str, str], int] = {}
        for key, value in node.value:
            left += [key, value]
            if not isinstance(key, yaml.ScalarNode) or key.value == _MERGE:
                continue
            name, line = (key.tag, key.value), key.start_mark.line + 1
            if name in lines:
                raise ConfigError(
                    f"{where}, line {line}: the key {key.value[:60]!r} stands before, in line "
                    f"{lines[name]}. Hint: remove one of the two, as only the last one counts"
                )
            lines[name] = line
