"""Before the first job: do the providers take the keys, and have they the models?"""

import sys
from collections.abc import Iterable
from contextlib import closing
from importlib.util import find_spec
from typing import Any

from refusal_stability.api.anthropic import Anthropic
from refusal_stability.api.budget import UNLIMITED, Budget
from refusal_stability.api.client import FailedRequestError
from refusal_stability.api.openai import ChatCompletions
from refusal_stability.api.rate_limit import RateLimit
from refusal_stability.core.errors import BudgetError, RefusalStabilityError
from refusal_stability.settings.api import endpoint

_PROVIDERS = {"openai": ChatCompletions, "anthropic": Anthropic}
# Seconds to wait, and no second try that would take long: a slow provider stops nothing here.
_DELIVERY = {"timeout": 20, "max_retries": 1}


def check_providers(entries: Iterable[dict[str, Any]], budget: Budget = UNLIMITED) -> None:
    """Look up the model of each entry, models and judges behind an API.

    A provider that cannot be asked is a warning on standard error: jobs may reach what this machine
    does not. Where its SDK is not installed, as on a login node whose jobs have environments of
    their own, or no call is left, nothing is sent. Either way a job's own first request finds out.

    Args:
        entries: their settings.
        budget: what the run may send; where a model can be looked up, that takes none of it.

    Raises:
        ProviderError: a key is refused, or a model is unknown or retired.
    """
    different = {
        (entry["kind"], endpoint(entry), entry["model"], entry.get("api_key_env")): entry
        for entry in entries
    }
    for entry in different.values():
        if find_spec(entry["kind"]) is None:
            continue
        try:
            provider = _PROVIDERS[entry["kind"]](entry | _DELIVERY, RateLimit(None), budget)
        except RefusalStabilityError:
            raise
        # A broken SDK, or one of another time, may be no matter of the jobs' environment.
        except Exception as error:
            print(
                f"warning: {entry['name']}: the {entry['kind']} SDK cannot be used here "
                f"({type(error).__name__}: {error}), so its key and model are not checked before "
                "the first job",
                file=sys.stderr,
            )
            continue
        with closing(provider):
            try:
                provider.look_up()
            except BudgetError:
                # A job that has all its answers needs no call; one that has not says so itself.
                continue
            except FailedRequestError as error:
                print(
                    f"warning: {entry['name']}: from here, {endpoint(entry)} cannot be asked for "
                    f"{entry['model']} ({error}). Its jobs will try",
                    file=sys.stderr,
                )
