"""At most so many calls of APIs in a run: over all its jobs, also those that ended long ago.

Only the standard library at import: the plan reads how many are left.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from refusal_stability.core.errors import BudgetError


class NoCallError(BaseException):
    """A call may not be sent. No Exception: SDKs take those for lost connections, and try again."""


class Budget:
    """What a run may send, counted in a file that its jobs share."""

    def __init__(self, calls: int | None = None, file: Path | None = None) -> None:
        """Allow ``calls`` in all, of which ``file`` has a byte each; without them, any number."""
        self._calls, self._file = calls, file

    @property
    def is_limited(self) -> bool:
        """Whether calls are counted at all."""
        return self._calls is not None and self._file is not None

    def take(self, calls: int = 1) -> None:
        """Count calls that are about to be sent: all of them, or none.

        Raises:
            NoCallError: so many are not left, or they cannot be counted.
        """
        if not self.is_limited:
            return
        with self._counted(self._file) as (file, sent):
            if sent + calls > self._calls:
                raise NoCallError(self._spent(sent, calls))
            # Counted before it is sent: a call that a kill prevents counts, none goes uncounted.
            file.write(b"." * calls)
            file.flush()
            os.fsync(file.fileno())

    def give_back(self, calls: int) -> None:
        """Take calls off the count that are known to have not been sent, if it can be reached.

        A count that is too high sends too few calls, and hides no other error.
        """
        if self.is_limited:
            with suppress(NoCallError), self._counted(self._file) as (file, sent):
                file.truncate(max(sent - calls, 0))

    @staticmethod
    @contextmanager
    def _counted(path: Path) -> Iterator[tuple[BinaryIO, int]]:
        """Yield the file and how many calls it counts; no other job sees it meanwhile."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Other threads and other jobs wait here; the lock ends with the file, or the process.
            with path.open("ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                yield file, os.fstat(file.fileno()).st_size
        except OSError as error:
            raise NoCallError(
                f"{path}: calls cannot be counted there ({error.strerror}), so none is sent. "
                "Hint: a budget needs a file system with locks and with room; else remove `budget`"
            ) from error

    def _spent(self, sent: int, calls: int) -> str:
        wanted = "one more is" if calls == 1 else f"a batch of {calls:,} is"
        return (
            f"budget.calls: {sent:,} of the {self._calls:,} calls of this run are sent, and "
            f"{wanted} needed. Hint: raise budget.calls and run the same command again; every "
            "answer so far is kept"
        )


UNLIMITED = Budget()


def of_arguments(arguments: list[str] | None) -> Budget:
    """Return the budget of a script's ``--budget FILE CALLS``."""
    return Budget(int(arguments[1]), Path(arguments[0])) if arguments else UNLIMITED


def sent(file: Path) -> int:
    """Return how many calls a run has sent under a budget."""
    return file.stat().st_size if file.exists() else 0


def refused(entry: dict, error: NoCallError) -> BudgetError:
    """Return the line about a model or judge that has no call left."""
    return BudgetError(f"{entry['name']}: {error}")
