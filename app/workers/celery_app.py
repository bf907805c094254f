"""The Celery application: JSON only, acknowledged late, no results, no times in the broker."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from celery import Celery
from celery.concurrency.thread import TaskPool

QUEUE = "ingestion"


class AppThreadPool(TaskPool):
    """A pool whose threads belong to their application.

    A thread that knows no current application runs the tasks of whichever was made last in the process, or drops
    them without a word where there is none.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.executor = ThreadPoolExecutor(self.limit, "insula-job", initializer=self.app.set_current)


def make_celery(broker_url: str, queue: str = QUEUE) -> Celery:
    """A Celery application on a broker, set so that a killed worker loses nothing (the job rows make the rest good)."""
    app = Celery("insula", broker=broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        result_backend=None,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        task_default_queue=queue,
        enable_utc=True,
    )
    if broker_url.startswith("memory://"):
        # Kombu looks into a memory queue once a second unless told otherwise.
        app.conf.broker_transport_options = {"polling_interval": 0.05}
    return app
