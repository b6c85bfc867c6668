#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The names that the preload library takes over: each has its like for the engine (next.h), so that what the engine itself
calls never comes back to it; and both names of a pair are there.

  names.py LIBRARY NEXT_H
"""

import re
import subprocess
import sys

# Names that nothing calls which is compiled in this tree; and one of libgcov's.
FOREIGN = {"_IO_fopen", "mangle_path"}
# Names that the C library also has with 64 behind them.
PAIRS = "pwrite ftruncate fallocate posix_fallocate "\
        "fcntl lseek mmap open openat fopen freopen statfs fstatfs nftw stat lstat fstatat".split()


def defined(library):
    listed = subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True, text=True).stdout
    return {line.split()[-1].split("@")[0] for line in listed.splitlines()}


def main():
    library, header = sys.argv[1:]
    names = {name for name in defined(library) if not name.startswith("usermap_")}
    text = open(header).read()
    wrapped = set(re.findall(r"^(?:NEXT\([^,]*, |SAME\()(\w+),", text, re.MULTILINE))
    missing = {name for name in names - wrapped - FOREIGN if not name.startswith("__")}
    pairs = {f"{name}64" for name in PAIRS}
    if missing or pairs - names or wrapped - names:
        sys.exit(f"published but not in next.h: {missing}; no second name: {pairs - names}; not published: {wrapped - names}")
    print(f"{len(names)} names")


main()
