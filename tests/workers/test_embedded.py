"""The in-process worker: one service beside another, health that tells the truth, and a quick and lossless stop."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from kombu.exceptions import OperationalError

from app.adapters.parsing.base import ParsedDocument
from app.workers.celery_app import make_celery
from app.workers.embedded import EmbeddedWorker
from app.workers.tasks.health import Pulse
from tests.fixtures.service import Service, TenantClient, running_service, test_settings

NOTE = b"# Note\n\nThe lamp burns for nine hours.\n"


class SlowParser:
    """A parser that does not end until it is told to."""

    def __init__(self) -> None:
        self.begun = threading.Semaphore(0)
        self.may_end = threading.Event()

    async def parse(self, path: Path, content_type: str) -> ParsedDocument:
        self.begun.release()
        await asyncio.to_thread(self.may_end.wait, 60)
        return ParsedDocument("The lamp burns for nine hours.")


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowParser]:
    parser = SlowParser()
    monkeypatch.setattr("app.services.resources.build_parser", lambda **_: parser)
    yield parser
    parser.may_end.set()


@contextmanager
def caught_worker(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Iterator[tuple[Service, EmbeddedWorker]]:
    """A service together with its worker."""
    workers: list[EmbeddedWorker] = []
    begin = EmbeddedWorker.start

    def start(worker: EmbeddedWorker, threads: int) -> None:
        workers.append(worker)
        begin(worker, threads)

    monkeypatch.setattr(EmbeddedWorker, "start", start)
    with running_service(test_settings(data_dir)) as service:
        yield service, workers[-1]


def health(service: Service) -> tuple[int, dict[str, bool]]:
    response = httpx.get(f"{service.base_url}/health", trust_env=False)
    return response.status_code, response.json()["checks"]


def test_two_services_in_a_process_do_their_own_work(service: Service, tenant: TenantClient, data_dir: Path) -> None:
    with running_service(test_settings(data_dir)) as second:
        theirs = second.make_tenant()
        for client in (tenant, theirs, tenant, theirs):
            document = client.upload("note.md", NOTE)
            assert client.wait(document["id"], seconds=8)["status"] == "ready"
    with running_service(test_settings(data_dir)) as third:
        again = third.make_tenant()
        assert again.wait(again.upload("note.md", NOTE)["id"], seconds=8)["status"] == "ready"
    assert tenant.wait(tenant.upload("note.md", NOTE)["id"], seconds=8)["status"] == "ready"


def test_two_tenants_ingest_at_once(tenant: TenantClient, other: TenantClient) -> None:
    def ingest(client: TenantClient, word: str) -> list[str]:
        text = "\n\n".join(f"{word} number {number} is kept here." for number in range(200)).encode()
        documents = [client.upload(f"{word}-{number}.txt", text)["id"] for number in range(6)]
        return [client.wait(document)["status"] for document in documents]

    with ThreadPoolExecutor(2) as threads:
        ended = [threads.submit(ingest, client, word) for client, word in ((tenant, "Lamp"), (other, "Net"))]
        assert [future.result() for future in ended] == [["ready"] * 6] * 2
    for client, word in ((tenant, "Lamp"), (other, "Net")):
        found = client.http.post("knowledge/search", json={"query": "number kept here", "top_k": 50}).json()["data"]
        assert len({passage["document_id"] for passage in found}) == 6
        assert all(passage["text"].startswith(word) for passage in found)


def test_a_stop_is_quick_puts_work_back_and_costs_no_attempt(slow: SlowParser, data_dir: Path) -> None:
    with running_service(test_settings(data_dir)) as service:
        client = service.make_tenant()
        documents = [client.upload(f"{number}.md", NOTE)["id"] for number in range(4)]
        for _ in range(2):
            assert slow.begun.acquire(timeout=10)
        began = time.monotonic()
    assert time.monotonic() - began < 5
    for _ in range(5):  # as often as attempts would be counted, had they been
        with running_service(test_settings(data_dir)):
            assert slow.begun.acquire(timeout=10)
    slow.may_end.set()
    with running_service(test_settings(data_dir)) as service:
        client.http = service.client(client.key)
        ended = [client.wait(document) for document in documents]
    assert [(document["status"], document["attempts"]) for document in ended] == [("ready", 1)] * 4


def test_a_pool_full_of_long_jobs_is_healthy(slow: SlowParser, monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    with caught_worker(monkeypatch, data_dir) as (service, worker):
        client = service.make_tenant()
        for number in range(service.settings.worker_threads):
            client.upload(f"{number}.md", NOTE)
            assert slow.begun.acquire(timeout=10)
        monkeypatch.setattr(Pulse, "age", lambda _: 3600.0)
        assert worker.is_busy
        assert health(service) == (200, dict.fromkeys(("database", "redis", "qdrant", "worker"), True))
        slow.may_end.set()


def test_a_worker_that_hears_nothing_is_not_healthy(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    with caught_worker(monkeypatch, data_dir) as (service, _):
        assert health(service)[0] == 200
        monkeypatch.setattr(Pulse, "age", lambda _: 3600.0)
        assert health(service) == (503, {"database": True, "redis": True, "qdrant": True, "worker": False})


def test_a_dead_worker_thread_is_not_healthy(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    with caught_worker(monkeypatch, data_dir) as (service, worker):
        assert health(service)[0] == 200
        worker.stop()
        assert health(service) == (503, {"database": True, "redis": True, "qdrant": True, "worker": False})


def test_a_worker_whose_loop_is_stuck_is_not_healthy(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    may_turn = threading.Event()
    with caught_worker(monkeypatch, data_dir) as (service, worker):
        worker.runtime.loop.call_soon_threadsafe(may_turn.wait, 10)
        try:
            status, checks = health(service)
        finally:
            may_turn.set()
        assert (status, checks["worker"]) == (503, False)


def test_a_broker_that_is_down_is_not_healthy(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("down")

    with caught_worker(monkeypatch, data_dir) as (service, worker):
        monkeypatch.setattr(worker.celery, "connection_for_write", refuse)
        assert health(service) == (503, {"database": True, "redis": False, "qdrant": True, "worker": True})


def test_uploads_made_while_the_broker_is_down_are_processed_when_it_is_back(
    monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    with caught_worker(monkeypatch, data_dir) as (service, worker):
        client = service.make_tenant()
        with monkeypatch.context() as broken:

            def refuse(*_: object, **__: object) -> None:
                raise OperationalError("down")

            broken.setattr(worker.celery, "send_task", refuse)
            documents = [client.upload(f"{number}.md", NOTE)["id"] for number in range(20)]
            time.sleep(0.3)  # some rounds of the reconciler, all in vain
            assert client.http.get(f"documents/{documents[0]}").json()["attempts"] == 0
        assert {client.wait(document)["status"] for document in documents} == {"ready"}
        assert {client.wait(document)["attempts"] for document in documents} == {1}


def test_only_one_pulse_is_under_way() -> None:
    pulse = Pulse()
    assert pulse.take_turn()
    assert not pulse.take_turn()
    pulse.beat()
    assert pulse.take_turn()
    assert pulse.age() < 1


def test_celery_takes_json_only_and_keeps_no_results() -> None:
    celery = make_celery("memory://localhost/test")
    assert celery.conf.accept_content == ["json"]
    assert celery.conf.task_serializer == "json"
    assert celery.conf.result_backend is None
    assert celery.backend.__class__.__name__ == "DisabledBackend"
    assert celery.conf.task_acks_late
    assert celery.conf.task_reject_on_worker_lost
    assert celery.conf.task_default_queue == "ingestion"


def test_messages_that_no_one_of_us_wrote_have_no_effect(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> None:
    with caught_worker(monkeypatch, data_dir) as (service, worker):
        client = service.make_tenant()
        document = client.ready("note.md", NOTE)
        for arguments in (["job_00000000000000000000000000"], [document["id"]], [], [{"id": 1}], [None], [1, 2, 3]):
            worker.celery.send_task("document.process", args=arguments, ignore_result=True)
        worker.celery.send_task("document.purge", args=[document["id"]], ignore_result=True)
        worker.celery.send_task("no.such.task", args=["x"], ignore_result=True)
        worker.celery.send_task("document.process", args=["x"], ignore_result=True, serializer="pickle")
        after = client.ready("after.md", NOTE)
        assert (after["attempts"], client.wait(document["id"])) == (1, document)
        assert health(service)[0] == 200
