"""The environment gets the checkout on its path and the console command, without a build."""

import os
import subprocess
import sys
from pathlib import Path

from scripts.link_project import link

PROJECT = """
[project]
name = "insula"
scripts = { insula = "app.cli:main" }
"""


def test_the_command_runs_the_checkout(tmp_path: Path) -> None:
    root, site, scripts = tmp_path / "checkout", tmp_path / "site", tmp_path / "bin"
    for folder in (root / "app", site, scripts):
        folder.mkdir(parents=True)
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "app" / "__init__.py").touch()
    (root / "app" / "cli.py").write_text("def main() -> int:\n    print('it runs')\n    return 7\n")

    path_file, command = link(root, site, scripts, sys.executable)

    assert path_file.read_text().strip() == str(root)
    environment = os.environ | {"PYTHONPATH": path_file.read_text().strip()}
    done = subprocess.run([command], capture_output=True, text=True, check=False, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout) == (7, "it runs\n")
