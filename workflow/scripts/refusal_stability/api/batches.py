"""A judge asked in batches: cheaper, within a day, and no batch is submitted twice."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

from refusal_stability.api.batch_log import BatchLog, OpenBatch
from refusal_stability.api.budget import UNLIMITED, Budget, NoCallError, refused
from refusal_stability.api.client import (
    Answer,
    BatchProvider,
    BatchState,
    FailedRequestError,
    RefusedRequestError,
    UnknownBatchError,
)
from refusal_stability.api.concurrency import MAX_FAILURES_IN_A_ROW
from refusal_stability.core.errors import BudgetError, ProviderError
from refusal_stability.settings.api import endpoint

# Seconds between two looks at a batch: at first, and at most.
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0
# What failed in a batch and may pass later is asked again in another one.
ROUNDS = 2
# The provider's clock and ours differ by less, in seconds.
_CLOCKS = 300.0

Keep = Callable[[str, Answer], None]


def ask_in_batches(
    judge: dict[str, Any],
    provider: BatchProvider,
    messages: dict[str, str],
    keep: Keep,
    log: BatchLog,
    try_out: Callable[[], None],
    budget: Budget = UNLIMITED,
) -> dict[str, str]:
    """Ask every message by batches and keep each answer; return {key: why} of those that failed.

    Batches that an earlier attempt has submitted are waited for, not submitted again.

    Args:
        judge: its settings.
        provider: where batches go.
        messages: by the keys of their verdicts.
        keep: called with a key and its answer; what it has kept is never asked again.
        log: the open batches.
        try_out: called before the first batch is submitted; raises an error if none may be.
        budget: what the run may send; a batch counts with all its requests.

    Raises:
        BudgetError: a batch is larger than what is left; the answers of earlier ones are kept.
        ProviderError: no batch is taken, or nothing answers; what is under way stays noted.
    """
    failures: dict[str, FailedRequestError] = {}
    asked: set[str] = set()
    for round_number in range(ROUNDS):
        wanted = (messages.keys() - asked) | _passing(failures)
        batches = _under_way(judge, provider, wanted, log, budget)
        wanted -= set().union(*(batch.keys for batch in batches))
        left = {key: message for key, message in messages.items() if key in wanted}
        spent = None
        try:
            if left and round_number == 0:
                try_out()
            for part in _parts(provider, left):
                batches.append(_submit(judge, provider, part, log, budget))
        except BudgetError as error:
            # What is under way is paid for, and gone some weeks after it has ended.
            spent = error
        for batch in batches:
            asked |= batch.keys
            for key in batch.keys:
                failures.pop(key, None)
        failures |= _collect(judge, provider, batches, keep, log, budget)
        if spent is not None:
            raise spent
    return {key: str(why) for key, why in failures.items() if key in messages}


def _passing(failures: dict[str, FailedRequestError]) -> set[str]:
    return {key for key, why in failures.items() if not isinstance(why, RefusedRequestError)}


def _parts(
    provider: BatchProvider, messages: dict[str, str]
) -> Iterator[dict[str, dict[str, Any]]]:
    """Yield requests by key, as many at once as the provider takes."""
    part: dict[str, dict[str, Any]] = {}
    size = 0
    for key, message in messages.items():
        request = provider.request(key, message)
        length = len(json.dumps(request)) + 1
        if part and (len(part) == provider.max_requests or size + length > provider.max_bytes):
            yield part
            part, size = {}, 0
        part[key] = request
        size += length
    if part:
        yield part


def _under_way(
    judge: dict[str, Any],
    provider: BatchProvider,
    wanted: set[str],
    log: BatchLog,
    budget: Budget,
) -> list[OpenBatch]:
    """Return the batches of earlier attempts; one of which no id is known is looked for."""
    batches = []
    for batch in log.wanted(endpoint(judge), wanted):
        batch_id = batch.id or _found(judge, provider, batch, log)
        if batch_id is None:
            _never_sent(batch, log, budget)
            continue
        _say(f"Batch {batch_id}: {len(batch.keys)} requests, submitted before")
        batches.append(batch if batch.id else log.submitted(batch, batch_id))
    return batches


def _submit(
    judge: dict[str, Any],
    provider: BatchProvider,
    part: dict[str, dict[str, Any]],
    log: BatchLog,
    budget: Budget,
) -> OpenBatch:
    try:
        budget.take(len(part))
    except NoCallError as error:
        raise refused(judge, error) from None
    batch = log.begin(endpoint(judge), part, budget.is_limited)
    batch_id = _sent(judge, provider, list(part.values()), batch, log, budget)
    _say(
        f"Batch {batch_id}: {len(part)} requests, submitted. If this job ends before it has the "
        "answers, run it again: it waits for the same batch"
    )
    return log.submitted(batch, batch_id)


def _sent(
    judge: dict[str, Any],
    provider: BatchProvider,
    requests: list[dict[str, Any]],
    batch: OpenBatch,
    log: BatchLog,
    budget: Budget,
) -> str:
    for wait in [*islice(_waits(), judge["max_retries"]), None]:
        try:
            return provider.submit(requests, batch.submission)
        except RefusedRequestError as error:
            _never_sent(batch, log, budget)
            raise ProviderError(
                f"{judge['name']}: {endpoint(judge)} takes no batch: {error}. Hint: set "
                "batch: false if it has none; else look at the limits of your account"
            ) from error
        except ProviderError:
            _never_sent(batch, log, budget)
            raise
        except FailedRequestError as error:
            if wait is None:
                raise ProviderError(
                    f"{judge['name']}: no batch could be submitted: {error}. Hint: run again when "
                    f"{endpoint(judge)} answers; a batch that got through all the same is found"
                ) from error
        time.sleep(wait)
        # Perhaps only the answer was lost.
        batch_id = _found(judge, provider, batch, log)
        if batch_id:
            return batch_id
    raise AssertionError("unreachable")


def _never_sent(batch: OpenBatch, log: BatchLog, budget: Budget) -> None:
    """Close a batch whose requests nobody will answer."""
    log.close(batch)
    if batch.counted:
        budget.give_back(len(batch.keys))


def _found(
    judge: dict[str, Any], provider: BatchProvider, batch: OpenBatch, log: BatchLog
) -> str | None:
    since = batch.begun - _CLOCKS
    try:
        return provider.find(batch.submission, since, len(batch.keys), log.known_ids())
    except FailedRequestError as error:
        raise ProviderError(
            f"{judge['name']}: whether {endpoint(judge)} has a batch of {len(batch.keys)} requests "
            f"already cannot be told: {error}. Hint: run again when it answers; if you know that "
            f"it has none, delete {log.path}"
        ) from error


def _collect(
    judge: dict[str, Any],
    provider: BatchProvider,
    batches: list[OpenBatch],
    keep: Keep,
    log: BatchLog,
    budget: Budget,
) -> dict[str, FailedRequestError]:
    """Wait for all batches and keep their answers as each one ends; return what failed."""
    failures: dict[str, FailedRequestError] = {}
    waits, in_a_row = _waits(), 0
    open_batches = list(batches)
    while open_batches:
        time.sleep(next(waits))
        for batch in list(open_batches):
            try:
                state = provider.state(batch.id)
                _say(f"Batch {batch.id}: {state.done} of {state.total} requests are done")
                if not state.ended:
                    continue
                if state.refused:
                    _never_sent(batch, log, budget)
                    raise ProviderError(
                        f"{judge['name']}: {endpoint(judge)} refused the batch {batch.id}: "
                        f"{state.refused}. Hint: look at the limits of your account for batches "
                        "of this model, and run again"
                    )
                failures |= _kept(provider, batch, state, keep)
            except UnknownBatchError as error:
                raise ProviderError(
                    f"{judge['name']}: {endpoint(judge)} does not know the batch {batch.id}. Hint: "
                    "use the key with which it was submitted; to submit it again, and to pay for "
                    f"it again, delete {log.path}"
                ) from error
            except FailedRequestError as error:
                in_a_row += 1
                _say(f"Batch {batch.id}: {error}")
                if in_a_row == MAX_FAILURES_IN_A_ROW:
                    raise ProviderError(
                        f"{judge['name']}: {in_a_row} requests in a row failed, the last one: "
                        f"{error}. Hint: run again when {endpoint(judge)} answers; its batches are "
                        "waited for, not submitted again"
                    ) from error
                continue
            in_a_row = 0
            log.close(batch)
            open_batches.remove(batch)
    return failures


def _kept(
    provider: BatchProvider, batch: OpenBatch, state: BatchState, keep: Keep
) -> dict[str, FailedRequestError]:
    """Keep the answers of a batch that has ended; return what failed."""
    failures: dict[str, FailedRequestError] = {}
    unanswered = set(batch.keys)
    for key, result in provider.results(batch.id):
        # Whatever is not ours: see BatchProvider.find.
        if key not in unanswered:
            continue
        unanswered.remove(key)
        if isinstance(result, Answer):
            keep(key, result)
        else:
            failures[key] = result
    missing = (
        RefusedRequestError("the batch was cancelled")
        if state.cancelled
        else FailedRequestError("the batch has no answer")
    )
    return failures | dict.fromkeys(unanswered, missing)


def _waits() -> Iterator[float]:
    wait = FIRST_WAIT
    while True:
        yield min(wait, LONGEST_WAIT)
        wait *= 2


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
