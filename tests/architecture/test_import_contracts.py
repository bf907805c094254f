"""Each import contract breaks when the import that it forbids is planted in a copy of the tree."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = Path(sysconfig.get_path("scripts")) / "lint-imports"

PLANTED = [
    ("layers", "app/core/planted.py", "import app.models.planted_table"),
    ("layers", "app/repositories/planted.py", "import app.adapters.llm.base"),
    ("layers", "app/planted.py", ""),
    ("doors", "app/api/v1/endpoints/planted.py", "import app.models.planted_table"),
    ("doors", "app/workers/tasks/planted.py", "import app.repositories.planted_queries"),
    ("machinery", "app/services/retrieval/planted.py", "import app.models.planted_table"),
    ("machinery", "app/services/ingestion/planted.py", "import sqlalchemy"),
    ("machinery", "app/services/generation/planted.py", "import fastapi"),
    ("endpoints", "app/api/v1/endpoints/planted.py", "import app.api.v1.endpoints.planted_other"),
    ("tasks", "app/workers/tasks/planted.py", "import app.workers.tasks.planted_other"),
    ("acyclic", "app/core/planted.py", "import app.core.planted_other"),
    ("homes", "app/services/planted.py", "import sqlalchemy"),
    ("homes", "app/schemas/planted.py", "from fastapi import Depends"),
    ("homes", "app/services/planted.py", "from celery import shared_task"),
    ("homes", "app/services/retrieval/planted.py", "import qdrant_edge"),
    ("homes", "app/adapters/embeddings/planted.py", "import pypdfium2"),
    ("homes", "app/api/planted.py", "import a_library_without_a_home"),
]
#: What the planted imports point at; on their own they break nothing.
TARGETS = {
    "app/models/planted_table.py": "",
    "app/repositories/planted_queries.py": "",
    "app/api/v1/endpoints/planted_other.py": "",
    "app/workers/tasks/planted_other.py": "",
    "app/core/planted_other.py": "import app.core.planted",
}


def _lint(tree: Path, contract: str) -> subprocess.CompletedProcess[str]:
    command = [str(LINT_IMPORTS), "--no-cache", "--no-logo", "--contract", contract]
    environment = os.environ | {"COLUMNS": "200", "PYTHONPATH": str(tree)}
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False, env=environment)


@pytest.fixture(scope="module")
def skeleton(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The rooms of app/ without what stands in them, so that only what is planted can break a contract."""
    tree = tmp_path_factory.mktemp("skeleton")
    shutil.copy(ROOT / "pyproject.toml", tree)
    shutil.copytree(ROOT / "scripts", tree / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for package in (ROOT / "app").rglob("__init__.py"):
        copy = tree / package.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.touch()
    for named in ("adapters/llm/base.py", "core/database.py"):
        (tree / "app" / named).touch()
    return tree


@pytest.mark.parametrize(("contract", "path", "code"), PLANTED)
def test_a_planted_import_breaks_its_contract(
    contract: str, path: str, code: str, skeleton: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    shutil.copytree(skeleton, tree)
    for target, text in {**TARGETS, path: code}.items():
        (tree / target).write_text(text + "\n")
    done = _lint(tree, contract)
    assert "1 broken" in done.stdout, done.stdout + done.stderr
    assert "planted" in done.stdout


@pytest.mark.parametrize("contract", sorted({contract for contract, _, _ in PLANTED}))
def test_the_empty_rooms_keep_every_contract(contract: str, skeleton: Path) -> None:
    done = _lint(skeleton, contract)
    assert "1 kept, 0 broken" in done.stdout, done.stdout + done.stderr


def test_every_contract_is_shown_to_hold() -> None:
    configured = {
        line.split('"')[1] for line in (ROOT / "pyproject.toml").read_text().splitlines() if line.startswith("id = ")
    }
    assert configured == {contract for contract, _, _ in PLANTED}
