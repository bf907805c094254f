"""Multipart uploads, read as they stream: the file goes straight to storage and is never held in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.api.bodies import loads_strictly
from app.core.errors import InvalidRequest, Unprocessable, UnsupportedMedia
from app.schemas.document import UploadFields
from app.services.intake import StoredUpload

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MAX_FIELD_BYTES = 64 * 1024
_MAX_PARTS = 16
_MAX_NAME = 500

#: Stores a file of this name and declared type.
StoreFile = Callable[[str, str | None, AsyncIterator[bytes]], Awaitable[StoredUpload]]
_Event = tuple[Literal["part", "data", "end"], bytes]


@dataclass(slots=True)
class Upload:
    """What a form held: exactly one file, and text fields."""

    file: StoredUpload
    fields: UploadFields


@dataclass(slots=True)
class _Part:
    """The headers of one part."""

    name: str
    file_name: str | None
    content_type: str | None


@dataclass(slots=True)
class _Form:
    """What was read so far."""

    stored: StoredUpload | None = None
    fields: dict[str, str] = field(default_factory=dict)
    parts: int = 0


class MultipartReader:
    """Turns the body into parts, pulling from the connection only as fast as the parts are consumed."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._parser = MultipartParser(_boundary(request), self._callbacks())
        self._ready: list[_Event] = []
        self._header = b""
        self._value = b""
        self._headers: dict[bytes, bytes] = {}
        self._is_whole = False

    async def read(self, store: StoreFile) -> _Form:
        """Consume the form; raises Unprocessable or InvalidRequest for what it should not hold."""
        form, events = _Form(), self._events()
        async for kind, data in events:
            if kind == "part":
                await self._take(form, _part(data), events, store)
        return form

    async def _take(self, form: _Form, part: _Part, events: AsyncIterator[_Event], store: StoreFile) -> None:
        form.parts += 1
        if form.parts > _MAX_PARTS:
            raise Unprocessable(f"The form has more than {_MAX_PARTS} parts. Send one file and its fields.")
        if part.file_name is None:
            form.fields[part.name] = await _text(part.name, events)
        elif part.name != "file" or form.stored is not None:
            raise Unprocessable("Send exactly one file, in the field `file`.", param=part.name)
        else:
            form.stored = await store(_file_name(part.file_name), part.content_type, _data(events))

    async def _events(self) -> AsyncIterator[_Event]:
        try:
            async for chunk in self._request.stream():
                if chunk:
                    self._parser.write(chunk)
                    ready, self._ready = self._ready, []
                    for event in ready:
                        yield event
        except MultipartParseError as error:
            raise _broken() from error
        if not self._is_whole:
            raise _broken()

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": lambda data, start, end: self._ready.append(("data", data[start:end])),
            "on_part_end": lambda: self._ready.append(("end", b"")),
            "on_end": self._on_end,
        }

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._header.lower()] = self._value
        self._header = self._value = b""

    def _on_end(self) -> None:
        self._is_whole = True

    def _on_headers_finished(self) -> None:
        disposition = self._headers.get(b"content-disposition", b"")
        content_type = self._headers.get(b"content-type", b"")
        self._headers = {}
        self._ready.append(("part", disposition + b"\x00" + content_type))


async def receive_upload(
    request: Request, store: StoreFile, discard: Callable[[StoredUpload], Awaitable[None]]
) -> Upload:
    """Read a form with one file; where the form is refused after the file was stored, the file is discarded."""
    stored: list[StoredUpload] = []

    async def keep(name: str, content_type: str | None, data: AsyncIterator[bytes]) -> StoredUpload:
        stored.append(await store(name, content_type, data))
        return stored[-1]

    try:
        form = await MultipartReader(request).read(keep)
        if form.stored is None:
            raise Unprocessable("There is no file. Send one, in the field `file`.", param="file")
        return Upload(form.stored, _validated(form.fields))
    except BaseException:
        for upload in stored:
            await discard(upload)
        raise


def _validated(fields: dict[str, str]) -> UploadFields:
    """The form's text fields, of which `metadata` is JSON; raises RequestValidationError like any other body."""
    values: dict[str, object] = dict(fields)
    if "metadata" in fields:
        try:
            values["metadata"] = loads_strictly(fields["metadata"])
        except ValueError as error:
            raise Unprocessable("`metadata` must be a JSON object.", param="metadata") from error
    try:
        return UploadFields.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in error.errors()]) from error


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise UnsupportedMedia("Send the file as multipart/form-data, in the field `file`.")
    return boundary


def _broken() -> InvalidRequest:
    return InvalidRequest("The form is broken or incomplete. Send it whole, as multipart/form-data.")


def _part(head: bytes) -> _Part:
    disposition, _, content_type = head.partition(b"\x00")
    _, options = parse_options_header(disposition)
    name = options.get(b"name")
    if name is None:
        raise InvalidRequest("A part of the form has no name.")
    file_name = options.get(b"filename")
    return _Part(
        name=name.decode("utf-8", "replace"),
        file_name=None if file_name is None else file_name.decode("utf-8", "replace"),
        content_type=content_type.decode("latin-1") or None,
    )


def _file_name(given: str) -> str:
    """A name to show: the last part of whatever path was sent, without control characters. It names no file of ours."""
    plain = "".join(character for character in given if character.isprintable())
    return plain.replace("\\", "/").rsplit("/", 1)[-1].strip()[-_MAX_NAME:] or "document"


async def _data(events: AsyncIterator[_Event]) -> AsyncIterator[bytes]:
    async for kind, data in events:
        if kind == "end":
            return
        yield data


async def _text(name: str, events: AsyncIterator[_Event]) -> str:
    content = b""
    async for data in _data(events):
        content += data
        if len(content) > _MAX_FIELD_BYTES:
            raise Unprocessable(f"The field is longer than {_MAX_FIELD_BYTES} bytes.", param=name)
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise Unprocessable("The field is not UTF-8.", param=name) from error
