/* SPDX-License-Identifier: MIT */
/* map/percpu_array: the rules of BPF_MAP_TYPE_PERCPU_ARRAY one by one, then random operations against a plain array. */
#include "support.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/machine.h"
#include "core/words.h"
#include "map/types.h"

static struct map_attr attr_of(uint32_t value_size, uint32_t max_entries, uint32_t flags)
{
	return (struct map_attr){ .type = BPF_MAP_TYPE_PERCPU_ARRAY,
				  .key_size = 4,
				  .value_size = value_size,
				  .max_entries = max_entries,
				  .map_flags = flags,
				  .name = "percpu" };
}

static struct map_backing backing_of(uint32_t n_cpus, bool shared)
{
	return (struct map_backing){ .kind = shared ? BACKING_MEMFD : BACKING_PRIVATE,
				     .fd = -1,
				     .reuse = shared ? USERMAP_REUSE_AT_ONCE : USERMAP_REUSE_GRACE,
				     .n_cpus = n_cpus };
}

/* n_cpus 0: the machine's. */
static struct usermap *make(uint32_t value_size, uint32_t max_entries, uint32_t n_cpus, bool shared)
{
	const struct map_attr attr = attr_of(value_size, max_entries, 0);
	const struct map_backing backing = backing_of(n_cpus, shared);
	struct usermap *map;

	assert_int_equal(percpu_array_ops.alloc_check(&attr), 0);
	assert_int_equal(map_create(&attr, &backing, &map), 0);
	assert_int_equal(map->n_cpus, n_cpus ? n_cpus : possible_cpus());
	assert_int_equal(map->value_bytes, words_stride(value_size) * map->n_cpus);
	return map;
}

static int lookup(struct usermap *map, uint32_t index, void *value)
{
	return map->ops->lookup(map, &index, value, 0);
}

static int update(struct usermap *map, uint32_t index, const void *value, uint64_t flags)
{
	return map->ops->update(map, &index, value, flags);
}

static int update_prog(struct usermap *map, uint32_t index, const void *value, uint64_t flags)
{
	return map->ops->update_prog(map, &index, value, flags);
}

static void *slot(struct usermap *map, uint32_t index, uint32_t cpu)
{
	return map->ops->lookup_percpu_ptr(map, &index, cpu);
}

static void random_bytes(unsigned char *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		p[i] = (unsigned char)support_random();
}

static cpu_set_t allowed;

/* Moves to a CPU at random; says which. */
static uint32_t pin(void)
{
	cpu_set_t set;
	size_t cpu;

	do
		cpu = support_random_below(possible_cpu_ids());
	while (!CPU_ISSET(cpu, &allowed));
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
	return (uint32_t)cpu;
}

static void unpin(void)
{
	assert_int_equal(sched_setaffinity(0, sizeof(allowed), &allowed), 0);
}

/* Creation */

/* What the live kernel says of the attributes: 0 or -errno; 1 if it may not be asked. */
static int ask_kernel(const struct map_attr *attr)
{
	union bpf_attr bpf = { .map_type = attr->type,
			       .key_size = attr->key_size,
			       .value_size = attr->value_size,
			       .max_entries = attr->max_entries,
			       .map_flags = attr->map_flags,
			       .numa_node = attr->numa_node };
	long fd;

	if (attr->max_entries > 1) /* it crashes at some sizes */
		return 1;
	fd = syscall(SYS_bpf, BPF_MAP_CREATE, &bpf, sizeof(bpf));
	if (fd < 0)
		return errno == EPERM || errno == ENOSYS ? 1 : -errno;
	close((int)fd);
	return 0;
}

static void check_create(const char *rule, const struct map_attr *attr, int expected)
{
	int kernel = ask_kernel(attr), ours = percpu_array_ops.alloc_check(attr);

	if (ours != expected || (kernel != 1 && kernel != expected))
		print_error("%s: expected %d, engine %d, kernel %d\n", rule, expected, ours, kernel);
	assert_int_equal(ours, expected);
	if (kernel != 1)
		assert_int_equal(kernel, expected);
}

static void create_checks_what_the_kernel_checks(void **unused)
{
	static const struct {
		const char *rule;
		uint32_t key, value, max, flags, node;
		int expected;
	} rows[] = {
		{ "smallest", 4, 1, 1, 0, 0, 0 },
		{ "largest value", 4, 32768, 1, 0, 0, 0 },
		{ "rounded up to the largest value", 4, 32761, 1, 0, 0, 0 },
		{ "a larger value is E2BIG", 4, 32769, 1, 0, 0, -E2BIG },
		{ "value_size above INT_MAX is E2BIG", 4, 0x80000000, 1, 0, 0, -E2BIG },
		{ "value_size that rounds up to 0 is E2BIG", 4, UINT32_MAX, 1, 0, 0, -E2BIG },
		{ "max_entries 0 is EINVAL", 4, 8, 0, 0, 0, -EINVAL },
		{ "key_size 8 is EINVAL", 8, 8, 1, 0, 0, -EINVAL },
		{ "key_size 0 is EINVAL", 0, 8, 1, 0, 0, -EINVAL },
		{ "value_size 0 is EINVAL", 4, 0, 1, 0, 0, -EINVAL },
		{ "key_size error beats value_size error", 8, 32769, 1, 0, 0, -EINVAL },
		{ "flags error beats value_size error", 4, 32769, 1, BPF_F_NO_PREALLOC, 0, -EINVAL },
		{ "NUMA node beats value_size error", 4, 32769, 1, BPF_F_NUMA_NODE, 0, -EINVAL },
		{ "NUMA node 0 is EINVAL", 4, 8, 1, BPF_F_NUMA_NODE, 0, -EINVAL },
		{ "NUMA node -1 is none", 4, 8, 1, BPF_F_NUMA_NODE, UINT32_MAX, 0 },
		{ "a node without the flag is ignored", 4, 8, 1, 0, 5, 0 },
		{ "RDONLY_PROG with WRONLY_PROG is EINVAL", 4, 8, 1, BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG, 0,
		  -EINVAL },
		{ "RDONLY with WRONLY_PROG is fine", 4, 8, 1, BPF_F_RDONLY | BPF_F_WRONLY_PROG, 0, 0 },
	};
	const uint32_t taken = BPF_F_RDONLY | BPF_F_WRONLY | BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG;

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct map_attr attr = { .type = BPF_MAP_TYPE_PERCPU_ARRAY,
					       .key_size = rows[i].key,
					       .value_size = rows[i].value,
					       .max_entries = rows[i].max,
					       .map_flags = rows[i].flags,
					       .numa_node = rows[i].node };

		check_create(rows[i].rule, &attr, rows[i].expected);
	}
	for (unsigned bit = 0; bit < 32; bit++) {
		const struct map_attr attr = attr_of(8, 1, 1u << bit);

		if (bit != 16) /* a token: its descriptor is looked at before the type's checks */
			check_create("single flag", &attr, taken >> bit & 1 ? 0 : -EINVAL);
	}
}

static void what_no_machine_has_is_ENOMEM_and_leaves_nothing(void **unused)
{
	static const struct {
		uint32_t value_size, n_cpus;
	} rows[] = { { 32768, MAP_MAX_CPUS }, { 32768, 1 }, { 8, MAP_MAX_CPUS }, { 4096, 2 } };
	/* the last one is address space that is taken, and given back */
	const size_t n_rows = support_emulated() ? ARRAY_SIZE(rows) - 1 : ARRAY_SIZE(rows);
	char directory[64];

	(void)unused;
	support_scratch_make(directory);
	for (size_t i = 0; i < n_rows; i++) {
		for (int shared = 0; shared < 2; shared++) {
			const struct map_attr attr = attr_of(rows[i].value_size, UINT32_MAX, 0);
			const struct map_backing backing = backing_of(rows[i].n_cpus, shared);
			struct holdings before = support_holdings(directory);
			struct usermap *map = NULL;

			assert_int_equal(map_create(&attr, &backing, &map), -ENOMEM);
			assert_null(map);
			support_assert_same(before, support_holdings(directory));
		}
	}
	support_scratch_remove(directory);
}

static void all_slots_are_there_and_zero_at_first(void **unused)
{
	static const uint32_t counts[] = { 0, 1, 3, 16, 200 };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		for (int shared = support_emulated(); shared < 2; shared++) {
			struct usermap *map = make(20, 1000, counts[i], shared);
			unsigned char *value = malloc(map->value_bytes), *zeros = calloc(1, map->value_bytes);
			struct usermap_info info = { .sz = sizeof(info) };

			assert_true(region_resident(&map->region) >= (uint64_t)map->value_bytes * 1000);
			for (uint32_t index = 0; index < 1000; index++) {
				memset(value, 0xee, map->value_bytes);
				assert_int_equal(lookup(map, index, value), 0);
				assert_memory_equal(value, zeros, map->value_bytes);
			}
			map->ops->info(map, &info);
			assert_int_equal(info.count, 1000);
			assert_int_equal(info.bytes_used, map->region.size);
			free(value);
			free(zeros);
			map_put(map);
		}
	}
}

/* Single operations */

static void lookup_beyond_the_end_is_ENOENT_and_leaves_the_buffer(void **unused)
{
	struct usermap *map = make(8, 3, 2, false);
	uint64_t value[2] = { 42, 43 };

	(void)unused;
	assert_int_equal(lookup(map, 3, value), -ENOENT);
	assert_int_equal(lookup(map, UINT32_MAX, value), -ENOENT);
	assert_true(value[0] == 42 && value[1] == 43);
	map_put(map);
}

static void update_flags_and_bounds_in_the_kernels_order(void **unused)
{
	static const struct {
		const char *rule;
		uint32_t index;
		uint64_t flags;
		int expected;
	} rows[] = {
		{ "ANY stores", 1, BPF_ANY, 0 },
		{ "EXIST stores", 1, BPF_EXIST, 0 },
		{ "NOEXIST is EEXIST", 1, BPF_NOEXIST, -EEXIST },
		{ "flags 3 is EINVAL", 1, 3, -EINVAL },
		{ "F_CPU is EINVAL", 1, 8, -EINVAL },
		{ "high flag is EINVAL", 1, 1ull << 63, -EINVAL },
		{ "index beyond the end is E2BIG", 4, BPF_ANY, -E2BIG },
		{ "E2BIG beats EEXIST", 4, BPF_NOEXIST, -E2BIG },
		{ "EINVAL beats E2BIG", 4, 3, -EINVAL },
		{ "helper: NOEXIST with F_LOCK is EEXIST", 1, BPF_NOEXIST | BPF_F_LOCK, -EEXIST },
		{ "helper: F_LOCK without a lock is EINVAL", 1, BPF_F_LOCK, -EINVAL },
		{ "helper: E2BIG beats F_LOCK", 4, BPF_F_LOCK, -E2BIG },
		{ "helper: 3 with F_LOCK is EINVAL", 4, 3 | BPF_F_LOCK, -EINVAL },
	};
	struct usermap *map = make(8, 4, 3, false);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows) * 2; i++) {
		const uint64_t before[3] = { 7, 8, 9 }, value[3] = { 1000 + i, 2000 + i, 3000 + i };
		const bool program = i >= ARRAY_SIZE(rows);
		const uint64_t flags = rows[i % ARRAY_SIZE(rows)].flags;
		const uint32_t index = rows[i % ARRAY_SIZE(rows)].index, mine = pin() % 3;
		uint64_t after[3], expected[3];
		int answer;

		assert_int_equal(update(map, 1, before, BPF_ANY), 0);
		answer = program ? update_prog(map, index, value, flags) : update(map, index, value, flags);
		if (answer != rows[i % ARRAY_SIZE(rows)].expected)
			print_error("%s: %d\n", rows[i % ARRAY_SIZE(rows)].rule, answer);
		assert_int_equal(answer, rows[i % ARRAY_SIZE(rows)].expected);
		memcpy(expected, answer || program ? before : value, sizeof(expected));
		if (!answer && program)
			expected[mine] = value[0];
		assert_int_equal(lookup(map, 1, after), 0);
		assert_memory_equal(after, expected, sizeof(after));
		unpin();
	}
	map_put(map);
}

static void commands_store_the_padding_programs_leave_it(void **unused)
{
	struct usermap *map = make(5, 2, 2, false);
	const uint32_t mine = pin() % 2;
	unsigned char in[16] = "123456789abcdef", one[5] = "vwxyz", out[16], expected[16];

	(void)unused;
	assert_int_equal(update(map, 1, in, BPF_ANY), 0);
	assert_int_equal(lookup(map, 1, out), 0);
	assert_memory_equal(out, in, 16);
	assert_int_equal(update_prog(map, 1, one, BPF_ANY), 0);
	memcpy(expected, in, 16);
	memcpy(expected + mine * 8, one, 5);
	assert_int_equal(lookup(map, 1, out), 0);
	assert_memory_equal(out, expected, 16);
	unpin();
	map_put(map);
}

static void delete_is_EINVAL_and_keys_count_up(void **unused)
{
	struct usermap *map = make(8, 2, 0, false);
	uint32_t key = 1, beyond = 2, next = 99;

	(void)unused;
	assert_int_equal(map->ops->delete (map, &key), -EINVAL);
	assert_int_equal(map->ops->delete (map, &beyond), -EINVAL);
	assert_int_equal(map->ops->next_key(map, NULL, &next), 0);
	assert_int_equal(next, 0);
	assert_int_equal(map->ops->next_key(map, &next, &next), 0);
	assert_int_equal(next, 1);
	assert_int_equal(map->ops->next_key(map, &next, &next), -ENOENT);
	assert_int_equal(map->ops->next_key(map, &beyond, &next), 0);
	assert_int_equal(next, 0);
	map_put(map);
}

static void operations_the_type_lacks_are_NULL(void **unused)
{
	(void)unused;
	assert_null(percpu_array_ops.lookup_and_delete);
	assert_null(percpu_array_ops.lookup_and_delete_batch);
	assert_null(percpu_array_ops.delete_batch);
	assert_null(percpu_array_ops.sha256); /* the kernel gives the hash of ARRAY alone */
	assert_non_null(percpu_array_ops.lookup_batch);
	assert_non_null(percpu_array_ops.update_batch);
	assert_ptr_equal(map_ops_find(BPF_MAP_TYPE_PERCPU_ARRAY), &percpu_array_ops);
}

/* The program face */

static void pointers_are_to_the_slot_of_the_present_cpu_or_the_given_one(void **unused)
{
	static const uint32_t counts[] = { 0, 1, 3, 200 };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct usermap *map = make(12, 10, counts[i], false);

		for (uint32_t index = 0; index < 10; index++) {
			const uint32_t mine = pin() % map->n_cpus;

			assert_ptr_equal(map->ops->lookup_ptr(map, &index), slot(map, index, mine));
			assert_int_equal((uintptr_t)slot(map, index, mine) % 8, 0);
			unpin();
		}
		assert_null(map->ops->lookup_ptr(map, &(uint32_t){ 10 }));
		assert_null(slot(map, 10, 0));
		map_put(map);
	}
}

struct walk {
	uint32_t expected, stop_at, mine;
	bool change_key;
};

static long visit(struct usermap *map, const void *key, void *value, void *context)
{
	struct walk *walk = context;
	uint32_t index;

	memcpy(&index, key, sizeof(index));
	assert_int_equal(index, walk->expected++);
	assert_ptr_equal(value, slot(map, index, walk->mine));
	if (walk->change_key)
		memset((void *)(uintptr_t)key, 0xff, sizeof(index));
	return index == walk->stop_at ? -77 : 0;
}

static void for_each_visits_indices_in_order_until_it_is_stopped(void **unused)
{
	static const struct {
		uint32_t stop_at;
		long calls;
	} rows[] = { { UINT32_MAX, 10 }, { 0, 1 }, { 4, 5 }, { 9, 10 } };
	struct usermap *map = make(8, 10, 3, false);

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct walk walk = { .stop_at = rows[i].stop_at, .mine = pin() % 3, .change_key = i & 1 };

		assert_int_equal(map->ops->for_each(map, visit, &walk), rows[i].calls);
		assert_int_equal(walk.expected, rows[i].calls);
		unpin();
	}
	map_put(map);
}

static void add_beyond_the_end_is_ENOENT(void **unused)
{
	struct usermap *map = make(16, 3, 0, false);

	(void)unused;
	assert_int_equal(map->ops->percpu_add(map, &(uint32_t){ 3 }, 0, 1), -ENOENT);
	assert_int_equal(map->ops->percpu_add(map, &(uint32_t){ UINT32_MAX }, 8, 1), -ENOENT);
	assert_int_equal(map->ops->percpu_add(map, &(uint32_t){ 2 }, 8, 1), 0);
	map_put(map);
}

/* Many at once */

static int copy(void *to, const void *from, size_t size)
{
	memcpy(to, from, size);
	return 0;
}

static bool sure(const void *user, size_t size)
{
	return user && size;
}

static const struct user_io io = { .in = copy, .out = copy, .sure = sure };

static void batches_carry_the_slots_of_all_cpus(void **unused)
{
	enum { N = 70, SIZE = 12, CPUS = 5 };
	struct usermap *map = make(SIZE, N, CPUS, true);
	const size_t bytes = map->value_bytes;
	unsigned char *in = malloc(N * bytes), *out = malloc(N * bytes);
	uint32_t keys[N], walked[N], token;
	struct map_batch batch = { .io = &io, .keys = keys, .values = in, .max = N };

	(void)unused;
	random_bytes(in, N * bytes);
	for (uint32_t i = 0; i < N; i++)
		keys[i] = N - 1 - i;
	assert_int_equal(map->ops->update_batch(map, &batch), 0);
	assert_int_equal(batch.count, N);
	batch = (struct map_batch){ .io = &io, .out_batch = &token, .keys = walked, .values = out, .max = 50 };
	assert_int_equal(map->ops->lookup_batch(map, &batch), 0);
	assert_int_equal(batch.count, 50);
	batch = (struct map_batch){ .io = &io,
				    .in_batch = &token,
				    .out_batch = &token,
				    .keys = walked + 50,
				    .values = out + 50 * bytes,
				    .max = 50 };
	assert_int_equal(map->ops->lookup_batch(map, &batch), -ENOENT);
	assert_int_equal(batch.count, N - 50);
	for (uint32_t i = 0; i < N; i++) {
		assert_int_equal(walked[i], i);
		assert_memory_equal(out + i * bytes, in + (N - 1 - i) * bytes, bytes);
	}
	free(in);
	free(out);
	map_put(map);
}

static void bulk_lookup_finds_what_single_lookups_find(void **unused)
{
	enum { MAX = 50, N = 150 };
	static const uint32_t counts[] = { 1, 3, 100 };

	(void)unused;
	for (size_t c = 0; c < ARRAY_SIZE(counts); c++) {
		struct usermap *map = make(12, MAX, counts[c], false);
		const size_t bytes = map->value_bytes;
		unsigned char *values = malloc(N * bytes), *single = malloc(bytes);
		uint32_t keys[N];
		__u64 found[(N + 63) / 64];
		int present = 0;

		for (uint32_t i = 0; i < MAX; i++) {
			random_bytes(single, bytes);
			assert_int_equal(update(map, i, single, BPF_ANY), 0);
		}
		for (unsigned i = 0; i < N; i++)
			keys[i] = (uint32_t)support_random_below(MAX * 2);
		memset(values, 0xee, N * bytes);
		memset(found, 0xff, sizeof(found));

		int answer = map->ops->lookup_bulk(map, keys, values, N, found);

		for (unsigned i = 0; i < N; i++) {
			memset(single, 0xee, bytes);
			assert_int_equal(found[i / 64] >> (i % 64) & 1, lookup(map, keys[i], single) == 0);
			assert_memory_equal(values + i * bytes, single, bytes);
			present += keys[i] < MAX;
		}
		assert_int_equal(found[N / 64] >> (N % 64), 0);
		assert_int_equal(answer, present);
		free(values);
		free(single);
		map_put(map);
	}
}

/* What the map should hold: slot `cpu` of value `index` is at (index * n_cpus + cpu) * stride. */
struct model {
	struct usermap *map;
	unsigned char *slots;
	size_t stride;
};

static unsigned char *model_slot(const struct model *m, uint32_t index, uint32_t cpu)
{
	return m->slots + ((size_t)index * m->map->n_cpus + cpu) * m->stride;
}

static void run_command(const struct model *m, struct usermap *map, uint32_t index, unsigned char *value)
{
	if (support_random() & 1) {
		assert_int_equal(lookup(map, index, value), 0);
		assert_memory_equal(value, model_slot(m, index, 0), map->value_bytes);
	} else {
		assert_int_equal(update(map, index, value, BPF_ANY), 0);
		memcpy(model_slot(m, index, 0), value, map->value_bytes);
	}
}

static void run_program(const struct model *m, struct usermap *map, uint32_t index, const unsigned char *value,
			uint32_t cpu)
{
	const uint32_t mine = cpu % map->n_cpus;
	const uint32_t offset = 8 * (uint32_t)support_random_below(map->value_size / 8 + 1);
	unsigned char *expected = model_slot(m, index, mine);
	uint64_t delta = support_random(), counter;

	if (support_random() & 1) {
		assert_int_equal(update_prog(map, index, value, BPF_EXIST), 0);
		memcpy(expected, value, map->value_size);
	} else if (offset + 8 <= map->value_size) {
		assert_int_equal(map->ops->percpu_add(map, &index, offset, delta), 0);
		memcpy(&counter, expected + offset, sizeof(counter));
		counter += delta;
		memcpy(expected + offset, &counter, sizeof(counter));
	}
	assert_memory_equal(map->ops->lookup_ptr(map, &index), expected, m->stride);
}

static void check_whole(const struct model *m, unsigned char *value)
{
	for (uint32_t index = 0; index < m->map->max_entries; index++) {
		assert_int_equal(lookup(m->map, index, value), 0);
		assert_memory_equal(value, model_slot(m, index, 0), m->map->value_bytes);
	}
}

static void random_operations_agree_with_a_plain_array(void **unused)
{
	(void)unused;
	for (int round = 0; round < 40; round++) {
		const uint32_t size = 1 + (uint32_t)support_random_below(round % 4 ? 40 : 500);
		const uint32_t max = 1 + (uint32_t)support_random_below(60);
		const bool shared = round & 1;
		struct usermap *map = make(size, max, (uint32_t)support_random_below(6), shared), *again = map;
		struct model m = { .map = map, .slots = calloc(max, map->value_bytes), .stride = words_stride(size) };
		unsigned char *value = malloc(map->value_bytes);
		uint32_t cpu = 0;

		if (shared) /* a second handle on the same region */
			assert_int_equal(map_attach(map->region.fd, false, &again), 0);
		for (int step = 0; step < 300; step++) {
			struct usermap *either = support_random() & 1 ? map : again;
			uint32_t index = (uint32_t)support_random_below(max);

			if (step % 8 == 0) /* moves are what takes long where many CPUs are emulated */
				cpu = pin();
			random_bytes(value, map->value_bytes);
			if (support_random() & 1)
				run_command(&m, either, index, value);
			else
				run_program(&m, either, index, value, cpu);
		}
		unpin();
		check_whole(&m, value);
		free(m.slots);
		free(value);
		if (again != map)
			map_put(again);
		map_put(map);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(create_checks_what_the_kernel_checks),
		cmocka_unit_test(what_no_machine_has_is_ENOMEM_and_leaves_nothing),
		cmocka_unit_test(all_slots_are_there_and_zero_at_first),
		cmocka_unit_test(lookup_beyond_the_end_is_ENOENT_and_leaves_the_buffer),
		cmocka_unit_test(update_flags_and_bounds_in_the_kernels_order),
		cmocka_unit_test(commands_store_the_padding_programs_leave_it),
		cmocka_unit_test(delete_is_EINVAL_and_keys_count_up),
		cmocka_unit_test(operations_the_type_lacks_are_NULL),
		cmocka_unit_test(pointers_are_to_the_slot_of_the_present_cpu_or_the_given_one),
		cmocka_unit_test(for_each_visits_indices_in_order_until_it_is_stopped),
		cmocka_unit_test(add_beyond_the_end_is_ENOENT),
		cmocka_unit_test(batches_carry_the_slots_of_all_cpus),
		cmocka_unit_test(bulk_lookup_finds_what_single_lookups_find),
		cmocka_unit_test(random_operations_agree_with_a_plain_array),
	};

	support_seed(argc, argv);
	assert_int_equal(sched_getaffinity(0, sizeof(allowed), &allowed), 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
