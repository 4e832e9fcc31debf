import pytest

from refusal_stability.core.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("no file a\nerror: b", "no file a\\nerror: b"),
        ("no file \x1b[2J\x00", "no file \\x1b[2J\\x00"),
        ("two\u2028lines", "two\\u2028lines"),
        ("mirrored \u202eabc", "mirrored \\u202eabc"),
        ("half \ud800", "half \\ud800"),
        ("Gr\u00fc\u00dfe, \u4f60\u597d", "Gr\u00fc\u00dfe, \u4f60\u597d"),
    ],
)
def test_an_error_is_one_line_that_a_terminal_only_shows(text: str, line: str) -> None:
    assert str(ConfigError(text)) == line


def test_of_a_line_that_is_too_long_the_ends_are_shown() -> None:
    line = str(ConfigError(f"models[0].name: {'x' * 5000}. Hint: shorten it"))
    assert len(line) == 2000 + len(" ... ")
    assert line.startswith("models[0].name: x")
    assert line.endswith("x. Hint: shorten it")
