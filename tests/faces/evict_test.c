/* SPDX-License-Identifier: MIT */
/*
 * The eviction callback: it is told of each entry that goes to make room, once, with all of its value; of no other; and
 * it can't write to the map that calls it.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "../semantics/cpus.h"
#include "lru_maps.h"

#define N_CPUS 3u  /* slots of a per-CPU value */
#define KEYS   64u /* of the random streams */

/* What a map held, or what the callback was told. */
struct entry {
	__u32 key;
	__u64 slots[N_CPUS];
};

struct told {
	struct usermap *map;
	size_t n, slots;
	struct entry entry[2 * KEYS];
};

static void note(void *ctx, const void *key, const void *value)
{
	struct told *told = ctx;
	struct entry *entry = &told->entry[told->n++];

	assert_true(told->n < 2 * KEYS);
	memset(entry, 0, sizeof(*entry));
	memcpy(&entry->key, key, sizeof(entry->key));
	memcpy(entry->slots, value, told->slots * sizeof(__u64));
	assert_false(lru_has(told->map, entry->key)); /* it is gone already */
}

static struct usermap *make(const struct lru_kind *kind, __u32 max_entries, struct told *told)
{
	struct usermap_opts opts = OPTS(.n_cpus = N_CPUS, .on_evict = note, .on_evict_ctx = told);

	*told = (struct told){ .map = lru_make(kind, max_entries, opts) };
	told->slots = lru_info(told->map).value_bytes / sizeof(__u64);
	return told->map;
}

/* The present entries, by key. */
static void snapshot(const struct told *told, struct entry present[KEYS], bool there[KEYS])
{
	for (__u32 key = 0; key < KEYS; key++) {
		__u64 slots[LRU_CPUS] = { 0 };

		there[key] = lru_slots(told->map, key, slots) == 0;
		present[key] = (struct entry){ .key = key };
		memcpy(present[key].slots, slots, told->slots * sizeof(__u64));
	}
}

/* Some write with this key; whether it deleted the entry of the key. */
static bool write_something(struct usermap *map, __u32 key, __u32 step)
{
	__u64 slots[LRU_CPUS], value = step;

	for (__u32 i = 0; i < LRU_CPUS; i++)
		slots[i] = ((__u64)step << 8) + i + 1;
	switch (step * 2654435761u >> 29) {
	case 0:
		return usermap_delete_elem(map, &key) == 0;
	case 1:
		return usermap_lookup_and_delete_elem(map, &key, slots, 0) == 0;
	case 2:
		usermap_helper_update_elem(map, &key, &value, BPF_ANY);
		break;
	case 3:
		usermap_update_elem(map, &key, slots, BPF_NOEXIST);
		break;
	case 4:
		usermap_update_elem(map, &key, slots, BPF_EXIST);
		break;
	default:
		usermap_update_elem(map, &key, slots, BPF_ANY);
	}
	return false;
}

/*
 * Each entry that vanished was either deleted, or told of, with the value it had. The key that was written to may have
 * been evicted as well, and have come back at once.
 */
static void check_told(const struct told *told, __u32 written, bool deleted, const struct entry *before,
		       const bool *there)
{
	struct entry after[KEYS];
	bool still[KEYS], evicted[KEYS] = { false };

	for (size_t i = 0; i < told->n; i++) {
		__u32 key = told->entry[i].key;

		assert_true(key < KEYS && there[key] && !evicted[key]);
		assert_memory_equal(&told->entry[i], &before[key], sizeof(struct entry));
		evicted[key] = true;
	}
	snapshot(told, after, still);
	for (__u32 key = 0; key < KEYS; key++) {
		if (key == written && deleted) {
			assert_false(evicted[key] || still[key]);
		} else if (key == written) {
			assert_true(!there[key] || still[key] || evicted[key]);
		} else {
			assert_int_equal(there[key] && !still[key], evicted[key]);
			assert_true(there[key] || !still[key]);
		}
	}
}

static void the_callback_is_told_of_what_vanishes_and_of_nothing_else(void **state)
{
	static const __u32 sizes[] = { 1, 2, 5, 12, 40 };
	struct told told;

	(void)state;
	for (int i = 0; i < LRU_KINDS * 5; i++) {
		struct usermap *map = make(&lru_kinds[i / 5], sizes[i % 5], &told);
		struct entry before[KEYS];
		bool there[KEYS];
		__u64 total = 0;

		for (__u32 step = 1; step < 600; step++) {
			__u32 key = (step * 2246822519u >> 13) % KEYS;
			bool deleted;

			cpus_pin(step / 40);
			if (step % 3 == 0)
				lru_hit(map, key ^ 1);
			snapshot(&told, before, there);
			told.n = 0;
			deleted = write_something(map, key, step);
			check_told(&told, key, deleted, before, there);
			total += told.n;
			assert_int_equal(lru_info(map).evictions, total);
		}
		assert_true(total > 100 || sizes[i % 5] > 12);
		usermap_close(map);
	}
}

static void batches_tell_of_each_eviction(void **state)
{
	enum { N = 100 };
	__u32 keys[N], count;
	__u64 *values = calloc((size_t)N * N_CPUS, sizeof(*values));
	struct told told;

	(void)state;
	cpus_pin(0);
	for (int k = 0; k < LRU_KINDS; k++) {
		struct usermap *map = make(&lru_kinds[k], 12, &told);
		bool seen[N] = { false };

		for (__u32 i = 0; i < N; i++) {
			keys[i] = i;
			for (size_t slot = 0; slot < told.slots; slot++)
				values[i * told.slots + slot] = i * 1000 + slot;
		}
		count = N;
		assert_int_equal(usermap_update_batch(map, keys, values, &count, NULL), 0);
		assert_int_equal(count, N);
		assert_int_equal(told.n + lru_count(map), N);
		for (size_t i = 0; i < told.n; i++) {
			const struct entry *entry = &told.entry[i];

			assert_true(entry->key < N && !seen[entry->key] && !lru_has(map, entry->key));
			seen[entry->key] = true;
			for (size_t slot = 0; slot < told.slots; slot++)
				assert_int_equal(entry->slots[slot], entry->key * 1000 + slot);
		}
		usermap_close(map);
	}
	free(values);
}

static void note_bytes(void *ctx, const void *key, const void *value)
{
	unsigned char *seen = ctx;

	for (int i = 0; i < 13; i++)
		assert_int_equal(((const unsigned char *)key)[i], i ? 0x5a : ((const unsigned char *)value)[0]);
	for (int i = 0; i < 77; i++)
		assert_int_equal(((const unsigned char *)value)[i],
				 (unsigned char)(((const unsigned char *)key)[0] + i));
	seen[((const unsigned char *)key)[0]]++;
}

static void keys_and_values_of_any_size_are_told_whole(void **state)
{
	unsigned char key[13], value[77];

	(void)state;
	cpus_pin(0);
	for (int policy = 0; policy < 2; policy++) {
		unsigned char seen[200] = { 0 };
		struct usermap_opts opts =
			OPTS(.eviction = (__u32)policy, .on_evict = note_bytes, .on_evict_ctx = seen);
		struct usermap *map;
		unsigned told = 0;

		assert_int_equal(usermap_create(LRU, NULL, sizeof(key), sizeof(value), 10, &opts, &map), 0);
		memset(key, 0x5a, sizeof(key));
		for (int i = 0; i < 200; i++) {
			key[0] = (unsigned char)i;
			for (size_t at = 0; at < sizeof(value); at++)
				value[at] = (unsigned char)(key[0] + at);
			assert_int_equal(usermap_update_elem(map, key, value, 0), 0);
		}
		for (int i = 0; i < 200; i++) {
			assert_true(seen[i] <= 1);
			told += seen[i];
		}
		assert_int_equal(told + lru_info(map).count, 200);
		usermap_close(map);
	}
}

struct meddler {
	struct usermap *map, *other;
	unsigned calls;
	__u32 token;
};

static void meddle(void *ctx, const void *key, const void *value)
{
	struct meddler *meddler = ctx;
	struct usermap *map = meddler->map;
	__u64 slots[LRU_CPUS] = { 0 };
	__u32 own, out, count = 1, first = 0;

	(void)value;
	memcpy(&own, key, sizeof(own));
	meddler->calls++;
	assert_int_equal(usermap_update_elem(map, &own, slots, 0), -EBUSY);
	assert_int_equal(usermap_update_elem(map, &(__u32){ 1000 }, slots, 0), -EBUSY);
	assert_int_equal(usermap_helper_update_elem(map, &own, slots, 0), -EBUSY);
	assert_int_equal(usermap_update_batch(map, &own, slots, &count, NULL), -EBUSY);
	assert_int_equal(count, 0);
	assert_int_equal(usermap_get_next_key(map, NULL, &first), lru_count(map) ? 0 : -ENOENT);
	assert_int_equal(usermap_delete_elem(map, &first), -EBUSY);
	assert_int_equal(usermap_helper_delete_elem(map, &first), -EBUSY);
	assert_int_equal(usermap_lookup_and_delete_elem(map, &first, slots, 0), -EBUSY);
	count = 1;
	assert_int_equal(usermap_delete_batch(map, &first, &count, NULL), -EBUSY);
	assert_int_equal(count, 0);
	count = 1;
	assert_int_equal(usermap_lookup_and_delete_batch(map, NULL, &meddler->token, &out, slots, &count, NULL),
			 -EBUSY);
	if (lru_info(map).type == LRU_PERCPU)
		assert_int_equal(usermap_percpu_add(map, &first, 0, 1), -EBUSY);
	/* Reading it, and writing elsewhere, are allowed. */
	assert_false(lru_has(map, own));
	lru_hit(map, first);
	assert_int_equal(lru_put(meddler->other, own, 1, 0), 0);
}

static void the_callback_cannot_write_to_its_map(void **state)
{
	(void)state;
	cpus_pin(0);
	for (int k = 0; k < LRU_KINDS; k++) {
		struct meddler meddler = { .calls = 0 };
		struct usermap_opts opts = OPTS(.on_evict = meddle, .on_evict_ctx = &meddler, .n_cpus = N_CPUS);
		struct usermap *map = lru_make(&lru_kinds[k], 6, opts);
		struct usermap *other = lru_make(&lru_kinds[(k + 1) % LRU_KINDS], 300, (struct usermap_opts)OPTS());

		meddler.map = map;
		meddler.other = other;
		for (__u32 key = 0; key < 60; key++)
			assert_int_equal(lru_put(map, key, key, 0), 0);
		assert_true(meddler.calls >= 54);
		assert_int_equal(lru_count(map), 60 - meddler.calls);
		assert_int_equal(lru_count(other), meddler.calls);
		usermap_close(map);
		usermap_close(other);
	}
}

/* With threads: each inserts keys of its own, each key once, so what was told of and what is there is all of them. */
enum { THREADS = 4, OF_EACH = 5000 };

struct crowd {
	struct usermap *map;
	atomic_uchar told[THREADS * OF_EACH];
};

static void note_once(void *ctx, const void *key, const void *value)
{
	struct crowd *crowd = ctx;
	__u32 number;

	memcpy(&number, key, sizeof(number));
	assert_memory_equal(value, &(__u64){ number * 3ull }, sizeof(__u64));
	assert_int_equal(atomic_fetch_add(&crowd->told[number], 1), 0);
}

struct inserter {
	struct crowd *crowd;
	pthread_t thread;
	__u32 from;
	int failed;
};

static void *insert_own(void *arg)
{
	struct inserter *inserter = arg;

	for (__u32 key = inserter->from; key < inserter->from + OF_EACH; key++) {
		inserter->failed += lru_put(inserter->crowd->map, key, key * 3ull, BPF_NOEXIST) != 0;
		if (key % 4 == 0)
			lru_hit(inserter->crowd->map, key);
	}
	return NULL;
}

static void threads_tell_of_each_eviction_once(void **state)
{
	(void)state;
	for (int k = 0; k < LRU_KINDS; k++) {
		struct crowd *crowd = calloc(1, sizeof(*crowd));
		struct usermap_opts opts = OPTS(.on_evict = note_once, .on_evict_ctx = crowd);
		struct inserter inserters[THREADS];
		__u64 told = 0;

		crowd->map = lru_make(&lru_kinds[k], 200, opts);
		for (__u32 i = 0; i < THREADS; i++) {
			inserters[i] = (struct inserter){ .crowd = crowd, .from = i * OF_EACH };
			assert_int_equal(pthread_create(&inserters[i].thread, NULL, insert_own, &inserters[i]), 0);
		}
		for (__u32 i = 0; i < THREADS; i++) {
			assert_int_equal(pthread_join(inserters[i].thread, NULL), 0);
			assert_int_equal(inserters[i].failed, 0);
		}
		for (__u32 key = 0; key < THREADS * OF_EACH; key++) {
			assert_int_equal(crowd->told[key] + lru_has(crowd->map, key), 1);
			told += crowd->told[key];
		}
		assert_int_equal(lru_info(crowd->map).evictions, told);
		assert_true(lru_count(crowd->map) <= lru_info(crowd->map).max_entries);
		usermap_close(crowd->map);
		free(crowd);
	}
}

/* Counters in a map that is too small for them: what was added is in the map, or the callback was told of it. */
enum { COUNTERS = 8, ADDS = 20000 };

struct counting {
	struct usermap *map;
	__u32 n_cpus;
	atomic_ullong threads, added, told;
};

static __u64 sum_of(const __u64 *slots, __u32 n)
{
	__u64 sum = 0;

	for (__u32 i = 0; i < n; i++)
		sum += slots[i];
	return sum;
}

static void sum_up(void *ctx, const void *key, const void *value)
{
	struct counting *counting = ctx;

	(void)key;
	atomic_fetch_add(&counting->told, sum_of(value, counting->n_cpus));
}

static void *add_to_counters(void *arg)
{
	struct counting *counting = arg;
	__u64 random = atomic_fetch_add(&counting->threads, 1), added = 0, one = 1;

	for (int i = 0; i < ADDS; i++) {
		__u32 key;

		random = random * 6364136223846793005ull + 1442695040888963407ull;
		key = (__u32)(random >> 33) % COUNTERS;
		if (usermap_percpu_add(counting->map, &key, 0, 1) == 0 ||
		    usermap_helper_update_elem(counting->map, &key, &one, BPF_NOEXIST) == 0)
			added++;
	}
	atomic_fetch_add(&counting->added, added);
	return NULL;
}

static void what_is_added_is_told_or_still_there(void **state)
{
	(void)state;
	for (int k = 1; k < LRU_KINDS; k += 2) {
		struct counting counting = { .n_cpus = cpus_possible() };
		struct usermap_opts opts = OPTS(.on_evict = sum_up, .on_evict_ctx = &counting);
		__u64 present = 0, slots[LRU_CPUS];
		pthread_t threads[THREADS];

		counting.map = lru_make(&lru_kinds[k], 4, opts);
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, add_to_counters, &counting), 0);
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(pthread_join(threads[i], NULL), 0);
		for (__u32 key = 0; key < COUNTERS; key++)
			if (lru_slots(counting.map, key, slots) == 0)
				present += sum_of(slots, counting.n_cpus);
		assert_true(counting.told > 0 && counting.added > ADDS);
		assert_int_equal(counting.added, counting.told + present);
		usermap_close(counting.map);
	}
}

static _Atomic bool end_in_callback;

static void end_once(void *ctx, const void *key, const void *value)
{
	(void)ctx;
	(void)key;
	(void)value;
	if (atomic_exchange(&end_in_callback, false))
		pthread_exit(NULL);
}

static void *update_for_ever(void *arg)
{
	for (__u32 key = 1000;; key++)
		lru_put(arg, key, key, BPF_ANY);
	return NULL;
}

/* An eviction that never ends: what it had in its hand comes back. */
static void a_thread_that_ends_in_the_callback_costs_no_element(void **state)
{
	const __u32 max = 8;

	(void)state;
	for (int k = 0; k < LRU_KINDS; k++) {
		struct usermap_opts opts = OPTS(.n_cpus = 1, .on_evict = end_once);
		struct usermap *map = lru_make(&lru_kinds[k], max, opts);
		pthread_t thread;

		for (int round = 0; round < 20; round++) {
			atomic_store(&end_in_callback, true);
			assert_int_equal(pthread_create(&thread, NULL, update_for_ever, map), 0);
			assert_int_equal(pthread_join(thread, NULL), 0);
		}
		for (__u32 key = 0; key < 100 * max; key++) { /* used ones: S3-FIFO's hand must move */
			assert_int_equal(lru_put(map, key, key, BPF_ANY), 0);
			lru_hit(map, key);
		}
		for (__u64 key = 0, most = 0; most < max; key++) { /* batches of evictions leave less in between */
			assert_true(key < 100 * max);
			assert_int_equal(lru_put(map, (__u32)key, key, BPF_ANY), 0);
			most = lru_count(map) > most ? lru_count(map) : most;
		}
		usermap_close(map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_that_ends_in_the_callback_costs_no_element),
		cmocka_unit_test(threads_tell_of_each_eviction_once), /* both before this thread sits on one CPU */
		cmocka_unit_test(what_is_added_is_told_or_still_there),
		cmocka_unit_test(the_callback_is_told_of_what_vanishes_and_of_nothing_else),
		cmocka_unit_test(batches_tell_of_each_eviction),
		cmocka_unit_test(keys_and_values_of_any_size_are_told_whole),
		cmocka_unit_test(the_callback_cannot_write_to_its_map),
	};

	return cmocka_run_group_tests_name("evict", tests, NULL, NULL);
}
