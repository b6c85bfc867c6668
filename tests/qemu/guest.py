#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Runs tests of a build in an emulated machine of many CPUs, with Debian's cloud kernel.

QEMU emulates in software: the machines that build this project have few CPUs and need not lend theirs. The guest's only
file system is an initramfs made here of init.c, the tests, and the libraries they need. What ran is judged by init's lines
on the serial console: every test must have said that it passed, and the guest must have come to its end. The console is
printed to stderr if anything failed.

The guest's kernel is 6.1, and so no oracle for 6.18: what runs here checks itself.
"""

import argparse
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from guests import GUESTS


def dynamic(path):
    """What a program or library asks of the dynamic linker: names of libraries, and folders of its own to look in."""
    text = subprocess.run(["readelf", "-dW", path], capture_output=True, text=True, check=True).stdout
    folders = re.findall(r"\(RUNPATH\).*\[(.*)\]", text)
    own = [pathlib.Path(folder.replace("$ORIGIN", str(path.parent))) for entry in folders for folder in entry.split(":")]
    return re.findall(r"\(NEEDED\).*\[(.*)\]", text), own


def libraries(program, folders):
    """All that the dynamic linker would load for a program, {name: path}."""
    found, todo = {}, [program]
    while todo:
        names, own = dynamic(todo.pop())
        for name in set(names) - set(found):
            found[name] = next(folder / name for folder in [*own, *folders] if (folder / name).exists())
            todo.append(found[name])
    return found


def linker(program):
    """The dynamic linker, as the program names it."""
    text = subprocess.run(["readelf", "-lW", program], capture_output=True, text=True, check=True).stdout
    return re.search(r"program interpreter: /(\S+)\]", text)[1]


def make_root(guest, build, sysroot, root):
    """The guest's files below root."""
    for folder in ("dev", "proc", "sys", "tmp", "lib"):
        (root / folder).mkdir()
    folders = [sysroot / lib / guest.triplet for lib in ("lib", "usr/lib")]
    for name in {"tests/qemu/init"} | {test.program for test in guest.tests}:
        program = build / name
        shutil.copy(program, root / program.name)
        for name, path in libraries(program, folders).items():
            shutil.copy(path, root / "lib" / name)
        at = linker(program)
        (root / at).parent.mkdir(exist_ok=True)
        shutil.copy(sysroot / at, root / at)
    lines = [f"{test.limit} {test.name} /{pathlib.Path(test.program).name} {test.args}\n" for test in guest.tests]
    (root / "tests").write_text("".join(lines))


def make_initramfs(root, image):
    names = "\0".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    with open(image, "wb") as out:
        subprocess.run(["cpio", "--null", "-o", "-H", "newc", "-R", "0:0", "--quiet"], cwd=root, input=names.encode(),
                       stdout=out, check=True)


def boot(guest, kernel, image, console):
    """The status of QEMU; None if the guest had to be stopped."""
    command = [*guest.machine, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-accel", "tcg,thread=multi",
               "-kernel", kernel, "-initrd", image, "-append", f"{guest.append} quiet panic=-1 oops=panic",
               "-serial", f"file:{console}"]
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, timeout=guest.limit).returncode
    except subprocess.TimeoutExpired:
        return None


def judge(guest, status, text):
    """Prints a line for each test and returns how many didn't pass; the guest's own end counts as one more."""
    failed = 0
    for test in guest.tests:
        said = re.findall(rf"^guest: (ok|failed) {re.escape(test.name)}: (.*)$", text, re.MULTILINE)
        word, why = said[0] if len(said) == 1 else ("failed", "the guest doesn't say how it ended")
        print(f"{'ok' if word == 'ok' else 'not ok'} - {test.name} ({why})")
        failed += word != "ok"
    if status != guest.status or not re.search(r"^guest: over$", text, re.MULTILINE):
        print(f"not ok - the guest comes to its end (QEMU's status is {status}, not {guest.status})")
        failed += 1
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("guest", choices=GUESTS)
    parser.add_argument("kernel", type=pathlib.Path, help="its image")
    parser.add_argument("build", type=pathlib.Path, help="the build directory with the tests")
    parser.add_argument("--sysroot", type=pathlib.Path, default=pathlib.Path("/"), help="where the guest's libraries are")
    parser.add_argument("--only", action="append", help="run this test alone; may be given several times")
    options = parser.parse_args()
    guest = GUESTS[options.guest]
    if options.only:
        guest = guest.only(options.only)
    with tempfile.TemporaryDirectory(prefix="guest-") as name:
        folder = pathlib.Path(name)
        root = folder / "root"
        root.mkdir()
        make_root(guest, options.build, options.sysroot, root)
        make_initramfs(root, folder / "image")
        status = boot(guest, options.kernel, folder / "image", folder / "console")
        console = folder / "console"
        text = console.read_text(errors="replace").replace("\r", "") if console.exists() else ""
    failed = judge(guest, status, text)
    if failed:
        print("--- the guest's console\n" + text + "--- end", file=sys.stderr)
    sys.exit(failed != 0)


main()
