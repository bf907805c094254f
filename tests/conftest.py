"""Fixtures that every test may ask for."""

import logging
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import structlog

from tests.fixtures.service import Service, TenantClient, running_service, test_settings
from tests.fixtures.world import Clock, World, open_world


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """Logs on standard error, without the values of local variables: to render those of a request takes half a minute."""
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, console],
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
    )


@pytest.fixture
def own_logs() -> Iterator[None]:
    """For a test that sets logging up anew: puts back what was."""
    before, root = structlog.get_config(), logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """One quick service for all tests of a process: hashed embeddings, the extractive model, everything else real."""
    with running_service(test_settings(tmp_path_factory.mktemp("service"))) as running:
        yield running


@pytest.fixture
def tenant(service: Service) -> TenantClient:
    """A new tenant of the shared service."""
    return service.make_tenant()


@pytest.fixture
def other(service: Service) -> TenantClient:
    """Another tenant, whom the first one's things are no business of."""
    return service.make_tenant()


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """An empty data directory."""
    return tmp_path / "data"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time of jobs, which stands still until it is told to pass."""
    return Clock(monkeypatch)


@pytest.fixture
async def world(tmp_path: Path, clock: Clock) -> AsyncIterator[World]:
    """Services, stores and one worker's jobs, without doors."""
    async with open_world(tmp_path / "world", clock) as opened:
        yield opened
