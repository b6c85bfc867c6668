/* SPDX-License-Identifier: MIT */
/*
 * G9: what a corrupt or hostile file meets. Attaching refuses every header that this library wouldn't have written for
 * the attributes in it; contents may be anything, and operations still stay inside the region and end.
 */
#include "support.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "map/types.h"

#define MAX_ENTRIES 1000u
#define KEY_SIZE    4u
#define VALUE_SIZE  16u
#define N_CPUS	    2u
#define VALUE_WORDS (N_CPUS * VALUE_SIZE / 4) /* that a value takes at most in a buffer */

/* A good map in a file that isn't sealed, and what its header must be again after each test. */
struct victim {
	int fd;
	off_t size, header_at;
	struct region_header good;
};

struct kind {
	enum bpf_map_type type;
	uint32_t flags, eviction;
};

static const struct kind kinds[] = {
	{ BPF_MAP_TYPE_ARRAY, 0, 0 },
	{ BPF_MAP_TYPE_HASH, 0, 0 },
	{ BPF_MAP_TYPE_LRU_HASH, 0, USERMAP_EVICTION_KERNEL },
	{ BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, USERMAP_EVICTION_KERNEL },
	{ BPF_MAP_TYPE_LRU_HASH, BPF_F_NO_COMMON_LRU, USERMAP_EVICTION_KERNEL },
	{ BPF_MAP_TYPE_LRU_HASH, 0, USERMAP_EVICTION_S3FIFO },
	{ BPF_MAP_TYPE_LRU_PERCPU_HASH, 0, USERMAP_EVICTION_S3FIFO },
};
#define FIRST_HASH 1 /* all behind are hashes, too */

static int update(struct usermap *map, uint32_t key)
{
	uint32_t value[VALUE_WORDS] = { key, key, key, key };

	return map->ops->update(map, &key, value, BPF_ANY);
}

/* The emulator takes long to map a region. */
static int rounds(int n)
{
	return support_emulated() ? n / 10 : n;
}

static struct victim make_victim(const struct kind *kind)
{
	const struct map_attr attr = { .type = kind->type,
				       .map_flags = kind->flags,
				       .eviction = kind->eviction,
				       .key_size = KEY_SIZE,
				       .value_size = VALUE_SIZE,
				       .max_entries = MAX_ENTRIES,
				       .name = "victim" };
	struct victim victim = { .fd = memfd_create("victim", MFD_CLOEXEC) };
	const struct map_backing backing = {
		.kind = BACKING_FD, .fd = victim.fd, .reuse = USERMAP_REUSE_AT_ONCE, .n_cpus = N_CPUS
	};
	struct usermap *map;

	assert_int_equal(map_create(&attr, &backing, &map), 0);
	for (uint32_t key = 0; key < MAX_ENTRIES / 2; key++)
		assert_int_equal(update(map, key), 0);
	map_put(map);
	victim.size = lseek(victim.fd, 0, SEEK_END);
	victim.header_at = victim.size - REGION_PAGE;
	assert_int_equal(pread(victim.fd, &victim.good, sizeof(victim.good), victim.header_at), sizeof(victim.good));
	return victim;
}

static void write_header(const struct victim *victim, const struct region_header *header)
{
	assert_int_equal(pwrite(victim->fd, header, sizeof(*header), victim->header_at), sizeof(*header));
}

/* Whatever was attached lies inside its mapping, says what its layout says, and works. */
static void use(struct usermap *map)
{
	const struct region_layout *layout = &map->layout;
	/* Other sizes that have the same layout are legal: an element has 64 bytes. */
	uint64_t key[8] = { 1 }, next[8];
	unsigned char value[512];

	assert_true(layout->total <= map->region.size);
	for (int p = 0; p < PART_N; p++) {
		assert_true(layout->offset[p] <= layout->total);
		assert_true(layout->size[p] <= layout->total - layout->offset[p]);
		assert_true(layout->prealloc[p] <= layout->size[p]);
	}
	assert_int_equal(map->max_entries, layout->attr.max_entries);
	assert_true(map->key_size <= sizeof(key) && map->value_bytes <= sizeof(value));
	map->ops->lookup(map, key, value, 0);
	map->ops->update(map, key, value, BPF_ANY);
	for (int i = 0; i < 10 && map->ops->next_key(map, key, next) == 0; i++)
		memcpy(key, next, sizeof(key));
}

static int try_attach(const struct victim *victim)
{
	struct usermap *map = NULL;
	int error = map_attach(victim->fd, false, &map);

	if (error) {
		assert_null(map);
		return error;
	}
	use(map);
	map_put(map);
	return 0;
}

static void a_good_file_attaches(void **unused)
{
	(void)unused;
	for (size_t t = 0; t < ARRAY_SIZE(kinds); t++) {
		struct victim victim = make_victim(&kinds[t]);
		struct usermap *map;
		uint32_t key = 7, value[VALUE_WORDS] = { 0 };

		assert_int_equal(map_attach(victim.fd, true, &map), 0);
		assert_true(map->read_only);
		assert_int_equal(map->ops->lookup(map, &key, value, 0), 0);
		assert_int_equal(value[3], 7);
		map_put(map);
		assert_int_equal(try_attach(&victim), 0);
		close(victim.fd);
	}
}

static void what_is_no_regular_file_is_EINVAL(void **unused)
{
	struct usermap *map;
	int ends[2], null = open("/dev/null", O_RDWR | O_CLOEXEC), dir = open("/tmp", O_RDONLY | O_CLOEXEC);
	int text = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unused;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(map_attach(-1, false, &map), -EBADF);
	assert_int_equal(map_attach(9999, true, &map), -EBADF);
	assert_int_equal(map_attach(null, true, &map), -EINVAL);
	assert_int_equal(map_attach(dir, true, &map), -EINVAL);
	assert_int_equal(map_attach(ends[0], true, &map), -EINVAL);
	assert_int_equal(map_attach(sock, true, &map), -EINVAL);
	assert_int_equal(map_attach(text, true, &map), -EINVAL);
	close(ends[0]);
	close(ends[1]);
	close(null);
	close(dir);
	close(text);
	close(sock);
}

static void a_file_of_another_size_is_EINVAL(void **unused)
{
	(void)unused;
	for (size_t t = 0; t < ARRAY_SIZE(kinds); t++) {
		struct victim victim = make_victim(&kinds[t]);
		const off_t sizes[] = { victim.size + REGION_PAGE,
					victim.size + 1,
					victim.size - 1,
					victim.size - REGION_PAGE,
					victim.size / 2,
					REGION_PAGE + 1,
					REGION_PAGE,
					REGION_PAGE - 1,
					1,
					0 };

		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
			assert_int_equal(ftruncate(victim.fd, sizes[i]), 0);
			assert_int_equal(try_attach(&victim), -EINVAL);
			/* Also with a header where it would have to be. */
			if (sizes[i] >= REGION_PAGE) {
				struct victim moved = victim;

				moved.header_at = sizes[i] - REGION_PAGE;
				write_header(&moved, &victim.good);
				assert_int_equal(try_attach(&victim), -EINVAL);
			}
		}
		close(victim.fd);
	}
}

static void every_corrupt_field_is_EINVAL(void **unused)
{
#define FIELD(name)                                                                                    \
	{                                                                                              \
#name, offsetof(struct region_header, name), sizeof(((struct region_header *)0)->name) \
	}
#define PART_FIELDS(part) \
	FIELD(layout.offset[part]), FIELD(layout.size[part]), FIELD(layout.areas[part]), FIELD(layout.prealloc[part])
	static const struct {
		const char *name;
		size_t offset, size;
	} fields[] = {
		FIELD(magic),
		FIELD(layout_version),
		FIELD(parity),
		FIELD(layout.attr.type),
		FIELD(layout.attr.max_entries),
		FIELD(layout.attr.map_extra),
		FIELD(layout.attr.eviction),
		FIELD(layout.reuse),
		PART_FIELDS(PART_INDEX),
		PART_FIELDS(PART_ELEMENTS),
		PART_FIELDS(PART_NODES),
		PART_FIELDS(PART_RECORDS),
		PART_FIELDS(PART_LISTS),
		PART_FIELDS(PART_PROCESSES),
		PART_FIELDS(PART_SPARES),
		PART_FIELDS(PART_EVICT),
		PART_FIELDS(PART_EVICT_NODES),
		PART_FIELDS(PART_PERCPU),
		FIELD(layout.total),
	};
#undef PART_FIELDS
#undef FIELD
	static const uint64_t values[] = { 0,	    1,	       2,	   3,	       5,	  4095,	     4096,
					   1 << 20, INT32_MAX, UINT32_MAX, 1ull << 47, INT64_MAX, UINT64_MAX };

	(void)unused;
	for (size_t t = 0; t < ARRAY_SIZE(kinds); t++) {
		struct victim victim = make_victim(&kinds[t]);

		for (size_t f = 0; f < ARRAY_SIZE(fields); f++) {
			for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
				struct region_header bad = victim.good;

				memcpy((char *)&bad + fields[f].offset, &values[v], fields[f].size);
				if (memcmp(&bad, &victim.good, sizeof(bad)) == 0)
					continue;
				write_header(&victim, &bad);
				if (try_attach(&victim) != -EINVAL)
					print_error("%s = %#llx\n", fields[f].name, (unsigned long long)values[v]);
				assert_int_equal(try_attach(&victim), -EINVAL);
			}
		}
		close(victim.fd);
	}
}

static void attributes_that_create_refuses_are_EINVAL(void **unused)
{
	static const struct {
		const char *rule;
		size_t offset;
		uint32_t value;
	} rows[] = {
		{ "key_size 0", offsetof(struct map_attr, key_size), 0 },
		{ "value_size 0", offsetof(struct map_attr, value_size), 0 },
		{ "value_size above INT_MAX", offsetof(struct map_attr, value_size), 0x80000000 },
		{ "unknown flag", offsetof(struct map_attr, map_flags), 1u << 31 },
		{ "flags of a descriptor", offsetof(struct map_attr, map_flags), BPF_F_RDONLY },
		{ "both program accesses", offsetof(struct map_attr, map_flags),
		  BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG },
		{ "name without an end", offsetof(struct map_attr, name) + 12, 0x61616161 },
		{ "name with something behind its end", offsetof(struct map_attr, name) + 12, 0x00000061 },
	};

	(void)unused;
	for (size_t t = 0; t < ARRAY_SIZE(kinds); t++) {
		struct victim victim = make_victim(&kinds[t]);

		for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
			struct region_header bad = victim.good;

			if (rows[i].value == 0x61616161)
				memset(bad.layout.attr.name, 'a', sizeof(bad.layout.attr.name));
			memcpy((char *)&bad.layout.attr + rows[i].offset, &rows[i].value, sizeof(rows[i].value));
			write_header(&victim, &bad);
			if (try_attach(&victim) != -EINVAL)
				print_error("%s\n", rows[i].rule);
			assert_int_equal(try_attach(&victim), -EINVAL);
		}
		for (uint32_t n_cpus = 0; n_cpus != 1; n_cpus = n_cpus ? 1 : 4097) {
			struct region_header bad = victim.good;

			bad.layout.n_cpus = n_cpus;
			write_header(&victim, &bad);
			assert_int_equal(try_attach(&victim), -EINVAL);
		}
		close(victim.fd);
	}
}

/* All sizes are those of the next even number. */
static void shares_of_cpus_that_are_not_equal_are_EINVAL(void **unused)
{
	const struct kind kind = { BPF_MAP_TYPE_LRU_HASH, BPF_F_NO_COMMON_LRU, USERMAP_EVICTION_KERNEL };
	struct victim victim = make_victim(&kind);
	struct region_header bad = victim.good;

	(void)unused;
	assert_int_equal(try_attach(&victim), 0);
	bad.layout.attr.max_entries = MAX_ENTRIES - 1;
	write_header(&victim, &bad);
	assert_int_equal(try_attach(&victim), -EINVAL);
	close(victim.fd);
}

/* A header with a few random changes, of the kinds that hurt. */
static struct region_header mutate(const struct region_header *good)
{
	struct region_header bad = *good;
	unsigned char *bytes = (unsigned char *)&bad;
	uint64_t words[] = { 0, 1, 4096, 1ull << 32, 1ull << 47, UINT64_MAX, support_random() };

	for (uint64_t n = 1 + support_random_below(4); n; n--) {
		size_t at = support_random_below(sizeof(bad));

		switch (support_random_below(3)) {
		case 0:
			bytes[at] = (unsigned char)support_random();
			break;
		case 1:
			bytes[at] ^= (unsigned char)(1u << support_random_below(8));
			break;
		case 2:
			at &= ~(size_t)7;
			memcpy(bytes + at, &words[support_random_below(ARRAY_SIZE(words))], 8);
			break;
		}
	}
	return bad;
}

static void random_headers_never_crash(void **unused)
{
	const int n = rounds(5000);

	(void)unused;
	for (size_t t = 0; t < ARRAY_SIZE(kinds); t++) {
		struct victim victim = make_victim(&kinds[t]);
		unsigned refused = 0;

		for (int round = 0; round < n; round++) {
			struct region_header bad = mutate(&victim.good);
			int error;

			write_header(&victim, &bad);
			error = try_attach(&victim);
			assert_true(error == 0 || error == -EINVAL);
			refused += error != 0;
		}
		assert_true(refused > (unsigned)n / 3); /* most changes matter */
		write_header(&victim, &victim.good);
		assert_int_equal(try_attach(&victim), 0);
		close(victim.fd);
	}
}

/* Somebody scribbles on the header as long as others attach. */
struct scribbler {
	const struct victim *victim;
	atomic_bool stop; /* set by the test; relaxed, it only ends the loop */
};

static void *scribble_header(void *arg)
{
	struct scribbler *scribbler = arg;
	const struct victim *victim = scribbler->victim;
	struct region_header bad = victim->good;

	for (uint64_t i = 0; !atomic_load_explicit(&scribbler->stop, memory_order_relaxed); i++) {
		bad.layout.attr.max_entries = i & 1 ? MAX_ENTRIES : UINT32_MAX;
		bad.layout.attr.value_size = i & 2 ? VALUE_SIZE : 1u << 30;
		bad.layout.offset[PART_ELEMENTS] = i & 4 ? victim->good.layout.offset[PART_ELEMENTS] : UINT64_MAX - i;
		if (pwrite(victim->fd, &bad, sizeof(bad), victim->header_at) != sizeof(bad))
			break;
	}
	return NULL;
}

static void a_header_that_changes_while_it_is_read_never_crashes(void **unused)
{
	const int n = rounds(2000);

	(void)unused;
	for (size_t t = 0; t < ARRAY_SIZE(kinds); t++) {
		struct victim victim = make_victim(&kinds[t]);
		struct scribbler scribbler = { .victim = &victim };
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, scribble_header, &scribbler), 0);
		for (int round = 0; round < n; round++) {
			int error = try_attach(&victim);

			assert_true(error == 0 || error == -EINVAL);
		}
		atomic_store_explicit(&scribbler.stop, true, memory_order_relaxed);
		pthread_join(thread, NULL);
		close(victim.fd);
	}
}

/* Overwrites random words of the parts that hold the map's structure, with indices that are wild or nearly right. */
static void scribble_contents(unsigned char *base, const struct region_layout *layout, unsigned words)
{
	for (unsigned i = 0; i < words; i++) {
		int part = (int)support_random_below(PART_N);
		uint64_t limit = layout->size[part] < 1 << 17 ? layout->size[part] : 1 << 17, word = support_random();

		if (limit < 8)
			continue;
		switch (support_random_below(4)) {
		case 0:
			word &= 0xffff0000ffff;
			break;
		case 1:
			word %= MAX_ENTRIES;
			break;
		case 2:
			word = (word % MAX_ENTRIES) << 32 | (word >> 32) % MAX_ENTRIES;
			break;
		}
		/* relaxed: as any hostile store */
		__atomic_store_n((uint64_t *)(base + layout->offset[part] + (support_random_below(limit) & ~7ull)),
				 word, __ATOMIC_RELAXED);
	}
}

static int copy_in(void *dst, const void *user, size_t size)
{
	memcpy(dst, user, size);
	return 0;
}

static int copy_out(void *user, const void *src, size_t size)
{
	memcpy(user, src, size);
	return 0;
}

static bool sure(const void *user, size_t size)
{
	return user && size && support_random_below(2);
}

static void operate_on_many(struct usermap *map)
{
	static const struct user_io io = { .in = copy_in, .out = copy_out, .sure = sure };
	uint32_t keys[64], values[64][VALUE_WORDS], from = (uint32_t)support_random_below(MAX_ENTRIES), to;
	struct map_batch batch = {
		.io = &io, .in_batch = &from, .out_batch = &to, .keys = keys, .values = values, .max = 64
	};
	__u64 found;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		keys[i] = (uint32_t)support_random_below(2 * MAX_ENTRIES);
	map->ops->lookup_bulk(map, keys, values, ARRAY_SIZE(keys), &found);
	map->ops->lookup_batch(map, &batch);
	batch.count = 0;
	if (map->ops->lookup_and_delete_batch && support_random_below(4) == 0)
		map->ops->lookup_and_delete_batch(map, &batch);
	assert_true(batch.count <= batch.max);
}

/* Until an update finds no memory: whoever looks for it in corrupt lists looks patiently, which is slow. */
static bool operate(struct usermap *map, int steps)
{
	uint32_t key, next, value[VALUE_WORDS];

	for (int i = 0; i < steps; i++) {
		key = (uint32_t)support_random_below(2 * MAX_ENTRIES);
		switch (support_random_below(12)) {
		case 0:
		case 1:
			map->ops->delete(map, &key);
			break;
		case 2:
		case 3:
			map->ops->lookup(map, &key, value, 0);
			break;
		case 4:
		case 5:
			map->ops->next_key(map, &key, &next);
			break;
		case 6:
			if (map->ops->lookup_and_delete)
				map->ops->lookup_and_delete(map, &key, value, 0);
			break;
		case 7:
			operate_on_many(map);
			break;
		default:
			if (update(map, key) == -ENOMEM)
				return false;
		}
	}
	return true;
}

static void random_contents_never_crash_nor_hang(void **unused)
{
	const int n = rounds(60);

	(void)unused;
	for (int round = 0; round < n; round++) {
		struct victim victim = make_victim(&kinds[(unsigned)round % ARRAY_SIZE(kinds)]);
		unsigned char *base = mmap(NULL, (size_t)victim.size, PROT_READ | PROT_WRITE, MAP_SHARED, victim.fd, 0);
		struct usermap *map;

		assert_true(base != MAP_FAILED);
		assert_int_equal(map_attach(victim.fd, false, &map), 0);
		for (int burst = 0; burst < 20; burst++) {
			scribble_contents(base, &victim.good.layout, 1 + (unsigned)support_random_below(200));
			if (!operate(map, 100))
				break;
		}
		map_put(map);
		munmap(base, (size_t)victim.size);
		close(victim.fd);
	}
}

struct content_scribbler {
	unsigned char *base;
	const struct region_layout *layout;
	uint64_t seed;
	atomic_bool stop; /* set by the test; relaxed, it only ends the loop */
};

static void *scribble_on(void *arg)
{
	struct content_scribbler *scribbler = arg;

	support_random_seed(scribbler->seed);
	while (!atomic_load_explicit(&scribbler->stop, memory_order_relaxed))
		scribble_contents(scribbler->base, scribbler->layout, 1);
	return NULL;
}

/* What is read twice may differ the second time. */
static void contents_that_change_under_operations_never_crash_nor_hang(void **unused)
{
	const int n = rounds(30);

	(void)unused;
	for (int round = 0; round < n; round++) {
		struct victim victim =
			make_victim(&kinds[FIRST_HASH + (unsigned)round % (ARRAY_SIZE(kinds) - FIRST_HASH)]);
		struct content_scribbler scribbler = { .layout = &victim.good.layout, .seed = support_random() };
		struct usermap *map;
		pthread_t thread;

		scribbler.base = mmap(NULL, (size_t)victim.size, PROT_READ | PROT_WRITE, MAP_SHARED, victim.fd, 0);
		assert_true(scribbler.base != MAP_FAILED);
		assert_int_equal(map_attach(victim.fd, false, &map), 0);
		assert_int_equal(pthread_create(&thread, NULL, scribble_on, &scribbler), 0);
		operate(map, 2000);
		atomic_store_explicit(&scribbler.stop, true, memory_order_relaxed);
		pthread_join(thread, NULL);
		map_put(map);
		munmap(scribbler.base, (size_t)victim.size);
		close(victim.fd);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_good_file_attaches),
		cmocka_unit_test(what_is_no_regular_file_is_EINVAL),
		cmocka_unit_test(a_file_of_another_size_is_EINVAL),
		cmocka_unit_test(every_corrupt_field_is_EINVAL),
		cmocka_unit_test(attributes_that_create_refuses_are_EINVAL),
		cmocka_unit_test(shares_of_cpus_that_are_not_equal_are_EINVAL),
		cmocka_unit_test(random_headers_never_crash),
		cmocka_unit_test(a_header_that_changes_while_it_is_read_never_crashes),
		cmocka_unit_test(random_contents_never_crash_nor_hang),
		cmocka_unit_test(contents_that_change_under_operations_never_crash_nor_hang),
	};

	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
