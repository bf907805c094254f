"""Conversations: threads of questions and answers."""

from fastapi import APIRouter

from app.api.access import ChatCaller
from app.api.bodies import StrictJsonRoute
from app.api.deps import ApplicationDep, ConversationsReading, ConversationsServiceDep, PageDep
from app.api.errors import errors
from app.schemas.base import Deleted, PageOf, page_of
from app.schemas.conversation import ConversationCreate, ConversationRead, ConversationUpdate, MessageRead

router = APIRouter(prefix="/conversations", tags=["conversations"], route_class=StrictJsonRoute)


@router.post("", status_code=201, summary="Create a conversation", responses=errors(404, 409, 413))
async def create_conversation(
    _: ChatCaller, conversations: ConversationsServiceDep, wanted: ConversationCreate
) -> ConversationRead:
    """An empty one; a chat without `conversation_id` makes one by itself."""
    return ConversationRead.model_validate(await conversations.create(wanted))


@router.get("", summary="List conversations", responses=errors())
async def list_conversations(
    _: ChatCaller, conversations: ConversationsReading, page: PageDep
) -> PageOf[ConversationRead]:
    """Newest first unless `order=asc`."""
    return page_of(ConversationRead, await conversations.list(page))


@router.get("/{conversation_id}", summary="Get a conversation", responses=errors(404))
async def get_conversation(
    _: ChatCaller, conversations: ConversationsReading, conversation_id: str
) -> ConversationRead:
    """Without its messages."""
    return ConversationRead.model_validate(await conversations.get(conversation_id))


@router.patch("/{conversation_id}", summary="Change a conversation", responses=errors(404, 413))
async def update_conversation(
    _: ChatCaller, conversations: ConversationsServiceDep, conversation_id: str, changes: ConversationUpdate
) -> ConversationRead:
    """What is left out stays as it is."""
    return ConversationRead.model_validate(await conversations.update(conversation_id, changes))


@router.delete("/{conversation_id}", summary="Delete a conversation", responses=errors(404))
async def delete_conversation(
    caller: ChatCaller, conversations: ConversationsServiceDep, app: ApplicationDep, conversation_id: str
) -> Deleted:
    """With its messages and runs; an answer under way is stopped."""
    deleted = await conversations.delete(conversation_id)
    app.supervisor.stop_conversation(caller.tenant_id, deleted.id)
    return Deleted(id=deleted.id, object="conversation")


@router.get("/{conversation_id}/messages", summary="List messages", responses=errors(404))
async def list_messages(
    _: ChatCaller, conversations: ConversationsReading, conversation_id: str, page: PageDep
) -> PageOf[MessageRead]:
    """Newest first unless `order=asc`; answers with their citations."""
    return page_of(MessageRead, await conversations.messages(conversation_id, page))
