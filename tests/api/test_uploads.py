"""Uploads: what is accepted arrives whole under a name of ours, and what is refused leaves nothing behind."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from app.core.ids import new_id
from tests.api.hostile_names import HOSTILE_NAMES
from tests.api.raw import exchange, request
from tests.api.test_errors import assert_shaped
from tests.fixtures.service import Service, TenantClient, running_service, test_settings
from tests.isolation.world import files_of, rows_of

LIMIT = 200_000
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
BROKEN_PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog /Pages 9 0 R >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"
BOUNDARY = "limit"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that takes small files only, and whose storage is ours to look at."""
    with running_service(test_settings(tmp_path_factory.mktemp("small"), max_upload_bytes=LIMIT)) as running:
        yield running


@pytest.fixture
def guest(small: Service) -> TenantClient:
    return small.make_tenant()


def left_behind(tenant: TenantClient) -> tuple[dict[str, Any], dict[str, str], list[Path]]:
    """Rows, files and half-written files of a tenant."""
    data_dir = tenant.service.settings.data_dir
    rows = {
        table: rows for table, rows in rows_of(data_dir, tenant.id).items() if table in ("documents", "jobs", "chunks")
    }
    return rows, files_of(data_dir, tenant.id), list((data_dir / "files").glob("**/.partial-*"))


NOTHING: Any = ({"documents": [], "jobs": [], "chunks": []}, {}, [])


def part(name: str, value: bytes, *, file_name: str | None = None, kind: str = "") -> bytes:
    disposition = f'form-data; name="{name}"' + (f'; filename="{file_name}"' if file_name is not None else "")
    head = f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n" + (f"Content-Type: {kind}\r\n" if kind else "")
    return head.encode() + b"\r\n" + value + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()
NOTE = part("file", b"A note on the garden.", file_name="note.txt")
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"

#: Whole bodies that are refused, with status, code and the parameter that the refusal names.
REFUSED: dict[str, tuple[bytes, int, str | None]] = {
    "no part": (END, 422, "file"),
    "no file": (part("knowledge_base_id", b"kb_x") + END, 422, "file"),
    "a file as a field": (part("file", b"A note.") + END, 422, "file"),
    "two files": (NOTE + NOTE + END, 422, "file"),
    "a second file under another name": (NOTE + part("other", b"x", file_name="x.txt") + END, 422, "other"),
    "a file under another name": (part("document", b"x", file_name="x.txt") + END, 422, "document"),
    "empty file": (part("file", b"", file_name="empty.txt") + END, 400, "file"),
    "an image": (part("file", PNG, file_name="image.png") + END, 415, None),
    "an image that says it is text": (part("file", PNG, file_name="note.txt", kind="text/plain") + END, 415, None),
    "an image that says it is a PDF": (part("file", PNG, file_name="a.pdf", kind="application/pdf") + END, 415, None),
    "over the limit": (part("file", b"x " * LIMIT, file_name="note.txt") + END, 413, None),
    "one byte over": (part("file", b"x" * (LIMIT + 1), file_name="note.txt") + END, 413, "file"),
    "unknown field": (NOTE + part("tenant_id", b"tnt_x") + END, 422, "tenant_id"),
    "unknown field first": (part("status", b"ready") + NOTE + END, 422, "status"),
    "metadata no JSON": (NOTE + part("metadata", b"{year: 1}") + END, 422, "metadata"),
    "metadata no object": (NOTE + part("metadata", b"[1]") + END, 422, "metadata"),
    "metadata not UTF-8": (NOTE + part("metadata", b'{"a": "\xff"}') + END, 422, "metadata"),
    "metadata too long": (NOTE + part("metadata", b'{"a": "' + b"x" * 70_000 + b'"}') + END, 422, "metadata"),
    "metadata with a nested value": (NOTE + part("metadata", b'{"a": {"b": 1}}') + END, 422, None),
    "metadata with 33 keys": (
        NOTE + part("metadata", b"{" + b",".join(b'"k%d": 1' % n for n in range(33)) + b"}") + END,
        422,
        "metadata",
    ),
    "metadata with a long key": (NOTE + part("metadata", b'{"' + b"k" * 65 + b'": 1}') + END, 422, None),
    "metadata with an odd key": (NOTE + part("metadata", b'{"a.b": 1}') + END, 422, None),
    "metadata with a huge number": (NOTE + part("metadata", b'{"a": 1e400}') + END, 422, None),
    "metadata with a surrogate": (NOTE + part("metadata", b'{"a": "\\ud800"}') + END, 422, None),
    "a base that never was": (NOTE + part("knowledge_base_id", new_id("kb").encode()) + END, 404, None),
    "a base that is no id": (NOTE + part("knowledge_base_id", b"../../x") + END, 404, None),
    "no end": (NOTE, 400, None),
    "cut in the file": (NOTE[:-10], 400, None),
    "cut in a header": (NOTE[:40], 400, None),
    "no boundary in it": (b"just some text", 400, None),
    "a part without a name": (f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nx\r\n".encode() + END, 400, None),
    "a part without headers": (f"--{BOUNDARY}\r\n\r\nx\r\n".encode() + END, 400, None),
    "many parts": (b"".join(part(f"f{n}", b"x") for n in range(100)) + END, 422, None),
    "a huge part header": (
        f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; x=\"{'y' * 150_000}\"\r\n\r\nx\r\n".encode() + END,
        400,
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_leaves_nothing_behind(guest: TenantClient, kind: str) -> None:
    body, status, param = REFUSED[kind]
    response = guest.http.post("documents/upload", content=body, headers={"content-type": MULTIPART})
    error = assert_shaped(response, status)
    assert param is None or error["param"] == param, error
    assert left_behind(guest) == NOTHING
    assert guest.http.get("documents").json()["data"] == []


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "text/plain",
        "multipart/form-data",
        "multipart/form-data; boundary=",
        "multipart/mixed; boundary=limit",
        "application/x-www-form-urlencoded",
        "",
    ],
)
def test_another_content_type_is_refused(guest: TenantClient, kind: str) -> None:
    response = guest.http.post("documents/upload", content=NOTE + END, headers={"content-type": kind})
    assert_shaped(response, 415, "unsupported_media_type")
    assert left_behind(guest) == NOTHING


def test_a_file_of_just_the_limit_is_taken(guest: TenantClient) -> None:
    content = (b"word " * LIMIT)[:LIMIT]
    assert guest.upload("limit.txt", content)["bytes"] == LIMIT


def test_a_file_that_does_not_say_how_long_it_is_stops_at_the_limit(small: Service, guest: TenantClient) -> None:
    lines = ["POST /api/v1/documents/upload HTTP/1.1", "Host: localhost", f"Authorization: Bearer {guest.key}"]
    head = "\r\n".join([*lines, f"Content-Type: {MULTIPART}", "Transfer-Encoding: chunked", "", ""]).encode()
    first = NOTE.removesuffix(b"\r\n")
    more = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [first, *[b"y" * 60_000] * 20]]
    assert_shaped(exchange(small, head, *more), 413)
    assert left_behind(guest) == NOTHING


def test_a_client_that_hangs_up_leaves_nothing(small: Service, guest: TenantClient) -> None:
    headers = ["Host: localhost", f"Authorization: Bearer {guest.key}", f"Content-Type: {MULTIPART}"]
    body = NOTE + END
    short = httpx.Client(base_url=small.base_url, timeout=0.3, trust_env=False)

    def half() -> Iterator[bytes]:
        yield body[:60]
        raise ConnectionAbortedError

    with short, pytest.raises(ConnectionAbortedError):
        short.post("/api/v1/documents/upload", content=half(), headers=dict(line.split(": ") for line in headers))
    assert request(small, *headers[:2]).status == 200
    assert left_behind(guest) == NOTHING


def test_bytes_say_what_a_file_is(guest: TenantClient) -> None:
    page = b"<!doctype html><html><body><p>The gate is of iron.</p></body></html>"
    lying = guest.http.post("documents/upload", files={"file": ("page.pdf", page, "application/pdf")})
    assert_shaped(lying, 415)
    assert left_behind(guest) == NOTHING
    named = guest.http.post("documents/upload", files={"file": ("page.txt", page, "application/pdf")})
    assert named.json()["content_type"] == "text/html"


def test_a_broken_pdf_ends_failed_with_a_reason(guest: TenantClient) -> None:
    document = guest.wait(guest.upload("broken.pdf", BROKEN_PDF)["id"])
    assert (document["status"], document["stage"], document["chunk_count"]) == ("failed", "failed", 0)
    assert document["last_error"]["code"]
    assert len(document["last_error"]["message"]) > 20
    assert "Traceback" not in document["last_error"]["message"]
    assert [each["id"] for each in guest.http.get("documents/failed").json()["data"]] == [document["id"]]


def test_hostile_names_name_nothing_of_ours(small: Service, guest: TenantClient) -> None:
    """Stored under generated keys, and given back so that no browser or shell makes more of them than a name."""
    assert len(HOSTILE_NAMES) >= 90
    data_dir = small.settings.data_dir
    before = set(data_dir.iterdir())
    for number, name in enumerate(HOSTILE_NAMES):
        content = f"The content of file {number}.".encode()
        spelled = name.encode("utf-8", "surrogateescape").replace(b"\r", b"%0D").replace(b"\n", b"%0A")
        head = b'--limit\r\nContent-Disposition: form-data; name="file"; filename="' + spelled.replace(b'"', b"%22")
        body = head + b'"\r\n\r\n' + content + b"\r\n" + END
        response = guest.http.post("documents/upload", content=body, headers={"content-type": MULTIPART})
        if response.status_code == 400:
            assert not name.isprintable() or len(name) >= 5000, name
            continue
        assert response.status_code in (202, 415), (name, response.text)
        if response.status_code == 202:
            assert_harmless(guest, response.json(), content)
    stored = files_of(data_dir, guest.id)
    assert all(path.split("/")[0].startswith("doc_") and path.split("/")[1] == "original" for path in stored)
    assert set(data_dir.iterdir()) == before
    assert {path.name for path in (data_dir / "files").iterdir()} <= {
        path.name for path in (data_dir / "files").glob("tnt_*")
    }


def assert_harmless(guest: TenantClient, document: dict[str, Any], content: bytes) -> None:
    shown = document["name"]
    assert shown
    assert shown.isprintable()
    assert "/" not in shown
    assert "\\" not in shown
    assert len(shown) <= 500
    download = guest.http.get(f"documents/{document['id']}/content")
    assert download.content == content
    assert hashlib.sha256(content).hexdigest() == document["content_hash"]
    kind, _, named = download.headers["content-disposition"].partition("; filename*=UTF-8''")
    assert kind == "attachment"
    assert unquote(named) == shown
    assert not set(named) & set("\"'\\;, \t<>")
    assert download.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in download.headers["content-security-policy"]


def test_metadata_cannot_name_a_tenant(guest: TenantClient) -> None:
    """A key of that name is the caller's own affair, as any other: what isolates lies elsewhere."""
    stranger = guest.service.make_tenant()
    document = guest.ready("note.txt", b"The vault is deep.", metadata=f'{{"tenant_id": "{stranger.id}"}}')
    assert document["metadata"] == {"tenant_id": stranger.id}
    for mode in ("hybrid", "dense", "sparse"):
        asked = {"query": "vault", "mode": mode}
        assert stranger.http.post("knowledge/search", json=asked).json()["data"] == []
        assert len(guest.http.post("knowledge/search", json=asked).json()["data"]) == 1
        filtered = {**asked, "filters": {"tenant_id": stranger.id}}
        assert stranger.http.post("knowledge/search", json=filtered).json()["data"] == []


def test_the_same_file_of_two_tenants_is_two(guest: TenantClient) -> None:
    other = guest.service.make_tenant()
    mine, theirs = guest.ready("a.txt", b"The same words."), other.ready("a.txt", b"The same words.")
    assert mine["content_hash"] == theirs["content_hash"]
    assert mine["id"] != theirs["id"]
    guest.http.delete(f"documents/{mine['id']}")
    assert other.http.get(f"documents/{theirs['id']}/content").content == b"The same words."
