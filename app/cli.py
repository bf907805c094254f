"""The command line: starts the service, and does by hand what an operator does rarely."""

import asyncio
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, NoReturn, TypeVar

import orjson
import typer
from fastapi import FastAPI
from pydantic import ValidationError

from app.core.clock import utc_now
from app.core.config import Settings
from app.core.errors import AppError
from app.core.ids import is_id
from app.core.logging import configure_logging
from app.core.migrations import upgrade
from app.core.pagination import PageRequest
from app.core.security import TokenClaims, TokenVerifier, load_secrets, make_private_directory, write_private_file
from app.core.tenancy import Role
from app.demo import EXAMPLES, run_demo
from app.main import create_app
from app.schemas.api_key import ApiKeyCreate
from app.schemas.tenant import TenantCreate
from app.server import base_url_of, bind, serve
from app.services.application import Application
from app.services.resources import open_database
from app.services.tenants import TenantsService

T = TypeVar("T")

_BESIDE = "Works on the database of the data directory, whether the service runs or not."

cli = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
tenants_cli = typer.Typer(no_args_is_help=True, help=f"Make and list tenants. {_BESIDE}")
keys_cli = typer.Typer(no_args_is_help=True, help=f"Make and revoke API keys, make tokens. {_BESIDE}")
cli.add_typer(tenants_cli, name="tenants")
cli.add_typer(keys_cli, name="keys")

_START_SECONDS = 60
_BANNER = """
Insula is up at {base_url}

  tenant      {slug}
  API key     {key}
              (also in {credentials})
  model       {model}
  API docs    {base_url}/docs

Try it from another terminal:

  make demo
  python3 examples/quickstart.py README.md 'Which formats can be read?'

By curl: the README has an upload, its progress and a streamed answer to copy.
{hint}"""
_HINT = """
Answers quote your documents word for word: set ANTHROPIC_API_KEY, or OPENAI_API_KEY or OPENAI_BASE_URL together with
INSULA_DEFAULT_MODEL=openai:<model>, for answers that a model writes.
"""


def main() -> None:
    """Run the command line; refusals are one sentence, not a trace."""
    try:
        cli()
    except AppError as error:
        _stop(error.message)


def _stop(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    raise SystemExit(1)


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        problems = [
            ": ".join([*map(_variable, problem["loc"][:1]), problem["msg"].removeprefix("Value error, ")])
            for problem in error.errors(include_input=False, include_url=False)
        ]
        _stop("\n  ".join(["The settings are not right:", *problems]))


def _variable(place: int | str) -> str:
    name = str(place).upper()
    return name if "_API_KEY" in name or "_BASE_URL" in name else f"INSULA_{name}"


@cli.command()
def up() -> None:
    """Start everything in this process: API, worker, database, vectors and the embedding model."""
    settings = _settings()
    configure_logging(settings.log_level, settings.log_format)
    os.umask(0o077)
    with _data_dir_to_oneself(settings):
        try:
            listener = bind(settings)
        except OSError as error:
            _stop(
                f"Insula cannot listen on {settings.host}:{settings.port} ({error.strerror}). "
                "Set INSULA_PORT or INSULA_HOST to another."
            )
        app, welcome = create_app(settings), _Welcome(settings, base_url_of(listener))
        app.state.when_open = welcome.prepare
        if not serve(app, settings, welcome.announce, listener):
            _stop("Insula did not start. The log above says why.")


@contextmanager
def _data_dir_to_oneself(settings: Settings) -> Iterator[None]:
    """One process a data directory: database, vectors and jobs rely on it."""
    make_private_directory(settings.data_dir)
    with (settings.data_dir / "insula.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _stop(
                f"Another Insula runs on {settings.data_dir.resolve()}. "
                "Stop it, or set INSULA_DATA_DIR to another directory."
            )
        yield


class _Welcome:
    """The first tenant and its key, there before the first request is, and the page that tells of them."""

    def __init__(self, settings: Settings, base_url: str) -> None:
        self._settings = settings
        self._base_url = base_url
        self._path = settings.data_dir / "credentials.json"
        self._slug = self._key = ""

    async def prepare(self, application: Application) -> None:
        """Make the first tenant where there is none, and keep its key."""
        tenant = await application.tenants.first()
        if tenant is None:
            tenant, _, key = await application.tenants.create(TenantCreate(name="First tenant", slug="first"))
        elif self._path.exists():
            key = orjson.loads(self._path.read_bytes())["api_key"]
        else:
            _, key = await application.tenants.create_key(tenant.id, ApiKeyCreate(name="owner key", role=Role.OWNER))
        self._slug, self._key = tenant.slug, key
        credentials = {"base_url": self._base_url, "tenant_id": tenant.id, "tenant_slug": tenant.slug, "api_key": key}
        write_private_file(self._path, orjson.dumps(credentials, option=orjson.OPT_INDENT_2))

    async def announce(self, base_url: str, _: FastAPI) -> None:
        """Print what to try."""
        model = self._settings.resolved_default_model
        hint = _HINT if model == "extractive" else ""
        page = _BANNER.format(
            base_url=base_url, slug=self._slug, key=self._key, credentials=self._path, model=model, hint=hint
        )
        print(page, flush=True)


@cli.command()
def demo() -> None:
    """Upload the sample documents, ask three questions and print the cited answers; starts a service if none runs."""
    settings = _settings()
    path = settings.data_dir / "credentials.json"
    with _service(settings):
        credentials = orjson.loads(path.read_bytes())
        raise SystemExit(run_demo(credentials["base_url"], credentials["api_key"], EXAMPLES, sys.stdout))


@contextmanager
def _service(settings: Settings) -> Iterator[None]:
    """The service of the data directory: the running one, or one for as long as it is needed."""
    if _is_running(settings):
        yield
        return
    print("Starting Insula for the demo ...", flush=True)
    log = settings.data_dir / "demo.log"
    make_private_directory(settings.data_dir)
    with log.open("w") as output:
        process = subprocess.Popen([sys.executable, "-m", "app.cli", "up"], stdout=output, stderr=output)
    try:
        _wait_until_up(settings, process)
        yield
    finally:
        process.terminate()
        process.wait(30)


def _is_running(settings: Settings) -> bool:
    lock = settings.data_dir / "insula.lock"
    if not lock.exists():
        return False
    with lock.open("r") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _wait_until_up(settings: Settings, process: "subprocess.Popen[bytes]") -> None:
    """Wait for the service to write its credentials anew."""
    path, started = settings.data_dir / "credentials.json", time.monotonic()
    before = path.stat().st_mtime_ns if path.exists() else 0
    while not path.exists() or path.stat().st_mtime_ns == before:
        if process.poll() is not None or time.monotonic() - started > _START_SECONDS:
            _stop(f"The service did not start. {settings.data_dir / 'demo.log'} says why.")
        time.sleep(0.1)


@cli.command()
def migrate() -> None:
    """Bring the database's schema up to date (`insula up` does so by itself)."""
    settings = _settings()
    asyncio.run(_with_tenants(settings, lambda _: _nothing()))
    print("The schema is up to date.")


async def _nothing() -> None:
    return None


async def _with_tenants(settings: Settings, work: Callable[[TenantsService], Awaitable[T]]) -> T:
    """Do something with the tenants of the installation, whether the service runs or not."""
    database = open_database(settings)
    try:
        await upgrade(database)
        return await work(TenantsService(database, load_secrets(settings).api_key_pepper))
    finally:
        await database.close()


@tenants_cli.command("create")
def create_tenant(
    slug: Annotated[str, typer.Argument(help="Subdomain: lower-case letters, digits, hyphens.")],
    name: Annotated[str | None, typer.Option(help="Shown to people; the slug when unset.")] = None,
) -> None:
    """Make a tenant and print its first owner key, which is shown this once."""
    try:
        wanted = TenantCreate(slug=slug, name=name or slug)
    except ValidationError as error:
        _stop(f"The slug or name is not acceptable: {error.errors()[0]['msg']}.")
    tenant, _, key = asyncio.run(_with_tenants(_settings(), lambda service: service.create(wanted)))
    print(orjson.dumps({"tenant_id": tenant.id, "tenant_slug": tenant.slug, "api_key": key}).decode())


@tenants_cli.command("list")
def list_tenants() -> None:
    """Print every tenant's id, slug, status and name."""

    async def pages(service: TenantsService) -> None:
        page = await service.list(PageRequest(limit=100, order="asc"))
        while page.items:
            for tenant in page.items:
                print(tenant.id, tenant.slug, tenant.status, tenant.name, sep="\t")
            page = await service.list(PageRequest(limit=100, order="asc", after=page.items[-1].id))

    asyncio.run(_with_tenants(_settings(), pages))


async def _tenant_id(service: TenantsService, tenant: str) -> str:
    """The id of a tenant that is given by id or slug."""
    if is_id(tenant):
        return (await service.get(tenant)).id
    found = await service.find_by_slug(tenant)
    if found is None:
        _stop(f"There is no tenant `{tenant}`. `insula tenants list` shows those there are.")
    return found.id


@keys_cli.command("create")
def create_key(
    tenant: Annotated[str, typer.Argument(help="Id or slug of the tenant.")],
    name: Annotated[str, typer.Option(help="What the key is for.")] = "made by hand",
    role: Annotated[Role, typer.Option(help="What the key may do.")] = Role.MEMBER,
) -> None:
    """Make an API key of a tenant and print it, this once."""
    try:
        wanted = ApiKeyCreate.model_validate({"name": name, "role": role})
    except ValidationError as error:
        _stop(f"The key cannot be made: {error.errors()[0]['msg']}.")

    async def create(service: TenantsService) -> str:
        return (await service.create_key(await _tenant_id(service, tenant), wanted))[1]

    print(asyncio.run(_with_tenants(_settings(), create)))


@keys_cli.command("revoke")
def revoke_key(
    key_id: Annotated[str, typer.Argument(help="Id of the key, as `key_...`; the API lists them.")],
    tenant: Annotated[str, typer.Option(help="Id or slug of the tenant.")],
) -> None:
    """Make an API key useless; a running service refuses it within the second for which it trusts what it knows."""

    async def revoke(service: TenantsService) -> str:
        return (await service.revoke_key(await _tenant_id(service, tenant), key_id)).id

    print(f"{asyncio.run(_with_tenants(_settings(), revoke))} is revoked.")


@keys_cli.command("token")
def create_token(
    tenant: Annotated[str, typer.Argument(help="Id or slug of the tenant.")],
    subject: Annotated[str, typer.Option(help="Who the token is for.")] = "cli",
    role: Annotated[Role, typer.Option(help="What the token may do.")] = Role.MEMBER,
    hours: Annotated[float, typer.Option(help="How long it is good.")] = 1.0,
) -> None:
    """Make a JWT of a tenant, as your own sign-in would, and print it."""
    settings = _settings()
    tenant_id = asyncio.run(_with_tenants(settings, lambda service: _tenant_id(service, tenant)))
    verifier = TokenVerifier(load_secrets(settings).jwt, audience=settings.jwt_audience, issuer=settings.jwt_issuer)
    claims = TokenClaims(subject=subject, tenant_id=tenant_id, role=role.value)
    print(verifier.issue(claims, issued_at=int(utc_now().timestamp()), lifetime_seconds=int(hours * 3600)))


if __name__ == "__main__":
    main()
