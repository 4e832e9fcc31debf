"""Asking a provider many messages side by side, until it answers no more."""

import sys
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from refusal_stability.api.client import FailedRequestError
from refusal_stability.core.errors import ProviderError
from refusal_stability.settings.api import endpoint

# So many failures in a row are no accident: the rest would only fail as well.
MAX_FAILURES_IN_A_ROW = 20
# Seconds between two progress lines in a log.
_PROGRESS_SECONDS = 10.0


def send_all(
    entry: dict[str, Any], keys: Collection[str], ask: Callable[[str], None]
) -> dict[str, str]:
    """Call ``ask`` for every key; return {key: why} of those whose request failed.

    Args:
        entry: the settings of a model or judge behind an API.
        keys: what is asked for.
        ask: keeps the answer of one key itself, or raises FailedRequestError.

    Raises:
        ProviderError: no message would get an answer, or many in a row got none.
    """
    failures: dict[str, str] = {}
    in_a_row, said = 0, time.monotonic()
    pool = ThreadPoolExecutor(entry["max_concurrency"])
    try:
        asked = {pool.submit(ask, key): key for key in keys}
        for done, future in enumerate(as_completed(asked), start=1):
            try:
                future.result()
                in_a_row = 0
            except FailedRequestError as error:
                failures[asked[future]] = str(error)
                in_a_row += 1
            if in_a_row == MAX_FAILURES_IN_A_ROW:
                raise ProviderError(
                    f"{entry['name']}: {in_a_row} requests in a row failed, the last one: "
                    f"{failures[asked[future]]}. Hint: run again when {endpoint(entry)} answers; "
                    "what was paid for is kept"
                )
            if time.monotonic() - said > _PROGRESS_SECONDS or done == len(asked):
                said = time.monotonic()
                print(f"Asked: {done}/{len(asked)}, failed: {len(failures)}", file=sys.stderr)
    finally:
        # What is under way is paid for: let it arrive.
        pool.shutdown(wait=True, cancel_futures=True)
    return failures
