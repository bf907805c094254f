"""Each rule finds what it is for, lets the right way pass, and can be excused with a reason."""

from pathlib import Path
from textwrap import dedent

import pytest

from scripts.rules.__main__ import RULES, check
from scripts.rules.model import Source, findings

OPENING = '"""A module."""\n'

BROKEN = [
    ("query-outside-repository", "app/services/agents.py", "from sqlalchemy import select"),
    ("query-outside-repository", "app/services/agents.py", "async def f(session): await session.execute(1)"),
    ("query-outside-repository", "app/api/deps.py", "async def f(self): return await self._session.scalars(1)"),
    ("environment-outside-config", "app/core/security.py", "import os\nkey = os.environ['KEY']"),
    ("environment-outside-config", "app/core/security.py", "import os\nkey = os.getenv('KEY')"),
    ("environment-outside-config", "app/core/security.py", "from os import environ"),
    ("clock-outside-core", "app/services/runs.py", "from datetime import datetime\nat = datetime.now()"),
    ("clock-outside-core", "app/services/runs.py", "import datetime\nat = datetime.datetime.utcnow()"),
    ("clock-outside-core", "app/services/runs.py", "import time\nat = time.time()"),
    ("clock-outside-core", "app/services/runs.py", "from time import time"),
    ("request-url", "app/api/deps.py", "def f(request): return request.url.path"),
    ("request-url", "app/api/deps.py", "def f(self): return self.request.base_url"),
    ("built-log-event", "app/services/runs.py", "log.info(f'run {run}')"),
    ("built-log-event", "app/services/runs.py", "logger.warning('run %s' % run)"),
    ("built-log-event", "app/services/runs.py", "self._log.error('run ' + run)"),
    ("built-log-event", "app/services/runs.py", "structlog.get_logger().info('run {}'.format(run))"),
    ("built-log-event", "app/services/runs.py", "log.info('run_failed', detail=f'run {run}')"),
    ("route-without-access", "app/api/v1/endpoints/agents.py", "@router.get('/')\nasync def list_agents(): ..."),
    (
        "route-without-access",
        "app/api/v1/endpoints/agents.py",
        "AgentsReader = object\n@router.get('/')\nasync def list_agents(actor: AgentsReader): ...",
    ),
    ("base-http-middleware", "app/middleware/tenant.py", "from starlette.middleware.base import BaseHTTPMiddleware"),
    ("base-http-middleware", "app/middleware/tenant.py", "class T(base.BaseHTTPMiddleware): ..."),
    ("base-http-middleware", "app/main.py", "@app.middleware('http')\nasync def f(request, call_next): ..."),
    ("broker-delay", "app/workers/tasks/documents.py", "task.apply_async(args=[1], countdown=30)"),
    ("broker-delay", "app/workers/tasks/documents.py", "raise self.retry(eta=later)"),
    ("broad-except", "app/services/runs.py", "try:\n    f()\nexcept Exception:\n    g()"),
    ("broad-except", "app/services/runs.py", "try:\n    f()\nexcept:\n    g()"),
    ("broad-except", "app/services/runs.py", "try:\n    f()\nexcept Exception:\n    if g():\n        raise"),
    ("broad-except", "app/services/runs.py", "try:\n    f()\nexcept (OSError, BaseException):\n    g()"),
    ("broad-except", "app/services/runs.py", "with contextlib.suppress(Exception):\n    f()"),
    ("dropped-task", "app/services/runs.py", "asyncio.create_task(f())"),
    ("dropped-task", "app/services/runs.py", "asyncio.get_running_loop().create_task(f())"),
    ("dropped-task", "app/services/runs.py", "ensure_future(f())"),
    ("attic", "app/services/utils.py", ""),
    ("attic", "app/common/text.py", ""),
    ("empty-name", "app/services/runs.py", "class RunManager: ..."),
    ("long-function", "app/services/runs.py", "def f():\n" + "    x = 1\n" * 60),
    ("long-file", "app/services/runs.py", "x = 1\n" * 400),
]

RIGHT = [
    ("app/repositories/agents.py", "from sqlalchemy import select\nasync def f(session): await session.execute(1)"),
    ("app/services/agents.py", "async def f(request, client): await client.execute(request.method)"),
    ("app/core/config.py", "import os\nkey = os.environ['KEY']"),
    ("app/core/clock.py", "from datetime import UTC, datetime\nat = datetime.now(UTC)"),
    ("app/services/runs.py", "import time\nat = time.monotonic()"),
    ("app/middleware/access_log.py", "def f(request): return request.url.path"),
    ("app/services/runs.py", "log.info('run_failed', run_id=run.id)"),
    (
        "app/api/v1/endpoints/agents.py",
        "from app.api.access import AgentsReader\n@router.get('/')\nasync def list_agents(actor: AgentsReader): ...",
    ),
    ("app/workers/tasks/documents.py", "task.apply_async(args=[1])"),
    ("app/services/runs.py", "try:\n    f()\nexcept Exception:\n    g()\n    raise"),
    ("app/services/runs.py", "try:\n    f()\nexcept OSError:\n    g()"),
    ("app/services/runs.py", "async def f(group):\n    group.create_task(g())\n    task = asyncio.create_task(g())"),
    ("tests/unit/test_long.py", "x = 1\n" * 500),
]


@pytest.mark.parametrize(("rule", "path", "code"), BROKEN)
def test_a_rule_finds_what_it_is_for(rule: str, path: str, code: str) -> None:
    assert [finding.rule for finding in findings(Source.parse(path, OPENING + code), RULES)] == [rule]


@pytest.mark.parametrize(("path", "code"), RIGHT)
def test_the_right_way_passes(path: str, code: str) -> None:
    assert findings(Source.parse(path, OPENING + code), RULES) == []


@pytest.mark.parametrize("opening", ["", '"""no full stop"""', '"""Two\nlines."""', "x = 1"])
def test_a_module_opens_with_one_sentence(opening: str) -> None:
    assert [finding.rule for finding in findings(Source.parse("app/core/x.py", opening), RULES)] == ["opening"]


def test_every_rule_is_shown_to_work() -> None:
    assert {rule for rule, _, _ in BROKEN} | {"opening"} == {rule.name for rule in RULES}


@pytest.mark.parametrize(
    "code",
    [
        "import time\nat = time.time()  # rule: allow clock-outside-core because a file's age is compared with it",
        "import time\n# rule: allow clock-outside-core because a file's age is compared with it\nat = time.time()",
    ],
)
def test_an_escape_with_a_reason_excuses_its_line(code: str) -> None:
    assert findings(Source.parse("app/core/x.py", OPENING + code), RULES) == []


@pytest.mark.parametrize(
    ("escape", "expected"),
    [
        ("# rule: allow clock-outside-core", ["clock-outside-core"]),
        ("# rule: allow clock-outside-core because", ["clock-outside-core"]),
        ("# rule: allow broad-except because of time", ["clock-outside-core", "stale-escape"]),
    ],
)
def test_an_escape_without_a_reason_or_for_another_rule_excuses_nothing(escape: str, expected: list[str]) -> None:
    code = f"{OPENING}import time\nat = time.time()  {escape}"
    assert [finding.rule for finding in findings(Source.parse("app/core/x.py", code), RULES)] == expected


def test_an_escape_that_excuses_nothing_is_found() -> None:
    code = f"{OPENING}x = 1  # rule: allow broad-except because it was once needed"
    assert [finding.rule for finding in findings(Source.parse("app/core/x.py", code), RULES)] == ["stale-escape"]


def test_an_escape_inside_text_is_not_one() -> None:
    code = f'{OPENING}x = "# rule: allow broad-except because it is quoted"'
    assert findings(Source.parse("app/core/x.py", code), RULES) == []


def test_a_finding_says_where_and_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "app" / "runs.py"
    file.parent.mkdir()
    file.write_text(
        dedent('''\
        """Runs."""

        asyncio.create_task(f())
    ''')
    )
    [finding] = check(tmp_path, [file])
    assert str(finding).startswith("app/runs.py:3: dropped-task: ")
    assert "TaskGroup" in str(finding)
