"""Real files of every kind, with the real embedding model: each answers its question, and cites itself first."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.fixtures.service import TenantClient, running_service, test_settings
from tests.shared_data import SHARED_DATA, requires_shared_data

pytestmark = [requires_shared_data, pytest.mark.shared_data]

_FIRST_TEXT_SECONDS = 0.3


@dataclass(frozen=True)
class Case:
    """A file, a question that it answers, what the quote must hold, and on which page."""

    file: str
    question: str
    quoted: str
    page: int | None = None


CASES = [
    Case("d_multi_page.pdf", "Who patented the typewriter in 1868?", "Sholes", 1),
    Case("d_multi_page.pdf", "Which tools do screenwriters use for scripts?", "Final Draft", 3),
    Case("d_multi_page.pdf", "When did Google Docs bring collaboration in the cloud?", "2006", 2),
    Case("d_word_sample.docx", "How many calories per portion do blueberries and strawberries have?", "150"),
    Case(
        "m_test_wikipedia.html", "Who founded Microsoft to sell BASIC interpreters for the Altair 8800?", "Paul Allen"
    ),
    Case("d_wiki.md", "What was IBM called when it was founded in 1911?", "Computing-Tabulating-Recording"),
    Case("gen_latin1_es.txt", "¿En qué calle se encuentra la sede del Polonia Varsovia?", "Konwiktorska"),
    Case("gen_cp1251_ru.txt", "До какой войны продолжала торговать?", "войны"),
]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[TenantClient, dict[str, dict[str, Any]]]]:
    """A tenant with all the files, in a service with the real embedding model."""
    assert SHARED_DATA is not None
    settings = test_settings(tmp_path_factory.mktemp("real"), embedding_model="local:all-MiniLM-L6-v2")
    with running_service(settings) as service:
        tenant = service.make_tenant()
        names = sorted({case.file for case in CASES})
        accepted = {name: tenant.upload(name, (SHARED_DATA / "files" / name).read_bytes()) for name in names}
        yield tenant, {name: tenant.wait(document["id"], 120) for name, document in accepted.items()}


def test_every_file_becomes_ready(library: tuple[TenantClient, dict[str, dict[str, Any]]]) -> None:
    _, documents = library
    assert {name: document["status"] for name, document in documents.items()} == dict.fromkeys(documents, "ready")
    assert documents["d_multi_page.pdf"]["page_count"] == 5


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.file}-{case.quoted}")
def test_the_first_citation_is_the_file_and_page_that_answer(
    case: Case, library: tuple[TenantClient, dict[str, dict[str, Any]]]
) -> None:
    tenant, documents = library
    started, first_text = time.perf_counter(), None
    citations = []
    body = {"message": case.question, "stream_format": "events"}
    with tenant.http.stream("POST", "chat/stream", json=body) as response:
        for line in response.iter_lines():
            event = json.loads(line.removeprefix("data: ")) if line.startswith("data: ") else {}
            if event.get("type") == "text.delta" and first_text is None:
                first_text = time.perf_counter() - started
            if event.get("type") == "citation.added":
                citations.append(event)

    assert citations, "the answer cites nothing"
    assert citations[0]["document_id"] == documents[case.file]["id"]
    assert citations[0]["page"] == case.page
    assert case.quoted in " ".join(citation["quote"] for citation in citations)
    assert first_text is not None
    assert first_text < _FIRST_TEXT_SECONDS
