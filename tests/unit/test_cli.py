"""The command line: starts the service, and works on its database beside it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.cli import main
from tests.fixtures.service import Service

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("own_logs")

#: Runs a command in this process and gives what it printed, or the sentence and exit code that it ended with.
Run = Callable[..., str]


class Stopped(Exception):
    def __init__(self, code: object, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], data_dir: Path) -> Run:
    for variable in list(os.environ):
        if variable.startswith(("INSULA_", "ANTHROPIC_", "OPENAI_")):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("INSULA_DATA_DIR", str(data_dir))

    def run_command(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["insula", *arguments])
        try:
            main()
        except SystemExit as stop:
            captured = capsys.readouterr()
            if stop.code:
                raise Stopped(stop.code, captured.err) from None
            return captured.out
        return capsys.readouterr().out

    return run_command


def created(run: Run, slug: str = "acme") -> dict[str, Any]:
    made: dict[str, Any] = json.loads(run("tenants", "create", slug))
    return made


def test_help_names_every_command(run: Run) -> None:
    shown = run("--help")
    assert all(command in shown for command in ("up", "demo", "migrate", "tenants", "keys"))
    for group, commands in (("tenants", ["create", "list"]), ("keys", ["create", "revoke", "token"])):
        shown = run(group, "--help")
        assert "whether the service runs or not" in " ".join(shown.split())
        assert all(command in shown for command in commands)


def test_migrate_makes_the_schema_and_may_be_repeated(run: Run, data_dir: Path) -> None:
    assert run("migrate") == run("migrate") == "The schema is up to date.\n"
    assert (data_dir / "insula.db").exists()


def test_tenants_are_made_and_listed(run: Run) -> None:
    made = created(run)
    assert set(made) == {"tenant_id", "tenant_slug", "api_key"}
    named = json.loads(run("tenants", "create", "globex", "--name", "Globex Ltd"))
    rows = [line.split("\t") for line in run("tenants", "list").splitlines()]
    assert rows == [
        [made["tenant_id"], "acme", "active", "acme"],
        [named["tenant_id"], "globex", "active", "Globex Ltd"],
    ]


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (["tenants", "create", "Not A Slug"], "slug or name is not acceptable"),
        (["tenants", "create", "acme"], "is taken"),
        (["keys", "create", "nobody"], "There is no tenant `nobody`"),
        (["keys", "create", "tnt_00000000000000000000000000"], "There is no tenant with this id"),
        (["keys", "create", "acme", "--name", ""], "The key cannot be made"),
        (["keys", "revoke", "key_00000000000000000000000000", "--tenant", "acme"], "There is no"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(run: Run, command: list[str], sentence: str) -> None:
    created(run)
    with pytest.raises(Stopped, match=sentence) as stopped:
        run(*command)
    assert stopped.value.code == 1
    assert "Traceback" not in str(stopped.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("INSULA_PORT", "many"), ("INSULA_SECRET_KEY", "weak-and-private"), ("INSULA_ENVIRONMENT", "production")],
)
def test_settings_that_are_not_right_are_named(
    run: Run, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Stopped, match="The settings are not right:\n  INSULA_") as stopped:
        run("up")
    assert stopped.value.code == 1
    assert value == "production" or variable in str(stopped.value)
    assert "weak-and-private" not in str(stopped.value)


def test_an_address_that_is_taken_is_said_before_anything_is_opened(
    run: Run, monkeypatch: pytest.MonkeyPatch, data_dir: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("INSULA_PORT", str(port))
        with pytest.raises(Stopped, match=f"cannot listen on 127.0.0.1:{port}"):
            run("up")
    assert not (data_dir / "insula.db").exists()


class TestBesideARunningService:
    @pytest.fixture
    def beside(self, service: Service, run: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
        monkeypatch.setenv("INSULA_DATA_DIR", str(service.settings.data_dir))
        return run

    def get_tenant(self, service: Service, credential: str) -> httpx.Response:
        return service.client(credential).get("tenant")

    def test_what_is_made_works_at_once(self, service: Service, beside: Run) -> None:
        made = created(beside, "made-by-hand")
        assert self.get_tenant(service, made["api_key"]).json()["id"] == made["tenant_id"]
        key = beside("keys", "create", "made-by-hand", "--role", "viewer").strip()
        assert self.get_tenant(service, key).json()["slug"] == "made-by-hand"
        assert service.client(key).post("agents", json={"name": "No"}).status_code == 403
        token = beside("keys", "token", made["tenant_id"], "--role", "admin", "--hours", "0.5").strip()
        assert service.client(token).post("agents", json={"name": "Yes"}).status_code == 201

    def test_a_token_that_has_ended_is_refused(self, service: Service, beside: Run) -> None:
        created(beside, "over")
        token = beside("keys", "token", "over", "--hours", "-1").strip()
        assert self.get_tenant(service, token).status_code == 401

    def test_a_revoked_key_is_refused_soon(self, service: Service, beside: Run) -> None:
        made = created(beside, "leaked")
        owner = service.client(made["api_key"])
        issued = owner.post("api-keys", json={"name": "leaked"}).json()
        assert self.get_tenant(service, issued["key"]).status_code == 200
        assert issued["id"] in beside("keys", "revoke", issued["id"], "--tenant", "leaked")
        deadline = time.monotonic() + 5
        while self.get_tenant(service, issued["key"]).status_code == 200 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert self.get_tenant(service, issued["key"]).status_code == 401


class Process:
    """``insula up`` as a process of its own, whose output is read until the banner is complete."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "up"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.banner = ""

    def wait_until_up(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.banner += line
            if "By curl" in line:
                return
        raise AssertionError(self.banner)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)
        return self.process.returncode


def environment_of(data_dir: Path, **values: str) -> dict[str, str]:
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("INSULA_", "ANTHROPIC_", "OPENAI_", "COV_"))}
    quick = {"INSULA_PORT": "0", "INSULA_EMBEDDING_MODEL": "hashed:test", "INSULA_DEFAULT_MODEL": "extractive"}
    return {**kept, **quick, "INSULA_DATA_DIR": str(data_dir), "PYTHONUNBUFFERED": "1", **values}


@contextmanager
def up(data_dir: Path) -> Iterator[Process]:
    running = Process(environment_of(data_dir))
    try:
        running.wait_until_up()
        yield running
    finally:
        code = running.stop()
    assert code == 0, "a clean stop is no failure"


def credentials_of(data_dir: Path) -> dict[str, str]:
    path = data_dir / "credentials.json"
    assert path.stat().st_mode & 0o777 == 0o600
    found: dict[str, str] = json.loads(path.read_bytes())
    assert set(found) == {"base_url", "tenant_id", "tenant_slug", "api_key"}
    return found


@pytest.mark.slow
def test_up_says_how_to_begin_keeps_everything_and_has_the_directory_to_itself(data_dir: Path) -> None:
    with up(data_dir) as first:
        found = credentials_of(data_dir)
        assert all(text in first.banner for text in (found["base_url"], found["api_key"], "make demo", "/docs"))
        headers = {"Authorization": f"Bearer {found['api_key']}"}
        own = httpx.get(f"{found['base_url']}/api/v1/tenant", headers=headers, trust_env=False)
        assert own.json()["id"] == found["tenant_id"]
        second = subprocess.run(
            [sys.executable, "-m", "app.cli", "up"],
            cwd=ROOT,
            env=environment_of(data_dir),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert second.returncode == 1
        assert "Another Insula runs on" in second.stderr
        demo = subprocess.run(
            [sys.executable, "-m", "app.cli", "demo"],
            cwd=ROOT,
            env=environment_of(data_dir),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        assert (demo.returncode, "Starting Insula" in demo.stdout) == (0, False), demo.stdout + demo.stderr
    with up(data_dir):
        again = credentials_of(data_dir)
    for name in ("tenant_id", "tenant_slug", "api_key"):
        assert again[name] == found[name]


@pytest.mark.slow
def test_the_demo_starts_a_service_where_none_runs_and_stops_it(
    run: Run, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment_of(data_dir).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(ROOT)
    assert "Starting Insula for the demo" in run("demo")
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{credentials_of(data_dir)['base_url']}/health", trust_env=False)


def test_the_demo_says_where_to_look_when_its_service_does_not_start(
    run: Run, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("INSULA_PORT", str(taken.getsockname()[1]))
        with pytest.raises(Stopped, match=r"demo\.log says why"):
            run("demo")
    assert "cannot listen" in (data_dir / "demo.log").read_text()
