"""The services that live as long as the API process, put together once."""

from dataclasses import dataclass

from app.core.cache import MomentaryCache
from app.schemas.document import DocumentRead
from app.services.agents import AgentDirectory
from app.services.auth import Authenticator
from app.services.chat import ChatService
from app.services.dispatch import Dispatcher
from app.services.generation.supervisor import RunSupervisor
from app.services.health import Probe
from app.services.idempotency import IdempotencyService
from app.services.intake import DocumentIntake
from app.services.knowledge import passages_reader
from app.services.resources import Resources
from app.services.retrieval.search import Retriever
from app.services.runs import RunFollower, RunSweeper
from app.services.tenants import TenantsService

_FOLLOWED = 10_000
_PROGRESS_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Application:
    """What endpoints are wired to."""

    resources: Resources
    authenticator: Authenticator
    agents: AgentDirectory
    chat: ChatService
    dispatcher: Dispatcher
    follower: RunFollower
    idempotency: IdempotencyService
    intake: DocumentIntake
    retriever: Retriever
    supervisor: RunSupervisor
    sweeper: RunSweeper
    tenants: TenantsService
    probes: dict[str, Probe]
    #: What readers of documents' progress share, by tenant and document: one look serves them all.
    progress: MomentaryCache[tuple[str, str], DocumentRead]

    async def extend_leases(self) -> None:
        """Keep what this process is at: its runs, and the requests that others may repeat."""
        await self.sweeper.extend(self.supervisor.open_run_ids)
        await self.idempotency.extend()


def build_application(resources: Resources, dispatcher: Dispatcher, probes: dict[str, Probe]) -> Application:
    """Wire the services over opened resources; nothing is opened here."""
    settings, database = resources.settings, resources.database
    agents = AgentDirectory(database, cache_seconds=settings.auth_cache_seconds)
    retriever = Retriever(resources.embedder, resources.vectors, passages_reader(database))
    supervisor = RunSupervisor(retention_seconds=settings.run_retention_seconds)
    return Application(
        resources=resources,
        authenticator=Authenticator(
            database, resources.secrets, resources.tokens, cache_seconds=settings.auth_cache_seconds
        ),
        agents=agents,
        chat=ChatService(
            database,
            agents,
            resources.models,
            retriever,
            supervisor,
            default_model=settings.resolved_default_model,
            lease_seconds=settings.run_lease_seconds,
        ),
        dispatcher=dispatcher,
        follower=RunFollower(database, supervisor),
        idempotency=IdempotencyService(
            database, resources.secrets.kept_answers, lease_seconds=settings.run_lease_seconds
        ),
        intake=DocumentIntake(database, resources.files, dispatcher, max_bytes=settings.max_upload_bytes),
        retriever=retriever,
        supervisor=supervisor,
        sweeper=RunSweeper(database, lease_seconds=settings.run_lease_seconds),
        tenants=TenantsService(database, resources.secrets.api_key_pepper),
        probes=probes,
        progress=MomentaryCache(_FOLLOWED, _PROGRESS_SECONDS),
    )
