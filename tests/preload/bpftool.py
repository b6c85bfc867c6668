#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
bpftool, as Debian has it, on the kernel's maps and under usermap-run: the same commands, the same outputs, errors and exit
statuses. The engine runs them as this user, and as nobody if this user is root; the kernel, as root, in a mount namespace
of its own. Ids and amounts of memory differ and are replaced, and the names that a map is
pinned to are sorted; of lists of all maps only the scripts' own count.

  bpftool.py USERMAP-RUN     exits with 77 if there is no bpftool, or no kernel that lets this user make maps
"""

import json
import os
import pathlib
import re
import shutil
import sys

import sides

# Words: $D the script's directory on a bpffs, $T one on a tmpfs, @NAME the id of the map of that name. A line that
# doesn't begin with "bpftool" is another program's. The maps' names begin with "t_".
SCRIPTS = {
    "create and show": """
        bpftool map create $D/h type hash key 4 value 8 entries 10 name t_h
        bpftool map show pinned $D/h
        bpftool -j map show pinned $D/h
        bpftool -p map show pinned $D/h
        bpftool map show name t_h
        bpftool map list id @t_h
        bpftool map show
        bpftool -j map list
        bpftool -f map show
        bpftool -fj map show
        bpftool map create $D/h type hash key 4 value 8 entries 10 name t_again
        bpftool map create $D/flags type hash key 4 value 8 entries 10 name t_flags flags 1
        bpftool map show name t_flags
        bpftool map create $D/bad type hash key 0 value 8 entries 10 name t_bad
        bpftool map create $D/bad type hash key 4 value 8 entries 10 name t_name_that_is_too_long
        bpftool map create $D/bad type hash key 4 value 8 entries 10 name t_b/d
        bpftool map create $D/bad type nonsense key 4 value 8 entries 10 name t_bad
        bpftool map create $D/bad type hash key 4 value 8 entries 10 name t_bad flags 0x80000000
        bpftool map create $D/b.d type hash key 4 value 8 entries 10 name t_bad
        bpftool map create $D/missing/bad type hash key 4 value 8 entries 10 name t_bad
        bpftool map create $D/bad type hash
        bpftool map show pinned $D/bad
        bpftool map show id 0
        bpftool map show name t_nobody_has_it
    """,
    "elements": """
        bpftool map create $D/h type hash key 4 value 8 entries 2 name t_h flags 0x40
        bpftool map dump pinned $D/h
        bpftool -j map dump pinned $D/h
        bpftool map update pinned $D/h key 1 0 0 0 value 1 2 3 4 5 6 7 8
        bpftool map update pinned $D/h key hex 0a 00 00 00 value hex ff 02 03 04 05 06 07 08 any
        bpftool map update id @t_h key 2 0 0 0 value 0 0 0 0 0 0 0 0
        bpftool map update pinned $D/h key 1 0 0 0 value 9 9 9 9 9 9 9 9 noexist
        bpftool map update pinned $D/h key 3 0 0 0 value 9 9 9 9 9 9 9 9 exist
        bpftool map update name t_h key 1 0 0 0 value 9 9 9 9 9 9 9 9 exist
        bpftool map lookup pinned $D/h key 1 0 0 0
        bpftool -j map lookup pinned $D/h key 10 0 0 0
        bpftool -p map lookup id @t_h key hex 0a 00 00 00
        bpftool map lookup pinned $D/h key 4 0 0 0
        bpftool -j map lookup pinned $D/h key 4 0 0 0
        bpftool map lookup pinned $D/h key 4 0 0
        bpftool map lookup pinned $D/h key 4 0 0 0 0
        bpftool map lookup pinned $D/h
        bpftool map update pinned $D/h key 1 0 0 0 value 1
        bpftool map dump pinned $D/h
        bpftool -j map dump id @t_h
        bpftool -p map dump name t_h
        bpftool map delete pinned $D/h key 10 0 0 0
        bpftool map delete pinned $D/h key 10 0 0 0
        bpftool map getnext pinned $D/h
        bpftool -j map getnext pinned $D/h
        bpftool map getnext pinned $D/h key 1 0 0 0
        bpftool -j map getnext pinned $D/h key 1 0 0 0
        bpftool map getnext pinned $D/h key 9 9 9 9
        bpftool map delete pinned $D/h key 1 0 0 0
        bpftool map getnext pinned $D/h
        bpftool map dump pinned $D/h
    """,
    "array": """
        bpftool map create $D/a type array key 4 value 5 entries 3 name t_a
        bpftool map dump pinned $D/a
        bpftool map update pinned $D/a key 1 0 0 0 value 1 2 3 4 5
        bpftool map update pinned $D/a key 3 0 0 0 value 1 2 3 4 5
        bpftool map update pinned $D/a key 2 0 0 0 value 1 2 3 4 5 noexist
        bpftool -jp map dump pinned $D/a
        bpftool map getnext pinned $D/a
        bpftool map getnext pinned $D/a key 2 0 0 0
        bpftool map delete pinned $D/a key 1 0 0 0
        bpftool map create $D/m type array key 4 value 8 entries 3 name t_m flags 0x400
        bpftool map show pinned $D/m
    """,
    "a value for each cpu": """
        bpftool map create $D/ph type percpu_hash key 4 value 8 entries 10 name t_ph
        bpftool map update pinned $D/ph key 1 0 0 0 value 1 2 3 4 5 6 7 8
        bpftool map lookup pinned $D/ph key 1 0 0 0
        bpftool -j map lookup pinned $D/ph key 1 0 0 0
        bpftool -p map dump pinned $D/ph
        bpftool map dump pinned $D/ph
        bpftool map show pinned $D/ph
        bpftool map create $D/pa type percpu_array key 4 value 4 entries 2 name t_pa
        bpftool map update id @t_pa key 0 0 0 0 value 1 2 3 4
        bpftool map dump name t_pa
        bpftool -j map show pinned $D/pa
    """,
    "freeze": """
        bpftool map create $D/h type hash key 4 value 8 entries 10 name t_h
        bpftool map update pinned $D/h key 1 0 0 0 value 1 2 3 4 5 6 7 8
        bpftool map freeze pinned $D/h
        bpftool map show pinned $D/h
        bpftool -j map show pinned $D/h
        bpftool map update pinned $D/h key 1 0 0 0 value 1 2 3 4 5 6 7 9
        bpftool map delete pinned $D/h key 1 0 0 0
        bpftool map freeze id @t_h
        bpftool map dump pinned $D/h
        bpftool -j map freeze pinned $D/nothing
    """,
    "pin": """
        bpftool map create $D/h type hash key 4 value 8 entries 10 name t_h
        bpftool map pin name t_h $D/second
        bpftool map pin id @t_h $D/second
        bpftool map pin pinned $D/second $D/third
        bpftool -j map pin pinned $D/second $D/fourth
        bpftool map pin pinned $D/second $D/missing/fifth
        bpftool map pin pinned $D/second $D/f.fth
        mkdir $D/sub
        bpftool map pin pinned $D/second $D/sub/fifth
        bpftool map update pinned $D/third key 1 0 0 0 value 1 2 3 4 5 6 7 8
        bpftool map dump pinned $D/sub/fifth
        bpftool -f map show name t_h
        bpftool -fj map show
        test -e $D/second
        test -f $D/second
        test -d $D/sub
        test -s $D/second
        stat -c %F:%s:%a $D/second
        cat $D/second
        rmdir $D/sub
        unlink $D/sub/fifth
        rmdir $D/sub
        test -e $D/sub
        mv -n $D/second $D/moved
        bpftool map show pinned $D/second
        bpftool map lookup pinned $D/moved key 1 0 0 0
        rm $D/h $D/moved $D/third $D/fourth
        bpftool map show name t_h
        stat -f -c %t $D
    """,
    "on a tmpfs": """
        bpftool map create $T/h type hash key 4 value 8 entries 10 name t_h
        bpftool map update pinned $T/h key 1 0 0 0 value 1 2 3 4 5 6 7 8
        bpftool map dump pinned $T/h
        bpftool map pin name t_h $T/second
        bpftool map pin name t_h $T/second
        rm $T/h
        test -e $T/h
        bpftool map lookup name t_h key 1 0 0 0
        bpftool -f map show name t_h
        stat -f -c %t $T
        rm $T/second
        bpftool map show name t_h
    """,
    "no mounting": """
        bpftool -n map create $D/h type hash key 4 value 8 entries 10 name t_h
        bpftool map show pinned $D/h
    """,
    "queue commands on a hash": """
        bpftool map create $D/h type hash key 4 value 4 entries 10 name t_h
        bpftool map peek pinned $D/h
        bpftool map push pinned $D/h value 1 2 3 4
        bpftool map pop pinned $D/h
        bpftool map enqueue pinned $D/h value 1 2 3 4
        bpftool map dequeue pinned $D/h
    """,
    "a batch of commands": """
        bpftool map create $D/h type hash key 4 value 4 entries 10 name t_h
        bpftool batch file $B
        bpftool -j batch file $B
        bpftool map dump pinned $D/h
    """,
}
BATCH = """
# a comment
map update pinned $D/h key 1 0 0 0 value 1 2 3 4
map lookup pinned $D/h key 1 0 0 0
map show name t_h
map delete pinned $D/h key 1 0 0 0
"""

# Types that a script is run for if the engine has them.
TYPED = """
    bpftool map create $D/m type {type} key {key} value {value} entries 4 name t_m {flags}
    bpftool map show pinned $D/m
    bpftool -j map show name t_m
    bpftool map update pinned $D/m key {one} value 1 2 3 4
    bpftool map update pinned $D/m key {one} value 1 2 3 4 noexist
    bpftool map lookup pinned $D/m key {one}
    bpftool -j map lookup pinned $D/m key {one}
    bpftool map getnext pinned $D/m
    bpftool map dump pinned $D/m
    bpftool -j map dump pinned $D/m
    bpftool map delete pinned $D/m key {one}
    bpftool map dump pinned $D/m
    bpftool map freeze pinned $D/m
"""
QUEUE = """
    bpftool map create $D/q type {type} key 0 value 4 entries 2 name t_q
    bpftool map push pinned $D/q value 1 2 3 4
    bpftool map enqueue pinned $D/q value 5 6 7 8
    bpftool map push pinned $D/q value 9 9 9 9
    bpftool map peek pinned $D/q
    bpftool -j map pop pinned $D/q
    bpftool map dequeue pinned $D/q
    bpftool map pop pinned $D/q
    bpftool -j map peek pinned $D/q
"""
OPTIONAL_TYPES = {
    "lru_hash": TYPED.format(type="lru_hash", key=4, value=4, flags="", one="1 0 0 0"),
    "lru_percpu_hash": TYPED.format(type="lru_percpu_hash", key=4, value=4, flags="", one="1 0 0 0"),
    "lpm_trie": TYPED.format(type="lpm_trie", key=8, value=4, flags="flags 1", one="8 0 0 0 10 0 0 0"),
    "queue": QUEUE.format(type="queue"),
    "stack": QUEUE.format(type="stack"),
}


class Bpftool:
    """A side that runs scripts."""

    def __init__(self, side, scratch):
        self.side = side
        self.batch_file = scratch / "batch"

    def map_id(self, name):
        listed = self.side.run(["bpftool", "-j", "map", "show", "name", name])
        return str(json.loads(listed.stdout)["id"]) if listed.returncode == 0 else "4000000000"

    def expand(self, word):
        if word.startswith("@"):
            return self.map_id(word[1:])
        return word.replace("$D", str(self.side.bpffs)).replace("$T", str(self.side.tmpfs)).replace("$B", str(self.batch_file))

    def script(self, text):
        """Runs a script between empty directories; returns what each command said."""
        said = []
        self.side.run(["mkdir", str(self.side.bpffs), str(self.side.tmpfs)])
        self.batch_file.write_text(self.expand(BATCH))
        for line in filter(None, map(str.strip, text.splitlines())):
            done = self.side.run([self.expand(word) for word in line.split()])
            said.append({"command": line, "status": done.returncode, "out": normal(done.stdout), "err": normal(done.stderr)})
        for directory in (self.side.bpffs, self.side.tmpfs):
            names = re.findall(rf"{directory}/\S+?(?=[\s\"])", self.side.run(["bpftool", "-f", "map", "show"]).stdout + " ")
            self.side.run(["rm", "-f", *names])
        self.side.run(["rmdir", str(self.side.bpffs), str(self.side.tmpfs)])
        return said


def own_maps(text):
    """Of a list of all maps, in plain words, the scripts' own."""
    blocks = re.split(r"^(?=\d+: )", text, flags=re.MULTILINE)
    return "".join(block for block in blocks if not re.match(r"\d+: ", block) or re.match(r"\d+: \S+  name t_", block))


def normal(text):
    try:
        listed = json.loads(text)
        if isinstance(listed, list) and listed and "bytes_key" in listed[0]:
            text = json.dumps([entry for entry in listed if entry.get("name", "").startswith("t_")])
    except ValueError:
        text = own_maps(text)
    text = re.sub(r"(?:\n\tpinned \S+)+", lambda found: "\n".join(sorted(found[0].split("\n"))), text)
    text = re.sub(r'(?<="pinned": \[)[^]]+', lambda found: ", ".join(sorted(found[0].split(", "))), text)
    # which bpftool leaves there from another map of the list
    text = re.sub(r'\n\tbtf_id \d+|, "btf_id": ?\d+', "", text)
    text = re.sub(r"^\d+: ", "ID: ", text, flags=re.MULTILINE)
    text = re.sub(r"\bid \d+", "id ID", re.sub(r'"id": ?\d+', '"id":ID', text))
    text = re.sub(r"memlock \d+B", "memlock nB", re.sub(r'"bytes_memlock": ?\d+', '"bytes_memlock":n', text))
    return text


def kernel_side(scratch):
    """The kernel's answers, printed."""
    sides.mount_bpffs()
    kernel = Bpftool(sides.Side([], scratch), scratch)
    print(json.dumps({name: kernel.script(text) for name, text in {**SCRIPTS, **OPTIONAL_TYPES}.items()}))


def differences(kernel, engine, who):
    count = 0
    for name, answers in engine.items():
        for wanted, said in zip(kernel[name], answers, strict=True):
            if wanted != said:
                count += 1
                print(f"--- {name}, as {who}: {said['command']}")
                for key in ("status", "out", "err"):
                    if wanted[key] != said[key]:
                        print(f"kernel {key}: {wanted[key]!r}\nengine {key}: {said[key]!r}")
    return count


def refused_types(bpftool):
    """The types that the engine doesn't have: their creation is EINVAL, and nothing else is wrong with it."""
    refused = set()
    for kind, text in OPTIONAL_TYPES.items():
        first = bpftool.script(text.strip().splitlines()[0])[0]
        if first["status"] and "Invalid argument" in first["err"]:
            refused.add(kind)
    return refused


def main():
    if sys.argv[1] == "--kernel":
        kernel_side(pathlib.Path(sys.argv[2]))
        return
    if not shutil.which("bpftool") or os.geteuid() != 0:
        sides.skip("there is no bpftool, or this user may not ask the kernel")
    run = pathlib.Path(sys.argv[1]).resolve()
    with sides.scratch_directory() as name:
        scratch = pathlib.Path(name)
        sides.stage(scratch, run, run.parent / "libusermap-preload.so")
        kernel = sides.ask_kernel(name)
        failed = commands = 0
        for who, side in sides.engine_sides(scratch).items():
            bpftool = Bpftool(side, scratch)
            refused = refused_types(bpftool)
            scripts = {kind: text for kind, text in {**SCRIPTS, **OPTIONAL_TYPES}.items() if kind not in refused}
            answers = {kind: bpftool.script(text) for kind, text in scripts.items()}
            failed += differences(kernel, answers, who)
            commands += sum(map(len, answers.values()))
            print(f"as {who}: {len(scripts)} of {len(kernel)} scripts")
    print(f"{commands} commands, {failed} differ")
    sys.exit(1 if failed else 0)


main()
