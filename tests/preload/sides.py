# SPDX-License-Identifier: MIT
"""
The two sides of a comparison of programs: the kernel, asked as root in a mount namespace of its own with a bpffs; and the
engine, by usermap-run, as root and as nobody.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

BPFFS = "/sys/fs/bpf"
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
SKIPPED = 77


class Side:
    """A way to run programs, and directories for pins that both sides call by the same names."""

    def __init__(self, prefix, scratch):
        self.prefix = prefix
        self.bpffs = pathlib.Path(BPFFS) / scratch.name
        self.tmpfs = pathlib.Path("/dev/shm") / scratch.name
        self.env = dict(os.environ, LC_ALL="C")

    def run(self, words):
        # replaced: what isn't UTF-8; other programs' maps may have such names
        return subprocess.run(self.prefix + words, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              errors="replace")


def mount_bpffs():
    while subprocess.run(["umount", BPFFS], capture_output=True).returncode == 0:
        pass
    if subprocess.run(["mount", "-t", "bpf", "bpf", BPFFS]).returncode:
        sys.exit(SKIPPED)


def ask_kernel(*arguments):
    """Executes this program in a mount namespace, where it is to call mount_bpffs() and to print JSON; returns what it
    printed."""
    program = str(pathlib.Path(sys.argv[0]).resolve())
    asked = subprocess.run(["unshare", "--mount", "--propagation", "private", sys.executable, program, "--kernel", *arguments],
                           capture_output=True, text=True)
    if asked.returncode == SKIPPED or asked.stderr.startswith("unshare:"):
        skip(f"the kernel can't be asked: {asked.stderr}")
    if asked.returncode:
        sys.exit(f"asking the kernel failed: {asked.stderr}")
    return json.loads(asked.stdout)


def skip(why):
    print(why)
    sys.exit(SKIPPED)


def stage(scratch, *files):
    """Copies files to where nobody, too, can read them."""
    scratch.chmod(0o755)
    for file in files:
        shutil.copy(file, scratch)


def scratch_directory():
    return tempfile.TemporaryDirectory(prefix="usermap-")


def engine_sides(scratch):
    """The engine's sides by the names of their users; usermap-run is staged."""
    run = str(scratch / "usermap-run")
    return {"root": Side([run], scratch), "nobody": Side([*NOBODY, run], scratch)}
