#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The rules of the source tree that a program can check: the licence line, line and file length, no trailing blanks,
includes that point down only (preload -> seccomp -> face -> map -> core), and that the tests which docs/guarantees.md
names exist.
"""

import pathlib
import re
import sys

LAYERS = ["core", "map", "face", "seccomp", "preload"]
SOURCES = {".c", ".h", ".cc", ".py", ".sh"}
FOLDERS = ["include", "engine", "bench", "stress", "tests", ".ci"]
MAX_COLUMNS = 128  # 120 is the aim; the last word of a comment may stand over it
MAX_LINES = 600
MAX_TEST_LINES = 800  # tests are lists
INCLUDE = re.compile(r'^#include "(\w+)/')


def sources(root):
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SOURCES or (folder == ".ci" and path.is_file() and not path.suffix):
                yield path
    yield from (root / "run.sh", root / "test.sh")


def faults(path, root):
    lines = path.read_text().splitlines()
    if not any("SPDX-License-Identifier: MIT" in line for line in lines[:2]):
        yield 1, "no licence line"
    parts = path.relative_to(root).parts
    if len(lines) > (MAX_TEST_LINES if parts[0] == "tests" else MAX_LINES):
        yield len(lines), "too many lines"
    layer = LAYERS.index(parts[1]) if parts[0] == "engine" and parts[1] in LAYERS else None
    for number, line in enumerate(lines, 1):
        if len(line.expandtabs(8)) > MAX_COLUMNS:
            yield number, f"more than {MAX_COLUMNS} columns"
        if line != line.rstrip():
            yield number, "trailing blanks"
        include = INCLUDE.match(line)
        if layer is not None and include and include[1] in LAYERS and LAYERS.index(include[1]) > layer:
            yield number, f"{LAYERS[layer]} includes {include[1]}"


def unkept_promises(root):
    """docs/guarantees.md names tests; they must exist."""
    carriers = (root / "docs/guarantees.md").read_text().split("## Which tests carry which")[1]
    texts = [path.read_text() for suffix in ("c", "h", "build") for path in (root / "tests").rglob(f"*.{suffix}")]
    for name in re.findall(r"`([\w-]+)`", carriers.split("|---|---|")[1]):
        if not name.startswith("-") and not any(name in text for text in texts):
            yield f"docs/guarantees.md: there is no {name} in tests/"


def main():
    root = pathlib.Path(sys.argv[1])
    found = [f"{path.relative_to(root)}:{line}: {fault}" for path in sources(root) for line, fault in faults(path, root)]
    sys.exit("\n".join([*found, *unkept_promises(root)]) or None)


main()
