"""Health: every part is asked a real question, all at once, with a deadline."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from app.schemas.health import HealthRead

log = structlog.get_logger()

#: Asks one part; False or an exception means that it does not work.
Probe = Callable[[], Awaitable[bool]]
_DEADLINE_SECONDS = 2.0


async def check(probes: Mapping[str, Probe]) -> HealthRead:
    """Ask every part; one that does not answer in time does not work."""
    results = await asyncio.gather(*(_ask(name, probe) for name, probe in probes.items()))
    checks = {name: detail is None for name, detail in zip(probes, results, strict=True)}
    details = {name: detail for name, detail in zip(probes, results, strict=True) if detail is not None}
    return HealthRead(status="healthy" if all(checks.values()) else "degraded", checks=checks, details=details)


async def _ask(name: str, probe: Probe) -> str | None:
    """None where the part works, otherwise what to tell the operator."""
    try:
        async with asyncio.timeout(_DEADLINE_SECONDS):
            return None if await probe() else "does not answer"
    except TimeoutError:
        return f"no answer within {_DEADLINE_SECONDS:.0f} s"
    except Exception as error:  # rule: allow broad-except because whatever a part raises means that it does not work
        log.warning("health_probe_failed", part=name, error=type(error).__name__)
        return f"failed: {type(error).__name__}"
