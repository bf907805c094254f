"""Where the open test data lies: beside the repository, or where INSULA_TEST_DATA says; CI must have it."""

import os
from pathlib import Path

import pytest

_CANDIDATE = Path(os.environ.get("INSULA_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
SHARED_DATA: Path | None = _CANDIDATE if (_CANDIDATE / "README.md").is_file() else None

requires_shared_data = pytest.mark.skipif(
    SHARED_DATA is None and "CI" not in os.environ,
    reason="the open test data is not beside this checkout (set INSULA_TEST_DATA); CI has it and does not skip",
)
