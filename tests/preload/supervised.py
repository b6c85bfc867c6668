#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Runs a program under usermap-run --seccomp, if the kernel lets programs be supervised.

  supervised.py USERMAP-RUN PROGRAM ARGUMENT...     exits with what the program exits with, or with 77
"""

import os
import subprocess
import sys

import sides

run, *program = sys.argv[1:]
refused = subprocess.run([run, "--seccomp", "true"], capture_output=True, text=True)
if refused.returncode == 126:
    sides.skip(refused.stderr)
os.execv(run, [run, "--seccomp", *program])
