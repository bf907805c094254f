"""The world that a process opens once: database, vectors, files, models. Nothing else opens anything."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import SecretStr

from app.adapters.embeddings import EmbeddingBackend, build_embedder
from app.adapters.embeddings.base import Embedder
from app.adapters.llm.catalog import ModelCatalog, build_catalog
from app.adapters.llm.http import Deadlines
from app.adapters.parsing import DocumentParser, build_parser
from app.adapters.storage import FileStorage, build_storage
from app.adapters.vectors import build_vector_store
from app.adapters.vectors.base import VectorStore
from app.core.config import Settings
from app.core.database import Database
from app.core.security import Secrets, TokenVerifier, load_secrets, make_private_directory
from app.models.guard import GuardedSession
from app.services.document_jobs import ProcessDocument, PruneDocument, PurgeDocument
from app.services.document_sink import Stores
from app.services.ingestion.pipeline import Pipeline
from app.services.jobs import JobKind, JobRunner, JobWork, RetryPolicy

_EMBEDDING_BACKENDS: dict[str, EmbeddingBackend] = {"local": "local", "openai": "openai", "hashed": "hashed"}


@dataclass(frozen=True, slots=True)
class Resources:
    """What services are made of. ``database`` belongs to one event loop, the rest to the process."""

    settings: Settings
    secrets: Secrets
    tokens: TokenVerifier
    database: Database
    embedder: Embedder
    vectors: VectorStore
    files: FileStorage
    parser: DocumentParser
    models: ModelCatalog

    @property
    def stores(self) -> Stores:
        """The three places that hold documents."""
        return Stores(self.database, self.vectors, self.files)

    def job_runner(self) -> JobRunner:
        """Who does the jobs of this process."""
        settings = self.settings
        pipeline = Pipeline(self.parser, self.embedder, settings.chunk_tokens, settings.chunk_overlap_tokens)
        work: dict[str, JobWork] = {
            JobKind.DOCUMENT_PROCESS.value: ProcessDocument(self.stores, pipeline),
            JobKind.DOCUMENT_PURGE.value: PurgeDocument(self.stores),
            JobKind.DOCUMENT_PRUNE.value: PruneDocument(self.stores),
        }
        policy = RetryPolicy(settings.job_max_retries, settings.job_retry_delay_seconds, settings.job_lease_seconds)
        return JobRunner(self.database, work, policy)

    @asynccontextmanager
    async def on_another_loop(self) -> AsyncIterator["Resources"]:
        """The same world for another event loop of this process: it needs database connections of its own."""
        database = open_database(self.settings)
        try:
            yield replace(self, database=database)
        finally:
            await database.close()


def open_database(settings: Settings) -> Database:
    """The database of this installation; nothing is connected yet."""
    make_private_directory(settings.data_dir)
    return Database(settings.resolved_database_url, session_class=GuardedSession, pool_size=settings.database_pool_size)


@asynccontextmanager
async def open_resources(settings: Settings) -> AsyncIterator[Resources]:
    """Open everything, and close it in reverse order."""
    secrets = load_secrets(settings)
    async with AsyncExitStack() as stack:
        database = open_database(settings)
        stack.push_async_callback(database.close)
        embedder = await _open_embedder(settings)
        stack.push_async_callback(embedder.close)
        vectors = await build_vector_store(
            "embedded",
            embedder_name=embedder.name,
            dimension=embedder.dimension,
            directory=settings.data_dir / "vectors",
        )
        stack.push_async_callback(vectors.close)
        models = _models(settings)
        stack.push_async_callback(models.close)
        yield Resources(
            settings=settings,
            secrets=secrets,
            tokens=TokenVerifier(secrets.jwt, audience=settings.jwt_audience, issuer=settings.jwt_issuer),
            database=database,
            embedder=embedder,
            vectors=vectors,
            files=build_storage(Path(settings.data_dir) / "files"),
            parser=_parser(settings),
            models=models,
        )


async def _open_embedder(settings: Settings) -> Embedder:
    backend, _, model = settings.embedding_model.partition(":")
    return await build_embedder(
        _EMBEDDING_BACKENDS[backend],
        threads=settings.embedding_threads,
        base_url=settings.openai_base_url,
        model=model,
        dimension=settings.embedding_dimension,
        api_key=_text(settings.openai_api_key),
    )


def _parser(settings: Settings) -> DocumentParser:
    return build_parser(
        wall_seconds=settings.parse_seconds,
        cpu_seconds=max(1, int(settings.parse_seconds)),
        memory_bytes=settings.parse_memory_bytes,
        max_text_chars=settings.max_text_chars,
    )


def _models(settings: Settings) -> ModelCatalog:
    return build_catalog(
        anthropic_api_key=_text(settings.anthropic_api_key),
        anthropic_base_url=settings.anthropic_base_url,
        openai_api_key=_text(settings.openai_api_key),
        openai_base_url=settings.openai_base_url,
        is_scripted_offered=settings.environment == "development",
        deadlines=Deadlines(
            first_token=settings.model_first_event_seconds,
            idle=settings.model_idle_seconds,
            total=settings.model_total_seconds,
        ),
    )


def _text(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None
