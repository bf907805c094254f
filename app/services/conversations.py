"""Conversations: kept by a tenant, gone on with by a chat."""

from app.core.database import ReadSession, WriteSession
from app.core.ids import new_id
from app.core.pagination import Page, PageRequest
from app.core.tenancy import TenantContext
from app.models.conversation import Conversation, Message
from app.repositories.agents import AgentsRepository
from app.repositories.conversations import ConversationsRepository, MessagesRepository
from app.schemas.conversation import ConversationCreate, ConversationUpdate


class ConversationsService:
    """The conversations of one tenant."""

    def __init__(self, session: ReadSession | WriteSession, context: TenantContext) -> None:
        self._session = session
        self._context = context
        self._conversations = ConversationsRepository(session, context)
        self._messages = MessagesRepository(session, context)

    async def list(self, page: PageRequest) -> Page[Conversation]:
        """One page of the conversations."""
        return await self._conversations.page(page)

    async def get(self, conversation_id: str) -> Conversation:
        """A conversation; raises NotFound."""
        return await self._conversations.get(conversation_id)

    async def create(self, wanted: ConversationCreate) -> Conversation:
        """An empty conversation; raises NotFound for a foreign agent."""
        agent_id = None
        if wanted.agent_id is not None:
            agent_id = (await AgentsRepository(self._session, self._context).get(wanted.agent_id)).id
        conversation = Conversation(
            tenant_id=self._context.tenant_id,
            id=new_id("conv"),
            agent_id=agent_id,
            title=wanted.title,
            meta=wanted.metadata,
        )
        self._conversations.add(conversation)
        await self._session.flush()
        return conversation

    async def update(self, conversation_id: str, changes: ConversationUpdate) -> Conversation:
        """Change what was sent; raises NotFound."""
        conversation = await self._conversations.get(conversation_id)
        if "title" in changes.model_fields_set:
            conversation.title = changes.title
        if changes.metadata is not None:
            conversation.meta = changes.metadata
        await self._session.flush()
        return conversation

    async def delete(self, conversation_id: str) -> Conversation:
        """Remove a conversation with its messages and runs; raises NotFound."""
        conversation = await self._conversations.get(conversation_id)
        await self._conversations.remove(conversation)
        return conversation

    async def messages(self, conversation_id: str, page: PageRequest) -> Page[Message]:
        """One page of a conversation's messages; raises NotFound."""
        await self._conversations.get(conversation_id)
        return await self._messages.page_of(conversation_id, page)
