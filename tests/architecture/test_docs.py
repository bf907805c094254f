"""The documentation speaks of what is there: every file and name in it exists, every link leads somewhere."""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from app.core.config import Settings
from app.main import create_app

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
#: ``app/services/jobs.py`` or ``app/services/jobs.py:JobRunner.run``, also below ``tests``, ``scripts`` and so on.
NAMED = re.compile(
    r"`(?P<path>(?:app|benchmarks|docs|examples|migrations|requirements|scripts|tests)/(?:\w[\w-]*/)*[\w-]+\.[a-z]+)"
    r"(?::(?P<name>[A-Za-z_][\w.]*))?`"
)
LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)", re.DOTALL)
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)
FENCE = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
ROUTE = re.compile(r"`(?P<method>GET|POST|PUT|PATCH|DELETE) (?P<path>/[^\s`?]*)[^`]*`")
SETTING = re.compile(r"\bINSULA_(?P<name>[A-Z_]*[A-Z])\b")
#: Routes that the OpenAPI document does not list: the document itself, its page, and the root.
UNLISTED = {("GET", "/"), ("GET", "/docs"), ("GET", "/openapi.json")}


def page_id(page: Path) -> str:
    return str(page.relative_to(ROOT))


@cache
def names_in(path: Path) -> frozenset[str]:
    """Functions, classes with their methods, and constants of a module."""
    return frozenset(_names(ast.parse(path.read_text()).body, ""))


def _names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name
        if isinstance(node, ast.ClassDef):
            yield from _names(node.body, f"{prefix}{node.name}.")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))


@cache
def served_routes() -> frozenset[tuple[str, str]]:
    """Every route of the OpenAPI document."""
    paths = create_app(Settings(_env_file=None)).openapi()["paths"]
    return frozenset((method.upper(), path) for path, methods in paths.items() for method in methods)


def told_routes(page: Path) -> set[tuple[str, str]]:
    """Every route that a page names, with ``/api/v1`` in front where it was left out."""
    told = {(route["method"], route["path"]) for route in ROUTE.finditer(page.read_text())} - UNLISTED
    return {(method, path if (method, path) in served_routes() else f"/api/v1{path}") for method, path in told}


def missing_names(text: str) -> list[str]:
    """What a page names and the repository does not have."""
    found = []
    for named in NAMED.finditer(text):
        path = ROOT / named["path"]
        if not path.is_file() or (named["name"] and named["name"] not in names_in(path)):
            found.append(named[0])
    return found


def anchor(title: str) -> str:
    """The fragment that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def broken_links(page: Path, text: str) -> list[str]:
    """Relative links of a page that lead nowhere."""
    found = []
    for link in LINK.finditer(FENCE.sub("", text)):
        target, _, fragment = link["target"].partition("#")
        if target.startswith(("https://", "mailto:")):
            continue
        path = (page.parent / target).resolve() if target else page
        anchors = {anchor(heading["title"]) for heading in HEADING.finditer(path.read_text())} if fragment else set()
        if not path.exists() or (fragment and fragment not in anchors):
            found.append(link["target"])
    return found


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_what_a_page_names_exists(page: Path) -> None:
    assert missing_names(page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    assert broken_links(page, page.read_text()) == []


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_the_settings_of_a_page_exist(page: Path) -> None:
    named = {setting["name"].lower() for setting in SETTING.finditer(page.read_text())}
    assert named - Settings.model_fields.keys() == set()


def test_the_api_page_tells_every_route() -> None:
    assert served_routes() - told_routes(ROOT / "docs" / "api.md") == set()


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_the_routes_of_a_page_exist(page: Path) -> None:
    assert told_routes(page) - served_routes() == set()


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / link["target"].partition("#")[0]).resolve()
        for page in PAGES
        for link in LINK.finditer(page.read_text())
    }
    decisions = {page for page in PAGES if page.parent.name == "decisions"}
    lonely = [page_id(page) for page in PAGES if page not in linked | decisions | {ROOT / "README.md"}]
    assert lonely == [], "link it under Read on in README.md"


def test_every_make_target_that_is_named_exists() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    targets = set(re.findall(r"^  make ([a-z]+)", done.stdout, re.MULTILINE))
    named = {
        name for page in PAGES for name in re.findall(r"\bmake ([a-z]+)\b(?=[`\n]| ARGS| {2,}#)", page.read_text())
    }
    assert named - targets == set()


@pytest.mark.parametrize(
    ("text", "is_missing"),
    [
        ("`app/services/jobs.py:JobRunner.run`", False),
        ("`app/services/jobs.py:JobRunner.walk`", True),
        ("`app/services/jobz.py`", True),
        ("`JobRunner.run`", False),
    ],
)
def test_a_name_that_is_gone_is_found(text: str, is_missing: bool) -> None:  # noqa: FBT001 - a case
    assert bool(missing_names(text)) is is_missing


@pytest.mark.parametrize(
    ("text", "is_broken"),
    [
        ("[a](docs/api.md#errors)", False),
        ("[a](docs/api.md#no-such-heading)", True),
        ("![a](docs/images/none.svg)", True),
        ("[a](https://example.com)", False),
    ],
)
def test_a_link_that_leads_nowhere_is_found(text: str, is_broken: bool) -> None:  # noqa: FBT001 - a case
    assert bool(broken_links(ROOT / "README.md", text)) is is_broken


def test_the_openapi_page_can_ask_for_a_key() -> None:
    spec = create_app(Settings(_env_file=None)).openapi()
    assert spec["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    assert spec["paths"]["/api/v1/agents"]["get"]["security"] == [{"HTTPBearer": []}]
