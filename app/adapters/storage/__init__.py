"""File storage behind one port."""

from pathlib import Path

from app.adapters.storage.base import FileStorage, StoredObject, TenantFiles
from app.adapters.storage.filesystem import FilesystemStorage

__all__ = ["FileStorage", "FilesystemStorage", "StoredObject", "TenantFiles", "build_storage"]


def build_storage(root: Path) -> FilesystemStorage:
    """The storage of this installation."""
    return FilesystemStorage(root)
