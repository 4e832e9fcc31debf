"""A key that stands twice in a configuration is one line that names both places."""

from pathlib import Path

import pytest

from refusal_stability.controller import duplicate_keys
from refusal_stability.core.errors import ConfigError


def check(folder: Path, text: str) -> None:
    path = folder / "my.yaml"
    path.write_text(text)
    duplicate_keys.check(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "my.yaml, line 3: the key 'a' stands before, in line 1. Hint: "),
        ("a:\n- {b: 1, b: 2}\n", "line 2: the key 'b' stands before, in line 2"),
        ("a: {c: {d: 1,\n d: 2}}\n", "line 2: the key 'd' stands before, in line 1"),
    ],
)
def test_a_key_that_stands_twice(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a: 1\n",
        "a: {b: 1}\nc: {b: 1}\n",
        "- {a: 1}\n- {a: 1}\n",
        "1: a\n'1': b\n",
        "x: &x {a: 1}\ny: &y {b: 1}\nz: {<<: *x, <<: *y}\n",
        "x: &x {a: 1}\ny: [*x, *x]\n",
        '{"a": 1, "b": [1, {"a": 2}]}',
        # Snakemake says what is wrong with it.
        "a: [\n",
    ],
)
def test_keys_that_stand_once_in_their_mapping(text: str, tmp_path: Path) -> None:
    check(tmp_path, text)


def test_every_configuration_of_the_repository_has_its_keys_once() -> None:
    found = list(Path(__file__).parents[3].glob("config/**/*.yaml"))
    assert len(found) > 5
    for path in found:
        duplicate_keys.check(path)
