# SPDX-License-Identifier: MIT
"""The mutants: mistakes that the protocols invite, each as exact replacements of text in the engine.

A mutant is (name, [(file, text, replacement), ...]). Every text must occur exactly once in its file.
UNSEEN names mistakes that the tests here can't show on x86-64, with the reason.
"""

UPDATE = "engine/map/hash_update.c"
DELETE = "engine/map/hash_delete.c"
BATCH = "engine/map/hash_batch.c"
WRITE = "engine/map/hash_write.h"
WRITE_C = "engine/map/hash_write.c"
HASH = "engine/map/hash.h"
LOOKUP = "engine/map/hash_lookup.c"
CREDIT = "engine/core/credit.c"
CREDIT_H = "engine/core/credit.h"
LINE = "engine/core/line.h"
SLAB = "engine/core/slab.c"
OVERFLOW = "engine/core/overflow.c"
RECLAIM = "engine/core/reclaim.h"

MUTANTS = [
    ("no version bump on delete",
     [(DELETE, "line_with_tag(line_bump(place->w), place->slot, 0)", "line_with_tag(place->w, place->slot, 0)")]),
    ("no version bump on replace", [(UPDATE, "\tnext = line_with_tag(line_bump(place->w), (unsigned)a->claim, t->tag);",
       "\tnext = line_with_tag(found ? place->w : line_bump(place->w), (unsigned)a->claim, t->tag);")]),
    ("no version bump on lookup-and-delete batch",
     [(BATCH, "line_word next = line_bump(walk->bucket.w);", "line_word next = walk->bucket.w;")]),
    ("slot freed before the commit",
     [(DELETE, "\t\tcredit_mark(w->record, CREDIT_HELD);\n",
       "\t\tcredit_mark(w->record, CREDIT_HELD);\n\t\tif (place.depth < 0)\n"
       "\t\t\thash_release_slot(t->line, place.slot, place.index);\n")]),
    ("the element of the snapshot is retired, not the exchange's",
     [(WRITE, "\t\treturn atomic_exchange_explicit(&line->index[place->slot], 0, memory_order_acq_rel);\n",
       "\t\tatomic_exchange_explicit(&line->index[place->slot], 0, memory_order_acq_rel);\n\t\treturn place->index;\n")]),
    ("swap on maps that reuse at once",
     [(UPDATE, "if (kind.grace && found && place.depth < 0 && hash_replaces(h, kind) == REPLACE_BY_SWAP) {",
       "if (found && !h->ordered && place.depth < 0 && (!kind.grace || hash_replaces(h, kind) == REPLACE_BY_SWAP)) {"),
      (UPDATE, "slab_retire(&a->h->elements, &a->w->retired_elements, old);",
       "hash_discard(a->h, a->w, old, (struct hash_kind){ .grace = a->h->elements.budget != 0 });")]),
    ("absent through a node without a version check",
     [(HASH, "\t\t\tfound = behind > 0;\n", "\t\t\tfound = behind > 0;\n\t\t\tif (!found)\n\t\t\t\treturn false;\n"),
      (HASH, "\t\tif (!kind.grace && line_moved(t->line, place->w))\n\t\t\treturn -ESTALE;\n", "")]),
    ("full without a double collect",
     [(CREDIT, "\t\tif (!collect(lines, n_cpus, versions))\n\t\t\tcontinue;\n", ""),
      (CREDIT, "if (credit_none_since(lines, n_cpus, *versions))", "*versions = 0;"),
      (UPDATE, " && credit_none_since(h->cpu_lines, h->n_cpus, versions)", "")]),
    ("full without a second look at the line",
     [(UPDATE, "\t\tif (line_moved(line, seen))\n\t\t\treturn -ESTALE;\n", "")]),
    ("full although a credit is in another insert's hand",
     [(UPDATE, "full = !credit_in_hand(h, w, &patience) && ", "full = ")]),
    ("a removal's credit isn't marked as in hand", [(DELETE, "\t\tcredit_mark(w->record, CREDIT_HELD);\n", "")]),
    ("a failed insert keeps its credit",
     [(UPDATE, "\tif (a->credit)\n\t\tcredit_give(a->h->cpu_lines, a->w->cpu, 1);\n", "")]),
    ("a batch gives one credit back for several entries",
     [(BATCH, "credit_give(walk->h->cpu_lines, walk->w->cpu, walk->bucket.n);",
       "credit_give(walk->h->cpu_lines, walk->w->cpu, 1);")]),
    ("a failed insert keeps its claim",
     [(UPDATE, "\tif (a->claim >= 0)\n\t\thash_release_slot(line, (unsigned)a->claim, a->claimed);\n", "")]),
    ("a claim is released by the element that was swapped in elsewhere",
     [(UPDATE, "(unsigned)a->claim, a->claimed);", "(unsigned)a->claim, a->index);")]),
    ("the commit isn't compared with what was looked at",
     [(WRITE, "done = pair_cas(&line->commit, place->w, next);", "done = pair_cas(&line->commit, line_read(line), next);")]),
    ("lookup_and_delete reads the value before the commit",
     [(DELETE, "\t\terr = commit_delete(h, w, t, &place, kind);\n",
       "\t\tif (value)\n\t\t\twords_load(value, element_value(h, place.element, kind), hash_value_size(h, kind));\n"
       "\t\terr = commit_delete(h, w, t, &place, kind);\n"),
      (DELETE, "\tif (value)\n"
       "\t\twords_load(value, element_value(h, slab_object(&h->elements, index), kind), hash_value_size(h, kind));\n",
       "")]),
    ("lookup_and_delete doesn't drain stores in place",
     [(DELETE, "\tif (value && kind.grace)\n\t\thash_drain(h, w);\n", ""),
      (BATCH, "\t\tif (kind.grace)\n\t\t\thash_drain(h, walk.w);\n", "")]),
    ("the commit word isn't read again",
     [(LINE, "return atomic_load_explicit(&line->commit.first, memory_order_relaxed) != w.first;",
       "return (void)line, (void)w, false;")]),
    ("a value is copied after the version was checked",
     [(LOOKUP, "found = hash_find(h, t, key, &place, bounce, kind);",
       "found = hash_find(h, t, key, &place, NULL, kind);\n\tTEST_POINT(TP_DATA);\n\tif (found)\n"
       "\t\twords_load(bounce, element_value(h, place.element, kind), size);")]),
    ("the stamp is written after the commit",
     [(UPDATE, "\t\tset_stamp(a, t, &place, found, kind);\n", ""),
      (UPDATE, "\t\terr = commit_update(a, t, &place, found, kind);\n",
       "\t\terr = commit_update(a, t, &place, found, kind);\n\t\tif (!err)\n\t\t\tset_stamp(a, t, &place, found, kind);\n")]),
    ("a replacement doesn't inherit the stamp",
     [(UPDATE, "\telse if (found)\n\t\tstamp = atomic_load_explicit(&place->element->link, memory_order_relaxed);\n", "")]),
    ("a chain is linked after it was pushed",
     [(SLAB, "\t\tset_next_chain(slab, last, (uint32_t)old.second);\n\t\tTEST_POINT(TP_SLAB);\n"
             "\t\tif (pair_cas(list, old, (struct pair_value){ old.first + 1, first }))\n\t\t\treturn;\n",
       "\t\tif (pair_cas(list, old, (struct pair_value){ old.first + 1, first })) {\n\t\t\tTEST_POINT(TP_SLAB);\n"
       "\t\t\tset_next_chain(slab, last, (uint32_t)old.second);\n\t\t\treturn;\n\t\t}\n")]),
    ("the freelist's version isn't bumped",
     [(SLAB, "(struct pair_value){ old.first + 1, next }", "(struct pair_value){ old.first, next }"),
      (SLAB, "\t\tif (pair_cas(list, old, (struct pair_value){ old.first + 1, first }))\n\t\t\treturn;\n",
       "\t\tif (pair_cas(list, old, (struct pair_value){ old.first, first }))\n\t\t\treturn;\n")]),
    ("the tag of some hashes is 0", [(LINE, "\tsix += six == 0;\n", "")]),
    ("elements are reused before their grace period is over",
     [(RECLAIM, "return atomic_load_explicit(&reclaim_sequence, memory_order_acquire) >= cookie;", "return cookie != 0;")]),
    ("dropping an entry of a chain loses the nodes behind it",
     [(OVERFLOW, "\terr = find_rest(p->ow, line, w, n_old, &change->root);\n",
       "\terr = find_rest(p->ow, line, w, n_old, &change->root);\n\tif (n_old > 1)\n\t\tchange->root = 0;\n")]),
]

UNSEEN = [
    ("no release fence between taking an element and its first byte", "stores stay in order on x86-64: models only"),
    ("no acquire fence between the last byte and the version", "loads stay in order on x86-64: models only"),
    ("owner word stored instead of compared", "needs a recoverer that takes the same element: comes with recovery"),
    ("a chain is followed without a bound", "chains of an intact file end: tests of hostile files"),
    ("the freelist's version isn't bumped on pop", "the same as the engine: the push that must come in between bumps it"),
    ("nodes are reused at once on maps with grace periods", "readers there check the version, too, before they believe a node"),
    ("swaps begin while the drain is under way", "needs three preemptions, one of them where there is no test point"),
    ("no version check at a hop", "the check at the end catches what a wrong hop found, and hops are bounded"),
]
