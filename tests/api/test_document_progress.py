"""The progress of a document: told until it is ready, failed or deleted, and to nobody who has left."""

import gc
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.api.test_runs import wait_until
from tests.fixtures.raw import raw_stream, receive, reset
from tests.fixtures.service import Service, TenantClient, running_service, test_settings
from tests.fixtures.sse import comments, parse, read

TEXT = b"# Note\n\nThe frame has a warranty of seven years.\n"


@pytest.fixture(scope="module")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that sends no jobs to its worker: documents stay in process."""
    settings = test_settings(
        tmp_path_factory.mktemp("idle"), sse_ping_seconds=0.3, job_poll_seconds=1000.0, drain_seconds=5.0
    )
    with running_service(settings) as service, pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.application.dispatcher, "dispatch_due", nothing_due)
        yield service


async def nothing_due() -> int:
    return 0


def followers() -> int:
    gc.collect()
    found = [thing for thing in gc.get_objects() if hasattr(type(thing), "ag_code")]
    return sum(generator.__qualname__ == "_follow" for generator in found)


def test_it_is_told_until_the_document_is_ready(tenant: TenantClient) -> None:
    document = tenant.upload("note.md", TEXT)
    answer = read(tenant.http, "GET", f"documents/{document['id']}/events")
    told = [event.json() for event in answer.sse]
    assert answer.response.headers["Cache-Control"] == "no-cache, no-transform"
    assert answer.sse[-1].name == "document.ready"
    assert (told[-1]["status"], told[-1]["progress"], told[-1]["stage"]) == ("ready", 1.0, "done")
    assert [event["progress"] for event in told] == sorted(event["progress"] for event in told)
    (again,) = read(tenant.http, "GET", f"documents/{document['id']}/events").sse
    assert again.name == "document.ready"


def test_it_is_told_that_the_document_failed(tenant: TenantClient) -> None:
    document = tenant.upload("broken.pdf", b"%PDF-1.7\nnothing of a PDF\n%%EOF")
    last = read(tenant.http, "GET", f"documents/{document['id']}/events").sse[-1]
    assert last.name == "document.failed"
    assert last.json()["last_error"]["code"]


def test_documents_of_others_are_not_there(tenant: TenantClient, other: TenantClient) -> None:
    document = tenant.upload("note.md", TEXT)
    for identifier in (document["id"], "doc_00000000000000000000000000"):
        assert other.http.get(f"documents/{identifier}/events").status_code == 404


def test_it_is_told_that_the_document_was_deleted(idle: Service) -> None:
    tenant = idle.make_tenant()
    document_id = tenant.upload("note.md", TEXT)["id"]
    with tenant.http.stream("GET", f"documents/{document_id}/events") as response:
        pieces = response.iter_bytes()
        told = next(pieces)
        while b": ping" not in told:
            told += next(pieces)
        assert idle.client(tenant.key).delete(f"documents/{document_id}").status_code == 200
        told += b"".join(pieces)
    assert [event.name for event in parse(told)] == ["document.processing", "document.deleted"]
    assert parse(told)[-1].json() == {"id": document_id}
    assert set(comments(told)) == {"ping"}


def test_who_has_left_is_followed_no_more(idle: Service) -> None:
    tenant = idle.make_tenant()
    document_id = tenant.upload("note.md", TEXT)["id"]
    before = followers()
    with ExitStack() as stack:
        path = f"documents/{document_id}/events"
        clients = [stack.enter_context(raw_stream(tenant, None, path=path)) for _ in range(20)]
        for client in clients:
            receive(client, 100)
        wait_until(lambda: followers() == before + 20)
        for number, client in enumerate(clients):
            reset(client) if number % 2 else client.close()
        wait_until(lambda: followers() == before, 3)


def test_a_process_that_stops_ends_the_stream(data_dir: Path) -> None:
    told = list[bytes]()
    settings = test_settings(data_dir, job_poll_seconds=1000.0, drain_seconds=20.0)
    with running_service(settings) as service, pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.application.dispatcher, "dispatch_due", nothing_due)
        tenant = service.make_tenant()
        document_id = tenant.upload("note.md", TEXT)["id"]
        client = ExitStack()
        connection = client.enter_context(raw_stream(tenant, None, path=f"documents/{document_id}/events"))
        told.append(receive(connection, 100))
        started = time.monotonic()
    with client:
        told.append(receive(connection, 10**9))
    assert time.monotonic() - started < 5
    assert b"".join(told).endswith(b"0\r\n\r\n")
