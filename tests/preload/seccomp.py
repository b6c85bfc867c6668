#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
usermap-run --seccomp: programs that no library can be loaded into. A static one gets the same answers as from the kernel's
maps, as root and as nobody; and how supervision begins and ends.

  seccomp.py USERMAP-RUN CLIENT BARE     exits with 77 if the kernel doesn't let programs be supervised
"""

import json
import os
import pathlib
import select
import shutil
import signal
import subprocess
import sys

import sides

SPEED = ["speed", "20000"]


def expect(found, wanted, what):
    if found != wanted:
        sys.exit(f"{what}: {found!r}, should be {wanted!r}")


def ask(side, *words):
    done = side.run([str(word) for word in words])
    return done.returncode, done.stdout


def start(side, *words):
    return subprocess.Popen(side.prefix + [str(word) for word in words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            text=True, env=side.env)


def answers(who, side, client, scratch, kernel):
    """The rows on the engine, in a directory of a tmpfs, against the kernel's, with a bpffs there."""
    directory = side.tmpfs
    directory.mkdir()
    try:
        status, out = ask(side, client, directory)
    finally:
        # the pins, which only the library sees
        plain = sides.engine_sides(scratch)[who]
        plain.run(["rm", *(str(directory / name) for name in ("absolute", "by_directory", "relative"))])
        directory.rmdir()
    expect(status, 0, f"as {who}: the rows' end")
    differ = [f"  kernel: {wanted}\n  engine: {said}" for wanted, said in zip(kernel, out.splitlines(), strict=False)
              if wanted != said]
    if differ or len(kernel) != len(out.splitlines()):
        sys.exit("\n".join([f"as {who}: answers differ:", *differ]))
    print(f"as {who}: {len(kernel)} lines are the kernel's")


def ends(who, side, client, scratch):
    expect(ask(side, client, "killed")[0], -signal.SIGKILL, "a program that is killed")
    program = start(side, client, "terminated")
    expect(program.stdout.readline(), "ready\n", "a program")
    if who == "root":  # of nobody's, this process has setpriv's number, which is usermap-run's, too
        program.send_signal(signal.SIGTERM)
    else:
        os.kill(program.pid, signal.SIGTERM)
    expect(program.wait(), 7, "a program that got its signal")
    expect(ask(side, scratch / "missing")[0], 127, "a program that isn't there")
    expect(ask(side, scratch)[0], 126, "a directory")
    expect(ask(side, scratch / "usermap-run", "--seccomp", client, "whose")[0], 126, "supervision in supervision")


def daemons(side, client):
    """Supervision lasts while there is anybody to supervise, and maps as long as their descriptors."""
    daemon = start(side, client, "daemon")
    map_id = daemon.stdout.readline().strip()
    expect(ask(side, client, "fetch", map_id), (0, "5\n"), "a daemon's map")
    if shutil.which("bpftool"):
        said = ask(side, "bpftool", "map", "lookup", "id", map_id, "key", "0", "0", "0", "0")
        expect(said, (0, "key: 00 00 00 00  value: 05 00 00 00 00 00 00 00\n"), "bpftool")
    expect(daemon.poll(), None, "the supervisor of a daemon")
    daemon.stdin.close()
    expect(daemon.wait(), 9, "the program that left a daemon")
    expect(ask(side, client, "fetch", map_id), (0, "-2\n"), "the map that it had")


def closes(side):
    """What the program closes is closed: nobody else has it."""
    end, passed = os.pipe()
    command = [*side.prefix, "bash", "-c", f"exec {passed}>&-; read -r line"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, env=side.env, pass_fds=[passed]) as program:
        os.close(passed)
        closed = select.select([end], [], [], 60)[0]
        program.stdin.close()
    os.close(end)
    expect(closed, [end], "a pipe that the program has closed")


def check(who, side, scratch, client, bare, kernel):
    refused = side.run(["true"])
    if refused.returncode == 126:
        sides.skip(refused.stderr)
    status, link = ask(side, client, "whose")
    expect((status, "/usermap-bpf-map-" in link), (0, True), f"where a descriptor leads: {link}")
    expect(ask(side, bare), (42, ""), "a program without the C library")
    answers(who, side, client, scratch, kernel)
    ends(who, side, client, scratch)
    daemons(side, client)
    closes(side)
    print(f"as {who}: {ask(side, client, *SPEED)[1].strip()}")


def ask_rows(directory, client):
    sides.mount_bpffs()
    pathlib.Path(directory).mkdir()
    subprocess.run(["mount", "-t", "bpf", "bpf", directory], check=True)
    done = subprocess.run([client, directory], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=True)
    speed = subprocess.run([client, *SPEED], capture_output=True, text=True, check=True)
    print(json.dumps({"rows": done.stdout.splitlines(), "speed": speed.stdout.strip()}))
    subprocess.run(["umount", directory], check=True)
    os.rmdir(directory)


def main():
    if sys.argv[1] == "--kernel":
        ask_rows(*sys.argv[2:])
        return
    if os.geteuid() != 0:
        sides.skip("this user may not ask the kernel")
    run, client, bare = (pathlib.Path(path).resolve() for path in sys.argv[1:])
    with sides.scratch_directory() as name:
        scratch = pathlib.Path(name)
        sides.stage(scratch, run, run.parent / "libusermap-preload.so", client, bare)
        staged = str(scratch / client.name)
        kernel = None
        for who, side in sides.engine_sides(scratch).items():
            kernel = kernel or sides.ask_kernel(str(side.tmpfs), staged)
            supervised = sides.Side([*side.prefix, "--seccomp"], scratch)
            check(who, supervised, scratch, staged, str(scratch / bare.name), kernel["rows"])
        print(f"the kernel: {kernel['speed']}")


main()
