"""Tells whether two requests ask for the same: a digest over what matters of them, made while the body streams by."""

import hashlib
import re

from starlette.types import Scope

_BOUNDARY = re.compile(rb"boundary=(?:\"([^\"]{1,70})\"|([^\s;,]{1,70}))", re.IGNORECASE)


class RequestDigest:
    """Method, path, query, media type and the body as received, but for the boundary of a form.

    Clients draw a new boundary for every try, so a form is digested as the pieces between its boundaries: part headers
    (names, file name, types) and contents, in their order. ``is_form`` says whether the body is one.
    """

    def __init__(self, scope: Scope) -> None:
        content_type = dict(scope["headers"]).get(b"content-type", b"")
        media_type, _, parameters = content_type.partition(b";")
        found = _BOUNDARY.search(parameters)
        self.is_form = media_type.strip().lower() == b"multipart/form-data" and found is not None
        self._boundary = (found[1] or found[2]) if found is not None and self.is_form else b""
        self._whole = hashlib.sha256()
        self._piece = hashlib.sha256()
        self._tail = b""
        for part in (scope["method"].encode(), scope["path"].encode(), scope["query_string"], media_type):
            self._whole.update(hashlib.sha256(part).digest())

    def update(self, data: bytes) -> None:
        """Take the next bytes of the body, however they are cut."""
        if not self._boundary:
            self._piece.update(data)
            return
        *pieces, rest = (self._tail + data).split(self._boundary)
        for piece in pieces:
            self._end_piece(piece)
        kept = min(len(rest), len(self._boundary) - 1)
        self._piece.update(rest[: len(rest) - kept])
        self._tail = rest[len(rest) - kept :]

    def value(self) -> bytes:
        """The digest of everything so far."""
        whole, piece = self._whole.copy(), self._piece.copy()
        piece.update(self._tail)
        whole.update(piece.digest())
        return whole.digest()

    def _end_piece(self, last: bytes) -> None:
        self._piece.update(last)
        self._whole.update(self._piece.digest())
        self._piece = hashlib.sha256()
