"""Chat: a question becomes a run, which answers on its own; whoever listens reads the run's log."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from app.adapters.llm.base import ChatMessage
from app.adapters.llm.catalog import ModelCatalog
from app.core.clock import utc_now
from app.core.database import Database
from app.core.errors import InvalidRequest, NotFound
from app.core.ids import new_id
from app.core.tenancy import TenantContext
from app.repositories.conversations import ConversationsRepository, MessagesRepository
from app.schemas.agent import RetrievalSettings
from app.schemas.chat import ChatRequest
from app.services.agents import AgentDirectory, AgentSnapshot
from app.services.auth import TenantSnapshot
from app.services.generation.events import RunCreated
from app.services.generation.loop import Retrieve, RunSpec
from app.services.generation.supervisor import LiveRun, RunSupervisor
from app.services.knowledge import require_bases
from app.services.retrieval.follow_up import merged, queries_of
from app.services.retrieval.passages import FoundPassage
from app.services.retrieval.search import Retriever, SearchQuery
from app.services.run_recorder import RunRecord, RunRecorder

_HISTORY_MESSAGES = 40


@dataclass(frozen=True, slots=True)
class StartedRun:
    """A run that has begun."""

    live: LiveRun
    record: RunRecord


class ChatService:
    """Starts runs; lives as long as the process and serves all tenants, each by its context."""

    def __init__(
        self,
        database: Database,
        agents: AgentDirectory,
        models: ModelCatalog,
        retriever: Retriever,
        supervisor: RunSupervisor,
        *,
        default_model: str,
        lease_seconds: float,
    ) -> None:
        self._database = database
        self._agents = agents
        self._models = models
        self._retriever = retriever
        self._supervisor = supervisor
        self._default_model = default_model
        self._lease = timedelta(seconds=lease_seconds)

    async def start(self, context: TenantContext, tenant: TenantSnapshot, request: ChatRequest) -> StartedRun:
        """Begin to answer; everything that can be refused is refused here, before the first event.

        Raises NotFound for a foreign agent, conversation or knowledge base, Unprocessable for an unknown model.
        """
        await require_bases(self._database, context, request.knowledge_base_ids or ())
        agent_of_conversation, history = await self._conversation(context, request.conversation_id)
        agent = await self._agent(context, request.agent_id, agent_of_conversation)
        asked, instructions = _asked(request)
        spec, model_name = self._spec(context, tenant, agent, request, [*history, *asked], instructions)
        record = RunRecord(
            context=context,
            run_id=new_id("run"),
            conversation_id=request.conversation_id or new_id("conv"),
            is_new_conversation=request.conversation_id is None,
            agent_id=agent.id if agent else None,
            question=asked[-1].content,
            question_id=new_id("msg"),
            answer_id=new_id("msg"),
            model=model_name,
            metadata=request.metadata,
            lease_until=utc_now() + self._lease,
        )
        return self._launch(record, spec)

    def _launch(self, record: RunRecord, spec: RunSpec) -> StartedRun:
        live = LiveRun(record.context.tenant_id, record.run_id, record.conversation_id)
        live.log.append(RunCreated(conversation_id=record.conversation_id, agent_id=record.agent_id))
        recorder = RunRecorder(self._database, record)
        self._supervisor.start(live, lambda running: recorder.conduct(running, spec))
        return StartedRun(live, record)

    async def _agent(
        self, context: TenantContext, named: str | None, of_conversation: str | None
    ) -> AgentSnapshot | None:
        """The agent that the request names, else the one that the conversation is with, if there still is one."""
        if named is not None:
            return await self._agents.get(context, named)
        with suppress(NotFound):
            return await self._agents.get(context, of_conversation) if of_conversation else None
        return None

    async def _conversation(
        self, context: TenantContext, conversation_id: str | None
    ) -> tuple[str | None, list[ChatMessage]]:
        """The agent and the latest messages of a conversation; raises NotFound."""
        if conversation_id is None:
            return None, []
        async with self._database.read(context.tenant_id) as session:
            conversation = await ConversationsRepository(session, context).get(conversation_id)
            messages = await MessagesRepository(session, context).last(conversation_id, _HISTORY_MESSAGES)
        return conversation.agent_id, [
            ChatMessage(role="assistant" if message.role == "assistant" else "user", content=message.content)
            for message in messages
            if message.content
        ]

    def _spec(
        self,
        context: TenantContext,
        tenant: TenantSnapshot,
        agent: AgentSnapshot | None,
        request: ChatRequest,
        turns: Sequence[ChatMessage],
        extra_instructions: Sequence[str],
    ) -> tuple[RunSpec, str]:
        full_name = (agent.model if agent else None) or tenant.default_model or self._default_model
        fallbacks = agent.fallback_models if agent else ()
        instructions = (agent.system_prompt if agent else None) or tenant.system_prompt
        spec = RunSpec(
            model=self._models.with_fallbacks(full_name, fallbacks),
            model_name=full_name,
            messages=_alternating(turns),
            instructions="\n\n".join(filter(None, [instructions, *extra_instructions])) or None,
            temperature=agent.temperature if agent else None,
            max_tokens=agent.max_tokens if agent else 4096,
            retrieve=self._retrieve(context, agent, request, queries_of(turns)),
        )
        return spec, full_name

    def _retrieve(
        self, context: TenantContext, agent: AgentSnapshot | None, request: ChatRequest, texts: Sequence[str]
    ) -> Retrieve | None:
        settings = agent.retrieval if agent else RetrievalSettings()
        if settings.mode == "off":
            return None
        bases = _allowed_bases(agent, request.knowledge_base_ids)

        queries = [
            SearchQuery(text=text, top_k=settings.top_k, mode=settings.search, knowledge_base_ids=bases)
            for text in texts
        ]

        async def retrieve() -> list[FoundPassage]:
            found = await asyncio.gather(*(self._retriever.search(context, query) for query in queries))
            return merged(found, settings.top_k)

        return retrieve


def _allowed_bases(agent: AgentSnapshot | None, wanted: Sequence[str] | None) -> Sequence[str] | None:
    """Where to look: what was asked for within what the agent may use; None is everywhere, empty is nowhere."""
    allowed = agent.knowledge_base_ids if agent else ()
    if wanted is None:
        return allowed or None
    return [base for base in wanted if not allowed or base in allowed]


def _asked(request: ChatRequest) -> tuple[list[ChatMessage], list[str]]:
    """The turns of a request, and the system texts among them."""
    if request.messages is None:
        return [ChatMessage("user", request.message or "")], []
    turns = [ChatMessage(m.role, m.text) for m in request.messages if m.role != "system"]
    if request.conversation_id is not None:
        turns = turns[-1:]  # the conversation itself has the rest
    return turns, [m.text for m in request.messages if m.role == "system"]


def _alternating(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """Neighbouring turns of one side joined, and no answer before the first question: what every vendor accepts."""
    joined: list[ChatMessage] = []
    for message in messages:
        if joined and joined[-1].role == message.role:
            joined[-1] = ChatMessage(message.role, f"{joined[-1].content}\n\n{message.content}")
        elif joined or message.role == "user":
            joined.append(message)
    if not joined:
        raise InvalidRequest("There is no question: the last message must be the user's.", param="messages")
    return tuple(joined)


async def wait_for(run: StartedRun) -> None:
    """Wait until a run has ended, without stopping it where the waiter goes away."""
    if run.live.task is not None:
        await asyncio.wait([run.live.task])
