#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures usermap against its targets: the peers (bench/micro) and the live kernel (bench/sidebyside).

Prints each target beside the ratio that was measured, and exits with 1 if one is missed. Every ratio is one of medians
of repetitions that were interleaved in one run."""
import argparse
import collections
import json
import os
import statistics
import subprocess
import sys
import tempfile

PEERS = ["rculfhash", "ck_ht", "ck_rhs", "tbb"]
SIZES = [10000, 1000000]
BIG = 16000000
# How much faster than rculfhash the prototype of the index was at 1 M hits, and how much of that may be lost.
PROTOTYPE, ALLOWANCE = 3.5, 1.15

Target = collections.namedtuple("Target", "name wanted ratio base_ns ns")


def progress(text):
    print(text, file=sys.stderr, flush=True)


def run_micro(build, repetitions, cpu):
    """{(op, table, entries, threads): ns per operation}, of medians."""
    ops = "hit|miss|insert|update|delete.insert"
    wanted = f"^({ops})/(usermap|{'|'.join(PEERS)}|ck_ht_direct)/({'|'.join(map(str, SIZES))})/.*threads:1$"
    two = f"^(hit|miss)/usermap/({'|'.join(map(str, SIZES))})/.*threads:2$"
    bulk = f"^(hit|bulk)/usermap/{BIG}/"
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        progress(f"peers: {repetitions} interleaved repetitions (bench/micro)")
        subprocess.run([os.path.join(build, "micro"), f"--benchmark_filter={wanted}|{two}|{bulk}",
                        f"--benchmark_repetitions={repetitions}", f"--benchmark_out={out.name}",
                        "--benchmark_out_format=json", "--benchmark_report_aggregates_only=false"],
                       check=True, stdout=subprocess.DEVNULL)
        runs = json.load(out)["benchmarks"]
    samples = collections.defaultdict(list)
    for run in runs:
        if run.get("error_occurred"):
            sys.exit(f"{run['name']}: {run['error_message']}")
        if run["run_type"] == "iteration":
            op, table, entries = run["name"].split("/")[:3]
            share = run["cpu_time"] / run["real_time"] / run["threads"] if cpu else 1
            samples[op, table, int(entries), run["threads"]].append(1e9 / run["items_per_second"] * share)
    return {key: statistics.median(values) for key, values in samples.items()}


def run_sidebyside(build, rounds, cpu):
    """{(op, table, entries): ns per operation}, of medians."""
    progress(f"live kernel: {rounds} interleaved rounds (bench/sidebyside)")
    command = [os.path.join(build, "sidebyside"), "--json", f"--rounds={rounds}"] + ["--cpu"] * cpu
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return {(c["op"], c["table"], c["entries"]): c["ns"] for c in json.loads(out)["cells"]}


def size_name(entries):
    return f"{entries // 1000000} M" if entries >= 1000000 else f"{entries // 1000} k"


def peer_targets(ns):
    for op, wanted in [("hit", 2), ("miss", 2), ("insert", 2), ("update", 1.3), ("delete+insert", 1.3)]:
        for entries in SIZES:
            best = min(PEERS, key=lambda peer: ns[op, peer, entries, 1])
            base, own = ns[op, best, entries, 1], ns[op, "usermap", entries, 1]
            yield Target(f"{op} {size_name(entries)} against the best peer ({best})", wanted, base / own, base, own)
    base, own = ns["hit", "rculfhash", 1000000, 1], ns["hit", "usermap", 1000000, 1]
    yield Target("hit 1 M against rculfhash, as the prototype", PROTOTYPE / ALLOWANCE, base / own, base, own)
    base, own = ns["hit", "usermap", BIG, 1], ns["bulk", "usermap", BIG, 1]
    yield Target("bulk lookup against single at 16 M", 1.8, base / own, base, own)
    for op in ["hit", "miss"]:
        for entries in SIZES:
            base, own = ns[op, "usermap", entries, 1], ns[op, "usermap", entries, 2]
            yield Target(f"{op} {size_name(entries)}, two threads against one", 1.8, base / own, base, own)


def kernel_targets(ns):
    single = ["lookup hit", "lookup miss", "update", "delete+insert"]
    for table, factors in [("usermap_bpf", {10000: 2, 1000000: 4}), ("usermap_bpf_unchecked", {10000: 5, 1000000: 5})]:
        for entries, wanted in factors.items():
            for op in single:
                yield kernel_target(ns, op, entries, "kernel", table, wanted)
    for entries in SIZES:
        for op in ["batch lookup", "batch update", "batch delete"]:
            yield kernel_target(ns, op, entries, "kernel", "usermap_bpf", 8)
    yield kernel_target(ns, "lookup hit", 1000000, "kernel_program", "usermap_program", 3)


def kernel_target(ns, op, entries, kernel, table, wanted):
    base, own = ns[op, kernel, entries], ns[op, table, entries]
    return Target(f"{op} {size_name(entries)}, {table} against {kernel}", wanted, base / own, base, own)


def print_table(targets):
    print(f"{'':62} {'wanted':>7} {'measured':>8} {'ns':>17}")
    for t in targets:
        verdict = "pass" if t.ratio >= t.wanted else "MISS"
        print(f"{t.name:62} {t.wanted:6.2f}x {t.ratio:7.2f}x {t.base_ns:8.1f}{t.ns:9.1f}  {verdict}")
    missed = sum(t.ratio < t.wanted for t in targets)
    print(f"{len(targets) - missed} targets reached, {missed} missed")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build/bench", help="the folder of micro and sidebyside (build/bench)")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: under a minute, less certain")
    parser.add_argument("--cpu", action="store_true",
                        help="CPU time instead of wall time, for a machine with other load (waiting is not seen)")
    parser.add_argument("--json", action="store_true", help="print the targets and all medians as JSON")
    args = parser.parse_args()
    peers = run_micro(args.build, 3 if args.quick else 11, args.cpu)
    kernel = run_sidebyside(args.build, 5 if args.quick else 25, args.cpu)
    targets = list(peer_targets(peers))
    if any(table == "kernel_program" for _, table, _ in kernel):
        targets += kernel_targets(kernel)
    else:
        progress("bpf(2) is not permitted here: no comparison with the kernel")
    if args.json:
        json.dump({"targets": [t._asdict() for t in targets],
                   "peers": [dict(zip(("op", "table", "entries", "threads"), key), ns=ns) for key, ns in peers.items()],
                   "kernel": [dict(zip(("op", "table", "entries"), key), ns=ns) for key, ns in kernel.items()]},
                  sys.stdout, indent=1)
    else:
        print_table(targets)
    sys.exit(any(t.ratio < t.wanted for t in targets))


if __name__ == "__main__":
    main()
