"""The demo: uploads the sample documents, follows their processing, asks three questions and prints the cited answers."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, TextIO

import aiohttp

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
QUESTIONS_ASKED = 3
_POLL_SECONDS = 0.2
_PATIENCE_SECONDS = 300.0
_QUOTE_LENGTH = 160


class DemoFailed(Exception):
    """The demo cannot go on; the message says what to do."""


def run_demo(base_url: str, api_key: str, data_dir: Path, out: TextIO) -> int:
    """Run the demo against a service and print to ``out``.

    ``data_dir`` is the repository's ``examples`` folder (``EXAMPLES``). Documents that are already there with the same
    content are not uploaded again. Gives the exit code: 0, or 1 after a sentence on what went wrong.
    """
    try:
        asyncio.run(_demo(base_url.rstrip("/"), api_key, data_dir, out))
    except DemoFailed as failure:
        print(f"\n{failure}", file=out)
        return 1
    except aiohttp.ClientConnectionError:
        print(f"\nNothing answers at {base_url}. Start the service with `make run` and try again.", file=out)
        return 1
    return 0


async def _demo(base_url: str, api_key: str, data_dir: Path, out: TextIO) -> None:
    samples, questions = _samples(data_dir)
    timeout = aiohttp.ClientTimeout(total=None, connect=10, sock_read=120)
    headers = {"Authorization": f"Bearer {api_key}"}
    async with aiohttp.ClientSession(f"{base_url}/api/v1/", headers=headers, timeout=timeout) as session:
        print(f"Documents ({data_dir / 'data'})", file=out, flush=True)
        known = {document["content_hash"]: document async for document in _documents(session)}
        for document in [await _present(session, sample, known) for sample in samples]:
            await _follow(session, document, out)
        for question in questions[:QUESTIONS_ASKED]:
            await _ask(session, question["question"], out)
    print("\nAsk your own: the README shows how, by curl and by Python.", file=out)


def _samples(data_dir: Path) -> tuple[list[Path], list[dict[str, Any]]]:
    questions = data_dir / "questions.json"
    samples = sorted((data_dir / "data").glob("*.*"))
    if not questions.is_file() or not samples:
        raise DemoFailed(
            f"The sample documents are not in {data_dir}. They are part of the repository: run `make demo` in a checkout."
        )
    return samples, json.loads(questions.read_text(encoding="utf-8"))


async def _json(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The body of a response; raises DemoFailed with the service's own words where it refused."""
    try:
        body: dict[str, Any] = await response.json()
    except (aiohttp.ContentTypeError, ValueError) as error:
        raise DemoFailed(f"{response.url} answered {response.status} without JSON. Is this Insula?") from error
    if response.ok:
        return body
    message = body.get("error", {}).get("message", "no reason given")
    if response.status == 401:  # noqa: PLR2004 - unauthorized
        message += " (Is the credentials file that of this service's data directory?)"
    raise DemoFailed(f"The service answered {response.status}: {message}")


async def _documents(session: aiohttp.ClientSession) -> AsyncIterator[dict[str, Any]]:
    """Every document of the tenant."""
    parameters = {"limit": "100"}
    while True:
        async with session.get("documents", params=parameters) as response:
            page = await _json(response)
        for document in page["data"]:
            yield document
        if not page["has_more"]:
            return
        parameters["after"] = page["last_id"]


async def _present(session: aiohttp.ClientSession, sample: Path, known: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The sample as the service has it: the document of the same content, or a new one."""
    content = await asyncio.to_thread(sample.read_bytes)
    document = known.get(sha256(content).hexdigest())
    if document is None or document["status"] in {"failed", "deleting"}:
        return await _upload(session, sample.name, content)
    return document


async def _upload(session: aiohttp.ClientSession, name: str, content: bytes) -> dict[str, Any]:
    form = aiohttp.FormData()
    form.add_field("file", content, filename=name)
    async with session.post("documents/upload", data=form) as response:
        return await _json(response)


async def _follow(session: aiohttp.ClientSession, document: dict[str, Any], out: TextIO) -> None:
    """Print how far a document is, on one line of a terminal or a line per change elsewhere, until it is ready."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    shown = None
    while True:
        state = _state(document)
        if state != shown:
            _show(f"  {document['name']:26} {state}", out)
            shown = state
        if document["status"] == "ready":
            print(end="\n" if out.isatty() else "", file=out, flush=True)
            return
        if document["status"] == "failed" or time.monotonic() > deadline:
            reason = (document["last_error"] or {}).get("message", "it takes too long; is the worker running?")
            raise DemoFailed(f"{document['name']} was not processed: {reason}")
        await asyncio.sleep(_POLL_SECONDS)
        async with session.get(f"documents/{document['id']}") as response:
            document = await _json(response)


def _state(document: dict[str, Any]) -> str:
    if document["status"] == "ready":
        return f"ready, {document['chunk_count']} chunks"
    return f"{document['stage']} {document['progress']:.0%}"


def _show(line: str, out: TextIO) -> None:
    """Overwrite the line on a terminal; elsewhere begin a new one."""
    if out.isatty():
        print(f"\r\x1b[2K{line}", end="", file=out, flush=True)
    else:
        print(line, file=out, flush=True)


async def _ask(session: aiohttp.ClientSession, question: str, out: TextIO) -> None:
    """Ask, print the answer as it arrives, then what it stands on."""
    print(f"\n> {question}\n", file=out, flush=True)
    citations = []
    async with session.post("chat/stream", json={"message": question, "stream_format": "events"}) as response:
        if not response.ok:
            await _json(response)
        async for event in _events(response):
            match event["type"]:
                case "text.delta":
                    print(event["text"], end="", file=out, flush=True)
                case "citation.added":
                    citations.append(event)
                case "run.failed":
                    raise DemoFailed(f"The answer broke off: {event['error']['message']}")
    print(file=out)
    for line in _sources(citations):
        print(line, file=out, flush=True)


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[dict[str, Any]]:
    """The events of the stream (one line of data each, as the service writes them)."""
    async for line in response.content:
        if line.startswith(b"data: {"):
            yield json.loads(line.removeprefix(b"data: "))


def _sources(citations: list[dict[str, Any]]) -> Iterator[str]:
    for citation in citations:
        page = f", page {citation['page']}" if citation["page"] else ""
        quote = " ".join(citation["quote"].split())
        short = quote if len(quote) <= _QUOTE_LENGTH else f"{quote[:_QUOTE_LENGTH].rstrip()} ..."
        yield f'  [{citation["index"]}] {citation["title"]}{page}: "{short}"'
