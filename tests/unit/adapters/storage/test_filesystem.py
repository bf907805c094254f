"""Files: there whole or not at all, under names that we made, each tenant's in a folder of its own."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.adapters.storage import FilesystemStorage, build_storage
from app.adapters.storage.filesystem import TenantFolder
from app.core.errors import PayloadTooLarge
from app.core.ids import new_id
from app.core.tenancy import TenantContext


@pytest.fixture
def storage(tmp_path: Path) -> FilesystemStorage:
    return build_storage(tmp_path / "files")


@pytest.fixture
def folder(storage: FilesystemStorage) -> TenantFolder:
    return storage.for_tenant(TenantContext.for_job(new_id("tnt"), "test"))


async def pieces(*contents: bytes, error: BaseException | None = None) -> AsyncIterator[bytes]:
    for content in contents:
        yield content
    if error is not None:
        raise error


async def content_of(folder: TenantFolder, name: str) -> bytes:
    return b"".join([piece async for piece in folder.read(name)])


def everything_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


async def test_what_is_put_is_read_back(folder: TenantFolder, tmp_path: Path) -> None:
    name = f"{new_id('doc')}/original"
    stored = await folder.put(name, pieces(b"one ", b"two"), max_bytes=7)
    assert (stored.key, stored.bytes, stored.sha256) == (name, 7, hashlib.sha256(b"one two").hexdigest())
    assert await content_of(folder, name) == b"one two"
    async with folder.local_copy(name) as path:
        assert path.read_bytes() == b"one two"
        assert path.stat().st_mode & 0o777 == 0o600
    assert len(everything_below(tmp_path)) == 1


@pytest.mark.parametrize("error", [ConnectionResetError(), KeyboardInterrupt()])
async def test_a_stream_that_breaks_leaves_nothing(folder: TenantFolder, tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)):
        await folder.put("doc/original", pieces(b"half", error=error), max_bytes=100)
    assert everything_below(tmp_path) == set()


async def test_a_stream_that_is_too_long_leaves_nothing(folder: TenantFolder, tmp_path: Path) -> None:
    with pytest.raises(PayloadTooLarge):
        await folder.put("doc/original", pieces(b"12345", b"6"), max_bytes=5)
    assert everything_below(tmp_path) == set()


async def test_a_file_is_synced_before_it_has_its_name(
    folder: TenantFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    sync, replace = os.fsync, Path.replace

    def watch_sync(descriptor: int) -> None:
        synced.append("folder" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file")  # noqa: PTH112
        sync(descriptor)

    def watch_replace(path: Path, target: Path) -> Path:
        synced.append("name")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", watch_sync)
    monkeypatch.setattr(Path, "replace", watch_replace)
    await folder.put("doc/original", pieces(b"content"), max_bytes=100)
    assert synced == ["file", "name", "folder", "folder", "folder"]


@pytest.mark.parametrize(
    "name", ["../x", "a/../b", "/etc/passwd", "", "a//b", ".partial-1", "a/.b", "a\x00", "a b", "ä/ö\n"]
)
async def test_names_that_we_did_not_make_are_refused(folder: TenantFolder, name: str) -> None:
    with pytest.raises(ValueError, match="did not make"):
        await folder.put(name, pieces(b"x"), max_bytes=10)


def test_a_folder_needs_a_tenant(storage: FilesystemStorage) -> None:
    for tenant_id in ("", "..", "tnt_short", "*system*"):
        with pytest.raises(ValueError, match="tenant"):
            storage.for_tenant(TenantContext.for_job(tenant_id, "test"))


async def test_a_tenant_does_not_see_anothers_file(storage: FilesystemStorage, folder: TenantFolder) -> None:
    await folder.put("doc/original", pieces(b"mine"), max_bytes=10)
    other = storage.for_tenant(TenantContext.for_job(new_id("tnt"), "test"))
    with pytest.raises(FileNotFoundError):
        await content_of(other, "doc/original")
    with pytest.raises(FileNotFoundError):
        async with other.local_copy("doc/original"):
            pass
    await other.delete("doc")
    await other.delete_all()
    assert await content_of(folder, "doc/original") == b"mine"


async def test_deleting_removes_all_below_a_name_and_what_is_gone_is_no_error(folder: TenantFolder) -> None:
    for name in ("doc/original", "doc/text", "other/original"):
        await folder.put(name, pieces(b"x"), max_bytes=10)
    await folder.delete("doc/text")
    assert await content_of(folder, "doc/original") == b"x"
    await folder.delete("doc")
    await folder.delete("doc")
    with pytest.raises(FileNotFoundError):
        await content_of(folder, "doc/original")
    assert await content_of(folder, "other/original") == b"x"
    await folder.delete_all()
    await folder.delete_all()
    with pytest.raises(FileNotFoundError):
        await content_of(folder, "other/original")


async def test_what_cannot_be_deleted_is_an_error(folder: TenantFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("read-only file system")

    await folder.put("doc/original", pieces(b"x"), max_bytes=10)
    monkeypatch.setattr(os, "unlink", refuse)
    for delete in (folder.delete("doc"), folder.delete_all()):
        with pytest.raises(PermissionError):
            await delete


async def test_a_sweep_removes_half_written_files_alone(
    storage: FilesystemStorage, folder: TenantFolder, tmp_path: Path
) -> None:
    await folder.put("doc/original", pieces(b"x"), max_bytes=10)
    (tenant,) = storage.list_all()
    (tmp_path / "files" / tenant / ".partial-0123456789abcdef").write_bytes(b"half")
    storage.sweep()
    assert everything_below(tmp_path / "files") == {f"{tenant}/doc/original"}
    assert storage.list_all() == {tenant: ["doc"]}


def test_an_empty_storage_has_nothing(storage: FilesystemStorage) -> None:
    storage.sweep()
    assert storage.list_all() == {}
