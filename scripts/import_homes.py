"""An import contract: each third-party library is imported only in the rooms that are its home."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

ROOT = "app"


@dataclass(frozen=True, slots=True)
class Stray:
    """An import of a library outside its home; ``homes`` is empty where the library has none."""

    importer: str
    library: str
    line: int
    homes: tuple[str, ...]


def parse_homes(lines: list[str]) -> dict[str, tuple[str, ...]]:
    """The table of ``library: module, module`` lines."""
    table = {}
    for line in lines:
        library, _, modules = line.partition(":")
        table[library.strip()] = tuple(module.strip() for module in modules.split(","))
    return table


def is_within(module: str, home: str) -> bool:
    """Whether the module is the home or lies below it."""
    return module == home or module.startswith(f"{home}.")


def strays(graph: ImportGraph, homes: dict[str, tuple[str, ...]]) -> Iterator[Stray]:
    """Every import of a third-party library that its line in the table does not cover."""
    for importer in sorted(graph.modules):
        if not is_within(importer, ROOT):
            continue
        for library in sorted(graph.find_modules_directly_imported_by(importer)):
            if is_within(library, ROOT) or library in sys.stdlib_module_names:
                continue
            allowed = homes.get(library, ())
            if not any(is_within(importer, home) for home in allowed):
                details = graph.get_import_details(importer=importer, imported=library)
                yield Stray(importer, library, details[0]["line_number"] if details else 0, allowed)


class HomesContract(Contract):
    """The contract type ``homes`` of ``[tool.importlinter]``: exhaustive, so a new library must be given a home."""

    type_name = "homes"

    homes = fields.ListField(subfield=fields.StringField())
    broken_contract_guidance = fields.TextField(required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002, FBT001 - the base class's signature
        """Compare the graph with the table."""
        found = list(strays(graph, parse_homes(list(self.homes))))  # type: ignore[call-overload]
        return ContractCheck(kept=not found, metadata={"strays": found})

    def render_broken_contract(self, check: ContractCheck) -> None:
        """One line per stray import."""
        for stray in check.metadata["strays"]:
            home = f"its home is {', '.join(stray.homes)}" if stray.homes else "it has no home yet"
            output.print_error(f"- {stray.importer} (l.{stray.line}) imports {stray.library}: {home}", bold=False)
