# SPDX-License-Identifier: MIT
"""The mutants of maps that evict: see mutants.py for what a mutant is."""

UPDATE = "engine/map/hash_update.c"
WRITE = "engine/map/hash_write.h"
BATCH = "engine/map/hash_batch.c"
HASH = "engine/map/hash.h"
HASH_EVICT = "engine/map/hash_evict.c"
EVICT = "engine/core/evict.c"
LRU = "engine/core/lru.c"
LISTS = "engine/core/lru_lists.c"
REPAIR = "engine/core/lru_repair.c"
LOCK_H = "engine/core/listlock.h"
LOCK = "engine/core/listlock.c"
S3FIFO = "engine/core/s3fifo.c"
STOCK = "engine/core/stock.c"

MUTANTS = [
    # The kernel's choice.
    ("an element keeps its use when it is handed out",
     [(LRU, "\tatomic_store_explicit(evict_used(e, index), 0, memory_order_relaxed);\n\tatomic_store_explicit(&element->owner",
       "\tatomic_store_explicit(&element->owner")]),
    ("a moved element keeps its use",
     [(LISTS, "\tatomic_store_explicit(evict_used(e, index), 0, memory_order_relaxed);\n\tlru_push(",
       "\tlru_push(")]),
    ("ACTIVE is rotated however long it is",
     [(LISTS, "\tif (lru_get(&set->list[LRU_INACTIVE].count) < lru_get(&set->list[LRU_ACTIVE].count))\n\t\trotate_active",
       "\trotate_active")]),
    ("INACTIVE isn't rotated",
     [(LISTS, "\trotate_inactive(e, set, scans);\n", "\tif (!scans)\n\t\trotate_inactive(e, set, scans);\n")]),
    ("the place where a rotation goes on doesn't leave with its element",
     [(LISTS, "\t\tlru_set(&set->next_rotation, lru_index(e, &evict_node(e, index)->prev));\n", "\t\t;\n")]),
    ("the used are evicted, too",
     [(LISTS, "\t\tif (lru_used(e, index)) {\n\t\t\tcut_behind(",
       "\t\tif (lru_used(e, index) && !scans) {\n\t\t\tcut_behind(")]),
    ("a refill gets 128 elements in any map",
     [(LRU, "e->target = half < 1 ? 1 : half > LRU_BATCH ? LRU_BATCH : half;",
       "e->target = half ? LRU_BATCH : LRU_BATCH;")]),
    ("an element belongs to the first CPU, whoever takes it",
     [(LRU, "\tatomic_store_explicit(&node->cpu, (uint16_t)cpu, memory_order_relaxed);",
       "\tatomic_store_explicit(&node->cpu, (uint16_t)(cpu - cpu), memory_order_relaxed);")]),
    ("stealing begins at the thief's own CPU every time",
     [(LRU, "\tlru_set(&local->next_steal, cpu);\n", "\tlru_set(&local->next_steal, w->cpu);\n")]),
    ("a steal takes the oldest, used or not",
     [(LRU, "\t\tif (!lru_used(e, index))\n\t\t\treturn index;\n", "\t\tif (!lru_used(e, index))\n\t\t\tbreak;\n")]),
    ("lookups by copy are uses",
     [(HASH, "hash_evicts(h, kind) && h->evict.mark_copies", "hash_evicts(h, kind)")]),
    ("a replacement isn't a use", [(UPDATE, "\telse if (found)\n\t\thash_mark(a->h, a->element, kind);\n", "")]),
    ("an update looks its key up before it takes its element",
     [(UPDATE, "bool first = a->h->evict.ops->take_first &&", "bool first = !a->h->evict.ops &&")]),

    # Who has an element.
    ("a victim is free although it wasn't removed",
     [(LRU, "\tif (removed == EVICT_NOT)\n\t\treturn false;\n", "")]),
    ("a victim isn't taken out of the table",
     [(LRU, "enum evict_removed removed = e->remove(e, w, index);",
       "enum evict_removed removed = w ? EVICT_ENTRY : e->remove(e, w, index);")]),
    ("what was given to the evictor goes to a list, too",
     [(LRU, "\t\treturn false;\n\tlru_push(e, list, index, place);\n\treturn true;\n",
       "\t\tlru_put(evict_node(e, index), place);\n\tlru_push(e, list, index, place);\n\treturn true;\n")]),
    ("what the evictor has in hand isn't given back",
     [(LRU, "\t\t\tdone = give_to_evictor(node);\n", "\t\t\tdone = true;\n")]),
    ("a pending element is given back to the CPU of who gives it",
     [(LRU, "\tthere = lru_place(node) == LRU_PENDING && local == lru_local(e, lru_cpu(e, node));\n",
       "\tlocal = lru_local(e, w->cpu);\n\tthere = lru_place(node) == LRU_PENDING;\n")]),
    ("the place of an element isn't looked at again under the lock",
     [(LRU, "\tthere = lru_place(node) == LRU_INACTIVE || lru_place(node) == LRU_ACTIVE;\n", "\tthere = true;\n")]),
    ("a list lock isn't taken",
     [(LOCK_H, "\tif (caa_likely(atomic_compare_exchange_strong_explicit(&lock->word, &none, w->owner, memory_order_acquire,\n"
       "\t\t\t\t\t\t\t       memory_order_relaxed)))\n\t\treturn true;\n",
       "\tif (caa_likely(!none))\n\t\treturn true;\n")]),
    ("a failed update keeps its element",
     [(UPDATE, "\tif (a->h->evict.ops && (a->index || a->taken))\n", "\tif (a->h->evict.ops && a->index)\n")]),
    ("an update doesn't wait for elements that others have in hand",
     [(UPDATE, "\t\tif (!patience)\n\t\t\treturn -ENOMEM;\n\t\thash_let_others_run(&patience);\n\t}\n}\n\n"
       "/* The private element, filled.",
       "\t\tif (patience)\n\t\t\treturn -ENOMEM;\n\t}\n}\n\n/* The private element, filled.")]),
    ("announced elements are handed out",
     [(EVICT, "if (elements[i] == announced && !writer_is_dead(e->writers, r))",
       "if (elements[i] != announced && elements[i] == announced)")]),
    ("free elements aren't suspected",
     [(LRU, "? 0 : LRU_SUSPECT;\n}\n\n/* Each: whether", "? 0 : 0;\n}\n\n/* Each: whether")]),
    ("harvested elements aren't suspected",
     [(LRU, "\t\t\tif (!put_back(e, &set->list[LRU_ACTIVE], lost.index[i], LRU_ACTIVE))\n"
       "\t\t\t\tharvest->freed.index[harvest->freed.n++] = lost.index[i];\n\t\tlistlock_release(&set->lock);\n\t}\n"
       "\tharvest->suspect = evict_any_announced(e, harvest->freed.index, harvest->freed.n) ? LRU_SUSPECT : 0;\n",
       "\t\t\tif (!put_back(e, &set->list[LRU_ACTIVE], lost.index[i], LRU_ACTIVE))\n"
       "\t\t\t\tharvest->freed.index[harvest->freed.n++] = lost.index[i];\n\t\tlistlock_release(&set->lock);\n\t}\n"
       "\tharvest->suspect = 0;\n")]),

    # Taking entries out, and what the dead leave.
    ("an eviction doesn't compare the line with what it looked at",
     [(HASH_EVICT, "\t} while (line_moved(line, place->w));\n\treturn found;\n",
       "\t} while (false);\n\treturn found;\n"),
      (HASH_EVICT, "\t\terr = hash_commit_delete(h, w, line, place, any);\n",
       "\t\tplace->w = line_read(line);\n\t\terr = hash_commit_delete(h, w, line, place, any);\n")]),
    ("an evictor looks where an element was before it looked whose it is",
     [(HASH_EVICT, "evict_left(struct hash *h, struct writer *w, struct hash_place *place)",
       "evict_left(struct hash *h, struct writer *w, struct hash_place *place, struct line *line)"),
      (HASH_EVICT, "\tstruct line *line = line_of(h, &h->evict, place->index);\n", ""),
      (HASH_EVICT, "evict_left(h, w, &place)", "evict_left(h, w, &place, line)")]),
    ("a living writer's element is nobody's",
     [(HASH_EVICT, "if (got < 0 || !over || is_outgoing", "if (got < 0 || is_outgoing")]),
    ("an element that is being taken out is nobody's",
     [(HASH_EVICT, " || is_outgoing(h, w, place->index))", " || (place->index && is_outgoing(h, w, 0)))")]),
    ("a removal doesn't say which element goes",
     [(WRITE, "atomic_store_explicit(&w->record->outgoing, removes ? place->index : 0, memory_order_release);",
       "atomic_store_explicit(&w->record->outgoing, 0, memory_order_relaxed);")]),
    ("a lookup-and-delete batch doesn't say that elements go",
     [(BATCH, "atomic_store_explicit(&walk->w->record->outgoing, OUTGOING_MANY, memory_order_relaxed);",
       "atomic_store_explicit(&walk->w->record->outgoing, 0, memory_order_relaxed);")]),
    ("the callback doesn't wait for stores into slots",
     [(HASH_EVICT, "\t\thash_settle(h, w, &index, 1);\n", "\t\t;\n")]),
    ("elements that the dead left are never taken",
     [(HASH_EVICT, "if (got < 0 || !over ||", "if (got <= 0 || !over ||")]),
    ("a living holder's lock is seized",
     [(LOCK, "\tif (word % RECORDS != w->index && !listlock_over(w->set, word))\n\t\treturn false;\n",
       "\t(void)w;\n")]),
    ("a dead holder's lock isn't seized",
     [(LOCK, "\t\tif (be_patient(&rounds) && word && holder_gone(lock, word, w))\n\t\t\treturn false;\n",
       "\t\tif (be_patient(&rounds) && word && holder_gone(lock, word, w))\n\t\t\tcontinue;\n")]),
    ("a seized lock's lists aren't made whole", [(REPAIR, "\tif (broken) {\n\t\trelink(e);\n", "\tif (broken) {\n")]),
    ("the hands of the dead aren't looked for", [(REPAIR, "\t\tany = true;\n\t\tif (mark)\n", "\t\tif (mark)\n")]),
    ("an evictor doesn't say that it has elements in hand",
     [(LRU, "\tif (victims->n)\n\t\tmark_hand(w, true);\n", ""), (LRU, "\t\tmark_hand(w, victims->n != 0);\n", "")]),
    ("a thief doesn't say that it has an element in hand",
     [(LRU, "\t\tlru_to_hand(evict_node(e, index), w);\n\t\tmark_hand(w, true);\n",
       "\t\tlru_to_hand(evict_node(e, index), w);\n")]),
    ("what the walk didn't meet is forgotten",
     [(REPAIR, "\t\telse if (place < LRU_HAND)\n", "\t\telse if (place > LRU_GIVEN)\n")]),
    ("a forked child's lists stay as they were",
     [(REPAIR, "\t\tset_marks(node, place, 0);\n\t}\n\trelink(e);\n}\n", "\t\tset_marks(node, place, 0);\n\t}\n}\n")]),
    ("a forked child's locks stay held",
     [(REPAIR, "\tfor (uint32_t i = 0; i < n_locks(e); i++)\n"
       "\t\tatomic_store_explicit(&nth_lock(e, i)->word, 0, memory_order_relaxed);\n", "")]),
    # S3-FIFO.
    ("an element's later life passes for the one on probation",
     [(S3FIFO, " || ring_entry(e, (uint32_t)entry) != entry ||", " ||")]),
    ("ghosts are ignored",
     [(S3FIFO, "ghost_drop(ghosts_of(e), atomic_load_explicit(&node->prev, memory_order_relaxed))",
       "ghost_drop(ghosts_of(e), 0) && !e->part")]),
    ("uses earn no round",
     [(S3FIFO, "\treturn used;\n}\n\n/* The first in turn", "\treturn used > EVICT_USED_MAX;\n}\n\n/* The first in turn")]),
    ("what is on probation is evicted, used or not",
     [(S3FIFO, "\tif (atomic_load_explicit(evict_used(e, (uint32_t)entry), memory_order_relaxed)) {\n",
       "\tif (atomic_load_explicit(evict_used(e, (uint32_t)entry), memory_order_relaxed) > EVICT_USED_MAX) {\n")]),
    ("nothing ages",
     [(S3FIFO, "\tatomic_store_explicit(&node->list, (uint8_t)(list + 1), memory_order_relaxed);\n", "")]),
    ("an entry that a writer has is taken", [(S3FIFO, "\tif (removed == EVICT_NOT)\n\t\treturn 0;\n", "")]),
    ("announced elements are handed out (S3-FIFO)",
     [(S3FIFO, "e->hazards ? take_unannounced(e, w) : take_any(e, w);",
       "!e->part ? take_unannounced(e, w) : take_any(e, w);")]),
    ("whose an element is isn't compared when it's claimed",
     [(STOCK, "\treturn atomic_compare_exchange_strong_explicit(owner_of(e, index), &none, w->owner, memory_order_seq_cst,\n"
       "\t\t\t\t\t\t       memory_order_seq_cst);\n",
       "\tnone = atomic_exchange(owner_of(e, index), w->owner);\n\treturn true;\n")]),
    ("the owner word is stored when an element is nobody's",
     [(HASH_EVICT, "\tif (!atomic_compare_exchange_strong_explicit(&place->element->owner, &owner, w->owner, "
       "memory_order_acq_rel,\n"
       "\t\t\t\t\t\t     memory_order_relaxed))\n\t\treturn EVICT_NOT;\n",
       "\tatomic_store(&place->element->owner, w->owner);\n")]),
    ("the stack's version isn't bumped on pop and push",
     [(STOCK, "(struct pair_value){ old.first + 1, next ? count", "(struct pair_value){ old.first, next ? count"),
      (STOCK, "(struct pair_value){ old.first + 1, count << 32 | index }",
       "(struct pair_value){ old.first, count << 32 | index }")]),
    ("who gives doesn't look whether the hint is gone",
     [(STOCK, "} while (!atomic_load_explicit(cpu, memory_order_seq_cst) && claim(e, w, index));", "} while (0);")]),
    ("a stack's bit is cleared without a second look", [(STOCK, "cleared < 2; cleared++", "cleared < 1; cleared++")]),
    ("a forked child's free elements are forgotten",
     [(STOCK, "\t\thint(e, index % e->n_cpus, index);\n\t\tatomic_store", "\t\tatomic_store")]),
]

UNSEEN = [
]
