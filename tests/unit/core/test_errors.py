"""Errors carry what a caller needs, each kind with a status, a type and a code of its own."""

import inspect

import pytest

from app.core import errors
from app.core.errors import AppError, NotFound, Overloaded
from app.core.pagination import Page, PageRequest
from app.schemas.error import error_headers, render_error

KINDS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, AppError)]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_says_its_status_in_its_meaning(kind: type[AppError]) -> None:
    assert 400 <= kind.status < 600
    assert kind is AppError or f"({kind.status})" in (kind.__doc__ or "")
    body = render_error(kind("Do this."), "req_1").error
    assert (body.type, body.code, body.message, body.request_id) == (kind.type, kind.code, "Do this.", "req_1")


def test_types_and_statuses_belong_together() -> None:
    by_type: dict[str, set[int]] = {}
    for kind in KINDS:
        by_type.setdefault(kind.type, set()).add(kind.status)
    several = {name for name, statuses in by_type.items() if len(statuses) > 1}
    assert several <= {"invalid_request_error", "upstream_error"}


def test_a_refusal_can_say_more() -> None:
    error = NotFound("There is none.", code="no_agent", param="agent_id")
    assert (error.code, error.param, NotFound.code, str(error)) == (
        "no_agent",
        "agent_id",
        "not_found",
        "There is none.",
    )


@pytest.mark.parametrize(("given", "shown"), [(None, None), (0.2, "1"), (2.0, "2"), (61.7, "62")])
def test_when_to_try_again_is_in_whole_seconds_and_never_at_once(given: float | None, shown: str | None) -> None:
    assert error_headers(Overloaded("Later.", retry_after=given)).get("Retry-After") == shown


def test_a_page_is_asked_for_newest_first_twenty_at_a_time() -> None:
    assert PageRequest() == PageRequest(limit=20, order="desc", after=None, before=None)
    assert Page([1, 2], has_more=True).items == [1, 2]
