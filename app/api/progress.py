"""The progress of a document as server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator

from app.api.sse import PING
from app.core.database import Database
from app.core.errors import NotFound
from app.core.tenancy import TenantContext
from app.schemas.document import DocumentRead
from app.services.documents import DocumentsService

_LOOK_SECONDS = 0.25
_PING_SECONDS = 15.0


async def progress_stream(database: Database, context: TenantContext, document_id: str) -> AsyncIterator[bytes]:
    """The events, from where the document is now until it is ready, failed or deleted; raises NotFound at once."""
    first = await _read(database, context, document_id)
    return _follow(database, context, first)


async def _follow(database: Database, context: TenantContext, document: DocumentRead) -> AsyncIterator[bytes]:
    yield _encode(document)
    spoke = time.monotonic()
    while document.status == "processing":
        await asyncio.sleep(_LOOK_SECONDS)
        try:
            now = await _read(database, context, document.id)
        except NotFound:
            yield b"event: document.deleted\ndata: {}\n\n"
            return
        if now != document:
            yield _encode(now)
            spoke = time.monotonic()
        elif time.monotonic() - spoke > _PING_SECONDS:
            yield PING
            spoke = time.monotonic()
        document = now


async def _read(database: Database, context: TenantContext, document_id: str) -> DocumentRead:
    async with database.read(context.tenant_id) as session:
        return DocumentRead.model_validate(await DocumentsService(session, context).get(document_id))


def _encode(document: DocumentRead) -> bytes:
    return b"event: document.%b\ndata: %b\n\n" % (document.status.encode(), document.model_dump_json().encode())
