"""Habits that a machine can check."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

LINE_COLUMNS = 100
FUNCTION_LINES = 80  # "about 70"


def sources(*suffixes):
    folders = ["src", "include", "tests", "fuzz", "bench", "tools", "examples"]
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*")
        if path.is_file()
        and path.suffix in suffixes
        and not {"corpus", "results", "__pycache__"} & set(path.parts)
    )


def scripts():
    """Executable files with a #! line, by their interpreter."""
    for folder in ["tools", "tests", "bench", ".ci"]:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.stat().st_mode & 0o100:
                first = path.read_bytes().split(b"\n", 1)[0]
                if first.startswith(b"#!/"):
                    yield path, first.decode()


def everything():
    return sources(".c", ".h", ".py") + [path for path, _ in scripts() if not path.suffix]


def name(path):
    return str(path.relative_to(ROOT))


def test_lines_are_short_and_clean():
    faults = []
    for path in everything():
        text = path.read_text()
        if text and not text.endswith("\n"):
            faults.append(f"{name(path)}: no newline at the end")
        for number, line in enumerate(text.split("\n"), 1):
            where = f"{name(path)}:{number}"
            if len(line.expandtabs(8)) > LINE_COLUMNS:
                faults.append(f"{where}: longer than {LINE_COLUMNS} columns")
            if line != line.rstrip():
                faults.append(f"{where}: blanks at the end")
    assert not faults, "\n".join(faults)


def test_nothing_was_half_merged():
    mark = re.compile(r"^(<{7} |>{7} |={7}$)", re.MULTILINE)
    listed = subprocess.run(
        ["git", "-c", "safe.directory=*", "-C", ROOT, "ls-files", "-z"],
        capture_output=True, check=False,
    ).stdout.split(b"\0")
    texts = [ROOT / path.decode() for path in listed if path] or everything()
    faults = [
        name(path)
        for path in texts
        if path.is_file()
        and not path.is_symlink()
        and "corpus" not in path.parts
        and mark.search(path.read_text(errors="replace"))
    ]
    assert not faults


def test_c_is_indented_with_tabs():
    faults = [
        f"{name(path)}:{number}"
        for path in sources(".c", ".h")
        for number, line in enumerate(path.read_text().split("\n"), 1)
        if line.startswith("    ")
    ]
    assert not faults


def functions(text):
    """(line, length) of each function: from the line of its name to its closing brace."""
    lines = text.split("\n")
    start = None
    for number, line in enumerate(lines, 1):
        if re.match(r"[A-Za-z_]", line):
            start = number
        elif line == "}" and start:
            yield start, number - start + 1
            start = None


def test_functions_fit_a_screen():
    faults = [
        f"{name(path)}:{line}: {length} lines"
        for path in sources(".c")
        for line, length in functions(path.read_text())
        if length > FUNCTION_LINES
    ]
    assert not faults, "\n".join(faults)


def test_long_functions_are_seen():
    body = "\tx();\n" * FUNCTION_LINES
    assert list(functions(f"int f(void)\n{{\n{body}}}\n")) == [(1, FUNCTION_LINES + 3)]


def test_headers_are_guarded_by_their_path():
    faults = []
    for path in sorted((ROOT / "src").rglob("*.h")) + sorted((ROOT / "include").rglob("*.h")):
        stem = "_".join(path.relative_to(ROOT).parts[1:]).upper()
        guard = re.sub(r"[^A-Z0-9]", "_", stem)
        guard = guard if guard.startswith("COFFER_") else f"COFFER_{guard}"
        if f"#ifndef {guard}\n#define {guard}\n" not in path.read_text():
            faults.append(f"{name(path)}: wants the guard {guard}")
    assert not faults, "\n".join(faults)


def test_nothing_is_left_for_later():
    # Split, so that this file is not its own finding.
    words = re.compile(r"\b(" + "|".join(["TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK"]) + r")\b")
    faults = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in everything()
        for number, line in enumerate(path.read_text().split("\n"), 1)
        if words.search(line)
    ]
    assert not faults, "\n".join(faults)


def test_every_source_is_built():
    faults = []
    for path in sorted((ROOT / "src").rglob("*.c")):
        build = path.parent / "meson.build"
        wanted = f"'{path.name}'"
        if not build.exists():
            build, wanted = ROOT / "meson.build", f"'{name(path)}'"
        if wanted not in build.read_text():
            faults.append(f"{name(path)} is not in {name(build)}")
    for path, pattern in [("tests/unit", "test_*.c"), ("fuzz", "fuzz_*.c")]:
        listed = (ROOT / path / "meson.build").read_text()
        for source in sorted((ROOT / path).glob(pattern)):
            stem = source.stem.split("_", 1)[1]
            if f"'{stem}'" not in listed:
                faults.append(f"{name(source)} is not in {path}/meson.build")
    assert not faults, "\n".join(faults)


def test_scripts_parse():
    interpreters = set()
    for path, first in scripts():
        if "python" in first:
            compile(path.read_text(), str(path), "exec")
            interpreters.add("python")
        else:
            subprocess.run(["bash", "-n", str(path)], check=True)
            interpreters.add("shell")
    assert interpreters == {"python", "shell"}
