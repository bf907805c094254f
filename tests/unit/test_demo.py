"""The demo against a service that answers as the HTTP contract says."""

import asyncio
import io
import json
import os
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from app.demo import EXAMPLES, run_demo

KEY = "a-key"
STAGES = [("parsing", 0.1, "processing"), ("embedding", 0.5, "processing"), ("done", 1.0, "ready")]
CITATION = {"index": 1, "title": "Handbook", "page": 3, "quote": "Eighteen\nweeks."}
EVENTS: list[dict[str, Any]] = [
    {"type": "text.delta", "text": "Eighteen "},
    {"type": "text.delta", "text": "weeks [1]."},
    {"type": "citation.added", **CITATION},
    {"type": "run.completed", "message_id": "msg_1"},
]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.demo._POLL_SECONDS", 0.001)


class Service:
    """Documents in memory: each look at one moves it a stage on; every question gets the same answer."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.uploads: list[str] = []
        self.questions: list[str] = []
        self.events = EVENTS
        self.fails_on = ""

    def app(self) -> web.Application:
        app = web.Application(middlewares=[self.authenticate])
        app.router.add_get("/api/v1/documents", self.list)
        app.router.add_post("/api/v1/documents/upload", self.upload)
        app.router.add_get("/api/v1/documents/{id}", self.get)
        app.router.add_post("/api/v1/chat/stream", self.chat)
        return app

    @web.middleware
    async def authenticate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.json_response({"error": {"message": "The key is not valid."}}, status=401)
        response: web.StreamResponse = await handler(request)
        return response

    async def list(self, request: web.Request) -> web.Response:
        """One document a page, so that the reader has to turn them."""
        ids = list(self.documents)
        start = ids.index(request.query["after"]) + 1 if "after" in request.query else 0
        page = ids[start : start + 1]
        data = [self.documents[i] for i in page]
        return web.json_response(
            {"data": data, "has_more": start + 1 < len(ids), "last_id": page[-1] if page else None}
        )

    async def upload(self, request: web.Request) -> web.Response:
        field = (await request.post())["file"]
        assert isinstance(field, web.FileField)
        content = field.file.read()
        document: dict[str, Any] = {
            "id": f"doc_{len(self.documents)}",
            "name": field.filename,
            "content_hash": sha256(content).hexdigest(),
            "status": "processing",
            "stage": "queued",
            "progress": 0.0,
            "chunk_count": 2,
            "last_error": None,
        }
        self.documents[document["id"]] = document
        self.uploads.append(field.filename)
        return web.json_response(document, status=202)

    async def get(self, request: web.Request) -> web.Response:
        document = self.documents[request.match_info["id"]]
        names = [stage for stage, _, _ in STAGES]
        following = names.index(document["stage"]) + 1 if document["stage"] in names else 0
        document["stage"], document["progress"], document["status"] = STAGES[following]
        if document["name"] == self.fails_on:
            document |= {"status": "failed", "last_error": {"code": "pdf_broken", "message": "The PDF is damaged."}}
        return web.json_response(document)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        assert body["stream_format"] == "events"
        self.questions.append(body["message"])
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b": ping\n\n")
        for number, event in enumerate(self.events):
            await response.write(f"id: {number}\nevent: {event['type']}\ndata: {json.dumps(event)}\n\n".encode())
        return response


async def _run(service: Service, *, key: str = KEY, examples: Path = EXAMPLES) -> tuple[int, str]:
    out = io.StringIO()
    async with TestServer(service.app()) as server:
        code = await asyncio.to_thread(run_demo, str(server.make_url("/")), key, examples, out)
    return code, out.getvalue()


async def test_samples_are_uploaded_followed_and_asked_about() -> None:
    service = Service()
    code, printed = await _run(service)
    assert code == 0, printed
    assert sorted(service.uploads) == sorted(file.name for file in (EXAMPLES / "data").iterdir())
    assert "crew-handbook.pdf          embedding 50%" in printed
    assert "crew-handbook.pdf          ready, 2 chunks" in printed
    assert len(service.questions) == 3
    assert 'Eighteen weeks [1].\n  [1] Handbook, page 3: "Eighteen weeks."' in printed


async def test_a_second_run_uploads_nothing_again() -> None:
    service = Service()
    await _run(service)
    uploaded = list(service.uploads)
    code, printed = await _run(service)
    assert (code, service.uploads) == (0, uploaded)
    assert "ready, 2 chunks" in printed


async def test_a_document_that_fails_ends_the_demo_with_its_reason() -> None:
    service = Service()
    service.fails_on = "crew-handbook.pdf"
    code, printed = await _run(service)
    assert code == 1
    assert "crew-handbook.pdf was not processed: The PDF is damaged." in printed
    assert service.questions == []


async def test_a_failed_document_is_uploaded_again() -> None:
    service = Service()
    service.fails_on = "crew-handbook.pdf"
    await _run(service)
    service.fails_on = ""
    code, _ = await _run(service)
    assert code == 0
    assert service.uploads.count("crew-handbook.pdf") == 2


async def test_a_run_that_fails_is_said_so() -> None:
    service = Service()
    service.events = [{"type": "run.failed", "error": {"code": "upstream_failed", "message": "The model is away."}}]
    code, printed = await _run(service)
    assert code == 1
    assert "The answer broke off: The model is away." in printed


async def test_a_key_that_is_refused_is_said_so() -> None:
    code, printed = await _run(Service(), key="another")
    assert code == 1
    assert "401: The key is not valid. (Is the credentials file" in printed


async def test_the_quickstart_prints_a_streamed_and_cited_answer(tmp_path: Path) -> None:
    async with TestServer(Service().app()) as server:
        credentials = {"base_url": str(server.make_url("")).rstrip("/"), "api_key": KEY}
        (tmp_path / "credentials.json").write_text(json.dumps(credentials))
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(EXAMPLES / "quickstart.py"),
            env=os.environ | {"INSULA_DATA_DIR": str(tmp_path)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, errors = (stream.decode() for stream in await process.communicate())
    assert errors == ""
    assert "crew-handbook.pdf: done 100%" in printed
    assert 'Eighteen weeks [1].\n  [1] Handbook, page 3: "Eighteen\nweeks."' in printed


def test_a_service_that_is_not_up_is_said_so() -> None:
    out = io.StringIO()
    assert run_demo(f"http://127.0.0.1:{unused_port()}", KEY, EXAMPLES, out) == 1
    assert "Start the service with `make run`" in out.getvalue()


def test_examples_that_are_not_there_are_said_so(tmp_path: Path) -> None:
    out = io.StringIO()
    assert run_demo("http://127.0.0.1:1", KEY, tmp_path, out) == 1
    assert "run `make demo` in a checkout" in out.getvalue()


@pytest.mark.parametrize("entry", json.loads((EXAMPLES / "questions.json").read_text()), ids=lambda e: e["document"])
def test_each_question_names_a_sample_document(entry: dict[str, Any]) -> None:
    assert (EXAMPLES / "data" / entry["document"]).is_file()
    assert (entry["page"] is not None) == entry["document"].endswith(".pdf")
