"""What is tracked speaks of the product alone: no package-registry host, no path of anyone's machine, no uv.lock."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.split("\0") if name]


#: Pattern and a text that it finds (~ is a slash, comma a dot); brackets keep this file from being its own finding.
FORBIDDEN = {
    r"[p]ypi\.org": "pypi,org",
    r"[p]ythonhosted\.org": "files,pythonhosted,org",
    r"[r]egistry\.npmjs\.": "registry,npmjs,example",
    r"[d]eb\.debian\.org": "deb,debian,org",
    r"[p]roxy\.golang\.org": "proxy,golang,org",
    r"(?<![\w.-])/[w]ork/": "~work~notes",
    r"/tmp/[l]ab": "~tmp~lab",
    r"(?<![\w.-])/[r]oot/": "~root~",
    r"/opt/[p]ypi|/opt/[w]heels": "~opt~wheels",
    r"extra[-_]index[-_][u]rl": "EXTRA_INDEX_" + "URL",
}
_FORBIDDEN = re.compile("|".join(FORBIDDEN), re.IGNORECASE)


def test_no_registry_and_no_machine_is_named() -> None:
    found = []
    for path in _tracked():
        if not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", errors="replace")
        found += [
            f"{path.relative_to(ROOT)}:{number}: {match.group()}"
            for number, line in enumerate(text.splitlines(), start=1)
            if (match := _FORBIDDEN.search(line))
        ]
    assert found == []


@pytest.mark.parametrize(("pattern", "sample"), FORBIDDEN.items())
def test_each_pattern_finds_something(pattern: str, sample: str) -> None:
    assert re.search(pattern, sample.translate(str.maketrans("~,", "/.")), re.IGNORECASE)


def test_the_lock_that_names_hosts_is_not_tracked() -> None:
    assert [path.name for path in _tracked() if path.name == "uv.lock"] == []


def test_what_the_product_reads_is_not_ignored() -> None:
    command = ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "app", "examples", "migrations"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    lost = [name for name in done.stdout.splitlines() if "__pycache__" not in name and not name.endswith(".pyc")]
    assert lost == [], "a clone would not have these; narrow the pattern in .gitignore"
