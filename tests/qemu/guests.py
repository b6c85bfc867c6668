# SPDX-License-Identifier: MIT
"""The emulated machines and the tests that run in each. Software emulation is slow: counts are small, limits are wide."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Test:
    name: str
    limit: int  # seconds
    program: str  # below the build directory
    args: str = ""


@dataclasses.dataclass(frozen=True)
class Guest:
    triplet: str  # names its libraries' folders
    machine: list  # QEMU's program and options
    append: str  # the kernel's command line
    status: int  # QEMU's, when the guest came to its end
    limit: int  # seconds, for the whole run
    tests: list

    def only(self, names):
        tests = [test for test in self.tests if test.name in names]
        if len(tests) != len(names):
            raise SystemExit("there is no such test; there are " + " ".join(test.name for test in self.tests))
        return dataclasses.replace(self, tests=tests)


# What is about CPUs, their slots and their lists, for every guest.
SLOTS = [
    Test("machine", 60, "tests/unit/unit-machine"),
    Test("percpu", 60, "tests/unit/unit-percpu"),
    Test("percpu_array", 60, "tests/unit/unit-percpu_array"),
    Test("faces_percpu", 60, "tests/faces/faces-percpu"),
    Test("lru_table", 60, "tests/faces/faces-lru_table"),
    Test("lru_identity", 100, "tests/semantics/lru_identity", "--seed 1 --steps 200"),
]

GUESTS = {
    # 18 CPUs are possible and 16 are there: values have slots that no thread ever runs on.
    "x86_64": Guest(
        triplet="x86_64-linux-gnu",
        machine=["qemu-system-x86_64", "-m", "1024", "-smp", "16,maxcpus=18", "-cpu", "max",
                 "-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
        append="console=ttyS0 mitigations=off preempt=full",
        status=33,
        limit=400,
        tests=[
            *SLOTS,
            Test("percpu_check", 200, "tests/qemu/percpu_check", "--guest 18:16 --rounds 30"),
            Test("percpu_add", 200, "tests/concurrency/percpu_add_test", "--threads 24 --adds 60"),
            Test("race_add", 60, "tests/concurrency/race", "--threads 16 --seconds 1 --test add"),
            Test("race_churn", 60, "tests/concurrency/race", "--threads 16 --seconds 1 --test churn --kind percpu-shared-8"),
            Test("race_take", 60, "tests/concurrency/race", "--threads 16 --seconds 1 --test take --kind shared-1000"),
            Test("lock_race", 60, "tests/concurrency/lock_race", "--seconds 1"),
        ],
    ),
    # Sequences are stretched by far more: pausing takes no time there.
    "aarch64": Guest(
        triplet="aarch64-linux-gnu",
        machine=["qemu-system-aarch64", "-M", "virt", "-m", "1024", "-smp", "4", "-cpu", "max,pauth-impdef=on"],
        append="console=ttyAMA0 mitigations=off",
        status=0,
        limit=400,
        tests=[
            *SLOTS,
            Test("percpu_check", 200, "tests/qemu/percpu_check", "--guest 4:4 --rounds 30 --stretch 20000"),
            Test("percpu_add", 200, "tests/concurrency/percpu_add_test", "--threads 16 --adds 100 --stretch 20000"),
        ],
    ),
}
