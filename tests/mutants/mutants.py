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
VLOCK = "engine/core/vlock.c"
PROGRAM = "engine/map/hash_program.c"
PERCPU = "engine/core/percpu.c"
PERCPU_ASM = "engine/core/percpu_asm.h"

MUTANTS = [
    ("no version bump on delete",
     [(WRITE, "line_with_tag(line_bump(place->w), place->slot, 0)", "line_with_tag(place->w, place->slot, 0)")]),
    ("no version bump on replace",
     [(UPDATE, "\tline_word next = line_with_tag(line_bump(place->w), (unsigned)a->claim, t->tag);",
       "\tline_word next = line_with_tag(found ? place->w : line_bump(place->w), (unsigned)a->claim, t->tag);")]),
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
    ("a replacement at a glance that failed keeps its claim",
     [(UPDATE, "\tif (a->claim >= 0)\n\t\thash_release_slot(t->line, (unsigned)a->claim, a->index);\n", "")]),
    ("a replacement at a glance that failed keeps its element",
     [(UPDATE, "\tslab_put_back(&a->h->elements, cache, a->w->cpu, a->index);\n", "")]),
    ("whether an element is at hand is asked before the operation begins",
     [(UPDATE, "\tif (caa_unlikely(!a.w || writer_busy(a.w)))\n\t\treturn false;\n\tt = ",
       "\tif (caa_unlikely(!a.w || writer_busy(a.w) || !slab_ready(&a.w->record->elements)))\n\t\treturn false;\n\tt = "),
      (UPDATE, "\tdone = caa_likely(slab_ready(&a.w->record->elements)) &&\n\t       hash_glance", "\tdone = hash_glance")]),
    ("a claim is released by the element that was swapped in elsewhere",
     [(UPDATE, "(unsigned)a->claim, a->claimed);", "(unsigned)a->claim, a->index);")]),
    ("the commit isn't compared with what was looked at",
     [(WRITE, "done = pair_cas(&line->commit, place->w, next);", "done = pair_cas(&line->commit, line_read(line), next);")]),
    ("lookup_and_delete reads the value before the commit",
     [(DELETE, "\t\terr = hash_commit_delete(h, w, t->line, &place, kind);\n",
       "\t\tif (value)\n\t\t\thash_value_load(h, value, place.index, place.element, kind);\n"
       "\t\terr = hash_commit_delete(h, w, t->line, &place, kind);\n"),
      (DELETE, "\tif (value)\n\t\thash_removed_load(h, w, value, index, kind);\n", "")]),
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
     [(UPDATE, "\telse if (found)\n\t\tstamp = object_stamp(place->element);\n", "")]),
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
    ("a store in place isn't announced",
     [(WRITE, "atomic_store_explicit(&w->record->announced, index, memory_order_relaxed);",
       "(void)w, (void)index;")]),
    ("an announced element isn't checked again: updates",
     [(UPDATE, "\tthere = !line_moved(t->line, place->w);\n\tif (there) {\n\t\tTEST_POINT(TP_STORE);\n",
       "\tthere = true;\n\t(void)t;\n\tif (there) {\n\t\tTEST_POINT(TP_STORE);\n")]),
    ("an announced element isn't checked again: additions",
     [(PROGRAM, "\t\tthere = !line_moved(t.line, place.w);\n", "\t\tthere = true;\n")]),
    ("an announcement ends before the store",
     [(UPDATE, "\t\tTEST_POINT(TP_STORE);\n"
       "\t\tatomic_thread_fence(memory_order_release); /* release: as in update_glance */\n"
       "\t\tstore_slots(a, place->index);\n",
       "\t\thash_announce_end(a->w);\n\t\tTEST_POINT(TP_STORE);\n\t\tstore_slots(a, place->index);\n")]),
    ("announced elements are reused", [(SLAB, "if (objects[i] == announced || objects[i] == locked)",
                                        "if (objects[i] == locked)")]),
    ("elements whose lock is held are reused", [(SLAB, "if (objects[i] == announced || objects[i] == locked)",
                                                 "if (objects[i] == announced)")]),
    ("hazards are looked at in a chain that is turned over only",
     [(SLAB, "\t\tif (got > 0 && slab->hazards && cache->head[0])\n\t\t\tsift(slab, cache, cpu, cache->head[0]);\n", "")]),
    ("lookup_and_delete doesn't wait for stores into slots",
     [(DELETE, "\tif (value && kind.percpu)\n\t\thash_settle(h, w, &index, 1);\n", "")]),
    ("a lookup-and-delete batch doesn't wait for stores into slots",
     [(BATCH, "\tif (kind.percpu)\n\t\tsettle_bucket(walk);\n", "")]),
    ("a new entry's other slots aren't cleared",
     [(UPDATE, "\t\tif (a->prog)\n\t\t\tpercpu_clear_others(&h->percpu, a->w->cpu, a->index);\n", "")]),
    ("the key isn't found again under the lock",
     [(UPDATE, "if (hash_find(a->h, t, a->key, place, NULL, kind) && place->index == index)",
       "hash_find(a->h, t, a->key, place, NULL, kind);\n\tif (true)")]),
    ("whatever the key has under the lock will do",
     [(UPDATE, "hash_find(a->h, t, a->key, place, NULL, kind) && place->index == index",
       "hash_find(a->h, t, a->key, place, NULL, kind)")]),
    ("lookup_and_delete doesn't take the value's lock",
     [(WRITE, "bool locked = index && vlock_acquire_own(&h->locks, w, index) == 0;", "bool locked = false;")]),
    ("a removed element's lock isn't a hazard while its store goes on",
     [(VLOCK, "atomic_store_explicit(&w->record->lock, value, memory_order_relaxed); /* relaxed: the fence follows */",
       "(void)w; /* relaxed: the fence follows */")]),
    ("the lock's bytes are copied in",
     [(UPDATE, "vlock_copy_in(&h->locks, element_value(h, a->element, kind), a->value);",
       "words_store(element_value(h, a->element, kind), a->value, h->value_size);")]),
    ("the lock's bytes are copied out",
     [(VLOCK, "memset(to + l->offset, 0, 4);", "memcpy(to + l->offset, from + l->offset, 4);")]),
    ("unlocking doesn't move the sequence on", [(VLOCK, "&mine, (sequence + 1) & SEQUENCE,", "&mine, sequence & SEQUENCE,")]),
    ("readers don't look at the lock again",
     [(VLOCK, "return atomic_load_explicit(word_at(l, value), memory_order_relaxed) == word;", "return true;")]),
    ("readers don't mind a lock that is held", [(VLOCK, "\tif (word & LOCKED)\n\t\treturn false;\n", "")]),
    ("the redo is skipped", [(VLOCK, "\tif (spare)\n\t\tcopy_spare(l, value, spare);\n", "")]),
    ("a store is not noted for redo",
     [(VLOCK, "atomic_store_explicit(&w->record->redo, w->index + 1, memory_order_release);", "(void)w;")]),
    ("a store is noted before its copy is whole",
     [(VLOCK, "\tvlock_copy_in(l, spare, src);\n",
       "\tatomic_store_explicit(&w->record->redo, w->index + 1, memory_order_release);\n"
       "\tvlock_copy_in(l, spare, src);\n")]),
    ("a dead owner's lock isn't taken over",
     [(VLOCK, "\t\tif (waited == OWNER_GONE && take_over(l, w, value, old, patience.strange))\n\t\t\tbreak;\n", "")]),
    ("who waits for a lock never looks whether the key is still there",
     [(VLOCK, "} else if (p->naps++ >= NAPS) {", "} else if (p->naps > NAPS) {")]),
    ("a per-CPU addition is a plain one",
     [(PERCPU, "\treturn __builtin_expect(sequence_add(first, p->area, p->n_cpus, delta), 1) ? 0 : -EOPNOTSUPP;\n",
       "\t*(volatile word_t *)(first + cpu_current(p->n_cpus) * p->area) += delta;\n\treturn 0;\n")]),
    ("the kernel isn't told of the sequence (x86-64)",
     [(PERCPU_ASM, '"movq %%rax, %c[rseq_cs](%[rseq])\\n"', '""')]),
    ("a map made without rseq relies on sequences", [(PERCPU, "(int32_t)cpu_rseq_id() >= 0 && ", "")]),
    ("an addition without rseq isn't atomic",
     [(PERCPU, "__atomic_fetch_add((word_t *)(first + cpu_current(p->n_cpus) * p->area), delta, __ATOMIC_RELAXED);",
       "*(volatile word_t *)(first + cpu_current(p->n_cpus) * p->area) += delta;")]),
    ("a thread without rseq adds atomically where others add by sequences",
     [(PERCPU, "\tif (!p->atomic)\n\t\treturn -EOPNOTSUPP;\n", "")]),
]

UNSEEN = [
    ("no release fence between taking an element and its first byte", "stores stay in order on x86-64: models only"),
    ("no acquire fence between the last byte and the version", "loads stay in order on x86-64: models only"),
    ("no fence between the announcement of a store and its check",
     "the two threads would have to be a few instructions apart: the model (inplace_reuse) and weak memory only"),
    ("owner word stored instead of compared", "needs a recoverer that takes the same element: comes with recovery"),
    ("a chain is followed without a bound", "chains of an intact file end: tests of hostile files"),
    ("the freelist's version isn't bumped on pop", "the same as the engine: the push that must come in between bumps it"),
    ("nodes are reused at once on maps with grace periods", "readers there check the version, too, before they believe a node"),
    ("swaps begin while the drain is under way", "needs three preemptions, one of them where there is no test point"),
    ("no version check at a hop", "the check at the end catches what a wrong hop found, and hops are bounded"),
]
