"""A parser taken over by its file gets nothing: no network, no secrets, no processes, no disk, no time, no memory."""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
import uvloop
from structlog.testing import capture_logs

from app.adapters.parsing import ParseFailure, build_parser
from app.adapters.parsing.content_types import PDF, PLAIN
from app.adapters.parsing.result import read_result
from app.adapters.parsing.sandbox import SandboxedParser
from tests.fixtures.children import child_pids
from tests.unit.adapters.parsing import samples

CANARY = {"canary": "tests.unit.adapters.parsing.canary"}
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere only the resource limits hold")


@pytest.fixture(autouse=True)
def nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temp"))
    (tmp_path / "temp").mkdir()
    before = child_pids()
    yield
    assert list((tmp_path / "temp").iterdir()) == []
    assert child_pids() <= before


async def deed(tmp_path: Path, order: str, parser: SandboxedParser | None = None) -> str:
    path = tmp_path / "order"
    path.write_text(order)
    return (await (parser or SandboxedParser(parsers=CANARY)).parse(path, "canary")).text


async def failure(tmp_path: Path, order: str, parser: SandboxedParser | None = None) -> ParseFailure:
    with pytest.raises(ParseFailure) as failed:
        await deed(tmp_path, order, parser)
    return failed.value


@linux_only
async def test_the_network_is_out_of_reach(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        assert await deed(tmp_path, f"connect {listener.getsockname()[1]}") == "PermissionError"
        with pytest.raises(TimeoutError):
            listener.accept()


async def test_no_secret_of_the_environment_is_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INSULA_DATABASE_URL", "canary-secret")
    assert await deed(tmp_path, "environment") == "['LC_ALL']"


@linux_only
async def test_files_outside_the_interpreter_cannot_be_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("canary-secret")
    repository = Path(__file__).parents[4]
    for path in (secret, "/etc/passwd", f"/proc/{os.getpid()}/environ", repository / "pyproject.toml"):
        assert await deed(tmp_path, f"read {path}") == "PermissionError"
    assert await deed(tmp_path, f"list {tmp_path}") == "PermissionError"


@linux_only
async def test_nothing_can_be_written_or_removed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("keep me")
    for order in (f"write {victim}", f"write {tmp_path / 'new'}", f"remove {victim}", "write here"):
        assert await deed(tmp_path, order) == "PermissionError"
    assert victim.read_text() == "keep me"


@linux_only
async def test_no_process_no_program_no_signal(tmp_path: Path) -> None:
    for order in ("fork", "execute", f"kill {os.getpid()}"):
        assert await deed(tmp_path, order) == "PermissionError"


async def test_no_descriptor_of_the_parent_is_inherited(tmp_path: Path) -> None:
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        assert await deed(tmp_path, "descriptors") == "[0, 1, 2]"


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ("hoard", "parser_out_of_memory"),
        ("spin", "parser_timeout"),
        ("segfault", "parser_crashed"),
        ("exit 0", "parser_crashed"),
        ("exit 7", "parser_crashed"),
        ("raise", "parser_error"),
        ("flood", "text_too_long"),
        ("answer {}", "parser_crashed"),
        ('answer {"layers":[],"failure":{"code":"<b>","message":"","detail":""}}', "parser_crashed"),
    ],
)
async def test_every_end_of_a_child_is_a_failure_with_a_code(tmp_path: Path, order: str, code: str) -> None:
    parser = SandboxedParser(parsers=CANARY, cpu_seconds=1, memory_bytes=256 << 20, max_text_chars=1000)
    failed = await failure(tmp_path, order, parser)
    assert failed.code == code
    assert len(failed.message) > 20


async def test_a_child_that_sleeps_is_killed_by_the_clock(tmp_path: Path) -> None:
    started = time.monotonic()
    assert (
        await failure(tmp_path, "sleep", SandboxedParser(parsers=CANARY, wall_seconds=0.5))
    ).code == "parser_timeout"
    assert time.monotonic() - started < 3


async def test_cancelling_kills_the_child_before_it_returns(tmp_path: Path) -> None:
    task = asyncio.ensure_future(deed(tmp_path, "sleep"))
    await asyncio.sleep(0.3)
    started = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - started < 2


async def test_a_parse_that_waits_for_its_turn_can_be_cancelled(tmp_path: Path) -> None:
    parser = SandboxedParser(parsers=CANARY, wall_seconds=1, parallel=1)
    first = asyncio.ensure_future(failure(tmp_path, "sleep", parser))
    await asyncio.sleep(0.1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(deed(tmp_path, "sleep", parser), 0.1)
    assert (await first).code == "parser_timeout"


@linux_only
async def test_a_child_that_is_confined_in_part_is_reported_once(tmp_path: Path) -> None:
    parser = SandboxedParser(parsers=CANARY)
    forged = 'answer {"layers":["rlimits"],"document":{"text":"x","pages":[],"headings":[],"title":null}}'
    with capture_logs() as logs:
        await deed(tmp_path, forged, parser)
        await deed(tmp_path, forged, parser)
        await deed(tmp_path, "uid", SandboxedParser(parsers=CANARY))
    reports = [entry for entry in logs if entry["event"] == "parser_confined_in_part"]
    assert [entry["missing"] for entry in reports] == [["landlock", "no_new_privs", "seccomp"]]


async def test_an_error_is_logged_by_its_place_and_never_by_its_words(tmp_path: Path) -> None:
    with capture_logs() as logs:
        await failure(tmp_path, "raise secret words of the document")
    assert [entry["detail"].split(":")[0] for entry in logs if entry["event"] == "parser_raised"] == [
        "ZeroDivisionError tests.unit.adapters.parsing.canary"
    ]
    assert "secret words" not in repr(logs)


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_it_works_on_any_loop_in_any_thread(tmp_path: Path, new_loop: type[asyncio.AbstractEventLoop]) -> None:
    path = tmp_path / "a.pdf"
    path.write_bytes(samples.pdf("Hello"))
    texts: list[str] = []

    def run() -> None:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            texts.append(runner.run(build_parser().parse(path, PDF)).text)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(20)
    assert texts == ["Hello"]


async def test_an_unknown_type_fails_and_a_missing_file_is_not_the_files_fault(tmp_path: Path) -> None:
    with pytest.raises(ParseFailure, match="application/zip") as failed:
        await build_parser().parse(tmp_path / "none", "application/zip")
    assert failed.value.code == "unsupported_file_type"
    with pytest.raises(FileNotFoundError):
        await build_parser().parse(tmp_path / "none", PLAIN)


DOCUMENT = {"text": "abc", "pages": [{"number": 1, "start": 0, "end": 3}], "headings": [], "title": None}


@pytest.mark.parametrize(
    "forgery",
    [
        {"text": "a\0b"},
        {"text": "x" * 101},
        {"text": ["abc"]},
        {"pages": [{"number": 1, "start": 0, "end": 9}]},
        {"pages": [{"number": 2, "start": 0, "end": 3}]},
        {"pages": [{"number": 1, "start": 0.5, "end": 3}]},
        {"headings": [{"level": 99, "title": "x", "start": 0}]},
        {"headings": [{"level": 1, "title": "x" * 501, "start": 0}]},
        {"headings": [{"level": 1, "title": "x", "start": 3}]},
        {"title": ""},
        {"title": ["x"]},
        {"title": "a\x1b[0m"},
    ],
)
def test_a_forged_document_is_refused(forgery: dict[str, object]) -> None:
    assert read_result(orjson.dumps({"layers": [], "document": DOCUMENT}), 100).document
    with pytest.raises(ValueError, match=r".+"):
        read_result(orjson.dumps({"layers": [], "document": DOCUMENT | forgery}), 100)


def test_the_parent_loads_no_parser() -> None:
    code = (
        "import sys; from app.adapters.parsing import build_parser, sniff; build_parser();"
        "print([m for m in ('pypdfium2', 'selectolax', 'markdown_it', 'charset_normalizer') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert shown.stdout.strip() == "[]"
