"""Fixtures that every test may ask for."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.fixtures.service import Service, TenantClient, running_service, test_settings


@pytest.fixture(scope="session", autouse=True)
def plain_logs() -> None:
    """Logs on standard output, without the values of local variables: to render those of a request takes half a minute."""
    console = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, console]
    )


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
