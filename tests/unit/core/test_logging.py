"""Logs: one line an event, whatever is in it; no secrets; other people's records in the same form."""

import json
import logging
import sys
from typing import Any, Literal

import pytest
import structlog

from app.core.logging import configure_logging

pytestmark = pytest.mark.usefixtures("own_logs")


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err.splitlines()


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines(capsys)]


def test_an_event_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    with structlog.contextvars.bound_contextvars(request_id="req_1"):
        structlog.get_logger().info("document_ingested", document_id="doc_1", chunks=3)
    (event,) = events(capsys)
    assert event.pop("timestamp").endswith("Z")
    assert event == {
        "event": "document_ingested",
        "level": "info",
        "document_id": "doc_1",
        "chunks": 3,
        "request_id": "req_1",
    }


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("forged", ["a\nlevel=critical forged", "a\r\nforged", "a\x1b[31mforged", "a\u2028forged\x85b"])
def test_values_cannot_forge_lines(
    capsys: pytest.CaptureFixture[str], log_format: Literal["json", "console"], forged: str
) -> None:
    configure_logging("info", log_format)
    structlog.get_logger().info("uploaded", name=forged)
    captured = capsys.readouterr().err
    assert captured.count("\n") == 1
    assert "\r" not in captured
    assert "\x1b[31mf" not in captured


@pytest.mark.parametrize(
    "name", ["api_key", "openai_api_key", "authorization", "password", "secret", "jwt_secret", "credentials"]
)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_secrets_are_redacted(
    capsys: pytest.CaptureFixture[str], name: str, log_format: Literal["json", "console"]
) -> None:
    configure_logging("info", log_format)
    structlog.get_logger().info("checked", **{name: "visible-value", "other": "kept"})
    (line,) = lines(capsys)
    assert "visible-value" not in line
    assert "kept" in line
    assert "[redacted]" in line


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_shows_no_values(
    capsys: pytest.CaptureFixture[str], log_format: Literal["json", "console"]
) -> None:
    configure_logging("info", log_format)
    question = "what the caller asked in confidence"
    try:
        len(question) / 0
    except ZeroDivisionError:
        structlog.get_logger().exception("request_crashed")
    shown = "\n".join(lines(capsys))
    assert "ZeroDivisionError" in shown
    assert question not in shown


def test_less_than_the_level_is_dropped(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("warning", "json")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("loud")
    assert [event["event"] for event in events(capsys)] == ["loud"]


def test_records_of_libraries_take_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    logging.getLogger("celery.worker").warning("lost %s\nconnection", "broker")
    logging.getLogger("celery.worker").info("chatter")
    (event,) = events(capsys)
    assert (event["event"], event["level"], event["logger"]) == ("lost broker\nconnection", "warning", "celery.worker")


def test_auto_is_json_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "auto")
    structlog.get_logger().info("seen", value=object)
    assert events(capsys)[0]["event"] == "seen"


def test_auto_is_readable_on_a_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    configure_logging("info", "auto")
    structlog.get_logger().info("seen")
    assert not lines(capsys)[0].startswith("{")
