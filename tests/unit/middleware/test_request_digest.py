"""Two requests have one digest when a client would call them the same, however the bytes come."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.middleware.request_digest import RequestDigest

FORM = (
    b'--%(b)s\r\nContent-Disposition: form-data; name="file"; filename="a.md"\r\n\r\nSail at dawn.\r\n'
    b'--%(b)s\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{"year": 2026}\r\n--%(b)s--\r\n'
)


def digest(body: bytes, content_type: bytes = b"application/json", cuts: int = 10**9, **scope: Any) -> bytes:
    values = {"method": "POST", "path": "/api/v1/agents", "query_string": b"", **scope}
    made = RequestDigest({**values, "headers": [(b"content-type", content_type)]})
    for start in range(0, len(body), cuts):
        made.update(body[start : start + cuts])
    return made.value()


def form(boundary: bytes, cuts: int = 10**9, body: bytes = FORM) -> bytes:
    content_type = b'multipart/form-data; boundary="' + boundary + b'"'
    return digest(body % {b"b": boundary}, content_type, cuts)


@given(boundary=st.from_regex(rb"[A-Za-z0-9'+_-]{1,70}", fullmatch=True), cuts=st.integers(1, 200))
def test_a_form_is_the_same_under_any_boundary_in_any_pieces(boundary: bytes, cuts: int) -> None:
    body = FORM % {b"b": b"Z" * 71}
    if body.count(boundary):
        return  # no client draws a boundary that its content holds
    assert form(boundary, cuts) == form(b"-----------------------------29772313742745")


def test_a_form_with_another_content_is_another() -> None:
    for old, new in ((b"dawn", b"dusk"), (b"a.md", b"b.md"), (b"2026", b"2027"), (b"metadata", b"meta")):
        assert form(b"xyzxyz") != form(b"xyzxyz", body=FORM.replace(old, new))


def test_where_a_part_ends_matters() -> None:
    one, other = b"ab%(b)sc", b"a%(b)sbc"
    assert form(b"xyzxyz", body=one) != form(b"xyzxyz", body=other)


@pytest.mark.parametrize("cuts", [1, 3, 100])
def test_other_bodies_are_taken_as_they_are(cuts: int) -> None:
    assert digest(b'{"a": 1}', cuts=cuts) == digest(b'{"a": 1}')
    assert digest(b'{"a": 1}') != digest(b'{"a":1}')


@pytest.mark.parametrize("scope", [{"path": "/api/v1/knowledge"}, {"query_string": b"a=1"}, {"method": "PUT"}])
def test_path_query_and_method_matter(scope: dict[str, Any]) -> None:
    assert digest(b"{}", **scope) != digest(b"{}")


@pytest.mark.parametrize("content_type", [b"multipart/form-data", b"multipart/mixed; boundary=x", b""])
def test_what_is_no_form_has_no_boundary(content_type: bytes) -> None:
    scope = {"method": "POST", "path": "/", "query_string": b"", "headers": [(b"content-type", content_type)]}
    assert not RequestDigest(scope).is_form
