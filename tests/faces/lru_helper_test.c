/* SPDX-License-Identifier: MIT */
/* LRU maps by the program face: what counts as a hit, per-CPU values of entries that come and go, walks, and read-only
 * attachments. */
#include <sched.h>

#include "../semantics/cpus.h"
#include "lru_maps.h"

#define MET_MAX 40u

/* The CPU that helpers work for now, on a map for n_cpus. */
static __u32 here(__u32 n_cpus)
{
	return (__u32)sched_getcpu() % n_cpus;
}

static long put(struct usermap *map, __u32 key, __u64 value, __u64 flags)
{
	return usermap_helper_update_elem(map, &key, &value, flags);
}

static __u64 slot(struct usermap *map, __u32 key, __u32 cpu)
{
	__u64 slots[LRU_CPUS];

	assert_int_equal(lru_slots(map, key, slots), 0);
	return slots[cpu];
}

/* The ways to meet an entry of a full map of at most MET_MAX, and whether each is a use that keeps it from being evicted. */

static void by_lookup(struct usermap *map, __u32 key)
{
	assert_true(lru_hit(map, key));
}

static void by_lookup_of_another_cpu(struct usermap *map, __u32 key)
{
	usermap_read_lock();
	assert_non_null(usermap_helper_lookup_percpu_elem(map, &key, !here(2)));
	usermap_read_unlock();
}

static void by_lookup_of_no_cpu(struct usermap *map, __u32 key)
{
	usermap_read_lock();
	assert_null(usermap_helper_lookup_percpu_elem(map, &key, 2));
	usermap_read_unlock();
}

static void by_add(struct usermap *map, __u32 key)
{
	assert_int_equal(usermap_percpu_add(map, &key, 0, 1), 0);
}

static void by_exist(struct usermap *map, __u32 key)
{
	assert_int_equal(put(map, key, 1, BPF_EXIST), 0);
}

static void by_copy(struct usermap *map, __u32 key)
{
	assert_true(lru_has(map, key));
}

static void by_bulk(struct usermap *map, __u32 key)
{
	__u64 slots[LRU_CPUS], found;

	assert_int_equal(usermap_lookup_bulk(map, &key, slots, 1, &found), 1);
}

static void by_walk(struct usermap *map, __u32 key)
{
	(void)key;
	assert_int_equal(lru_count(map), lru_info(map).max_entries);
}

static void by_batch(struct usermap *map, __u32 key)
{
	__u32 keys[MET_MAX], token, count = MET_MAX;
	__u64 values[MET_MAX * LRU_CPUS];

	(void)key;
	assert_int_equal(usermap_lookup_batch(map, NULL, &token, keys, values, &count, NULL), -ENOENT);
	assert_int_equal(count, lru_info(map).max_entries);
}

static long count_one(struct usermap *map, const void *key, void *value, void *ctx)
{
	(void)map, (void)key, (void)value;
	++*(long *)ctx;
	return 0;
}

static void by_for_each(struct usermap *map, __u32 key)
{
	long n = 0;

	(void)key;
	assert_int_equal(usermap_helper_for_each_elem(map, count_one, &n, 0), lru_info(map).max_entries);
	assert_int_equal(n, lru_info(map).max_entries);
}

static void by_nothing(struct usermap *map, __u32 key)
{
	(void)map, (void)key;
}

struct way {
	const char *name;
	void (*meet)(struct usermap *map, __u32 key);
	bool percpu_only;
	bool kernel, s3fifo; /* a use, by either policy */
};

static const struct way ways[] = {
	{ "nothing", by_nothing, false, false, false },
	{ "lookup", by_lookup, false, true, true },
	{ "lookup of another CPU's slot", by_lookup_of_another_cpu, true, true, true },
	{ "lookup of a CPU that is none", by_lookup_of_no_cpu, true, false, false },
	{ "an add", by_add, true, true, true },
	{ "an update with EXIST", by_exist, true, true, true },
	{ "a copy", by_copy, false, false, true },
	{ "a bulk lookup", by_bulk, false, false, true },
	{ "a walk", by_walk, false, false, false },
	{ "a lookup batch", by_batch, false, false, false },
	{ "for_each", by_for_each, false, false, false },
};

/*
 * A full map: is the entry whose turn it is to be evicted still there when the next two have come, if it was met so? With
 * the kernel's policy that's the eldest, with S3-FIFO the elder of the two that are on probation: a tenth of the map, for
 * two CPUs.
 */
static bool outlives(const struct lru_kind *kind, void (*meet)(struct usermap *map, __u32 key))
{
	__u32 size = kind->eviction ? MET_MAX : 4, next = kind->eviction ? size - 2 : 0;
	struct usermap *map = lru_make(kind, size, (struct usermap_opts)OPTS(.n_cpus = 2));
	bool there;

	cpus_pin(0);
	for (__u32 key = 0; key < size; key++)
		assert_int_equal(lru_put(map, key, key, 0), 0);
	meet(map, next);
	for (__u32 key = size; key < size + 2; key++)
		assert_int_equal(lru_put(map, key, key, 0), 0);
	there = lru_has(map, next);
	usermap_close(map);
	return there;
}

static void only_what_counts_as_a_use_keeps_an_entry(void **state)
{
	(void)state;
	for (int k = 0; k < LRU_KINDS; k++) {
		const struct lru_kind *kind = &lru_kinds[k];

		if (kind->map_flags) /* a CPU has half of the elements */
			continue;
		for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
			bool expected = kind->eviction ? ways[i].s3fifo : ways[i].kernel;

			if (ways[i].percpu_only && kind->type != LRU_PERCPU)
				continue;
			if (outlives(kind, ways[i].meet) != expected)
				print_error("%s: %s\n", kind->name, ways[i].name);
			assert_int_equal(outlives(kind, ways[i].meet), expected);
		}
	}
}

static void an_insert_clears_the_other_slots_and_an_update_leaves_them(void **state)
{
	(void)state;
	cpus_pin(1);
	for (int k = 1; k < LRU_KINDS; k += 2) {
		struct usermap *map = lru_make(&lru_kinds[k], 20, (struct usermap_opts)OPTS(.n_cpus = 4));

		for (__u32 round = 0; round < 200; round++) { /* elements are used again */
			__u32 key = round % 40;
			bool there = lru_put(map, key, 0xdead, 0) == 0 && put(map, key, 7, BPF_EXIST) == 0;

			assert_true(there);
			for (__u32 cpu = 0; cpu < 4; cpu++)
				assert_int_equal(slot(map, key, cpu), cpu == here(4) ? 7 : 0xdead);
			assert_int_equal(usermap_helper_delete_elem(map, &key), 0);
			assert_int_equal(put(map, key, 8, BPF_NOEXIST), 0);
			for (__u32 cpu = 0; cpu < 4; cpu++)
				assert_int_equal(slot(map, key, cpu), cpu == here(4) ? 8 : 0);
		}
		usermap_close(map);
	}
}

/* The kernel's policy takes an element before it looks the key up: here the entry's own. */
static void an_update_of_the_only_entry_makes_it_anew(void **state)
{
	struct usermap *map = lru_make(&lru_kinds[1], 1, (struct usermap_opts)OPTS(.n_cpus = 4));

	(void)state;
	cpus_pin(0);
	assert_int_equal(lru_put(map, 1, 5, 0), 0);
	assert_int_equal(put(map, 1, 77, BPF_ANY), 0);
	for (__u32 cpu = 0; cpu < 4; cpu++)
		assert_int_equal(slot(map, 1, cpu), cpu == here(4) ? 77 : 0);
	assert_int_equal(lru_info(map).evictions, 1);
	usermap_close(map);

	map = lru_make(&lru_kinds[5], 1, (struct usermap_opts)OPTS(.n_cpus = 4)); /* S3-FIFO looks first */
	assert_int_equal(lru_put(map, 1, 5, 0), 0);
	assert_int_equal(put(map, 1, 77, BPF_ANY), 0);
	for (__u32 cpu = 0; cpu < 4; cpu++)
		assert_int_equal(slot(map, 1, cpu), cpu == here(4) ? 77 : 5);
	assert_int_equal(lru_info(map).evictions, 0);
	usermap_close(map);
}

static void counters_of_entries_that_come_and_go(void **state)
{
	(void)state;
	for (int k = 1; k < LRU_KINDS; k += 2) {
		struct usermap *map = lru_make(&lru_kinds[k], 30, (struct usermap_opts)OPTS(.n_cpus = 4));
		__u32 absent = 0;

		for (__u32 i = 0; i < 5000; i++) {
			__u32 key = i * 2654435761u >> 26; /* of 64 */
			__u64 before[LRU_CPUS] = { 0 }, after[LRU_CPUS];
			int error;

			cpus_pin(i / 50);
			error = lru_slots(map, key, before);
			assert_int_equal(usermap_percpu_add(map, &key, 0, 3), error);
			absent += error != 0;
			if (error) {
				assert_int_equal(put(map, key, 3, BPF_NOEXIST), 0);
				memset(before, 0, sizeof(before));
			}
			before[here(4)] += 3;
			assert_int_equal(lru_slots(map, key, after), 0);
			assert_memory_equal(before, after, 4 * sizeof(__u64));
		}
		assert_true(absent > 500);
		usermap_close(map);
	}
}

static void updates_have_the_errno_of_helpers_and_never_E2BIG(void **state)
{
	(void)state;
	cpus_pin(0);
	for (int k = 0; k < LRU_KINDS; k++) {
		struct usermap *map = lru_make(&lru_kinds[k], 8, (struct usermap_opts)OPTS(.n_cpus = 2));
		__u64 evictions;

		assert_int_equal(put(map, 1, 11, BPF_ANY), 0);
		assert_int_equal(put(map, 1, 11, BPF_NOEXIST), -EEXIST);
		assert_int_equal(put(map, 9, 11, BPF_EXIST), -ENOENT);
		assert_int_equal(put(map, 1, 12, BPF_EXIST), 0);
		assert_int_equal(usermap_helper_delete_elem(map, &(__u32){ 9 }), -ENOENT);
		for (__u32 key = 2; key < 100; key++)
			assert_int_equal(put(map, key, key, BPF_NOEXIST), 0);
		evictions = lru_info(map).evictions;
		assert_int_equal(put(map, 1000, 11, 3), -EINVAL);
		assert_int_equal(put(map, 1000, 11, 4), -EINVAL);
		assert_int_equal(put(map, 1000, 11, 4 | BPF_NOEXIST), -EINVAL);
		assert_int_equal(put(map, 1000, 11, 8), -EINVAL); /* later kernels' BPF_F_CPU, for commands alone */
		assert_int_equal(put(map, 1000, 11, 1ull << 32), -EINVAL);
		assert_int_equal(lru_info(map).evictions, evictions); /* bad flags evict nobody */
		usermap_close(map);
	}
}

struct walk {
	bool seen[100];
	int remove; /* 1: what it is given, if the number is odd; 2: whatever it is given */
};

static long visit(struct usermap *map, const void *key, void *value, void *ctx)
{
	struct walk *walk = ctx;
	__u32 number;

	memcpy(&number, key, sizeof(number));
	assert_true(number < 100 && !walk->seen[number]);
	assert_int_equal(*(__u64 *)value, number + 1000);
	walk->seen[number] = true;
	if (walk->remove == 2 || (walk->remove && number % 2))
		assert_int_equal(usermap_helper_delete_elem(map, key), 0);
	return 0;
}

static void a_walk_gives_each_entry_once_and_may_delete_it(void **state)
{
	(void)state;
	cpus_pin(0);
	for (int k = 0; k < 2 * LRU_KINDS; k++) {
		struct usermap_opts opts = OPTS(.map_flags = k & 1 ? BPF_F_ZERO_SEED : 0);
		struct usermap *map = lru_make(&lru_kinds[k / 2], 50, opts);
		__u64 count;

		for (__u32 key = 0; key < 100; key++)
			assert_int_equal(put(map, key, key + 1000, 0), 0);
		for (int remove = 0; remove < 3; remove++) {
			struct walk walk = { .remove = remove };

			count = lru_count(map);
			assert_int_equal(usermap_helper_for_each_elem(map, visit, &walk, 0), count);
			for (__u32 key = 0; key < 100; key++)
				assert_int_equal(lru_has(map, key),
						 walk.seen[key] && !(remove == 2 || (remove && key % 2)));
		}
		assert_int_equal(lru_count(map), 0);
		assert_int_equal(lru_info(map).count, 0);
		usermap_close(map);
	}
}

/* Nothing may be noted there: the memory can't be written to. */
static void a_read_only_attachment_reads_without_leaving_a_mark(void **state)
{
	struct usermap_opts read_only = OPTS(.map_flags = BPF_F_RDONLY);

	(void)state;
	cpus_pin(0);
	for (int k = 0; k < LRU_KINDS; k++) {
		struct usermap_opts opts = OPTS(.memory = USERMAP_MEMORY_SHARED, .n_cpus = 2);
		struct usermap *map = lru_make(&lru_kinds[k], 4, opts), *reader;
		int fd = usermap_get_fd(map);

		for (__u32 key = 0; key < 4; key++)
			lru_put(map, key, key, 0);
		assert_int_equal(usermap_open_fd(fd, &read_only, &reader), 0);
		close(fd);
		for (__u32 key = 0; key < 5; key++) {
			bool there = lru_has(map, key);

			assert_int_equal(lru_has(reader, key), there);
			assert_int_equal(lru_hit(reader, key), there);
			if (there) {
				by_bulk(reader, key);
				if (lru_kinds[k].type == LRU_PERCPU)
					by_lookup_of_another_cpu(reader, key);
			}
		}
		assert_int_equal(lru_count(reader), lru_count(map));
		assert_int_equal(put(reader, 9, 9, 0), -EPERM);
		assert_int_equal(usermap_helper_delete_elem(reader, &(__u32){ 0 }), -EPERM);
		assert_int_equal(lru_put(reader, 9, 9, 0), -EPERM);
		assert_int_equal(lru_info(reader).eviction, lru_kinds[k].eviction);
		assert_int_equal(lru_info(reader).count, lru_count(map));
		usermap_close(reader);
		usermap_close(map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_what_counts_as_a_use_keeps_an_entry),
		cmocka_unit_test(an_insert_clears_the_other_slots_and_an_update_leaves_them),
		cmocka_unit_test(an_update_of_the_only_entry_makes_it_anew),
		cmocka_unit_test(counters_of_entries_that_come_and_go),
		cmocka_unit_test(updates_have_the_errno_of_helpers_and_never_E2BIG),
		cmocka_unit_test(a_walk_gives_each_entry_once_and_may_delete_it),
		cmocka_unit_test(a_read_only_attachment_reads_without_leaving_a_mark),
	};

	return cmocka_run_group_tests_name("lru helper", tests, NULL, NULL);
}
