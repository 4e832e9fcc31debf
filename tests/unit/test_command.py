import pytest

from refusal_stability import errors
from refusal_stability.command import run


def failing(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    "kind",
    [errors.ConfigError, errors.InputError, errors.ContractError, errors.InvalidVerdictsError],
)
def test_an_error_that_the_user_can_mend_is_one_line(kind: type[Exception]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(lambda: failing(kind("what. Hint: this")))
    # Text as an exit code is printed to standard error, with exit code 1.
    assert caught.value.code == "error: what. Hint: this"


def test_other_errors_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run(lambda: failing(ZeroDivisionError()))


def test_success_returns() -> None:
    run(lambda: None)
