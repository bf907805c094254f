"""How a task gets from Celery's thread to the services: one call, which claims the job and does it."""

from app.services.dispatch import Dispatcher
from app.services.jobs import JobRunner
from app.workers.runtime import WorkerRuntime


class JobExecutor:
    """Runs jobs on the worker's event loop, and lets the next ones follow."""

    def __init__(self, runtime: WorkerRuntime, runner: JobRunner, dispatcher: Dispatcher) -> None:
        self._runtime = runtime
        self._runner = runner
        self._dispatcher = dispatcher

    @property
    def in_work(self) -> int:
        """How many jobs are in work."""
        return self._runner.in_work

    def execute(self, job_id: str) -> None:
        """Do one job to its end, then look for more; called in a thread of Celery's pool."""
        self._runtime.run(self._run(job_id))

    async def _run(self, job_id: str) -> None:
        if await self._runner.run(job_id):
            await self._dispatcher.dispatch_quietly()

    def stop(self) -> None:
        """Begin nothing more, and put back what is in work."""
        self._runtime.run(self._runner.stop())
