/* SPDX-License-Identifier: MIT */
/* The native face and libbpf's contract on values with a slot for each CPU, and on values with a spin lock. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <usermap/usermap.h>

#include "../semantics/cpus.h"
#include "../semantics/typeinfo.h"

#define ENOTSUPP_OF_KERNEL 524
#define HASH		   BPF_MAP_TYPE_HASH
#define ARRAY		   BPF_MAP_TYPE_ARRAY
#define PERCPU_HASH	   BPF_MAP_TYPE_PERCPU_HASH
#define PERCPU_ARRAY	   BPF_MAP_TYPE_PERCPU_ARRAY
#define CANARY		   0xee

#define OPTS(...)                                              \
	{                                                      \
		.sz = sizeof(struct usermap_opts), __VA_ARGS__ \
	}

struct create_row {
	const char *name;
	int expected;
	enum bpf_map_type type;
	__u32 value_size;
	struct usermap_opts opts;
};

static const struct create_row create_rows[] = {
	{ "create_percpu_hash", 0, PERCPU_HASH, 8, OPTS(.n_cpus = 0) },
	{ "create_percpu_hash_for_1_cpu", 0, PERCPU_HASH, 8, OPTS(.n_cpus = 1) },
	{ "create_percpu_hash_for_4096_cpus", 0, PERCPU_HASH, 8, OPTS(.n_cpus = 4096) },
	{ "create_percpu_hash_for_4097_cpus_is_EINVAL", -EINVAL, PERCPU_HASH, 8, OPTS(.n_cpus = 4097) },
	{ "create_percpu_hash_value_too_large_is_E2BIG", -E2BIG, PERCPU_HASH, 32769, OPTS(.n_cpus = 1) },
	{ "create_percpu_hash_at_once", 0, PERCPU_HASH, 8, OPTS(.reuse = USERMAP_REUSE_AT_ONCE) },
	{ "create_percpu_hash_shared", 0, PERCPU_HASH, 8, OPTS(.memory = USERMAP_MEMORY_SHARED, .n_cpus = 3) },
	{ "create_percpu_array_for_4096_cpus", 0, PERCPU_ARRAY, 8, OPTS(.n_cpus = 4096) },
	{ "create_percpu_array_for_4097_cpus_is_EINVAL", -EINVAL, PERCPU_ARRAY, 8, OPTS(.n_cpus = 4097) },
	{ "create_percpu_array_shared", 0, PERCPU_ARRAY, 8, OPTS(.memory = USERMAP_MEMORY_SHARED, .n_cpus = 3) },
	{ "create_hash_with_cpus_is_EINVAL", -EINVAL, HASH, 8, OPTS(.n_cpus = 1) },
	{ "create_array_with_cpus_is_EINVAL", -EINVAL, ARRAY, 8, OPTS(.n_cpus = 2) },

	{ "create_hash_with_lock", 0, HASH, 8, OPTS(.spin_lock = 1) },
	{ "create_hash_with_lock_at_the_end", 0, HASH, 17, OPTS(.spin_lock = 1, .spin_lock_off = 12) },
	{ "create_hash_that_is_a_lock", 0, HASH, 4, OPTS(.spin_lock = 1) },
	{ "create_array_with_lock", 0, ARRAY, 8, OPTS(.spin_lock = 1, .spin_lock_off = 4) },
	{ "create_shared_array_with_lock", 0, ARRAY, 8, OPTS(.spin_lock = 1, .memory = USERMAP_MEMORY_SHARED) },
	{ "create_lock_behind_the_value_is_EINVAL", -EINVAL, HASH, 17, OPTS(.spin_lock = 1, .spin_lock_off = 16) },
	{ "create_lock_in_too_small_a_value_is_EINVAL", -EINVAL, HASH, 3, OPTS(.spin_lock = 1) },
	{ "create_lock_far_behind_the_value_is_EINVAL", -EINVAL, HASH, 8, OPTS(.spin_lock = 1, .spin_lock_off = ~3u) },
	{ "create_lock_at_no_multiple_of_4_is_EINVAL", -EINVAL, HASH, 16, OPTS(.spin_lock = 1, .spin_lock_off = 2) },
	{ "create_two_locks_is_EINVAL", -EINVAL, HASH, 16, OPTS(.spin_lock = 2) },
	{ "create_offset_without_lock_is_EINVAL", -EINVAL, HASH, 16, OPTS(.spin_lock_off = 4) },
	{ "create_percpu_hash_with_lock_is_EOPNOTSUPP", -EOPNOTSUPP, PERCPU_HASH, 8, OPTS(.spin_lock = 1) },
	{ "create_percpu_array_with_lock_is_EOPNOTSUPP", -EOPNOTSUPP, PERCPU_ARRAY, 8, OPTS(.spin_lock = 1) },
	{ "create_lock_that_programs_cannot_write_is_EACCES", -EACCES, HASH, 8,
	  OPTS(.spin_lock = 1, .map_flags = BPF_F_RDONLY_PROG) },
	{ "create_lock_that_programs_cannot_read_is_EACCES", -EACCES, ARRAY, 8,
	  OPTS(.spin_lock = 1, .map_flags = BPF_F_WRONLY_PROG) },
	{ "create_type_ids_without_btf_are_EINVAL", -EINVAL, HASH, 8, OPTS(.btf_value_type_id = 1) },
	{ "create_btf_size_without_btf_is_EINVAL", -EINVAL, HASH, 8, OPTS(.btf_size = 24) },
	{ "create_btf_without_a_value_type_is_EINVAL", -EINVAL, HASH, 8, OPTS(.btf = "", .btf_size = 1) },
	{ "create_btf_that_is_none_is_EINVAL", -EINVAL, HASH, 8,
	  OPTS(.btf = "", .btf_size = 1, .btf_value_type_id = 1) },
};

static void create_row(void **state)
{
	const struct create_row *row = *state;
	struct usermap *map = (struct usermap *)8; /* untouched on error */
	int error = usermap_create(row->type, NULL, 4, row->value_size, 4, &row->opts, &map);

	assert_int_equal(error, row->expected);
	if (error)
		assert_ptr_equal(map, (struct usermap *)8);
	else
		usermap_close(map);
}

/* Maps of each memory: private, private that reuses at once, and shared. */
enum { KINDS = 3 };

static struct usermap *make(enum bpf_map_type type, __u32 value_size, __u32 max_entries, int kind,
			    struct usermap_opts opts)
{
	struct usermap *map = NULL;

	opts.memory = kind == 2 ? USERMAP_MEMORY_SHARED : USERMAP_MEMORY_PRIVATE;
	opts.reuse = kind == 1 ? USERMAP_REUSE_AT_ONCE : USERMAP_REUSE_DEFAULT;
	assert_int_equal(usermap_create(type, NULL, 4, value_size, max_entries, &opts, &map), 0);
	return map;
}

static struct usermap_info info_of(const struct usermap *map)
{
	struct usermap_info info = { .sz = sizeof(info) };

	assert_int_equal(usermap_get_info(map, &info), 0);
	return info;
}

static void pattern(unsigned char *to, __u32 key, size_t size)
{
	for (size_t i = 0; i < size; i++)
		to[i] = (unsigned char)(key * 61 + i * 7 + i / 256 + 1);
}

struct shape {
	enum bpf_map_type type;
	__u32 value_size, n_cpus;
	size_t bytes; /* of a value in buffers */
};

/* Room for n values and a byte that nobody may write. */
struct room {
	unsigned char *in, *out;
	size_t size;
};

static struct room room_of(const struct shape *shape, __u32 n)
{
	struct room room = { .size = n * shape->bytes };

	room.in = malloc(room.size);
	room.out = malloc(room.size + 1);
	memset(room.out, CANARY, room.size + 1);
	for (__u32 i = 0; i < n; i++)
		pattern(room.in + i * shape->bytes, i + 1, shape->bytes);
	return room;
}

static void room_is_equal(struct room *room)
{
	assert_memory_equal(room->in, room->out, room->size);
	assert_int_equal(room->out[room->size], CANARY);
	free(room->in);
	free(room->out);
}

static void one_value_goes_in_and_out(struct usermap *map, const struct shape *shape)
{
	struct room room = room_of(shape, 1);
	__u32 key = 1;

	assert_int_equal(usermap_update_elem(map, &key, room.in, BPF_ANY), 0);
	assert_int_equal(usermap_lookup_elem(map, &key, room.out, 0), 0);
	room_is_equal(&room);
	if (shape->type != PERCPU_HASH)
		return;
	room = room_of(shape, 1);
	assert_int_equal(usermap_lookup_and_delete_elem(map, &key, room.out, 0), 0);
	room_is_equal(&room);
	assert_int_equal(usermap_lookup_elem(map, &key, &key, 0), -ENOENT);
}

static void batches_and_bulk_go_in_and_out(struct usermap *map, const struct shape *shape)
{
	__u32 keys[3] = { 0, 1, 2 }, out_keys[4], n = 3, token;
	struct room room = room_of(shape, 3);
	__u64 found;

	assert_int_equal(usermap_update_batch(map, keys, room.in, &n, NULL), 0);
	assert_int_equal(usermap_lookup_bulk(map, keys, room.out, 3, &found), 3);
	assert_int_equal(found, 7);
	room_is_equal(&room);
	room = room_of(shape, 3);
	assert_int_equal(usermap_lookup_batch(map, NULL, &token, out_keys, room.out, &n, NULL),
			 shape->type == PERCPU_HASH ? -ENOENT : 0);
	assert_int_equal(n, 3);
	for (__u32 i = 0; i < n; i++)
		assert_memory_equal(room.out + i * shape->bytes, room.in + out_keys[i] * shape->bytes, shape->bytes);
	assert_int_equal(room.out[room.size], CANARY);
	free(room.in);
	free(room.out);
}

static void a_value_is_as_long_as_its_slots(void **state)
{
	static const __u32 cpus[] = { 0, 1, 3, 200 }, sizes[] = { 1, 8, 12, 1000 };

	(void)state;
	for (int i = 0; i < 2 * KINDS * 4 * 4; i++) {
		struct shape shape = { .type = i & 1 ? PERCPU_HASH : PERCPU_ARRAY, .value_size = sizes[i / 8 % 4] };
		struct usermap *map;
		struct usermap_info info;

		shape.n_cpus = cpus[i / 2 % 4];
		map = make(shape.type, shape.value_size, 3, i / 32, (struct usermap_opts)OPTS(.n_cpus = shape.n_cpus));
		if (!shape.n_cpus)
			shape.n_cpus = cpus_possible();
		shape.bytes = (shape.value_size + 7) / 8 * 8 * (size_t)shape.n_cpus;
		info = info_of(map);
		assert_int_equal(info.n_cpus, shape.n_cpus);
		assert_int_equal(info.value_size, shape.value_size);
		assert_int_equal(info.value_bytes, shape.bytes);
		one_value_goes_in_and_out(map, &shape);
		batches_and_bulk_go_in_and_out(map, &shape);
		usermap_close(map);
	}
}

static void other_values_are_as_long_as_they_say(void **state)
{
	struct usermap *hash = make(HASH, 5, 2, 0, (struct usermap_opts)OPTS());
	struct usermap *array = make(ARRAY, 5, 2, 0, (struct usermap_opts)OPTS(.spin_lock = 1));

	(void)state;
	assert_int_equal(info_of(hash).value_bytes, 5);
	assert_int_equal(info_of(hash).n_cpus, 1);
	assert_int_equal(info_of(hash).spin_lock, 0);
	assert_int_equal(info_of(array).value_bytes, 5);
	assert_int_equal(info_of(array).spin_lock, 1);
	usermap_close(hash);
	usermap_close(array);
}

static void who_attaches_finds_the_same_slots_and_the_same_lock(void **state)
{
	struct usermap *map = make(PERCPU_HASH, 12, 4, 2, (struct usermap_opts)OPTS(.n_cpus = 200)), *other;
	unsigned char in[200 * 16], out[200 * 16];
	int fd = usermap_get_fd(map);
	__u32 key = 3;

	(void)state;
	pattern(in, 1, sizeof(in));
	assert_int_equal(usermap_update_elem(map, &key, in, 0), 0);
	assert_int_equal(usermap_open_fd(fd, &(struct usermap_opts)OPTS(.n_cpus = 200), &other), -EINVAL);
	assert_int_equal(usermap_open_fd(fd, NULL, &other), 0);
	close(fd);
	usermap_close(map);
	assert_int_equal(info_of(other).n_cpus, 200);
	assert_int_equal(info_of(other).value_bytes, sizeof(out));
	assert_int_equal(usermap_lookup_elem(other, &key, out, 0), 0);
	assert_memory_equal(in, out, sizeof(in));
	usermap_close(other);

	map = make(HASH, 16, 4, 2, (struct usermap_opts)OPTS(.spin_lock = 1, .spin_lock_off = 8));
	fd = usermap_get_fd(map);
	assert_int_equal(usermap_open_fd(fd, &(struct usermap_opts)OPTS(.map_flags = BPF_F_RDONLY), &other), 0);
	close(fd);
	assert_int_equal(info_of(other).spin_lock, 1);
	assert_int_equal(info_of(other).spin_lock_off, 8);
	assert_int_equal(usermap_update_elem(map, &key, in, BPF_F_LOCK), 0);
	assert_int_equal(usermap_lookup_elem(other, &key, out, BPF_F_LOCK), 0); /* a lock isn't taken to read */
	assert_memory_equal(in, out, 8);
	assert_int_equal(usermap_update_elem(other, &key, in, BPF_F_LOCK), -EPERM);
	usermap_close(other);
	usermap_close(map);
}

static void libbpf_sizes_are_those_of_all_slots(void **state)
{
	struct usermap *map = make(PERCPU_HASH, 12, 4, 0, (struct usermap_opts)OPTS(.n_cpus = 3));
	unsigned char value[64] = { 0 };
	__u32 key = 1, next;

	(void)state;
	assert_int_equal(usermap__update_elem(map, &key, 4, value, 48, 0), 0);
	for (size_t size = 0; size <= sizeof(value); size++) {
		assert_int_equal(usermap__lookup_elem(map, &key, 4, value, size, 0), size == 48 ? 0 : -EINVAL);
		assert_int_equal(usermap__update_elem(map, &key, 4, value, size, 0), size == 48 ? 0 : -EINVAL);
		if (size != 48)
			assert_int_equal(usermap__lookup_and_delete_elem(map, &key, 4, value, size, 0), -EINVAL);
	}
	assert_int_equal(usermap__get_next_key(map, NULL, &next, 4), 0);
	assert_int_equal(usermap__lookup_and_delete_elem(map, &key, 4, value, 48, 0), 0);
	assert_int_equal(usermap__delete_elem(map, &key, 4, 0), -ENOENT);
	usermap_close(map);
}

static bool without_lock(const unsigned char *value, const unsigned char *in, size_t size, size_t lock_off)
{
	static const unsigned char zeros[4];

	return memcmp(value, in, lock_off) == 0 && memcmp(value + lock_off, zeros, 4) == 0 &&
	       memcmp(value + lock_off + 4, in + lock_off + 4, size - lock_off - 4) == 0;
}

/* Every way to write a value of key 1. */
static void write_value(struct usermap *map, const unsigned char *in, int way)
{
	struct usermap_batch_opts locked = { .sz = sizeof(locked), .elem_flags = BPF_F_LOCK };
	__u32 key = 1, one = 1;

	if (way < 2)
		assert_int_equal(usermap_update_elem(map, &key, in, way ? BPF_F_LOCK : 0), 0);
	else
		assert_int_equal(usermap_update_batch(map, &key, in, &one, way == 2 ? NULL : &locked), 0);
}

/* Every way to read it. */
static void read_value(struct usermap *map, unsigned char *out, int way)
{
	struct usermap_batch_opts locked = { .sz = sizeof(locked), .elem_flags = BPF_F_LOCK };
	__u32 key = 1, keys[2], token = 0, one = 1;
	unsigned char both[2 * 20];
	__u64 found;

	if (way < 2) {
		assert_int_equal(usermap_lookup_elem(map, &key, out, way ? BPF_F_LOCK : 0), 0);
	} else if (way == 2) {
		assert_int_equal(usermap_lookup_bulk(map, &key, out, 1, &found), 1);
	} else {
		one = 2;
		usermap_lookup_batch(map, NULL, &token, keys, both, &one, way == 3 ? NULL : &locked);
		memcpy(out, both + (one - 1) * 20, 20);
	}
}

static void the_bytes_of_a_lock_are_never_seen(void **state)
{
	unsigned char in[20], out[21];
	__u32 key = 1;

	(void)state;
	memset(in, 0xff, sizeof(in));
	for (int i = 0; i < 2 * KINDS; i++) {
		struct usermap *map = make(i & 1 ? HASH : ARRAY, 20, 2, i / 2,
					   (struct usermap_opts)OPTS(.spin_lock = 1, .spin_lock_off = 12));

		for (int write = 0; write < 8; write++) { /* 4 ways to insert, 4 to replace */
			for (int read = 0; read < 5; read++) {
				memset(out, CANARY, sizeof(out));
				in[0] = (unsigned char)(write * 8 + read);
				write_value(map, in, write % 4);
				read_value(map, out, read);
				assert_true(without_lock(out, in, 20, 12));
				assert_int_equal(out[20], CANARY);
			}
			if (!(i & 1) || write >= 4)
				continue;
			memset(out, CANARY, sizeof(out));
			assert_int_equal(usermap_lookup_and_delete_elem(map, &key, out, write & 1 ? BPF_F_LOCK : 0), 0);
			assert_true(without_lock(out, in, 20, 12));
		}
		assert_int_equal(usermap_freeze(map), -ENOTSUPP_OF_KERNEL);
		write_value(map, in, 0);
		usermap_close(map);
	}
}

static void flags_of_a_locked_value(void **state)
{
	struct usermap_batch_opts opts = { .sz = sizeof(opts), .elem_flags = BPF_F_LOCK | 1 };
	struct usermap *map = make(HASH, 8, 2, 0, (struct usermap_opts)OPTS(.spin_lock = 1));
	__u32 key = 1, n = 1;
	__u64 value = 0;

	(void)state;
	assert_int_equal(usermap_lookup_elem(map, &key, &value, BPF_F_LOCK), -ENOENT);
	assert_int_equal(usermap_lookup_elem(map, &key, &value, BPF_F_LOCK | 1), -EINVAL);
	assert_int_equal(usermap_update_elem(map, &key, &value, BPF_F_LOCK | BPF_EXIST), -ENOENT);
	assert_int_equal(usermap_update_elem(map, &key, &value, BPF_F_LOCK | BPF_NOEXIST), 0);
	assert_int_equal(usermap_update_elem(map, &key, &value, BPF_F_LOCK | BPF_NOEXIST), -EEXIST);
	assert_int_equal(usermap_update_elem(map, &key, &value, BPF_F_LOCK | BPF_EXIST), 0);
	assert_int_equal(usermap_update_elem(map, &key, &value, BPF_F_LOCK | 3), -EINVAL);
	assert_int_equal(usermap_update_elem(map, &key, &value, BPF_F_LOCK | 8), -EINVAL);
	assert_int_equal(usermap_lookup_and_delete_elem(map, &key, &value, BPF_F_LOCK | 1), -EINVAL);
	assert_int_equal(usermap_update_batch(map, &key, &value, &n, &opts), -EINVAL);
	assert_int_equal(usermap_delete_batch(map, &key, &n, &opts), -EINVAL);
	opts.elem_flags = BPF_F_LOCK;
	assert_int_equal(usermap_delete_batch(map, &key, &n, &opts), 0);
	usermap_close(map);
}

static void a_lock_is_found_in_btf(void **state)
{
	struct lockable types;
	struct usermap_opts opts = OPTS(.btf = types.raw);
	struct usermap *map;

	(void)state;
	typeinfo_lockable(&types, 4, true, 24, 16, true);
	opts.btf_size = types.size;
	opts.btf_key_type_id = types.key_id;
	opts.btf_value_type_id = types.value_id;
	assert_int_equal(usermap_create(HASH, NULL, 4, 24, 4, &opts, &map), 0);
	assert_int_equal(info_of(map).spin_lock, 1);
	assert_int_equal(info_of(map).spin_lock_off, 16);
	usermap_close(map);
	assert_int_equal(usermap_create(HASH, NULL, 4, 32, 4, &opts, &map), -EINVAL);
	assert_int_equal(usermap_create(HASH, NULL, 8, 24, 4, &opts, &map), -EINVAL);
	assert_int_equal(usermap_create(PERCPU_HASH, NULL, 4, 24, 4, &opts, &map), -EOPNOTSUPP);
	opts.spin_lock = 1;
	assert_int_equal(usermap_create(HASH, NULL, 4, 24, 4, &opts, &map), -EINVAL); /* one or the other */
}

int main(void)
{
	enum { ROWS = sizeof(create_rows) / sizeof(create_rows[0]) };
	struct CMUnitTest rows[ROWS];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value_is_as_long_as_its_slots),
		cmocka_unit_test(other_values_are_as_long_as_they_say),
		cmocka_unit_test(who_attaches_finds_the_same_slots_and_the_same_lock),
		cmocka_unit_test(libbpf_sizes_are_those_of_all_slots),
		cmocka_unit_test(the_bytes_of_a_lock_are_never_seen),
		cmocka_unit_test(flags_of_a_locked_value),
		cmocka_unit_test(a_lock_is_found_in_btf),
	};

	for (int i = 0; i < ROWS; i++)
		rows[i] = (struct CMUnitTest){ create_rows[i].name, create_row, NULL, NULL,
					       (void *)(uintptr_t)&create_rows[i] };
	return _cmocka_run_group_tests("native values create", rows, ROWS, NULL, NULL) +
	       cmocka_run_group_tests_name("native values", tests, NULL, NULL);
}
