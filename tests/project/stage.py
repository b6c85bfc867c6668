# SPDX-License-Identifier: MIT
"""A staged installation: the build installed below a scratch directory, and the environment to compile against it."""

import os
import pathlib
import subprocess
import sys


class Stage:
    def __init__(self, meson, build_dir, scratch):
        self.root = pathlib.Path(scratch) / "stage"
        self.run([*meson.split(), "install", "-C", build_dir, "--no-rebuild", "--quiet", "--destdir", str(self.root)])
        self.library_dir = next(self.root.rglob("libusermap.so")).parent
        self.include_dir = next(self.root.rglob("include/usermap")).parent
        programs = next(self.root.rglob("usermap-run")).parent
        self.env = dict(os.environ, PATH=f"{programs}:{os.environ['PATH']}:/usr/sbin", LD_LIBRARY_PATH=str(self.library_dir),
                        PKG_CONFIG_PATH=str(self.library_dir / "pkgconfig"), PKG_CONFIG_SYSROOT_DIR=str(self.root))

    def run(self, command, **options):
        """Runs a command that must succeed; returns what it printed."""
        options.setdefault("env", getattr(self, "env", None))
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, **options)
        if done.returncode != 0:
            sys.exit(f"{command} exited with {done.returncode}:\n{done.stdout}")
        return done.stdout

    def flags(self, *options):
        return self.run(["pkg-config", *options, "usermap"]).split()

    def native_flags(self):
        """For the sources of BPF programs: the headers that stand in for libbpf's."""
        return [f"-I{directory}" for directory in self.flags("--variable=nativedir")]
