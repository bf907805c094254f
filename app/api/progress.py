"""The progress of a document as server-sent events."""

import asyncio
import time
from collections.abc import AsyncIterator
from functools import partial

import structlog

from app.api.sse import PING
from app.core.database import Database
from app.core.errors import NotFound, Overloaded
from app.core.tenancy import TenantContext
from app.schemas.document import DocumentRead
from app.services.application import Application
from app.services.documents import DocumentsService

log = structlog.get_logger()

_LOOK_SECONDS = 0.25


async def progress_stream(app: Application, context: TenantContext, document_id: str) -> AsyncIterator[bytes]:
    """The events, from where the document is now until it is ready, failed or deleted; raises NotFound at once.

    A process that is about to stop ends the stream early, for the client to connect to the next one.
    """
    first = await _read(app.resources.database, context, document_id)
    return _follow(app, context, first)


async def _follow(app: Application, context: TenantContext, document: DocumentRead) -> AsyncIterator[bytes]:
    yield _encode(document)
    spoke = time.monotonic()
    while document.status == "processing" and not app.supervisor.is_draining:
        await asyncio.sleep(_LOOK_SECONDS)
        now = document
        try:
            now = await app.progress.get(
                (context.tenant_id, document.id), partial(_read, app.resources.database, context, document.id)
            )
        except NotFound:
            yield b'event: document.deleted\ndata: {"id":"%b"}\n\n' % document.id.encode()
            return
        except Overloaded as error:
            log.warning("progress_unknown", code=error.code)
        if now != document:
            yield _encode(now)
            spoke = time.monotonic()
        elif time.monotonic() - spoke >= app.resources.settings.sse_ping_seconds:
            yield PING
            spoke = time.monotonic()
        document = now


async def _read(database: Database, context: TenantContext, document_id: str) -> DocumentRead:
    async with database.read(context.tenant_id) as session:
        return DocumentRead.model_validate(await DocumentsService(session, context).get(document_id))


def _encode(document: DocumentRead) -> bytes:
    return b"event: document.%b\ndata: %b\n\n" % (document.status.encode(), document.model_dump_json().encode())
