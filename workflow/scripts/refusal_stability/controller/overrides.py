"""Values of `--config` on the command line, read as a configuration file is."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from refusal_stability.controller import duplicate_keys


class _Loader(yaml.SafeLoader):
    """Reads a date as text, which is how the command line means it."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def with_overrides(config: dict[str, Any], arguments: Sequence[str] | None) -> dict[str, Any]:
    """Return ``config`` with the values of ``--config`` as a file would have them.

    Snakemake leaves text what is neither a number nor True or False: `cache=false` would name a
    folder, and `temperatures=[0.5]` would be a list of text.

    Args:
        config: of the files, with the command line's values merged into it by Snakemake.
        arguments: of `--config`, each `key=value`.

    Raises:
        ConfigError: a mapping has a key twice.
    """
    config = dict(config)
    for argument in arguments or []:
        key, _, text = argument.partition("=")
        try:
            value = yaml.load(text, Loader=_Loader)
        # Such as an integer that is none.
        except (yaml.YAMLError, ValueError):
            continue
        duplicate_keys.check_text(text, f"--config {key}")
        if key in config:
            config[key] = _merged(config[key], value)
    return config


def _merged(value: Any, override: Any) -> Any:
    if not isinstance(value, Mapping) or not isinstance(override, Mapping):
        return override
    return {**value, **{key: _merged(value.get(key), override[key]) for key in override}}
