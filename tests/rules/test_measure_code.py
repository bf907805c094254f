"""The figures on function and file length are those of the code."""

from pathlib import Path

from scripts.measure_code import lengths, summary


def test_lengths_are_lines_and_empty_files_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
    (tmp_path / "app" / "a.py").write_text("def f() -> int:\n    return 1\n\n\nasync def g() -> None: ...\n")

    of_functions, of_files = lengths(tmp_path)

    assert of_functions == [(2, "app/a.py:1 f"), (1, "app/a.py:5 g")]
    assert of_files == [(5, "app/a.py")]


def test_the_summary_names_the_largest() -> None:
    measured = [(length, f"f{length}") for length in range(1, 11)]
    lines = summary("functions", measured, largest=1).splitlines()
    assert lines[0] == "functions: 10, median 6, p90 10, largest 10"
    assert lines[1].split() == ["10", "f10"]
