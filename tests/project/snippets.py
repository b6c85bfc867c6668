#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Compiles and runs what README.md and docs/ show, against a staged installation. The word after a fence's ``` tells what
a block is:

  c NAME.c   a complete program: compiled with all warnings as errors, run, must exit with 0
  c bpf P.c  a BPF program's source, for a program of the same document to include: where there is a clang, it must compile for
             the kernel, too
  c body     statements: they are given a main(), the public headers, and `map`, a HASH of __u64 to __u64 with 1000 entries
  sh         commands: run by `bash -e` in a directory that holds the programs the same document showed before
  output     what the program or the commands just before print, to the letter
  console    commands that aren't run here; the ./ files they name must exist in the repository

Any other word is refused, so that no block goes untested by a slip.
"""

import pathlib
import re
import shutil
import sys
import tempfile

from stage import Stage

FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

WRAPPED = r"""
#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <usermap/bpf.h>
#include <usermap/helper.h>

int main(void)
{
	struct usermap *map;

	if (usermap_create(BPF_MAP_TYPE_HASH, "snippet", 8, 8, 1000, NULL, &map))
		return 1;
	{
%s
	}
	usermap_close(map);
	return 0;
}
"""


class Document:
    def __init__(self, path, root, stage, scratch):
        self.path, self.root, self.stage = path, root, stage
        self.scratch = scratch / path.name
        self.scratch.mkdir()
        self.printed = None
        self.blocks = 0

    def compile_and_run(self, name, source):
        (self.scratch / name).write_text(source)
        program = str(self.scratch / name.removesuffix(".c"))
        self.stage.run(["cc", "-Wall", "-Wextra", "-Werror", "-pthread", *self.stage.native_flags(),
                        *self.stage.flags("--cflags"), str(self.scratch / name), "-o", program, *self.stage.flags("--libs")])
        return self.stage.run([program], cwd=self.scratch)

    def compile_for_kernel(self, name, source):
        (self.scratch / name).write_text(source)
        if shutil.which("clang"):
            system = "/usr/include/" + self.stage.run(["cc", "-print-multiarch"]).strip()
            self.stage.run(["clang", "-target", "bpf", "-O2", "-g", "-Wall", "-Wextra", "-Werror", f"-I{system}", "-c",
                            str(self.scratch / name), "-o", str(self.scratch / name.replace(".c", ".o"))])

    def check_console(self, body):
        for name in re.findall(r"(?<![\w/.])\./([\w./-]+)", body):
            if not (self.root / name).exists():
                sys.exit(f"{self.path}: there is no ./{name}")

    def block(self, info, body):
        self.blocks += 1
        match info.split():
            case ["c", "bpf", name]:
                self.compile_for_kernel(name, body)
            case ["c", "body"]:
                self.printed = self.compile_and_run(f"body{self.blocks}.c", WRAPPED % body)
            case ["c", name]:
                self.printed = self.compile_and_run(name, body)
            case ["sh"]:
                self.printed = self.stage.run(["bash", "-e", "-c", body], cwd=self.scratch)
            case ["output"]:
                if self.printed != body:
                    sys.exit(f"{self.path}: printed\n{self.printed}should be\n{body}")
            case ["console"]:
                self.check_console(body)
            case []:
                pass  # drawings
            case _:
                sys.exit(f"{self.path}: a block of unknown kind: ```{info}")

    def check(self):
        for info, body in FENCE.findall(self.path.read_text()):
            self.block(info, body)
        print(f"{self.path.relative_to(self.root)}: {self.blocks} blocks")


def main():
    meson, build_dir, root = sys.argv[1:]
    root = pathlib.Path(root)
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        stage = Stage(meson, build_dir, scratch)
        for path in [root / "README.md", *sorted((root / "docs").glob("*.md"))]:
            Document(path, root, stage, scratch).check()


main()
