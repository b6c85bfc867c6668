#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
Runs a program under usermap-run --seccomp, if the kernel lets programs be supervised.

  supervised.py [--one-cpu] USERMAP-RUN PROGRAM ARGUMENT...     exits with what the program exits with, or with 77

--one-cpu: on one CPU, for answers that depend on it. What an LRU map evicts goes by the CPU on which a call is served.
"""

import os
import subprocess
import sys

import sides

arguments = sys.argv[1:]
if arguments[0] == "--one-cpu":
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    arguments = arguments[1:]
run, *program = arguments
refused = subprocess.run([run, "--seccomp", "true"], capture_output=True, text=True)
if refused.returncode == 126:
    sides.skip(refused.stderr)
os.execv(run, [run, "--seccomp", *program])
