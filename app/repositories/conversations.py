"""Queries on conversations and their messages."""

from collections.abc import Sequence

from app.core.pagination import Page, PageRequest
from app.models.conversation import Conversation, Message
from app.repositories.base import TenantRepository


class ConversationsRepository(TenantRepository[Conversation]):
    """The conversations of one tenant."""

    model = Conversation
    noun = "conversation"


class MessagesRepository(TenantRepository[Message]):
    """The messages of one tenant."""

    model = Message
    noun = "message"

    async def page_of(self, conversation_id: str, request: PageRequest) -> Page[Message]:
        """One page of a conversation's messages."""
        return await self.page(request, Message.conversation_id == conversation_id)

    async def last(self, conversation_id: str, limit: int) -> Sequence[Message]:
        """The newest messages of a conversation, oldest first."""
        statement = self.scoped().where(Message.conversation_id == conversation_id)
        rows = (await self.session.scalars(statement.order_by(Message.id.desc()).limit(limit))).all()
        return rows[::-1]
