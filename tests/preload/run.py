#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
usermap-run: what it runs, what it says, and what it exits with.

  run.py USERMAP-RUN
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

PROGRAM = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	union bpf_attr attr;
	char path[64], text[256] = "";
	FILE *file;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_HASH;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = 1;
	int fd = (int)syscall(__NR_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	/* the library's mappings tell whose map it is */
	file = fopen("/proc/self/maps", "r");
	while (fgets(text, sizeof(text), file) && !strstr(text, "usermap-bpf-map"))
		;
	printf("%s %d %s\n", fd >= 0 && strstr(text, "usermap-bpf-map") ? "engine" : "other", argc, argc > 1 ? argv[1] : "");
	return argc > 2 ? atoi(argv[2]) : 0;
}
"""


def run(words, **options):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, stdin=subprocess.DEVNULL, **options)
    return done.returncode, done.stdout, done.stderr


def expect(found, wanted, what):
    if found != wanted:
        sys.exit(f"{what}: {found}, should be {wanted}")


def compile_program(path, *flags):
    source = path.parent / "program.c"
    source.write_text(PROGRAM)
    subprocess.run(["cc", str(source), "-o", str(path), *flags], check=True)


def programs(usermap_run, scratch):
    dynamic, static, script = scratch / "dynamic", scratch / "static", scratch / "script"
    compile_program(dynamic)
    compile_program(static, "-static")
    script.write_text(f"#!/bin/sh\nexec {dynamic} of-script 5\n")
    script.chmod(0o755)
    expect(run([usermap_run, dynamic, "a b"]), (0, "engine 2 a b\n", ""), "a program")
    expect(run([usermap_run, "--", dynamic]), (0, "engine 1 \n", ""), "a program after --")
    expect(run([usermap_run, script]), (5, "engine 3 of-script\n", ""), "a script, whose children inherit the library")
    expect(run([usermap_run, "dynamic"], env={"PATH": f"/nowhere:{scratch}"}), (0, "engine 1 \n", ""), "a program in PATH")
    expect(run([usermap_run, usermap_run, dynamic]), (0, "engine 1 \n", ""), "itself")
    expect(run([dynamic])[1].split()[0], "other", "a program by itself")
    warning = "usermap-run: warning: {} is {}; it will use the kernel's maps\n"
    status, out, err = run([usermap_run, static])
    why = "statically linked, which takes --seccomp"
    expect((status, out.split()[0], err), (0, "other", warning.format(static, why)), "a static program")
    interpreted = scratch / "interpreted"
    interpreted.write_text(f"#! {static}\n")
    interpreted.chmod(0o755)
    expect(run([usermap_run, interpreted])[2], warning.format(interpreted, why), "a script of a static program")
    if os.geteuid() == 0:
        privileged = scratch / "privileged"
        shutil.copy(dynamic, privileged)
        os.chown(privileged, 1, 1)
        privileged.chmod(0o4755)
        err = run([usermap_run, privileged])[2]
        expect(err, warning.format(privileged, "a program that gains privileges (set-user-ID or the like)"), "a setuid program")


def words(usermap_run, scratch):
    expect(run([usermap_run, "--version"])[0:3:2], (0, ""), "--version")
    expect(run([usermap_run, "--help"])[0:3:2], (0, ""), "--help")
    expect(run([usermap_run])[0:2], (126, ""), "no program")
    expect(run([usermap_run, "--nonsense", "true"])[0:2], (126, ""), "an unknown option")
    expect(run([usermap_run, scratch / "missing"]),
           (127, "", f"usermap-run: {scratch}/missing: No such file or directory\n"), "a program that isn't there")
    expect(run([usermap_run, scratch])[0], 126, "a directory")
    expect(run([usermap_run, "printenv", "LD_PRELOAD"], env={**os.environ, "LD_PRELOAD": "libm.so.6"})[1],
           f"{usermap_run.parent}/libusermap-preload.so:libm.so.6\n", "what was to be preloaded before")


def places(usermap_run, scratch):
    """Beside the library, in bin/ as it is installed, and nowhere."""
    library = usermap_run.parent / "libusermap-preload.so"
    alone, spaced = scratch / "alone", scratch / "with blank"
    alone.mkdir()
    shutil.copy(usermap_run, alone)
    status, _, err = run([alone / "usermap-run", "true"])
    expect((status, err), (126, "usermap-run: libusermap-preload.so is not where it was installed\n"), "without the library")
    spaced.mkdir()
    shutil.copy(usermap_run, spaced)
    shutil.copy(library, spaced)
    expect(run([spaced / "usermap-run", "true"])[0], 126, "a path that LD_PRELOAD can't have")


def main():
    usermap_run = pathlib.Path(sys.argv[1]).resolve()
    os.environ.pop("LD_PRELOAD", None)
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        programs(usermap_run, scratch)
        words(usermap_run, scratch)
        places(usermap_run, scratch)


main()
