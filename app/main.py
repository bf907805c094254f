"""The application: its middleware in one visible list, its routers, and the lifespan that opens and closes the world."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI
from starlette.middleware import Middleware

from app import __version__
from app.api import home, metrics
from app.api.errors import install_error_handlers
from app.api.sse import Pacemaker
from app.api.v1.endpoints import health
from app.api.v1.router import router
from app.core.config import Settings
from app.core.errors import AppError
from app.core.migrations import is_at_head, upgrade
from app.middleware.access_log import AccessLogMiddleware
from app.middleware.body_limit import BodyLimitMiddleware
from app.middleware.idempotency import IdempotencyMiddleware
from app.middleware.request_context import RequestContextMiddleware
from app.middleware.security_headers import SecurityHeadersMiddleware
from app.middleware.tenant import TenantMiddleware
from app.services.application import Application, build_application
from app.services.health import Probe
from app.services.intake import sweep_unrecorded
from app.services.resources import Resources, open_resources
from app.workers.embedded import EmbeddedWorker, embedded_worker, make_dispatcher

log = structlog.get_logger()

_FORGET_SECONDS = 600.0
UPLOAD_PATH = "/api/v1/documents/upload"


def create_app(settings: Settings) -> FastAPI:
    """The ASGI application. Making it opens nothing; its lifespan does.

    ``state.when_open``, where it is set, is awaited with the services once they are there and before requests are.
    """
    app = FastAPI(
        title="Insula",
        version=__version__,
        summary="AI agents that answer from each tenant's own documents, streamed and cited.",
        lifespan=_lifespan,
        redoc_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        middleware=[
            Middleware(SecurityHeadersMiddleware),
            Middleware(RequestContextMiddleware),
            Middleware(AccessLogMiddleware),
            Middleware(
                BodyLimitMiddleware, default=settings.max_body_bytes, limits={UPLOAD_PATH: settings.max_upload_bytes}
            ),
            Middleware(TenantMiddleware, base_domain=settings.base_domain),
            Middleware(IdempotencyMiddleware, max_body_bytes=settings.max_body_bytes),
        ],
    )
    app.state.settings = settings
    app.state.is_draining = False
    app.state.when_open = None
    app.state.pacemaker = Pacemaker(ping_seconds=settings.sse_ping_seconds)
    install_error_handlers(app)
    for part in (home.router, health.router, metrics.router, router):
        app.include_router(part)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    async with open_resources(settings) as resources:
        await upgrade(resources.database)
        await sweep_unrecorded(resources.database, resources.files)
        async with embedded_worker(resources) as worker:
            application = _embedded(resources, worker)
            app.state.application = application
            await application.sweeper.close_all_open()
            await application.idempotency.release_all()
            if app.state.when_open is not None:
                await app.state.when_open(application)
            chores = [
                asyncio.create_task(app.state.pacemaker.run()),
                asyncio.create_task(_every(settings.run_lease_seconds / 3, application.extend_leases)),
                asyncio.create_task(_every(_FORGET_SECONDS, application.idempotency.forget_old)),
            ]
            log.info("started", version=__version__, profile="embedded", model=settings.resolved_default_model)
            try:
                yield
            finally:
                app.state.is_draining = True
                await application.supervisor.drain(settings.drain_seconds)
                for chore in chores:
                    chore.cancel()
                await asyncio.gather(*chores, return_exceptions=True)


def _embedded(resources: Resources, worker: EmbeddedWorker) -> Application:
    """The application with everything in one process; what stands in for Redis is probed under its name."""

    async def is_migrated() -> bool:
        return await resources.database.is_healthy() and await is_at_head(resources.database)

    probes: dict[str, Probe] = {
        "database": is_migrated,
        "redis": worker.is_broker_up,
        "qdrant": resources.vectors.is_healthy,
        "worker": worker.is_consuming,
    }
    return build_application(resources, make_dispatcher(resources, worker.celery), probes)


async def _every(seconds: float, chore: Callable[[], Awaitable[object]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await chore()
        except AppError as error:
            log.warning("chore_postponed", code=error.code)
