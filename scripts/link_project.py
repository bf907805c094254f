"""Makes the checkout importable in the environment that runs this, with its console command.

An editable install would ask an index for the build backend each time the environment is synchronised; this needs no
network, and `uv pip sync` leaves it alone.
"""

import sys
import sysconfig
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = """#!{python}
import sys

from {module} import {function}

sys.exit({function}())
"""


def link(root: Path, site_packages: Path, scripts: Path, python: str) -> list[Path]:
    """Write a path file and one command per entry of ``[project.scripts]``; gives the files written."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    path_file = site_packages / f"{project['name']}.pth"
    path_file.write_text(f"{root}\n", encoding="utf-8")
    written = [path_file]
    for name, target in project["scripts"].items():
        module, function = target.split(":")
        command = scripts / name
        command.write_text(COMMAND.format(python=python, module=module, function=function), encoding="utf-8")
        command.chmod(0o755)
        written.append(command)
    return written


if __name__ == "__main__":
    link(ROOT, Path(sysconfig.get_path("purelib")), Path(sysconfig.get_path("scripts")), sys.executable)
