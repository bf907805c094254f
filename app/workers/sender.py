"""Sends hints through Celery: a task's name and a job's id."""

from celery import Celery


class CelerySender:
    """Tells the broker that a job waits."""

    def __init__(self, app: Celery) -> None:
        self._app = app

    def send(self, kind: str, job_id: str) -> None:
        """Publish the hint; raises what the broker raises, and the reconciler sends again."""
        self._app.send_task(kind, args=[job_id], ignore_result=True)
