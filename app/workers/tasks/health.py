"""The task that proves that messages travel: dispatch, broker, pool and back."""

import time

from celery import Celery


class Pulse:
    """When a message last made it through the whole chain: dispatch, broker, pool."""

    task_name = "worker.pulse"

    def __init__(self) -> None:
        self._last = 0.0

    def beat(self) -> None:
        """A message has arrived."""
        self._last = time.monotonic()

    def age(self) -> float:
        """Seconds since the last message arrived."""
        return time.monotonic() - self._last


def register(app: Celery, pulse: Pulse) -> None:
    """Make the task known to an application."""
    app.task(name=Pulse.task_name)(pulse.beat)
