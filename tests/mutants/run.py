#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Mutation run: applies each mutant to a copy of the tree, builds, and says which test catches it.

  run.py                 all mutants (hours)
  run.py --only TEXT     those whose name contains TEXT
  run.py --module NAME   those of mutants.py, or eviction.py
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

import eviction
import mutants

ROOT = pathlib.Path(__file__).resolve().parents[2]
TREE = ["engine", "include", "tests", "stress", "meson.build", "meson_options.txt"]
# What is run on the mutants of a module, the cheapest first: (program, arguments, seconds after which it counts as hung).
CONCURRENCY = "tests/concurrency/"
GROUPS = [
    (mutants, [
        (CONCURRENCY + "scenarios_inplace", [], 120),
        (CONCURRENCY + "explore", ["--max", "25"], 600),
        (CONCURRENCY + "scenarios", [], 300),
        (CONCURRENCY + "scenarios_grace", [], 120),
        (CONCURRENCY + "scenarios_fork", [], 300),
        (CONCURRENCY + "percpu_add_test", [], 60),
        (CONCURRENCY + "handler_step_test", [], 60),
        (CONCURRENCY + "race", ["--seconds", "20", "--threads", "6", "--perturb", "20"], 120),
        (CONCURRENCY + "explore", ["--max", "300"], 3600),
    ]),
    (eviction, [
        (CONCURRENCY + "explore", ["--evicting", "--max", "25"], 600),
        ("tests/semantics/lru_identity", ["--seed", "1", "--steps", "1000"], 300),
        ("tests/unit/unit-s3fifo", [], 120),
        ("tests/unit/unit-stock", [], 120),
        (CONCURRENCY + "race", ["--evicting", "--seconds", "12", "--threads", "6", "--perturb", "20"], 120),
        (CONCURRENCY + "scenarios_evict", [], 300),
        (CONCURRENCY + "evict_kill_test", [], 120),
        (CONCURRENCY + "evict_step_test", [], 600),
        ("tests/unit/unit-lru", [], 120),
        ("tests/unit/unit-lru_repair", [], 120),
        (CONCURRENCY + "explore", ["--evicting", "--max", "200"], 3600),
    ]),
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


def build(directory, tests):
    programs = sorted({program for program, _, _ in tests})
    done = subprocess.run(["ninja", "-C", directory, *programs], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("the mutant doesn't compile:\n" + done.stdout[-3000:])


def try_mutant(directory, tests):
    """(program, reason) of the first test that fails, or None."""
    for program, arguments, seconds in tests:
        reason = run([str(directory / program), *arguments], seconds)
        if reason:
            return " ".join([pathlib.Path(program).name, *arguments]), reason
    return None


def check_texts(copy):
    bad = 0
    every = [mutant for module, _ in GROUPS for mutant in module.MUTANTS]
    for name, edits in every:
        try:
            for path, content in mutate(copy, edits).items():
                path.write_text(content)
        except ValueError as error:
            print(f"{name}: {error}")
            bad += 1
    print(f"{len(every) - bad} of {len(every)} mutants apply")
    return bad


def run_group(copy, directory, module, tests, only):
    """How many mutants of the module survive; the engine as it is counts if it doesn't pass."""
    survived = 0
    chosen = [mutant for mutant in [("none: the engine as it is", []), *module.MUTANTS] if only in mutant[0]]
    for name, edits in chosen:
        start = time.monotonic()
        old = mutate(copy, edits)
        build(directory, tests)
        caught = try_mutant(directory, tests)
        for path, content in old.items():
            path.write_text(content)
        survived += (caught is None) == bool(edits)
        verdict = f"{caught[0]}: {caught[1]}" if caught else "SURVIVED" if edits else "passes"
        print(f"{name:66} {time.monotonic() - start:5.0f} s  {verdict}", flush=True)
    if not only:
        for name, reason in module.UNSEEN:
            print(f"{name:66}    -    not visible: {reason}")
    return survived


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check-texts", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--module", choices=[module.__name__ for module, _ in GROUPS], help="only this module's mutants")
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
        for module, tests in GROUPS:
            if options.module in (None, module.__name__):
                survived += run_group(copy, directory, module, tests, options.only)
    return 1 if survived else 0


if __name__ == "__main__":
    sys.exit(main())
