/* SPDX-License-Identifier: MIT */
/*
 * BPF_MAP_TYPE_HASH and BPF_MAP_TYPE_PERCPU_HASH: a lock-free hash map on tagged lines.
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
 * Walk order inside a bucket is most recently inserted first, by the stamp in each element. With BPF_F_ZERO_SEED stamps
 * count up from the bucket's largest, as the kernel's list does, and a replacement gets a new one. Otherwise the stamp
 * is the inserting operation's unique number, and replacements inherit it, so that a walk meets each entry once.
 */
#include "map/hash.h"

#include <errno.h>
#include <stddef.h>

#include "map/types.h"

#define HASH_FLAGS                                                                                                 \
	(BPF_F_NO_PREALLOC | BPF_F_NUMA_NODE | BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_ZERO_SEED | BPF_F_RDONLY_PROG | \
	 BPF_F_WRONLY_PROG)
#define HASH_MAX_SUM	 ((4u << 20) - 48) /* key_size + value_size must be less */
#define HASH_MAX_ENTRIES (1u << 31)
#define HASH_MIN_BUDGET	 (64u << 10)

static int hash_alloc_check(const struct map_attr *attr)
{
	const __u32 prog = BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG, fd = BPF_F_RDONLY | BPF_F_WRONLY;

	if (attr->map_flags & ~(__u32)HASH_FLAGS || (attr->map_flags & prog) == prog || (attr->map_flags & fd) == fd)
		return -EINVAL;
	if (!attr->key_size || !attr->value_size || !attr->max_entries)
		return -EINVAL;
	return (uint64_t)attr->key_size + attr->value_size >= HASH_MAX_SUM ? -E2BIG : 0;
}

static int percpu_hash_alloc_check(const struct map_attr *attr)
{
	int err = hash_alloc_check(attr);

	if (err == -EINVAL || (attr->map_flags & BPF_F_NUMA_NODE && attr->numa_node != NUMA_NONE))
		return -EINVAL;
	return err || words_stride(attr->value_size) > PERCPU_MAX_VALUE ? -E2BIG : 0;
}

static bool is_percpu(const struct map_attr *attr)
{
	return attr->type == BPF_MAP_TYPE_PERCPU_HASH;
}

static uint32_t n_buckets(const struct map_attr *attr)
{
	return attr->max_entries > 1 ? 1u << (32 - __builtin_clz(attr->max_entries - 1)) : 1;
}

static uint32_t n_lines(const struct map_attr *attr)
{
	uint32_t n = n_buckets(attr);

	return n > LINE_BUCKETS ? n / LINE_BUCKETS : 1;
}

/* Elements don't straddle cache lines more than their size demands. */
_Static_assert(sizeof(struct object) + 8 + 8 == PAIR_ELEMENT_SIZE, "what element_size gives a pair");

static uint32_t element_size(const struct map_attr *attr)
{
	size_t size = sizeof(struct object) + words_stride(attr->key_size);

	if (!is_percpu(attr))
		size += words_stride(attr->value_size);
	return size <= 32 ? 32 : (uint32_t)((size + 63) & ~(size_t)63);
}

/* With what it has outside of itself: decides how many are moved at a time. */
static uint32_t element_footprint(const struct region_layout *layout)
{
	const struct map_attr *attr = &layout->attr;

	return element_size(attr) + (is_percpu(attr) ? (uint32_t)words_stride(attr->value_size) * layout->n_cpus : 0);
}

static uint64_t budget(const struct region_layout *layout)
{
	uint32_t max = layout->attr.max_entries;

	if (layout->reuse != USERMAP_REUSE_GRACE)
		return 0;
	return max > HASH_MIN_BUDGET ? max : HASH_MIN_BUDGET;
}

static uint64_t n_elements(const struct region_layout *layout)
{
	return slab_objects(layout->attr.max_entries, budget(layout), element_footprint(layout));
}

static uint64_t n_nodes(const struct region_layout *layout)
{
	return overflow_nodes(n_lines(&layout->attr), layout->attr.max_entries, budget(layout));
}

static uint64_t elements_preallocated(const struct map_attr *attr)
{
	return 1 + (uint64_t)(attr->map_flags & BPF_F_NO_PREALLOC
				      ? 0
				      : attr->max_entries); /* object 0 may always be read */
}

static int hash_layout(struct region_layout *layout)
{
	const struct map_attr *attr = &layout->attr;
	uint64_t lists = (uint64_t)layout->n_cpus * sizeof(struct cpu_line) + sizeof(struct fresh_line);
	uint64_t element = element_size(attr), lines;

	if (attr->max_entries >
	    HASH_MAX_ENTRIES) /* not among the first checks: in the kernel, tokens and devices come before */
		return -E2BIG;
	lines = (uint64_t)n_lines(attr) * sizeof(struct line);
	if (!region_layout_add(layout, PART_INDEX, lines, lines) ||
	    !region_layout_add(layout, PART_ELEMENTS, n_elements(layout) * element,
			       elements_preallocated(attr) * element) ||
	    !region_layout_add(layout, PART_NODES, n_nodes(layout) * sizeof(struct node), 0) ||
	    !region_layout_add(layout, PART_RECORDS, RECORDS * sizeof(struct record), 0) ||
	    !region_layout_add(layout, PART_LISTS, lists, lists) || (attr->spin_lock && !vlock_layout(layout)) ||
	    (is_percpu(attr) && !percpu_layout(layout, n_elements(layout), elements_preallocated(attr))))
		return -ENOMEM;
	return 0;
}

static struct fresh_line *fresh_line(const struct usermap *map)
{
	struct cpu_line *lines = region_part(&map->region, &map->layout, PART_LISTS);

	return (struct fresh_line *)(lines + map->layout.n_cpus);
}

static int hash_format(struct usermap *map)
{
	struct fresh_line *fresh = fresh_line(map);

	credit_format(region_part(&map->region, &map->layout, PART_LISTS), map->layout.n_cpus, map->max_entries);
	/* relaxed: nobody else sees the region yet. Object 0 is none */
	atomic_store_explicit(&fresh->elements, 1, memory_order_relaxed);
	atomic_store_explicit(&fresh->nodes, 1, memory_order_relaxed);
	if (is_percpu(&map->layout.attr))
		percpu_format(&map->region, &map->layout);
	return 0;
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
	slab->budget = budget(&map->layout);
}

/* What values in place need: slots or locks, and elements that are reused with care. */
static void attach_in_place(struct hash *h, struct usermap *map)
{
	bool percpu = is_percpu(&map->layout.attr);

	if (percpu) {
		percpu_attach(&h->percpu, &map->region, &map->layout, h->elements.n);
		h->elements.percpu = &h->percpu;
	}
	if (map->spin_lock && map->region.fd >= 0) {
		process_attach(&h->processes, &map->region, &map->layout);
		h->writers.processes = &h->processes;
	}
	if (map->spin_lock) {
		vlock_attach(&h->locks, &h->writers, &map->layout,
			     element_key((struct object *)h->elements.base) + h->key_stride, h->elements.object_size,
			     h->elements.n);
		h->writers.locks = &h->locks;
	}
	if ((percpu || map->spin_lock) && map->reuse == USERMAP_REUSE_AT_ONCE)
		h->elements.hazards = h->writers.records;
}

static const struct map_ops variants[];
static int variant_of(const struct usermap *map);

static int hash_attach(struct usermap *map)
{
	struct hash *h = hash_of(map);
	const struct map_attr *attr = &map->layout.attr;

	h->lines = region_part(&map->region, &map->layout, PART_INDEX);
	h->bucket_mask = n_buckets(attr) - 1;
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
		      !is_percpu(attr);
	h->header = map->region.header;
	h->cpu_lines = region_part(&map->region, &map->layout, PART_LISTS);
	attach_slab(&h->elements, map, PART_ELEMENTS, element_size(attr), element_footprint(&map->layout),
		    n_elements(&map->layout));
	h->elements.list = offsetof(struct cpu_line, elements);
	h->elements.fresh = &fresh_line(map)->elements;
	h->elements.touched = elements_preallocated(attr);
	attach_slab(&h->nodes, map, PART_NODES, sizeof(struct node), sizeof(struct node), n_nodes(&map->layout));
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
	map->ops = &variants[variant_of(map)];
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
	uint64_t free_credits = credit_count(h->cpu_lines, h->n_cpus);

	uint64_t slots = used_bytes(&h->elements) / h->elements.object_size;

	info->count = free_credits < map->max_entries ? map->max_entries - free_credits : 0;
	info->bytes_used = map->layout.size[PART_INDEX] + map->layout.size[PART_LISTS] + used_bytes(&h->elements) +
			   used_bytes(&h->nodes) + REGION_PAGE + slots * h->percpu.stride * h->percpu.n_cpus +
			   sizeof(struct record) * atomic_load_explicit(&h->header->records_used, memory_order_relaxed);
	info->waiting = slab_waiting(&h->elements);
	info->waiting_budget = h->elements.budget;
	info->grace_waits = atomic_load_explicit(&h->elements.grace_waits, memory_order_relaxed) +
			    atomic_load_explicit(&h->nodes.grace_waits, memory_order_relaxed);
	info->over_budget = atomic_load_explicit(&h->elements.over_budget, memory_order_relaxed);
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

#define HASH_PERCPU_OPS(name, walk)                                                                                    \
	HASH_OPS(name, walk, .type = BPF_MAP_TYPE_PERCPU_HASH, .percpu = true, .alloc_check = percpu_hash_alloc_check, \
		 .update_prog = hash_update_prog_##name, .lookup_percpu_ptr = hash_lookup_percpu_ptr_##name,           \
		 .percpu_add = hash_percpu_add_##name, )

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

static int variant_of(const struct usermap *map)
{
	bool grace = map->reuse == USERMAP_REUSE_GRACE;

	if (is_percpu(&map->layout.attr) && map->key_size == 4)
		return grace ? HASH_percpu4_grace : HASH_percpu4_at_once;
	if (is_percpu(&map->layout.attr) && map->key_size == 8)
		return grace ? HASH_percpu8_grace : HASH_percpu8_at_once;
	if (is_percpu(&map->layout.attr))
		return grace ? HASH_percpu_grace : HASH_percpu_at_once;
	if (map->spin_lock)
		return grace ? HASH_locked_grace : HASH_locked_at_once;
	if (map->key_size == 8 && map->value_size == 8 && !(map->map_flags & BPF_F_ZERO_SEED))
		return grace ? HASH_pair_grace : HASH_pair_at_once;
	if (map->key_size == 8)
		return grace ? HASH_key8_grace : HASH_key8_at_once;
	if (map->key_size == 4)
		return grace ? HASH_key4_grace : HASH_key4_at_once;
	return grace ? HASH_key_grace : HASH_key_at_once;
}

/* What the registry finds: attach replaces it by the handle's variant. */
const struct map_ops hash_ops = {
	.type = BPF_MAP_TYPE_HASH,
	.alloc_check = hash_alloc_check,
	.layout = hash_layout,
	.format = hash_format,
	.attach = hash_attach,
};

const struct map_ops percpu_hash_ops = {
	.type = BPF_MAP_TYPE_PERCPU_HASH,
	.percpu = true,
	.alloc_check = percpu_hash_alloc_check,
	.layout = hash_layout,
	.format = hash_format,
	.attach = hash_attach,
};
