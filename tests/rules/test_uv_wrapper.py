"""scripts/uv hands pip's index and certificates to uv, and nothing that would make a lock differ between machines."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SHOW = "#!/bin/sh\necho index=${UV_DEFAULT_INDEX:-} extra=${UV_INDEX:-} links=${UV_FIND_LINKS:-} cert=${SSL_CERT_FILE:-} $@\n"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A folder with the wrapper, a uv that shows what it is given, and a pip whose configuration is read from a file."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / ".uv" / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "uv", tmp_path / "scripts" / "uv")
    pip = f'#!/bin/sh\n# called as: python -m pip config get global.<name>\ncat "{tmp_path}/$5" 2>/dev/null || exit 1\n'
    for name, text in {"uv": SHOW, "python": pip}.items():
        program = tmp_path / ".uv" / "bin" / name
        program.write_text(text)
        program.chmod(0o755)
    return tmp_path


def _run(checkout: Path, **environment: str) -> str:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "SSL_"))}
    command = [str(checkout / "scripts" / "uv"), "pip", "sync"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=inherited | environment)
    return done.stdout.strip()


def test_nothing_configured_hands_on_nothing(checkout: Path) -> None:
    assert _run(checkout) == "index= extra= links= cert= pip sync"


def test_the_index_of_pips_environment_is_used(checkout: Path) -> None:
    assert "index=https://index.example/simple " in _run(checkout, PIP_INDEX_URL="https://index.example/simple")


def test_the_index_of_pips_configuration_is_used(checkout: Path) -> None:
    (checkout / "global.index-url").write_text("https://configured.example/simple\n")
    assert "index=https://configured.example/simple " in _run(checkout)


def test_uvs_own_setting_wins(checkout: Path) -> None:
    shown = _run(checkout, PIP_INDEX_URL="https://pip.example/simple", UV_DEFAULT_INDEX="https://uv.example/simple")
    assert "index=https://uv.example/simple " in shown


def test_the_certificates_are_used_where_the_file_exists(checkout: Path) -> None:
    bundle = checkout / "bundle.pem"
    bundle.touch()
    assert f"cert={bundle} " in _run(checkout, PIP_CERT=str(bundle))
    assert "cert= " in _run(checkout, PIP_CERT=str(checkout / "gone.pem"))


def test_extra_indexes_and_find_links_stay_out(checkout: Path) -> None:
    (checkout / "global.find-links").write_text("/var/wheels\n")
    shown = _run(checkout, PIP_FIND_LINKS="/var/wheels")
    assert "extra= links= " in shown
