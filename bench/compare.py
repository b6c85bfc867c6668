#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Measures usermap against its targets: the peers (bench/micro) and the live kernel (bench/sidebyside, bench/lru).

Prints each target beside the ratio that was measured, and exits with 1 if one is missed; then, of the types that have no
targets, what was measured beside the kernel's, and the ways to count (bench/counters). Every ratio is one of medians of
repetitions that were interleaved in one run."""
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


def run_gbench(build, program, repetitions, cpu, wanted="."):
    """{(the parts of the name, threads): ns per operation}, of medians."""
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        progress(f"{repetitions} interleaved repetitions of bench/{program}")
        subprocess.run([os.path.join(build, program), f"--benchmark_filter={wanted}",
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


def run_micro(build, repetitions, cpu):
    ops = "hit|miss|insert|update|delete.insert"
    wanted = f"^({ops})/(usermap|{'|'.join(PEERS)}|ck_ht_direct)/({'|'.join(map(str, SIZES))})/.*threads:1$"
    two = f"^(hit|miss)/usermap/({'|'.join(map(str, SIZES))})/.*threads:2$"
    bulk = f"^(hit|bulk)/usermap/{BIG}/"
    return run_gbench(build, "micro", repetitions, cpu, f"{wanted}|{two}|{bulk}")


def run_lru(build, repetitions, cpu):
    # The kernel's maps of a million entries take seconds to make: few of them, and no new ones for every repetition.
    return run_gbench(build, "lru", repetitions, cpu, "^(evict|cache|hit)/|/10000/")


def run_sidebyside(build, rounds, cpu):
    """{(type, op, table, entries): ns per operation}, of medians."""
    progress(f"{rounds} interleaved rounds of bench/sidebyside")
    command = [os.path.join(build, "sidebyside"), "--json", f"--rounds={rounds}", "--seconds=600"] + ["--cpu"] * cpu
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return {(c["type"], c["op"], c["table"], c["entries"]): c["ns"] for c in json.loads(out)["cells"]}


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
    base, own = ns["HASH", op, kernel, entries], ns["HASH", op, table, entries]
    return Target(f"{op} {size_name(entries)}, {table} against {kernel}", wanted, base / own, base, own)


def lru_targets(ns):
    for entries in SIZES:
        size = size_name(entries)
        for kind in ["hash", "percpu_hash"]:
            form = f"lru_{kind}"
            if ("evict", f"kernel_program_{form}", entries, 1) in ns:
                for own, base, wanted in [(form, form, 1.5), (f"{form}_own", f"{form}_own", 1.5), (f"{form}_s3fifo", form, 2)]:
                    yield lru_target(ns, f"evict {size}, {own} against the kernel's", wanted,
                                     ("evict", f"kernel_program_{base}", entries, 1),
                                     ("evict", f"usermap_program_{own}", entries, 1))
                yield lru_target(ns, f"hit {size}, {form} against the kernel's", 1,
                                 ("hit", f"kernel_program_{form}", entries, 1), ("hit", f"usermap_program_{form}", entries, 1))
            for own in [form, f"{form}_s3fifo"]:
                yield lru_target(ns, f"hit {size}, {own} against {kind}", 1, ("hit", f"usermap_program_{kind}", entries, 1),
                                 ("hit", f"usermap_program_{own}", entries, 1))
                yield lru_target(ns, f"evict {size}, {own}, two threads against one", 1.5,
                                 ("evict", f"usermap_program_{own}", entries, 1),
                                 ("evict", f"usermap_program_{own}", entries, 2))


def lru_target(ns, name, wanted, base, own):
    return Target(name, wanted, ns[base] / ns[own], ns[base], ns[own])


def print_targets(targets):
    print(f"{'target':62} {'wanted':>7} {'measured':>8} {'ns':>17}")
    for t in targets:
        verdict = "pass" if t.ratio >= t.wanted else "MISS"
        print(f"{t.name:62} {t.wanted:6.2f}x {t.ratio:7.2f}x {t.base_ns:8.1f}{t.ns:9.1f}  {verdict}")
    missed = sum(t.ratio < t.wanted for t in targets)
    print(f"{len(targets) - missed} targets reached, {missed} missed")


def print_types(ns):
    """A row an operation: the kernel's ns, and each of the engine's with the ratio."""
    rows = list(dict.fromkeys((kind, op, entries) for kind, op, _, entries in ns if kind != "HASH"))
    for title, kernel, tables in [("commands", "kernel", ["usermap_bpf", "usermap_bpf_unchecked", "usermap"]),
                                  ("in programs", "kernel_program", ["usermap_program"])]:
        print(f"\n{title:34} {kernel:>14}" + "".join(f"{table:>24}" for table in tables))
        for kind, op, entries in rows:
            cells = [ns.get((kind, op, table, entries)) for table in [kernel, *tables]]
            if None not in cells:
                print(f"{kind + ' ' + op:28} {size_name(entries):>5} {cells[0]:14.1f}" +
                      "".join(f"{own:15.1f} {cells[0] / own:7.2f}x" for own in cells[1:]))


def print_lru(ns):
    """A row an operation, a column a kind of map."""
    columns = [("kernel", "kernel_program_lru_{}"), ("engine", "usermap_program_lru_{}"),
               ("S3-FIFO", "usermap_program_lru_{}_s3fifo"), ("kernel, own", "kernel_program_lru_{}_own"),
               ("engine, own", "usermap_program_lru_{}_own"), ("HASH", "usermap_program_{}"),
               ("at once", "usermap_program_at_once_{}")]
    for kind in ["hash", "percpu_hash"]:
        print("\n" + f"{'lru_' + kind + ', in programs':32}" + "".join(f"{title:>14}" for title, _ in columns))
        for op, entries, threads in sorted({(op, entries, threads) for op, _, entries, threads in ns}):
            cells = [ns.get((op, name.format(kind), entries, threads)) for _, name in columns]
            if any(cells):
                print(f"{op:15}{size_name(entries):>5}{f' x {threads}' if threads > 1 else '':12}" +
                      "".join(f"{cell:14.1f}" if cell else f"{'':14}" for cell in cells))


def print_counters(ns):
    """A row a way to count, the fastest first, a column a number of counters and threads. Two threads that don't hinder
    each other take half the time of one."""
    columns = sorted({(entries, threads) for _, _, entries, threads in ns})
    print("\n" + f"{'ns per add, counters x threads':34}" +
          "".join(f"{f'{entries} x {threads}':>12}" for entries, threads in columns))
    for way in sorted({way for _, way, _, _ in ns}, key=lambda way: ns["add", way, *columns[0]]):
        print(f"{way:34}" + "".join(f"{ns['add', way, *column]:12.1f}" for column in columns))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", default="build/bench", help="the folder of the programs (build/bench)")
    parser.add_argument("--quick", action="store_true", help="fewer repetitions: two minutes, less certain")
    parser.add_argument("--cpu", action="store_true",
                        help="CPU time instead of wall time, for a machine with other load (waiting is not seen)")
    parser.add_argument("--json", action="store_true", help="print the targets and all medians as JSON")
    args = parser.parse_args()
    peers = run_micro(args.build, 3 if args.quick else 11, args.cpu)
    kernel = run_sidebyside(args.build, 5 if args.quick else 25, args.cpu)
    lru = run_lru(args.build, 3 if args.quick else 11, args.cpu)
    counters = run_gbench(args.build, "counters", 3 if args.quick else 11, args.cpu)
    targets = list(peer_targets(peers)) + list(lru_targets(lru))
    kernel_is_there = any(table == "kernel_program" for _, _, table, _ in kernel)
    if kernel_is_there:
        targets += kernel_targets(kernel)
    else:
        progress("bpf(2) is not permitted here: no comparison with the kernel")
    if args.json:
        json.dump({"targets": [t._asdict() for t in targets],
                   "peers": [dict(zip(("op", "table", "entries", "threads"), key), ns=ns) for key, ns in peers.items()],
                   "kernel": [dict(zip(("type", "op", "table", "entries"), key), ns=ns) for key, ns in kernel.items()],
                   "lru": [dict(zip(("op", "table", "entries", "threads"), key), ns=ns) for key, ns in lru.items()],
                   "counters": [dict(zip(("way", "counters", "threads"), key[1:]), ns=ns)
                                for key, ns in counters.items()]},
                  sys.stdout, indent=1)
    else:
        print_targets(targets)
        if kernel_is_there:
            print_types(kernel)
        print_lru(lru)
        print_counters(counters)
    sys.exit(any(t.ratio < t.wanted for t in targets))


if __name__ == "__main__":
    main()
