#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A program that uses libbpf with a skeleton (skeleton.c), built once, run on the kernel and under usermap-run, as root and as
nobody: it prints the same. So does bpftool of the maps that it leaves pinned, whose values it shows by their BTF.

  skeleton.py USERMAP-RUN PROGRAM
"""

import json
import os
import pathlib
import re
import sys

import sides

LOOKS = [["bpftool", "map", "dump", "pinned", "$/accounts"], ["bpftool", "-jp", "map", "dump", "pinned", "$/accounts"],
         ["bpftool", "-j", "map", "dump", "pinned", "$/ticks"], ["bpftool", "map", "dump", "pinned", "$/slots"],
         ["bpftool", "map", "show", "pinned", "$/accounts"], ["bpftool", "-j", "map", "show", "pinned", "$/ticks"],
         ["bpftool", "map", "lookup", "pinned", "$/accounts", "key", "1", "0", "0", "0"],
         ["bpftool", "map", "getnext", "pinned", "$/slots", "key", "1", "0", "0", "0"],
         ["bpftool", "btf", "dump", "map", "pinned", "$/accounts"],
         ["bpftool", "btf", "dump", "map", "pinned", "$/accounts", "value", "format", "c"],
         ["bpftool", "map", "show", "pinned", "$/hits"]]


def outputs(side, program, arguments):
    """What the program, and then bpftool, say."""
    side.run(["mkdir", str(side.bpffs)])
    said = [side.run([program, str(side.bpffs), *arguments])]
    said += [side.run([word.replace("$", str(side.bpffs)) for word in look]) for look in LOOKS]
    side.run(["rm", "-r", str(side.bpffs)])
    return [{"command": done.args[-1], "status": done.returncode, "out": normal(done.stdout), "err": normal(done.stderr)}
            for done in said]


def normal(text):
    text = re.sub(r"^\d+: (?=\w+  name)", "ID: ", text, flags=re.MULTILINE)
    text = re.sub(r'btf_id \d+|"btf_id":\d+|"id":\d+', "ID", text)
    return re.sub(r'memlock \d+B|"bytes_memlock":\d+', "memlock", text)


def main():
    if sys.argv[1] == "--kernel":
        sides.mount_bpffs()
        scratch, program, *arguments = sys.argv[2:]
        print(json.dumps(outputs(sides.Side([], pathlib.Path(scratch)), program, arguments)))
        return
    if os.geteuid() != 0:
        sides.skip("this user may not ask the kernel")
    run, program = (pathlib.Path(path).resolve() for path in sys.argv[1:])
    failed = 0
    with sides.scratch_directory() as name:
        scratch = pathlib.Path(name)
        sides.stage(scratch, run, run.parent / "libusermap-preload.so", program)
        staged = str(scratch / program.name)
        for who, side in sides.engine_sides(scratch).items():
            # a type that the engine may not have yet
            pinned = str(side.bpffs) + "-lru"
            made = side.run("bpftool map create".split() + [pinned, *"type lru_hash key 4 value 4 entries 9 name l".split()])
            side.run(["rm", "-f", pinned])
            arguments = [] if made.returncode == 0 else ["without-lru"]
            kernel = sides.ask_kernel(name, staged, *arguments)
            engine = outputs(side, staged, arguments)
            if not re.fullmatch(r"load: 0\n.*\nget: 0\n", kernel[0]["out"], re.DOTALL):
                sys.exit(f"the program doesn't work on the kernel: {kernel[0]}")
            for wanted, said in zip(kernel, engine, strict=True):
                if wanted != said:
                    failed += 1
                    print(f"as {who}:\nkernel: {wanted}\nengine: {said}")
            print(f"as {who}: {len(engine)} outputs {' '.join(arguments)}")
    sys.exit(1 if failed else 0)


main()
