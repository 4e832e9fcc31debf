"""Errors that a person caused and can mend: one line each, with a hint, never a traceback."""


class RefusalStabilityError(Exception):
    """Base of all errors below. Its text is one line: what, where, and what to do."""


class ConfigError(RefusalStabilityError):
    """A key of the configuration is wrong."""


class InputError(RefusalStabilityError):
    """A file or folder that the user gave cannot be used."""


class ContractError(RefusalStabilityError):
    """A file between two stages does not hold what its contract says."""


class InvalidVerdictsError(RefusalStabilityError):
    """A judge gave too many verdicts without a valid label."""


class ProviderError(RefusalStabilityError):
    """A provider of models answers no request of this run: key, model, quota or network."""
