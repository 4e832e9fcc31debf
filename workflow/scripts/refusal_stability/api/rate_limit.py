"""At most so many requests a minute, evenly spaced, whichever thread sends them."""

import threading
import time
from collections.abc import Callable


class RateLimit:
    """A queue for the next moment at which a request may be sent."""

    def __init__(
        self,
        per_minute: float | None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Without ``per_minute``, nothing waits. ``clock`` and ``sleep`` are in seconds."""
        self._seconds = 60 / per_minute if per_minute else 0.0
        self._clock, self._sleep = clock, sleep
        self._next = clock()
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when the caller may send its request."""
        if not self._seconds:
            return
        # Only the queue is locked: those who have their moment wait side by side.
        with self._lock:
            now = self._clock()
            moment = max(now, self._next)
            self._next = moment + self._seconds
        if moment > now:
            self._sleep(moment - now)
