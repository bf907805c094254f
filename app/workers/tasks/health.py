"""The task that proves that messages travel: dispatch, broker, pool and back."""

import time

from celery import Celery

_LOST_AFTER_SECONDS = 60.0


class Pulse:
    """When a message last made it through the whole chain: dispatch, broker, pool."""

    task_name = "worker.pulse"

    def __init__(self) -> None:
        self._arrived = 0.0
        self._sent: float | None = None

    def beat(self) -> None:
        """A message has arrived."""
        self._arrived = time.monotonic()
        self._sent = None

    def age(self) -> float:
        """Seconds since the last message arrived."""
        return time.monotonic() - self._arrived

    def take_turn(self) -> bool:
        """Whether to send the next one: while one is under way a second would only queue up in front of the work."""
        now = time.monotonic()
        if self._sent is not None and now - self._sent < _LOST_AFTER_SECONDS:
            return False
        self._sent = now
        return True


def register(app: Celery, pulse: Pulse) -> None:
    """Make the task known to an application."""
    app.task(name=Pulse.task_name, shared=False)(pulse.beat)
