/* SPDX-License-Identifier: MIT */
/*
 * BPF_MAP_TYPE_HASH, PERCPU_HASH, LRU_HASH and LRU_PERCPU_HASH: a lock-free hash map on tagged lines.
 *
 * Idea. A key's hash names a kernel-visible bucket; four neighbouring buckets share a cache line (core/line.h) whose
 * commit word says, at one instant, which of its 8 slots and which chain of overflow nodes are part of the map. Writers
 * prepare everything privately and change the commit word by one double-word CAS. Readers take a snapshot, follow the
 * index to the element, and check that the version has not moved.
 *
 *   insert    fill a private element, take a credit, claim a free slot (CAS index 0 -> e), commit: set the tag. No
 *             slot to be had: commit a new overflow root instead. No operation ever needs a slot, so claims of stopped
 *             writers block nobody.
 *   replace   by commit: claim or overflow for the new element, and the same commit clears the old one's tag or entry:
 *             the key is present at every instant. On grace maps without BPF_F_ZERO_SEED, cheaper: CAS the slot's
 *             index, old -> new, no commit (swap); or, for values of up to 8 bytes, one store into the element (in
 *             place).
 *   delete    commit: clear the tag, or commit a chain without the entry. Then release the slot.
 *   lookup    snapshot, tags, index, key, value, version again.
 *
 * Linearization points. insert, delete, replace by commit: the commit. Swap: the CAS of the index; one that lands after
 * a delete's commit counts as just before it: the deleter exchanges the index with 0 and retires what the exchange
 * gave. In place: the store; if the entry was removed meanwhile, just before the removal. Lookup, and outcomes of
 * BPF_NOEXIST and BPF_EXIST: the reading of the commit word that the check found unmoved (a hit: of the index or value
 * behind it). lookup_and_delete: the commit; the value is read afterwards, from an element that is private by then.
 *
 * Invariants. (1) An index under a non-zero tag is a published element, in exactly one place. (2) Every commit moves
 * the version. (3) An element's bytes don't change while it is published, but for stores in place. (4) An element on a
 * swap map never moves to another place, else a swap that lands in the old one would be lost: chains are changed by
 * commit only, and entries in nodes are never swapped. (5) Entries hold a credit each: a commit that adds one has taken
 * it, a commit that removes one gives it back.
 *
 * Elements are reused at once or after a grace period. At once (and in lookups of a word that spare the section, see
 * hash_lookup.c): a reader or writer may meet an element or node that serves another key by now; whatever it concludes
 * counts only if its line's version has not moved, and every commit of a writer compares the whole word it looked at.
 *
 * Killed or stopped: before the commit, a writer has changed nothing that others see; it keeps a claim (a free slot
 * that is never free again), an element and perhaps a credit. After the commit: the same of what it removed. Nobody
 * waits for it.
 *
 * Per-CPU values lie outside the elements: slot i of every CPU's area belongs to element i. They are replaced in place,
 * so the walk order stays. A writer finds the element, announces it in its record, passes a fence, checks that the line
 * has not moved, stores, ends the announcement. The store is the linearization point; if the entry is removed
 * meanwhile, just before the removal. The announcement keeps the element from being reused at once (slab.h), and makes
 * lookup_and_delete wait, after its commit, for stores that may still go on: none that returned 0 is lost. Killed while
 * it stores, a writer leaves some slots new and some old; each word is whole.
 *
 * Values with a spin lock are replaced like others, but by BPF_F_LOCK in place: the writer takes the value's lock
 * (core/vlock.h), finds the key again, and if it still is this element, stores. A removal takes no lock;
 * lookup_and_delete takes it after its commit, before it reads: who stores under the lock either had found the element
 * before the commit, and is waited for, or finds it gone. Lookups never see half a store: they read by the lock's
 * sequence. Killed under the lock: who takes it over finishes the copy.
 *
 * LRU types reuse at once, on private maps, too. Their elements, exactly max_entries, are an eviction policy's
 * (core/evict.h) instead of a slab's, and no credits are counted: who has an element may insert. An eviction is an
 * ordinary delete commit (hash_evict.c), which may lose against another removal. The kernel's policy has locks, none of
 * which is held during a commit: so writes with it are not lock-free, all else is.
 *
 * Walk order inside a bucket is most recently inserted first, by the stamp in each element. With BPF_F_ZERO_SEED stamps
 * count up from the bucket's largest, as the kernel's list does, and a replacement gets a new one. Otherwise the stamp
 * is the inserting operation's unique number, and replacements inherit it, so that a walk meets each entry once. Stamps
 * have 56 bits: the number's come round after 2^43 writes by one thread, and two entries are mistaken for one only if they
 * are exactly so far apart, and in one bucket.
 */
#include "map/hash.h"

#include <errno.h>
#include <stddef.h>

#include "map/types.h"

static struct fresh_line *fresh_line(const struct usermap *map)
{
	struct cpu_line *lines = region_part(&map->region, &map->layout, PART_LISTS);

	return (struct fresh_line *)(lines + map->layout.n_cpus);
}

static void attach_slab(struct slab *slab, struct usermap *map, enum region_part part, uint32_t size,
			uint32_t footprint, uint64_t n)
{
	slab->base = region_part(&map->region, &map->layout, part);
	slab->object_size = size;
	slab->n = (uint32_t)n;
	slab->chunk = slab_chunk(footprint);
	slab->n_cpus = map->layout.n_cpus;
	slab->lines = region_part(&map->region, &map->layout, PART_LISTS);
	slab->region = &map->region;
	slab->budget = hash_budget(&map->layout);
}

/* The elements, and whose they are. */
static void attach_elements(struct hash *h, struct usermap *map)
{
	const struct map_attr *attr = &map->layout.attr;

	attach_slab(&h->elements, map, PART_ELEMENTS, hash_element_size(attr), hash_element_footprint(&map->layout),
		    hash_n_elements(&map->layout));
	h->elements.list = offsetof(struct cpu_line, elements);
	h->elements.fresh = &fresh_line(map)->elements;
	h->elements.touched = hash_elements_preallocated(attr);
	if (!hash_is_lru(attr))
		return;
	h->evict = (struct evict){ .ops = hash_policy(attr),
				   .elements = &h->elements,
				   .writers = &h->writers,
				   .remove = hash_evict,
				   .prefetch = hash_evict_prefetch,
				   .nodes = region_part(&map->region, &map->layout, PART_EVICT_NODES),
				   .part = region_part(&map->region, &map->layout, PART_EVICT),
				   .n_cpus = map->layout.n_cpus,
				   .no_common = attr->map_flags & BPF_F_NO_COMMON_LRU };
	if (hash_is_percpu(attr))
		h->evict.hazards = region_part(&map->region, &map->layout, PART_RECORDS);
	h->evict.ops->attach(&h->evict);
	if (map->region.read_only) /* nothing is stored: hits don't count */
		h->evict.hit_adds = 0;
	h->on_evict = map->on_evict;
	h->on_evict_ctx = map->on_evict_ctx;
}

static int hash_format(struct usermap *map)
{
	struct fresh_line *fresh = fresh_line(map);
	struct hash *h = hash_of(map);

	credit_format(region_part(&map->region, &map->layout, PART_LISTS), map->layout.n_cpus, map->max_entries);
	/* relaxed: nobody else sees the region yet. Object 0 is none */
	atomic_store_explicit(&fresh->elements, 1, memory_order_relaxed);
	atomic_store_explicit(&fresh->nodes, 1, memory_order_relaxed);
	if (hash_is_percpu(&map->layout.attr))
		percpu_format(&map->region, &map->layout);
	if (hash_is_lru(&map->layout.attr)) {
		attach_elements(h, map);
		h->evict.ops->format(&h->evict);
	}
	return 0;
}

/* What values in place need: slots or locks, and elements that are reused with care. */
static void attach_in_place(struct hash *h, struct usermap *map)
{
	bool percpu = hash_is_percpu(&map->layout.attr);

	if (percpu) {
		percpu_attach(&h->percpu, &map->region, &map->layout, h->elements.n);
		h->elements.percpu = &h->percpu;
	}
	if ((map->spin_lock || map->ops->evicts) && map->region.fd >= 0) {
		process_attach(&h->processes, &map->region, &map->layout);
		h->writers.processes = &h->processes;
	}
	if (map->spin_lock) {
		vlock_attach(&h->locks, &h->writers, &map->layout,
			     element_key((struct object *)h->elements.base) + h->key_stride, h->elements.object_size,
			     h->elements.n);
		h->writers.locks = &h->locks;
	}
	if ((percpu || map->spin_lock) && map->reuse == USERMAP_REUSE_AT_ONCE && !map->ops->evicts)
		h->elements.hazards = h->writers.records;
}

static const struct map_ops variants[], lru_variants[];
static int variant_of(const struct usermap *map);

static int hash_attach(struct usermap *map)
{
	struct hash *h = hash_of(map);
	const struct map_attr *attr = &map->layout.attr;

	h->lines = region_part(&map->region, &map->layout, PART_INDEX);
	h->bucket_mask = hash_n_buckets(attr) - 1;
	h->key_size = map->key_size;
	h->value_size = map->value_size;
	h->value_bytes = map->value_bytes;
	h->max_entries = map->max_entries;
	h->chain_max = map->max_entries / NODE_SLOTS + 2; /* all nodes but the first are full */
	h->key_stride = (uint32_t)words_stride(map->key_size);
	h->n_cpus = map->layout.n_cpus;
	h->seed = map->region.header->seed;
	h->ordered = attr->map_flags & BPF_F_ZERO_SEED;
	h->in_place = map->reuse == USERMAP_REUSE_GRACE && map->value_size <= 8 && !h->ordered && !map->spin_lock &&
		      !hash_is_percpu(attr);
	h->header = map->region.header;
	h->cpu_lines = region_part(&map->region, &map->layout, PART_LISTS);
	attach_elements(h, map);
	attach_slab(&h->nodes, map, PART_NODES, sizeof(struct node), sizeof(struct node), hash_n_nodes(&map->layout));
	h->nodes.list = offsetof(struct cpu_line, nodes);
	h->nodes.fresh = &fresh_line(map)->nodes;
	h->writers = (struct writer_set){ .region = &map->region,
					  .records = region_part(&map->region, &map->layout, PART_RECORDS),
					  .records_offset = map->layout.offset[PART_RECORDS],
					  .elements = &h->elements,
					  .nodes = &h->nodes,
					  .map_id = map->local_id,
					  .private_memory = map->region.fd < 0,
					  .repair = hash_repair };
	attach_in_place(h, map);
	map->ops = map->ops->evicts ? &lru_variants[variant_of(map)] : &variants[variant_of(map)];
	return 0;
}

static void hash_detach(struct usermap *map)
{
	if (hash_of(map)->writers.processes)
		process_leave(&hash_of(map)->processes);
}

static uint64_t used_bytes(const struct slab *slab)
{
	uint64_t fresh = atomic_load_explicit(slab->fresh, memory_order_relaxed);

	return (fresh > slab->touched ? fresh : slab->touched) * slab->object_size;
}

static void hash_info(const struct usermap *map, struct usermap_info *info)
{
	const struct hash *h = hash_of(map);
	const struct evict *evict = &h->evict;
	uint64_t free = evict->ops ? evict->ops->free(evict) : credit_count(h->cpu_lines, h->n_cpus);
	uint64_t slots = used_bytes(&h->elements) / h->elements.object_size;

	info->count = free < map->max_entries ? map->max_entries - free : 0;
	info->bytes_used = map->layout.size[PART_INDEX] + map->layout.size[PART_LISTS] + map->layout.size[PART_EVICT] +
			   map->layout.size[PART_EVICT_NODES] + used_bytes(&h->elements) + used_bytes(&h->nodes) +
			   REGION_PAGE + slots * h->percpu.stride * h->percpu.n_cpus +
			   sizeof(struct record) * atomic_load_explicit(&h->header->records_used, memory_order_relaxed);
	info->waiting = slab_waiting(&h->elements);
	info->waiting_budget = h->elements.budget;
	info->grace_waits = atomic_load_explicit(&h->elements.grace_waits, memory_order_relaxed) +
			    atomic_load_explicit(&h->nodes.grace_waits, memory_order_relaxed);
	info->over_budget = atomic_load_explicit(&h->elements.over_budget, memory_order_relaxed);
	info->eviction = map->layout.attr.eviction;
	if (evict->ops)
		evict->ops->info(evict, info);
}

static const struct value_locks *hash_value_locks(struct usermap *map)
{
	return &hash_of(map)->locks;
}

/* A variant's table: its operations, the walks it shares, and what is particular to it. */
#define HASH_OPS(name, walk, ...)                                                         \
	[HASH_##name] = { .layout = hash_layout,                                          \
			  .format = hash_format,                                          \
			  .attach = hash_attach,                                          \
			  .detach = hash_detach,                                          \
			  .lookup = hash_lookup_##name,                                   \
			  .update = hash_update_##name,                                   \
			  .delete = hash_delete_##name,                                   \
			  .next_key = hash_next_key_##walk,                               \
			  .lookup_and_delete = hash_lookup_and_delete_##name,             \
			  .lookup_batch = hash_lookup_batch_##walk,                       \
			  .lookup_and_delete_batch = hash_lookup_and_delete_batch_##walk, \
			  .update_batch = batch_update,                                   \
			  .delete_batch = batch_delete,                                   \
			  .batch_flags_checked = true,                                    \
			  .prefetch = hash_prefetch_##name,                               \
			  .lookup_bulk = hash_lookup_bulk_##name,                         \
			  .lookup_ptr = hash_lookup_ptr_##name,                           \
			  .for_each = hash_for_each_##walk,                               \
			  .info = hash_info,                                              \
			  __VA_ARGS__ }

#define HASH_PLAIN_OPS(name, walk) HASH_OPS(name, walk, .type = BPF_MAP_TYPE_HASH, .alloc_check = hash_alloc_check, )

#define HASH_LOCKED_OPS(name)                                                            \
	HASH_OPS(name, name, .type = BPF_MAP_TYPE_HASH, .alloc_check = hash_alloc_check, \
		 .value_locks = hash_value_locks, )

#define HASH_PERCPU_OPS(name, walk)                                                                             \
	HASH_OPS(name, walk, .type = BPF_MAP_TYPE_PERCPU_HASH, .percpu = true, .alloc_check = hash_alloc_check, \
		 .update_prog = hash_update_prog_##name, .lookup_percpu_ptr = hash_lookup_percpu_ptr_##name,    \
		 .percpu_add = hash_percpu_add_##name, )

#define LRU_PLAIN_OPS(name, walk) \
	HASH_OPS(name, walk, .type = BPF_MAP_TYPE_LRU_HASH, .evicts = true, .alloc_check = hash_alloc_check, )

#define LRU_PERCPU_OPS(name, walk)                                                                 \
	HASH_OPS(name, walk, .type = BPF_MAP_TYPE_LRU_PERCPU_HASH, .evicts = true, .percpu = true, \
		 .alloc_check = hash_alloc_check, .update_prog = hash_update_prog_##name,          \
		 .lookup_percpu_ptr = hash_lookup_percpu_ptr_##name, .percpu_add = hash_percpu_add_##name, )

#define HASH_NUMBER(name, size, traits) HASH_##name,
enum { HASH_VARIANTS(HASH_NUMBER) };

static const struct map_ops variants[] = {
	HASH_PLAIN_OPS(pair_grace, pair_grace),
	HASH_PLAIN_OPS(key4_grace, key_grace),
	HASH_PLAIN_OPS(key8_grace, key_grace),
	HASH_PLAIN_OPS(key_grace, key_grace),
	HASH_PLAIN_OPS(pair_at_once, pair_at_once),
	HASH_PLAIN_OPS(key4_at_once, key_at_once),
	HASH_PLAIN_OPS(key8_at_once, key_at_once),
	HASH_PLAIN_OPS(key_at_once, key_at_once),
	HASH_LOCKED_OPS(locked_grace),
	HASH_LOCKED_OPS(locked_at_once),
	HASH_PERCPU_OPS(percpu4_grace, percpu_grace),
	HASH_PERCPU_OPS(percpu8_grace, percpu_grace),
	HASH_PERCPU_OPS(percpu_grace, percpu_grace),
	HASH_PERCPU_OPS(percpu4_at_once, percpu_at_once),
	HASH_PERCPU_OPS(percpu8_at_once, percpu_at_once),
	HASH_PERCPU_OPS(percpu_at_once, percpu_at_once),
};

static const struct map_ops lru_variants[] = {
	LRU_PLAIN_OPS(pair_evicts, pair_at_once),	 LRU_PLAIN_OPS(pair_at_once, pair_at_once),
	LRU_PLAIN_OPS(key4_at_once, key_at_once),	 LRU_PLAIN_OPS(key8_at_once, key_at_once),
	LRU_PLAIN_OPS(key_at_once, key_at_once),	 LRU_PERCPU_OPS(percpu4_at_once, percpu_at_once),
	LRU_PERCPU_OPS(percpu8_at_once, percpu_at_once), LRU_PERCPU_OPS(percpu_at_once, percpu_at_once),
};

static int variant_of(const struct usermap *map)
{
	bool grace = map->reuse == USERMAP_REUSE_GRACE;

	if (hash_is_percpu(&map->layout.attr) && map->key_size == 4)
		return grace ? HASH_percpu4_grace : HASH_percpu4_at_once;
	if (hash_is_percpu(&map->layout.attr) && map->key_size == 8)
		return grace ? HASH_percpu8_grace : HASH_percpu8_at_once;
	if (hash_is_percpu(&map->layout.attr))
		return grace ? HASH_percpu_grace : HASH_percpu_at_once;
	if (map->spin_lock)
		return grace ? HASH_locked_grace : HASH_locked_at_once;
	if (map->key_size == 8 && map->value_size == 8 && !(map->map_flags & BPF_F_ZERO_SEED))
		return grace					? HASH_pair_grace
		       : map->ops->evicts && map->region.fd < 0 ? HASH_pair_evicts
								: HASH_pair_at_once;
	if (map->key_size == 8)
		return grace ? HASH_key8_grace : HASH_key8_at_once;
	if (map->key_size == 4)
		return grace ? HASH_key4_grace : HASH_key4_at_once;
	return grace ? HASH_key_grace : HASH_key_at_once;
}

/* What the registry finds: attach replaces it by the handle's variant. */
#define TYPE_OPS(number, ...)                                                                                  \
	{                                                                                                      \
		.type = number, .alloc_check = hash_alloc_check, .layout = hash_layout, .format = hash_format, \
		.attach = hash_attach, __VA_ARGS__                                                             \
	}

const struct map_ops hash_ops = TYPE_OPS(BPF_MAP_TYPE_HASH, );
const struct map_ops percpu_hash_ops = TYPE_OPS(BPF_MAP_TYPE_PERCPU_HASH, .percpu = true, );
const struct map_ops lru_hash_ops = TYPE_OPS(BPF_MAP_TYPE_LRU_HASH, .evicts = true, );
const struct map_ops lru_percpu_hash_ops = TYPE_OPS(BPF_MAP_TYPE_LRU_PERCPU_HASH, .percpu = true, .evicts = true, );
