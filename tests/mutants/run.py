#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mutation run: applies each mutant to a copy of the tree, builds, and says which test of concurrency catches it.

  run.py                 all mutants (an hour or more)
  run.py --only TEXT     those whose name contains TEXT
  run.py --check-texts   only whether every replacement still applies
Exits with 1 if a mutant survives or a text isn't found.
"""
import argparse
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from mutants import MUTANTS, UNSEEN

ROOT = pathlib.Path(__file__).resolve().parents[2]
TREE = ["engine", "include", "tests", "stress", "meson.build", "meson_options.txt"]
BUILT = "tests/concurrency/"

# What is run on each mutant, the cheapest first: (program, arguments, seconds after which it counts as hung).
TESTS = [
    ("scenarios_inplace", [], 120),
    ("explore", ["--max", "25"], 600),
    ("scenarios", [], 300),
    ("scenarios_grace", [], 120),
    ("scenarios_fork", [], 300),
    ("percpu_add_test", [], 60),
    ("race", ["--seconds", "20", "--threads", "6", "--perturb", "20"], 120),
    ("explore", ["--max", "300"], 3600),
]


def mutate(root, edits):
    """Applies the edits below root; returns the files' old contents. Raises ValueError if a text doesn't occur once."""
    old = {}
    for name, text, replacement in edits:
        path = root / name
        content = path.read_text()
        if content.count(text) != 1:
            for changed, before in old.items():
                changed.write_text(before)
            raise ValueError(f"{name}: {content.count(text)} times: {text!r}")
        old.setdefault(path, content)
        path.write_text(content.replace(text, replacement))
    return old


def run(command, seconds):
    """The reason why the command failed, or None."""
    try:
        done = subprocess.run(command, timeout=seconds, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace")
    except subprocess.TimeoutExpired:
        return "hangs"
    if done.returncode == 0:
        return None
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}"
    said = [line for line in done.stdout.splitlines() if "FAILED" in line or "ERROR" in line or "--- " in line]
    return said[0].strip()[:110] if said else f"exit status {done.returncode}"


def build(directory):
    programs = sorted({BUILT + program for program, _, _ in TESTS})
    done = subprocess.run(["ninja", "-C", directory, *programs], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("the mutant doesn't compile:\n" + done.stdout[-3000:])


def try_mutant(directory):
    """(program, reason) of the first test that fails, or None."""
    for program, arguments, seconds in TESTS:
        reason = run([str(directory / BUILT / program), *arguments], seconds)
        if reason:
            return " ".join([program, *arguments]), reason
    return None


def check_texts(copy):
    bad = 0
    for name, edits in MUTANTS:
        try:
            for path, content in mutate(copy, edits).items():
                path.write_text(content)
        except ValueError as error:
            print(f"{name}: {error}")
            bad += 1
    print(f"{len(MUTANTS) - bad} of {len(MUTANTS)} mutants apply")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check-texts", action="store_true")
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    survived = 0
    with tempfile.TemporaryDirectory(prefix="usermap-mutants-") as work:
        copy = pathlib.Path(work) / "tree"
        copy.mkdir()
        for name in TREE:
            source = ROOT / name
            shutil.copytree(source, copy / name) if source.is_dir() else shutil.copy(source, copy / name)
        bad = check_texts(copy)
        if bad or options.check_texts:
            return 1 if bad else 0
        directory = pathlib.Path(work) / "build"
        subprocess.run(["meson", "setup", directory, copy, "-Dbench=false", "-Doptimization=1", "-Db_ndebug=false"],
                       check=True, stdout=subprocess.DEVNULL)
        chosen = [mutant for mutant in [("none: the engine as it is", []), *MUTANTS] if options.only in mutant[0]]
        for name, edits in chosen:
            start = time.monotonic()
            old = mutate(copy, edits)
            build(directory)
            caught = try_mutant(directory)
            for path, content in old.items():
                path.write_text(content)
            survived += (caught is None) == bool(edits)
            verdict = f"{caught[0]}: {caught[1]}" if caught else "SURVIVED" if edits else "passes"
            print(f"{name:66} {time.monotonic() - start:5.0f} s  {verdict}", flush=True)
        if not options.only:
            for name, reason in UNSEEN:
                print(f"{name:66}    -    not visible: {reason}")
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
