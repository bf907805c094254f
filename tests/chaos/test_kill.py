"""Whenever the service is killed, what it had acknowledged is there exactly once after the next start."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from app.adapters.embeddings.hashed import HashedEmbedder
from tests.chaos.installation import Installation
from tests.chaos.ledger import Ledger, make_files
from tests.chaos.oracle import Oracle
from tests.chaos.processes import command

#: What to kill the service before or after, and which request leads there; a figure asks for a later call.
POINTS = [
    ("before app.adapters.storage.filesystem:TenantFolder._write", "upload"),
    ("after app.adapters.storage.filesystem:TenantFolder._write", "upload"),
    ("after app.adapters.storage.filesystem:_publish", "upload"),
    ("after app.services.documents:DocumentsService.accept", "upload"),
    ("after app.services.intake:DocumentIntake.accept", "upload"),
    ("after app.repositories.jobs:JobQueue.mark_sent", "upload"),
    ("before app.workers.sender:CelerySender.send", "upload"),
    ("after app.workers.sender:CelerySender.send", "upload"),
    ("before app.services.jobs:JobRunner._claim", "upload"),
    ("after app.services.jobs:JobRunner._claim", "upload"),
    ("after app.adapters.parsing.sandbox:SandboxedParser.parse", "upload"),
    ("after app.services.document_sink:DocumentSink.begin", "upload"),
    ("after app.adapters.vectors.embedded:EmbeddedTenantVectors.upsert", "upload"),
    ("after app.services.document_sink:DocumentSink.store", "upload"),
    ("before app.services.document_sink:DocumentSink.store 2", "upload"),
    ("after app.services.jobs:HeldJob.succeed", "upload"),
    ("after app.services.document_sink:DocumentSink.finish", "upload"),
    ("after app.adapters.vectors.embedded:EmbeddedTenantVectors.upsert", "reprocess"),
    ("after app.services.document_sink:DocumentSink.finish", "reprocess"),
    ("after app.adapters.vectors.embedded:EmbeddedTenantVectors.delete_generation", "reprocess"),
    ("before app.services.document_jobs:PurgeDocument.run", "delete"),
    ("before app.adapters.storage.filesystem:TenantFolder.delete", "delete"),
    ("after app.adapters.storage.filesystem:TenantFolder.delete", "delete"),
    ("after app.services.document_jobs:PurgeDocument.run", "delete"),
]

SEED = 20_261_122


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    # One that is taken up again after every kill is killed again at the next: here that must not count against it.
    made = Installation(tmp_path / "data", embedding_model="hashed:test", log_level="warning", job_max_retries="100")
    yield made
    made.close()


def _is_at_work(installation: Installation) -> bool:
    with installation.client() as client:
        return bool(client.get("documents", params={"status": "processing"}).json()["data"])


def test_kills_at_random_moments_lose_and_double_nothing(installation: Installation, tmp_path: Path) -> None:
    dice, ledger = random.Random(SEED), Ledger(tmp_path / "ledger")
    files = make_files(12, seed=SEED, sections=240)
    installation.start()
    assert installation.wait_until_up()
    with installation.client() as client:
        for name, content in files.items():
            assert ledger.upload(client, name, content)
    kills = 0
    while kills < 4 and _is_at_work(installation):
        time.sleep(dice.uniform(0.05, 0.5))
        kills += 1
        installation.kill()
        installation.start()
        assert installation.wait_until_up()
    assert kills > 1, "too little work to be killed in"
    wait_until_processed(installation, 12)
    installation.stop()
    verdict = Oracle(HashedEmbedder()).judge(installation.data_dir, ledger)
    assert verdict.documents == 12


def test_kills_during_uploads_leave_whole_documents_or_none(installation: Installation, tmp_path: Path) -> None:
    dice, ledger = random.Random(SEED), Ledger(tmp_path / "ledger")
    files = make_files(30, seed=SEED, sections=6)
    installation.start()
    assert installation.wait_until_up()
    waiting = dict(files)

    def upload() -> None:
        with installation.client() as client:
            while waiting:
                name = next(iter(waiting))
                if ledger.upload(client, name, waiting[name]):
                    del waiting[name]
                else:
                    time.sleep(0.05)

    uploader = threading.Thread(target=upload)
    uploader.start()
    for _ in range(3):
        time.sleep(dice.uniform(0.05, 0.3))
        installation.kill()
        installation.start()
        assert installation.wait_until_up()
    uploader.join(30)
    assert not waiting
    wait_until_processed(installation, 30)
    installation.stop()
    assert Oracle(HashedEmbedder()).judge(installation.data_dir, ledger).documents >= 30


def test_a_kill_at_every_durable_step_loses_and_doubles_nothing(installation: Installation, tmp_path: Path) -> None:
    ledger, files = Ledger(tmp_path / "ledger"), make_files(8 + len(POINTS), seed=SEED, sections=40)
    contents = iter(files.items())
    installation.start()
    assert installation.wait_until_up()
    with installation.client() as client:
        for _ in range(8):
            assert ledger.upload(client, *next(contents))
    wait_until_processed(installation, 8)
    installation.stop()
    for point, request in POINTS:
        installation.start(point)
        if installation.wait_until_up():  # unless taking up what the last kill left has led there already
            with installation.client() as client:
                ask(client, ledger, request, next(contents))
        installation.wait_until_dead()
    installation.start()
    assert installation.wait_until_up()
    with installation.client() as client:
        assert all(ledger.delete(client, document_id) for document_id in sorted(ledger.doomed()))
    wait_until_processed(installation, len(ledger.acks()))
    installation.stop()
    Oracle(HashedEmbedder()).judge(installation.data_dir, ledger)


def ask(client: httpx.Client, ledger: Ledger, request: str, file: tuple[str, bytes]) -> None:
    """Make a request that the service may not live to answer."""
    with suppress(httpx.TransportError):
        if request == "upload":
            ledger.upload(client, *file)
        elif request == "delete":
            ledger.delete(client, ledger.acks()[0].id)
        else:
            ready = client.get("documents", params={"status": "ready"}).json()["data"]
            assert client.post(f"documents/{ready[-1]['id']}/reprocess").status_code == 202


def wait_until_processed(installation: Installation, count: int, seconds: float = 40) -> None:
    """Wait until no document is in work; at least ``count`` must be there."""
    deadline = time.monotonic() + seconds
    with installation.client() as client:
        while time.monotonic() < deadline:
            page = client.get("documents", params={"limit": 100}).json()["data"]
            if len(page) >= count and all(document["status"] != "processing" for document in page):
                return
            time.sleep(0.05)
    raise AssertionError(f"still in work after {seconds} s:\n{installation.log[-3000:]}")


def test_a_second_service_on_the_same_data_is_refused_in_a_sentence(installation: Installation) -> None:
    installation.start()
    assert installation.wait_until_up()
    second = Installation(installation.data_dir, launch=command, embedding_model="hashed:test")
    second.start()
    second.wait_until_dead()
    assert "Another Insula runs on" in second.log
    assert "INSULA_DATA_DIR" in second.log
    assert "Traceback" not in second.log
    assert installation.wait_until_up(), "the first one is not disturbed"
    assert installation.stop() < 5
