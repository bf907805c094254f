"""The worker inside the API process: a real Celery worker on the in-memory transport, and what a scheduler would do."""

import asyncio
import secrets
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from celery import Celery
from celery.bootsteps import CLOSE
from celery.worker import WorkController
from kombu.exceptions import OperationalError

from app.core.errors import AppError
from app.services.dispatch import Dispatcher
from app.services.resources import Resources
from app.services.runs import RunSweeper
from app.workers.base import JobExecutor
from app.workers.celery_app import QUEUE, AppThreadPool, make_celery
from app.workers.runtime import WorkerRuntime
from app.workers.sender import CelerySender
from app.workers.tasks import documents, health

log = structlog.get_logger()

_READY_SECONDS = 20
_STOP_SECONDS = 15
_PULSE_SECONDS = 3.0
_PULSE_MAY_BE_OLD_SECONDS = 15.0
_MAINTENANCE_SECONDS = 5.0
_FORGET_SECONDS = 600.0


class EmbeddedWorker:
    """A Celery worker in threads of this process, whose jobs run on an event loop of their own."""

    def __init__(self, celery: Celery, runtime: WorkerRuntime, executor: JobExecutor) -> None:
        self.celery = celery
        self.runtime = runtime
        self._executor = executor
        self._pulse = health.Pulse()
        self._controller: WorkController | None = None
        self._thread: threading.Thread | None = None
        health.register(celery, self._pulse)
        documents.register(celery, executor)

    def start(self, threads: int) -> None:
        """Start consuming; returns when the worker does. Raises RuntimeError where it does not come up."""
        ready = threading.Event()
        self.celery.conf.worker_concurrency = threads
        self._controller = WorkController(
            app=self.celery,
            pool=AppThreadPool,
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
        """Put back what is in work, so that the next start takes it up at once, and stop consuming."""
        self._executor.stop()
        if self._controller is None or self._thread is None:
            return
        # The consumer looks whether it should go on after each message, and otherwise only every two seconds.
        self._controller.consumer.blueprint.state = CLOSE
        self._send_pulse()
        self._thread.join(_STOP_SECONDS)
        self._controller.stop()

    async def is_consuming(self) -> bool:
        """Whether a message made it through broker and pool lately; a pool full of long jobs still counts."""
        is_alive = self._thread is not None and self._thread.is_alive()
        is_fresh = self._pulse.age() < _PULSE_MAY_BE_OLD_SECONDS or self.is_busy
        return is_alive and is_fresh and await self.runtime.is_turning()

    @property
    def is_busy(self) -> bool:
        """Whether every thread of the pool is at work, so that a pulse has to wait its turn."""
        return self._executor.in_work >= int(self.celery.conf.worker_concurrency)

    async def is_broker_up(self) -> bool:
        """Whether the broker takes a message now."""
        return await asyncio.to_thread(self._reach_broker)

    def _reach_broker(self) -> bool:
        queue = self.celery.conf.task_default_queue
        try:
            with self.celery.connection_for_write() as connection:
                connection.default_channel.queue_declare(queue=queue, durable=True, auto_delete=False)
        except OperationalError:
            return False
        return True

    def send_pulse(self) -> None:
        """Send a message through the whole chain, unless one is under way."""
        if self._pulse.take_turn():
            self._send_pulse()

    def _send_pulse(self) -> None:
        self.celery.send_task(health.Pulse.task_name, ignore_result=True)


@asynccontextmanager
async def embedded_worker(resources: Resources) -> AsyncIterator[EmbeddedWorker]:
    """Run the worker and the scheduler's chores beside the API, in this process."""
    # Kombu keeps memory queues and connections for the whole process: names of our own keep two services apart.
    name = f"{QUEUE}-{secrets.token_hex(4)}"
    celery = make_celery(f"memory://localhost/{name}", name)
    runtime = WorkerRuntime()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(asyncio.to_thread, runtime.stop)
        opened = resources.on_another_loop()
        there = await asyncio.to_thread(runtime.run, opened.__aenter__())
        stack.push_async_callback(asyncio.to_thread, lambda: runtime.run(opened.__aexit__(None, None, None)))
        dispatcher = make_dispatcher(there, celery)
        await asyncio.to_thread(runtime.run, dispatcher.release_all())
        worker = EmbeddedWorker(celery, runtime, JobExecutor(runtime, there.job_runner(), dispatcher))
        stack.push_async_callback(asyncio.to_thread, worker.stop)
        await asyncio.to_thread(worker.start, resources.settings.worker_threads)
        chores = await asyncio.to_thread(runtime.run, _begin(_chores(there, dispatcher, worker)))
        stack.push_async_callback(asyncio.to_thread, lambda: runtime.run(_end(chores)))
        yield worker


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
        _every(_MAINTENANCE_SECONDS, dispatcher.measure),
        _every(_FORGET_SECONDS, dispatcher.forget_old),
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


async def _begin(work: Coroutine[object, object, None]) -> asyncio.Task[None]:
    return asyncio.create_task(work)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
