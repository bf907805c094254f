"""Tables, one aggregate a file; importing this package knows them all."""

from app.models.agent import Agent, AgentKnowledgeBase
from app.models.api_key import ApiKey
from app.models.base import Base
from app.models.conversation import Conversation, Message
from app.models.document import Chunk, Document
from app.models.idempotency import IdempotencyRecord
from app.models.job import Job
from app.models.knowledge import KnowledgeBase
from app.models.run import Run
from app.models.tenant import Tenant
from app.models.usage import UsageEvent

__all__ = [
    "Agent",
    "AgentKnowledgeBase",
    "ApiKey",
    "Base",
    "Chunk",
    "Conversation",
    "Document",
    "IdempotencyRecord",
    "Job",
    "KnowledgeBase",
    "Message",
    "Run",
    "Tenant",
    "UsageEvent",
]
