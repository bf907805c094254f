"""Keyset pages: ids sort by time, so the id is the cursor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page: at most ``limit`` items after one id or before another, newest first unless ``asc``."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page, in the order that was asked for."""

    items: Sequence[T]
    has_more: bool
