"""Sends hints through Celery: a task's name and a job's id."""

from celery import Celery
from kombu.exceptions import OperationalError

from app.core.errors import Overloaded


class CelerySender:
    """Tells the broker that a job waits."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, kind: str, job_id: str) -> None:
        """Publish the hint; raises Overloaded where the broker does not take it."""
        try:
            self._app.send_task(kind, args=[job_id], ignore_result=True)
        except OperationalError as error:
            raise Overloaded(
                "The broker does not answer now. The work is recorded and will be sent.", code="broker_unavailable"
            ) from error
