/* SPDX-License-Identifier: MIT */
/*
 * LRU maps with S3-FIFO: commands have the errno of LRU maps, but look the key up before they make room; the map is as full
 * as it may be, and what is used often outlives what is used once.
 */
#include <pthread.h>

#include "../semantics/cpus.h"
#include "lru_maps.h"

/* LRU_HASH and LRU_PERCPU_HASH; each private and shared. */
enum { MAPS = 4 };

static struct usermap *make(int i, __u32 max_entries)
{
	struct usermap_opts opts = OPTS(.memory = i & 2 ? USERMAP_MEMORY_SHARED : USERMAP_MEMORY_PRIVATE);

	return lru_make(&lru_kinds[4 + (i & 1)], max_entries, opts);
}

static void full_map_gives_up_one_entry_for_each_that_comes(void **state)
{
	static const __u32 sizes[] = { 1, 2, 3, 10, 77, 1000 };

	(void)state;
	for (int i = 0; i < MAPS * 6; i++) {
		__u32 size = sizes[i / MAPS];
		struct usermap *map = make(i % MAPS, size);

		for (__u32 key = 0; key < 3 * size + 10; key++) {
			struct usermap_info info;

			cpus_pin(key / 7);
			assert_int_equal(lru_put(map, key, key, BPF_NOEXIST), 0);
			info = lru_info(map);
			assert_true(lru_has(map, key));
			assert_int_equal(info.count, key < size ? key + 1 : size);
			assert_int_equal(info.evictions, key < size ? 0 : key + 1 - size);
		}
		assert_int_equal(lru_count(map), size);
		usermap_close(map);
	}
}

static void deleted_entries_make_room_on_every_cpu(void **state)
{
	(void)state;
	for (int i = 0; i < MAPS; i++) {
		struct usermap *map = make(i, 64);

		cpus_pin(0);
		for (__u32 key = 0; key < 64; key++)
			assert_int_equal(lru_put(map, key, key, 0), 0);
		for (__u32 key = 0; key < 64; key += 2)
			assert_int_equal(usermap_delete_elem(map, &key), 0);
		cpus_pin(1);
		for (__u32 key = 100; key < 132; key++)
			assert_int_equal(lru_put(map, key, key, 0), 0);
		assert_int_equal(lru_info(map).evictions, 0);
		assert_int_equal(lru_count(map), 64);
		usermap_close(map);
	}
}

static void churn_without_need_evicts_nobody(void **state)
{
	(void)state;
	for (int i = 0; i < MAPS; i++) {
		struct usermap *map = make(i, 100);

		for (__u32 round = 0; round < 20000; round++) {
			__u32 key = round % 100, gone = (round + 50) % 100;

			cpus_pin(round / 500);
			assert_int_equal(lru_put(map, key, round, 0), 0);
			usermap_delete_elem(map, &gone);
		}
		assert_int_equal(lru_info(map).evictions, 0);
		assert_int_equal(lru_info(map).count, lru_count(map));
		for (__u32 key = 1000; key < 1100; key++)
			assert_int_equal(lru_put(map, key, key, 0), 0);
		assert_int_equal(lru_count(map), 100);
		usermap_close(map);
	}
}

static void updates_look_before_they_make_room(void **state)
{
	__u32 key = 2;
	__u64 slots[LRU_CPUS];

	(void)state;
	for (int i = 0; i < MAPS; i++) {
		struct usermap *map = make(i, 2);

		assert_int_equal(lru_put(map, 1, 11, BPF_EXIST), -ENOENT);
		assert_int_equal(lru_put(map, 1, 11, BPF_NOEXIST), 0);
		assert_int_equal(lru_put(map, 1, 13, BPF_EXIST), 0);
		assert_int_equal(lru_put(map, 2, 22, BPF_ANY), 0);
		assert_int_equal(lru_put(map, 1, 12, BPF_NOEXIST), -EEXIST);
		assert_int_equal(lru_put(map, 3, 33, BPF_EXIST), -ENOENT);
		assert_int_equal(lru_put(map, 3, 33, 3), -EINVAL);
		assert_int_equal(lru_put(map, 3, 33, BPF_F_LOCK), -EINVAL);
		assert_int_equal(lru_info(map).evictions, 0);
		assert_int_equal(lru_slots(map, 1, slots), 0);
		assert_int_equal(slots[0], 13);
		assert_int_equal(usermap_lookup_elem(map, &key, slots, 1), -EINVAL);
		assert_int_equal(usermap_lookup_elem(map, &key, slots, BPF_F_LOCK), -EINVAL);
		assert_int_equal(usermap_lookup_and_delete_elem(map, &key, slots, 0), 0);
		assert_int_equal(slots[0], 22);
		assert_int_equal(usermap_delete_elem(map, &key), -ENOENT);
		assert_int_equal(usermap_lookup_and_delete_elem(map, &key, slots, 0), -ENOENT);
		assert_int_equal(lru_info(map).evictions, 0);
		usermap_close(map);
	}
}

/* An entry of an LRU_HASH is replaced by another element: in a full map somebody gives one up for that, once. */
static void replacements_evict_one_entry_at_most(void **state)
{
	(void)state;
	for (int i = 0; i < MAPS; i++) {
		struct usermap *map = make(i, 50);
		__u64 slots[LRU_CPUS];

		cpus_pin(0);
		for (__u32 key = 0; key < 50; key++)
			assert_int_equal(lru_put(map, key, key, 0), 0);
		for (__u32 round = 0; round < 1000; round++) {
			__u32 key = round % 50;

			if (!lru_has(map, key))
				continue;
			assert_int_equal(lru_put(map, key, round, BPF_ANY), 0);
			assert_int_equal(lru_slots(map, key, slots), 0);
			assert_int_equal(slots[0], round);
		}
		assert_int_equal(lru_info(map).evictions, i & 1 ? 0 : 1);
		assert_int_equal(lru_count(map), i & 1 ? 50 : 49);
		usermap_close(map);
	}
}

static void batches_and_walks(void **state)
{
	enum { N = 100, ROOM = 30 };
	__u32 keys[N], token = 0, count;
	__u64 *values = calloc((size_t)N * LRU_CPUS, sizeof(*values)), found[2];

	(void)state;
	for (int i = 0; i < MAPS; i++) {
		struct usermap *map = make(i, ROOM);
		bool seen[N] = { false };

		for (__u32 key = 0; key < N; key++)
			keys[key] = key;
		count = N;
		assert_int_equal(usermap_update_batch(map, keys, values, &count, NULL), 0);
		assert_int_equal(count, N);
		assert_int_equal(usermap_lookup_bulk(map, keys, values, N, found), ROOM);
		assert_int_equal(__builtin_popcountll(found[0]) + __builtin_popcountll(found[1]), ROOM);
		count = N;
		assert_int_equal(usermap_lookup_batch(map, NULL, &token, keys, values, &count, NULL), -ENOENT);
		assert_int_equal(count, ROOM);
		for (__u32 k = 0; k < count; k++) {
			assert_true(keys[k] < N && !seen[keys[k]]);
			assert_true(found[keys[k] / 64] >> keys[k] % 64 & 1);
			seen[keys[k]] = true;
		}
		count = 10;
		assert_int_equal(usermap_delete_batch(map, keys, &count, NULL), 0);
		assert_int_equal(lru_count(map), ROOM - 10);
		count = N;
		assert_int_equal(usermap_lookup_and_delete_batch(map, NULL, &token, keys, values, &count, NULL),
				 -ENOENT);
		assert_int_equal(count, ROOM - 10);
		assert_int_equal(lru_info(map).count, 0);
		assert_int_equal(lru_info(map).evictions, N - ROOM);
		usermap_close(map);
	}
	free(values);
}

/* A tenth of the map is used again and again while keys that are used once run through: an LRU would keep it too, but a
 * FIFO wouldn't. Then a scan of twice the map's size, in which nothing is used: an LRU would lose all. */
static void what_is_used_often_outlives_a_scan(void **state)
{
	enum { SIZE = 500, HOT = 50 };

	(void)state;
	for (int way = 0; way < 2; way++) {
		for (int i = 0; i < MAPS; i++) {
			struct usermap *map = make(i, SIZE);
			__u32 next = 1000, there = 0;

			cpus_pin(0);
			for (__u32 key = 0; key < HOT; key++)
				assert_int_equal(lru_put(map, key, key, 0), 0);
			for (int round = 0; round < 20; round++) {
				for (__u32 key = 0; key < HOT; key++)
					assert_true(way ? lru_hit(map, key) : lru_has(map, key));
				for (int n = 0; n < SIZE / 5; n++)
					assert_int_equal(lru_put(map, next++, 1, 0), 0);
			}
			for (int n = 0; n < 2 * SIZE; n++)
				assert_int_equal(lru_put(map, next++, 1, 0), 0);
			for (__u32 key = 0; key < HOT; key++)
				there += lru_has(map, key);
			assert_int_equal(there, HOT);
			for (__u32 key = 0; key < next; key++)
				lru_hit(map, key);
			for (int n = 0; n < SIZE; n++)
				assert_int_equal(lru_put(map, next++, 1, 0), 0);
			assert_true(lru_info(map).rotations > 0);
			assert_int_equal(lru_info(map).refills + lru_info(map).steals, 0);
			usermap_close(map);
		}
	}
}

/* Threads that insert, replace, delete and look up: the map is never over-full, each value is its key's, and when all have
 * ended it can be filled to the last entry. */
enum { THREADS = 4, ROOM = 300, STEPS = 40000 };

struct worker {
	struct usermap *map;
	pthread_t thread;
	__u64 seed;
	int failed;
};

static void *work(void *arg)
{
	struct worker *worker = arg;
	__u64 slots[LRU_CPUS];

	for (int i = 0; i < STEPS; i++) {
		__u32 key;

		worker->seed = worker->seed * 6364136223846793005ull + 1442695040888963407ull;
		key = (__u32)(worker->seed >> 33) % (2 * ROOM);
		switch (worker->seed >> 60) {
		case 0:
		case 1:
			usermap_delete_elem(worker->map, &key);
			break;
		case 2:
		case 3:
		case 4:
		case 5:
		case 6:
			worker->failed += lru_slots(worker->map, key, slots) == 0 && slots[0] % 1000 != key;
			break;
		default:
			worker->failed += lru_put(worker->map, key, (worker->seed >> 40) * 1000 + key, 0) != 0;
		}
		if (i % 256 == 0)
			worker->failed += lru_info(worker->map).count > ROOM;
	}
	return NULL;
}

static void threads_leave_a_whole_map(void **state)
{
	(void)state;
	for (int i = 0; i < MAPS; i++) {
		struct usermap *map = make(i, ROOM);
		struct worker workers[THREADS];

		for (int t = 0; t < THREADS; t++) {
			workers[t] = (struct worker){ .map = map, .seed = (__u64)t + 1 };
			assert_int_equal(pthread_create(&workers[t].thread, NULL, work, &workers[t]), 0);
		}
		for (int t = 0; t < THREADS; t++) {
			assert_int_equal(pthread_join(workers[t].thread, NULL), 0);
			assert_int_equal(workers[t].failed, 0);
		}
		assert_int_equal(lru_info(map).count, lru_count(map));
		for (__u32 key = 0; key < 2 * ROOM; key++) /* a replacement would leave an element free */
			usermap_delete_elem(map, &key);
		for (__u32 key = 0; key < 2 * ROOM; key++)
			assert_int_equal(lru_put(map, key, key, 0), 0);
		assert_int_equal(lru_count(map), ROOM);
		assert_int_equal(lru_info(map).count, ROOM);
		usermap_close(map);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_leave_a_whole_map), /* before this thread sits on one CPU */
		cmocka_unit_test(full_map_gives_up_one_entry_for_each_that_comes),
		cmocka_unit_test(deleted_entries_make_room_on_every_cpu),
		cmocka_unit_test(churn_without_need_evicts_nobody),
		cmocka_unit_test(updates_look_before_they_make_room),
		cmocka_unit_test(replacements_evict_one_entry_at_most),
		cmocka_unit_test(batches_and_walks),
		cmocka_unit_test(what_is_used_often_outlives_a_scan),
	};

	return cmocka_run_group_tests_name("s3fifo", tests, NULL, NULL);
}
