"""The whole wiring on one page: what an endpoint may ask for, and where it comes from.

Every dependency is ``async``: FastAPI sends the others to a thread, which costs more than they do.
"""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal, Protocol

import orjson
from fastapi import Depends, Query, Request

from app.api.access import current_context
from app.core.database import ReadSession, WriteSession, after_commit
from app.core.errors import Unprocessable
from app.core.ids import is_id
from app.core.pagination import PageRequest
from app.core.tenancy import TenantContext
from app.schemas.document import DocumentFilter
from app.services.agents import AgentsService
from app.services.api_keys import ApiKeysService
from app.services.application import Application
from app.services.auth import TenantSnapshot
from app.services.conversations import ConversationsService
from app.services.documents import DocumentsService
from app.services.knowledge import KnowledgeService
from app.services.runs import RunsService
from app.services.tenants import OwnTenantService
from app.services.usage import UsageService


async def get_application(request: Request) -> Application:
    """The services of this process."""
    application: Application = request.app.state.application
    return application


async def get_tenant(request: Request) -> TenantSnapshot:
    """The caller's tenant, as the middleware put it in place."""
    tenant: TenantSnapshot = request.state.tenant
    return tenant


ApplicationDep = Annotated[Application, Depends(get_application)]
ContextDep = Annotated[TenantContext, Depends(current_context)]
TenantDep = Annotated[TenantSnapshot, Depends(get_tenant)]


async def get_read_session(application: ApplicationDep, context: ContextDep) -> AsyncIterator[ReadSession]:
    """A session for reading, closed before the response starts."""
    async with application.resources.database.read(context.tenant_id) as session:
        yield session


async def get_write_session(application: ApplicationDep, context: ContextDep) -> AsyncIterator[WriteSession]:
    """A session that commits before the response starts; what was remembered of the tenant is then looked up again."""
    async with application.resources.database.write(context.tenant_id) as session:

        async def forget() -> None:
            application.agents.forget()
            application.authenticator.forget()

        after_commit(session, forget)
        after_commit(session, application.dispatcher.poke)
        yield session


ReadSessionDep = Annotated[ReadSession, Depends(get_read_session, scope="function")]
WriteSessionDep = Annotated[WriteSession, Depends(get_write_session, scope="function")]


async def get_page(
    limit: Annotated[int, Query(ge=1, le=100, description="Most items of the page.")] = 20,
    order: Annotated[Literal["asc", "desc"], Query(description="By time of creation.")] = "desc",
    after: Annotated[str | None, Query(description="Only items past this id, in the order asked for.")] = None,
    before: Annotated[str | None, Query(description="Only items in front of this id.")] = None,
) -> PageRequest:
    """Which page of a list the caller wants."""
    for name, cursor in (("after", after), ("before", before)):
        if cursor is not None and not is_id(cursor):
            raise Unprocessable(f"`{name}` must be the id of an item of this list.", param=name)
    return PageRequest(limit=limit, order=order, after=after, before=before)


PageDep = Annotated[PageRequest, Depends(get_page)]


async def get_document_filter(
    status: Annotated[Literal["processing", "ready", "failed"] | None, Query(description="Only these.")] = None,
    knowledge_base_id: Annotated[str | None, Query(description="Only those of this knowledge base.")] = None,
    metadata: Annotated[str | None, Query(description="A JSON object; all its keys must match.")] = None,
) -> DocumentFilter:
    """Which documents the caller wants listed."""
    try:
        wanted = {} if metadata is None else orjson.loads(metadata)
        return DocumentFilter(status=status, knowledge_base_id=knowledge_base_id, metadata=wanted)
    except ValueError as error:
        raise Unprocessable("`metadata` must be a JSON object of plain values.", param="metadata") from error


DocumentFilterDep = Annotated[DocumentFilter, Depends(get_document_filter)]


class _Service(Protocol):
    """A service is made for one session and one caller."""

    def __init__(self, session: ReadSession | WriteSession, context: TenantContext) -> None: ...


def _reading(service: type[_Service]) -> Any:
    """The service over a session that is never committed."""

    async def make(context: ContextDep, session: ReadSessionDep) -> _Service:
        return service(session, context)

    return Depends(make)


def _writing(service: type[_Service]) -> Any:
    """The service over a session that commits when the endpoint is done."""

    async def make(context: ContextDep, session: WriteSessionDep) -> _Service:
        return service(session, context)

    return Depends(make)


AgentsReading = Annotated[AgentsService, _reading(AgentsService)]
AgentsServiceDep = Annotated[AgentsService, _writing(AgentsService)]
ConversationsReading = Annotated[ConversationsService, _reading(ConversationsService)]
ConversationsServiceDep = Annotated[ConversationsService, _writing(ConversationsService)]
DocumentsReading = Annotated[DocumentsService, _reading(DocumentsService)]
DocumentsServiceDep = Annotated[DocumentsService, _writing(DocumentsService)]
KnowledgeReading = Annotated[KnowledgeService, _reading(KnowledgeService)]
KnowledgeServiceDep = Annotated[KnowledgeService, _writing(KnowledgeService)]
OwnTenantReading = Annotated[OwnTenantService, _reading(OwnTenantService)]
OwnTenantServiceDep = Annotated[OwnTenantService, _writing(OwnTenantService)]
RunsReading = Annotated[RunsService, _reading(RunsService)]
UsageReading = Annotated[UsageService, _reading(UsageService)]


async def _api_keys(application: ApplicationDep, context: ContextDep, session: WriteSessionDep) -> ApiKeysService:
    return ApiKeysService(session, context, application.resources.secrets.api_key_pepper)


async def _api_keys_reader(application: ApplicationDep, context: ContextDep, session: ReadSessionDep) -> ApiKeysService:
    return ApiKeysService(session, context, application.resources.secrets.api_key_pepper)


ApiKeysReading = Annotated[ApiKeysService, Depends(_api_keys_reader)]
ApiKeysServiceDep = Annotated[ApiKeysService, Depends(_api_keys)]
