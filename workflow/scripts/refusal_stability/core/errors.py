"""Errors that a person caused and can mend: one line each, with a hint, never a traceback."""

# What is longer is no line that anybody reads; its ends say what, where and what to do.
_MOST_CHARACTERS = 2000


class RefusalStabilityError(Exception):
    """Base of all errors below. Its text is one line: what, where, and what to do."""

    def __init__(self, text: str) -> None:
        """Write what would break the line, or act on a terminal, as an escape such as \\n."""
        line = "".join(
            letter if letter.isprintable() else letter.encode("unicode_escape").decode()
            for letter in text
        )
        if len(line) > _MOST_CHARACTERS:
            half = _MOST_CHARACTERS // 2
            line = f"{line[:half]} ... {line[-half:]}"
        super().__init__(line)


class ConfigError(RefusalStabilityError):
    """A key of the configuration is wrong."""


class InputError(RefusalStabilityError):
    """A file or folder that the user gave cannot be used."""


class EngineError(RefusalStabilityError):
    """A process of an engine failed, on this machine or with these settings."""


class ContractError(RefusalStabilityError):
    """A file between two stages does not hold what its contract says."""


class InvalidVerdictsError(RefusalStabilityError):
    """A judge gave too many verdicts without a valid label."""


class BudgetError(RefusalStabilityError):
    """A run has sent as many calls of APIs as it may."""


class ProviderError(RefusalStabilityError):
    """A provider of models answers no request of this run: key, model, quota or network."""
