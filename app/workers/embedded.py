"""The worker inside the API process: a real Celery worker on the in-memory transport, and what a scheduler would do."""

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from celery import Celery
from celery.worker import WorkController
from kombu.exceptions import OperationalError

from app.core.errors import AppError
from app.services.dispatch import Dispatcher
from app.services.resources import Resources
from app.services.runs import RunSweeper
from app.workers.base import JobExecutor
from app.workers.celery_app import make_celery
from app.workers.runtime import WorkerRuntime
from app.workers.sender import CelerySender
from app.workers.tasks import documents, health

log = structlog.get_logger()

_READY_SECONDS = 20
_STOP_SECONDS = 15
_PULSE_SECONDS = 3.0
_PULSE_MAY_BE_OLD_SECONDS = 15.0
_MAINTENANCE_SECONDS = 5.0


class EmbeddedWorker:
    """A Celery worker in threads of this process, with an event loop of its own."""

    def __init__(self, celery: Celery, runtime: WorkerRuntime, pulse: health.Pulse) -> None:
        self.celery = celery
        self.runtime = runtime
        self._pulse = pulse
        self._controller: WorkController | None = None
        self._thread: threading.Thread | None = None

    def start(self, threads: int) -> None:
        """Start consuming; returns when the worker does. Raises RuntimeError where it does not come up."""
        ready = threading.Event()
        self._controller = WorkController(
            app=self.celery,
            pool="threads",
            concurrency=threads,
            ready_callback=lambda _: ready.set(),
            without_heartbeat=True,
            without_mingle=True,
            without_gossip=True,
        )
        self._thread = threading.Thread(target=self._controller.start, name="insula-worker", daemon=True)
        self._thread.start()
        if not ready.wait(_READY_SECONDS):
            raise RuntimeError("the in-process worker did not start")
        self._pulse.beat()

    def stop(self) -> None:
        """Stop consuming; jobs in work are cut off and taken up again at the next start."""
        if self._controller is not None:
            self._controller.stop(in_sighandler=False)
        if self._thread is not None:
            self._thread.join(_STOP_SECONDS)

    async def is_consuming(self) -> bool:
        """Whether a message made it through broker and pool lately; a pool full of long jobs still counts."""
        return self._thread is not None and self._thread.is_alive() and self._is_pulse_fresh()

    def _is_pulse_fresh(self) -> bool:
        return self._pulse.age() < _PULSE_MAY_BE_OLD_SECONDS or self.is_busy

    @property
    def is_busy(self) -> bool:
        """Whether every thread of the pool is at work, so that a pulse has to wait its turn."""
        state = self._controller.state if self._controller is not None else None
        return state is not None and len(state.active_requests) >= self.celery.conf.worker_concurrency

    async def is_broker_up(self) -> bool:
        """Whether the broker takes a message now."""
        return await asyncio.to_thread(self._reach_broker)

    def _reach_broker(self) -> bool:
        try:
            with self.celery.connection_for_write() as connection:
                connection.default_channel.queue_declare(queue="ingestion", durable=True, auto_delete=False)
        except OperationalError:
            return False
        return True

    def send_pulse(self) -> None:
        """Send a message through the whole chain."""
        self.celery.send_task(health.Pulse.task_name, ignore_result=True)


@asynccontextmanager
async def embedded_worker(resources: Resources) -> AsyncIterator[EmbeddedWorker]:
    """Run the worker and the scheduler's chores beside the API, in this process."""
    settings = resources.settings
    celery = make_celery("memory://localhost/")
    celery.conf.worker_concurrency = settings.worker_threads
    pulse = health.Pulse()
    health.register(celery, pulse)
    worker = EmbeddedWorker(celery, WorkerRuntime(), pulse)
    opened = resources.on_another_loop()
    there = await asyncio.to_thread(worker.runtime.run, opened.__aenter__())
    dispatcher = make_dispatcher(there, celery)
    documents.register(celery, JobExecutor(worker.runtime, there.job_runner(), dispatcher))
    await asyncio.to_thread(worker.runtime.run, dispatcher.release_all())
    await asyncio.to_thread(worker.start, settings.worker_threads)
    chores = asyncio.run_coroutine_threadsafe(_chores(there, dispatcher, worker), worker.runtime.loop)
    try:
        yield worker
    finally:
        chores.cancel()
        await asyncio.to_thread(worker.stop)
        await asyncio.to_thread(worker.runtime.run, opened.__aexit__(None, None, None))
        await asyncio.to_thread(worker.runtime.stop)


def make_dispatcher(resources: Resources, celery: Celery) -> Dispatcher:
    """The dispatcher of one event loop."""
    settings = resources.settings
    return Dispatcher(
        resources.database,
        CelerySender(celery),
        per_tenant=settings.jobs_per_tenant,
        window=2 * settings.worker_threads,
    )


async def _chores(resources: Resources, dispatcher: Dispatcher, worker: EmbeddedWorker) -> None:
    """What a scheduler does in production, each at its own pace."""
    settings = resources.settings
    sweeper = RunSweeper(resources.database, lease_seconds=settings.run_lease_seconds)
    await asyncio.gather(
        _every(settings.job_poll_seconds, dispatcher.dispatch_due),
        _every(settings.run_lease_seconds / 2, sweeper.close_expired),
        _every(_PULSE_SECONDS, lambda: asyncio.to_thread(worker.send_pulse)),
        _every(_MAINTENANCE_SECONDS, resources.vectors.maintain),
    )


async def _every(seconds: float, chore: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await chore()
        except AppError as error:
            log.warning("chore_postponed", code=error.code)
        except Exception:  # rule: allow broad-except because one bad round must not end a chore for good
            log.exception("chore_failed")
        await asyncio.sleep(seconds)
