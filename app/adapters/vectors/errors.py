"""How a vector store can fail, in the terms that its callers decide by."""


class VectorStoreError(Exception):
    """A failure of the store. The message names no text and no tenant."""


class VectorStoreInUse(VectorStoreError):
    """Another process has the embedded store open; it has one owner at a time."""


class VectorStoreFailed(VectorStoreError):
    """The store did not do what it was asked; whether anything was written has to be counted."""


class ForeignPoint(VectorStoreError):
    """A point with this id belongs to another tenant: it is neither overwritten nor revealed."""
