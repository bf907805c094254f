"""Agents: how to answer, and from which documents."""

from fastapi import APIRouter

from app.api.access import AgentsReader, AgentsWriter
from app.api.bodies import StrictJsonRoute
from app.api.deps import AgentsReading, AgentsServiceDep, PageDep
from app.api.errors import errors
from app.schemas.agent import AgentCreate, AgentRead, AgentUpdate
from app.schemas.base import Deleted, PageOf, page_of

router = APIRouter(prefix="/agents", tags=["agents"], route_class=StrictJsonRoute)


@router.post("", status_code=201, summary="Create an agent", responses=errors(404, 409, 413))
async def create_agent(_: AgentsWriter, agents: AgentsServiceDep, wanted: AgentCreate) -> AgentRead:
    """Give it instructions, a model, and the knowledge bases that it may answer from (none means all)."""
    return AgentRead.model_validate(await agents.create(wanted))


@router.get("", summary="List agents", responses=errors())
async def list_agents(_: AgentsReader, agents: AgentsReading, page: PageDep) -> PageOf[AgentRead]:
    """Newest first unless `order=asc`."""
    return page_of(AgentRead, await agents.list(page))


@router.get("/{agent_id}", summary="Get an agent", responses=errors(404))
async def get_agent(_: AgentsReader, agents: AgentsReading, agent_id: str) -> AgentRead:
    """By id or slug."""
    return AgentRead.model_validate(await agents.get(agent_id))


@router.patch("/{agent_id}", summary="Change an agent", responses=errors(404, 409, 413))
async def update_agent(_: AgentsWriter, agents: AgentsServiceDep, agent_id: str, changes: AgentUpdate) -> AgentRead:
    """What is left out stays as it is."""
    return AgentRead.model_validate(await agents.update(agent_id, changes))


@router.delete("/{agent_id}", summary="Delete an agent", responses=errors(404))
async def delete_agent(_: AgentsWriter, agents: AgentsServiceDep, agent_id: str) -> Deleted:
    """Its conversations stay."""
    return Deleted(id=(await agents.delete(agent_id)).id, object="agent")
