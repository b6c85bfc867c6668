#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
The installed library as a stranger meets it: the files are there, pkg-config finds it, programs link with it dynamically
and statically, usermap-run finds the preload library, the library exports what the headers declare and nothing else, C++
takes the headers, and dlopen loads it.
"""

import pathlib
import re
import sys
import tempfile

from stage import Stage

PROGRAM = r"""
#include <stdio.h>
#include <usermap/bpf.h>
#include <usermap/helper.h>

int main(void)
{
	struct usermap *map;
	__u32 key = 7;
	__u64 value = 42;

	if (usermap_create(BPF_MAP_TYPE_HASH, "installed", sizeof(key), sizeof(value), 16, NULL, &map) ||
	    usermap_update_elem(map, &key, &value, BPF_NOEXIST))
		return 1;
	value = 0;
	if (usermap_lookup_elem(map, &key, &value, 0))
		return 2;
	printf("%llu\n", (unsigned long long)value);
	usermap_close(map);
	return 0;
}
"""

CLIENT = r"""
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };

	if (syscall(__NR_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)) < 0)
		return 1;
	puts(getenv("LD_PRELOAD"));
	return 0;
}
"""

CTYPES = """
import ctypes, sys
lib = ctypes.CDLL(sys.argv[1])
map = ctypes.c_void_p()
key, value, got = ctypes.c_uint32(3), ctypes.c_uint64(99), ctypes.c_uint64(0)
assert lib.usermap_create(1, b"ctypes", 4, 8, 16, None, ctypes.byref(map)) == 0
assert lib.usermap_update_elem(map, ctypes.byref(key), ctypes.byref(value), ctypes.c_uint64(0)) == 0
assert lib.usermap_lookup_elem(map, ctypes.byref(key), ctypes.byref(got), ctypes.c_uint64(0)) == 0
print(got.value)
"""

HEADERS = [f"usermap/{name}" for name in ("usermap.h", "bpf.h", "helper.h", "bpf_names.h", "native/bpf/bpf_helpers.h",
                                           "native/bpf/bpf_endian.h")]
EXPORT = re.compile(r"^USERMAP_API[^;(]*?(\w+)\(", re.MULTILINE)


def expect(found, wanted, what):
    if found != wanted:
        sys.exit(f"{what}: {found}, should be {wanted}")


def files(stage):
    installed = {str(path.relative_to(stage.include_dir)) if path.suffix == ".h" else path.name
                 for path in stage.root.rglob("*") if not path.is_dir()}
    expect(installed, {*HEADERS, "libusermap.a", "libusermap.so", "libusermap.so.0", "libusermap.so.0.1.0", "usermap.pc",
                       "libusermap-preload.so", "usermap-run"},
           "installed files")


def programs(stage, scratch):
    source = scratch / "program.c"
    source.write_text(PROGRAM)
    warnings = ["-Wall", "-Wextra", "-Werror"]
    dynamic, static = str(scratch / "dynamic"), str(scratch / "static")
    stage.run(["cc", *warnings, *stage.flags("--cflags"), str(source), "-o", dynamic, *stage.flags("--libs")])
    expect(stage.run([dynamic]), "42\n", "program linked with libusermap.so")
    libraries = ["-l:libusermap.a" if flag == "-lusermap" else flag for flag in stage.flags("--static", "--libs")]
    stage.run(["cc", *warnings, *stage.flags("--cflags"), str(source), "-o", static, *libraries])
    expect(stage.run([static]), "42\n", "program linked with libusermap.a")
    expect("libusermap" in stage.run(["readelf", "-d", static]), False, "libusermap.a still needs libusermap.so")


def preload(stage, scratch):
    """A program that knows nothing of the library, run by the installed usermap-run, which finds the installed library."""
    source, program = scratch / "client.c", str(scratch / "client")
    source.write_text(CLIENT)
    stage.run(["cc", str(source), "-o", program])
    run = str(next(stage.root.rglob("usermap-run")))
    expect(stage.run([run, program]), f"{stage.library_dir / 'libusermap-preload.so'}\n", "a program under usermap-run")


def headers(stage, scratch):
    """Each header alone, as C and as C++."""
    for header in HEADERS:
        for compiler, suffix, standard in (("cc", "c", "c11"), ("c++", "cc", "c++11")):
            source = scratch / f"header.{suffix}"
            source.write_text(f"#include <{header}>\nextern int not_empty;\n")
            stage.run([compiler, f"-std={standard}", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
                       *stage.flags("--cflags"), str(source)])


def exports(stage):
    library = str(stage.library_dir / "libusermap.so")
    declared = set()
    for header in stage.root.rglob("*.h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(), flags=re.DOTALL)
        declared |= set(EXPORT.findall(text))
    lines = [line.split() for line in stage.run(["nm", "-D", "--defined-only", library]).splitlines()]
    exported = {name.split("@")[0] for _, kind, name in lines if kind != "A"}  # A: the version's own name
    expect(exported ^ declared, set(), "symbols that are exported or declared, but not both")
    dynamic = stage.run(["readelf", "-d", library])
    expect("[libusermap.so.0]" in dynamic, True, "soname is libusermap.so.0")
    # jemalloc's thread-local storage doesn't fit a library that dlopen loads.
    expect("jemalloc" in dynamic, False, "libusermap.so needs jemalloc")


def dlopen(stage):
    library = str(stage.library_dir / "libusermap.so")
    expect(stage.run([sys.executable, "-c", CTYPES, library]), "99\n", "a map made through ctypes")


def main():
    meson, build_dir = sys.argv[1:]
    with tempfile.TemporaryDirectory() as name:
        scratch = pathlib.Path(name)
        stage = Stage(meson, build_dir, scratch)
        files(stage)
        programs(stage, scratch)
        preload(stage, scratch)
        headers(stage, scratch)
        exports(stage)
        dlopen(stage)


main()
