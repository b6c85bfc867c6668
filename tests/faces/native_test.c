/* SPDX-License-Identifier: MIT */
/* The native face, libbpf's contract and the program face: what their own arguments may be, and what they answer. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <usermap/helper.h>
#include <usermap/usermap.h>

#define ENOTSUPP_OF_KERNEL 524
#define HASH		   BPF_MAP_TYPE_HASH
#define ARRAY		   BPF_MAP_TYPE_ARRAY

struct create_row {
	const char *name;
	int expected;
	enum bpf_map_type type;
	const char *map_name;
	__u32 sizes[3];
	struct usermap_opts opts; /* sz 0: no options */
};

#define OPTS(...)                                              \
	{                                                      \
		.sz = sizeof(struct usermap_opts), __VA_ARGS__ \
	}

static const struct create_row create_rows[] = {
	{ "create_hash", 0, HASH, "name", { 8, 8, 4 }, { 0 } },
	{ "create_array", 0, ARRAY, NULL, { 4, 8, 4 }, { 0 } },
	{ "create_other_type_is_EINVAL", -EINVAL, BPF_MAP_TYPE_QUEUE, NULL, { 0, 8, 4 }, { 0 } },
	{ "create_key_size_0_is_EINVAL", -EINVAL, HASH, NULL, { 0, 8, 4 }, { 0 } },
	{ "create_large_value_is_E2BIG", -E2BIG, HASH, NULL, { 8, 8 << 20, 4 }, { 0 } },
	{ "create_too_many_entries_is_E2BIG", -E2BIG, HASH, NULL, { 8, 8, 0x80000001 }, { 0 } },
	{ "create_long_name_is_EINVAL", -EINVAL, HASH, "abcdefghijklmnop", { 8, 8, 4 }, { 0 } },
	{ "create_bad_name_is_EINVAL", -EINVAL, HASH, "a b", { 8, 8, 4 }, { 0 } },
	{ "create_large_value_beats_bad_name", -E2BIG, HASH, "a b", { 8, 8 << 20, 4 }, { 0 } },
	{ "create_too_many_entries_beat_bad_name", -E2BIG, HASH, "a b", { 8, 8, 0x80000001 }, { 0 } },
	{ "create_flags", 0, HASH, NULL, { 8, 8, 4 }, OPTS(.map_flags = BPF_F_NO_PREALLOC | BPF_F_ZERO_SEED) },
	{ "create_unknown_flags_are_EINVAL", -EINVAL, HASH, NULL, { 8, 8, 4 }, OPTS(.map_flags = 1u << 31) },
	{ "create_rdonly_and_wronly_is_EINVAL",
	  -EINVAL,
	  HASH,
	  NULL,
	  { 8, 8, 4 },
	  OPTS(.map_flags = BPF_F_RDONLY | BPF_F_WRONLY) },
	{ "create_map_extra_is_EINVAL", -EINVAL, HASH, NULL, { 8, 8, 4 }, OPTS(.map_extra = 1) },
	{ "create_absent_node_is_EINVAL",
	  -EINVAL,
	  HASH,
	  NULL,
	  { 8, 8, 4 },
	  OPTS(.map_flags = BPF_F_NUMA_NODE, .numa_node = 4096) },
	{ "create_private", 0, HASH, NULL, { 8, 8, 4 }, OPTS(.memory = USERMAP_MEMORY_PRIVATE) },
	{ "create_private_at_once", 0, HASH, NULL, { 8, 8, 4 }, OPTS(.reuse = USERMAP_REUSE_AT_ONCE) },
	{ "create_shared_without_a_name", 0, HASH, NULL, { 8, 8, 4 }, OPTS(.memory = USERMAP_MEMORY_SHARED) },
	{ "create_shared_grace_is_EINVAL",
	  -EINVAL,
	  HASH,
	  NULL,
	  { 8, 8, 4 },
	  OPTS(.memory = USERMAP_MEMORY_SHARED, .reuse = USERMAP_REUSE_GRACE) },
	{ "create_private_with_path_is_EINVAL",
	  -EINVAL,
	  HASH,
	  NULL,
	  { 8, 8, 4 },
	  OPTS(.memory = USERMAP_MEMORY_PRIVATE, .path = "/dev/shm/usermap-test-never") },
	{ "create_unknown_memory_is_EINVAL", -EINVAL, HASH, NULL, { 8, 8, 4 }, OPTS(.memory = 3) },
	{ "create_unknown_reuse_is_EINVAL", -EINVAL, HASH, NULL, { 8, 8, 4 }, OPTS(.reuse = 3) },
	{ "create_in_absent_directory_is_ENOENT",
	  -ENOENT,
	  HASH,
	  NULL,
	  { 8, 8, 4 },
	  OPTS(.path = "/dev/shm/absent/map") },
	{ "create_over_a_file_is_EEXIST", -EEXIST, HASH, NULL, { 8, 8, 4 }, OPTS(.path = "/dev/null") },
};

static void create_row(void **state)
{
	const struct create_row *row = *state;
	struct usermap *map = (struct usermap *)8; /* untouched on error */
	int error = usermap_create(row->type, row->map_name, row->sizes[0], row->sizes[1], row->sizes[2],
				   row->opts.sz ? &row->opts : NULL, &map);

	assert_int_equal(error, row->expected);
	if (error)
		assert_ptr_equal(map, (struct usermap *)8);
	else
		usermap_close(map);
}

static struct usermap *make(enum bpf_map_type type, __u32 max_entries, const struct usermap_opts *opts)
{
	struct usermap *map = NULL;

	assert_int_equal(usermap_create(type, "made", 4, 8, max_entries, opts, &map), 0);
	return map;
}

static struct usermap *make_flags(enum bpf_map_type type, __u32 flags)
{
	return make(type, 4, &(struct usermap_opts)OPTS(.map_flags = flags));
}

static int put(struct usermap *map, __u32 key, __u64 value, __u64 flags)
{
	return usermap_update_elem(map, &key, &value, flags);
}

static __s64 get(struct usermap *map, __u32 key)
{
	__s64 value = 0;
	int error = usermap_lookup_elem(map, &key, &value, 0);

	return error ? error : value;
}

static void options_of_an_older_caller_have_0_for_the_rest(void **state)
{
	struct usermap_opts opts = { .sz = offsetof(struct usermap_opts, numa_node),
				     .map_flags = BPF_F_ZERO_SEED,
				     .memory = 99 };
	struct usermap_info info = { .sz = sizeof(info) };
	struct usermap *map = make(HASH, 4, &opts);

	(void)state;
	assert_int_equal(usermap_get_info(map, &info), 0);
	assert_int_equal(info.map_flags, BPF_F_ZERO_SEED);
	assert_int_equal(info.memory, USERMAP_MEMORY_PRIVATE);
	usermap_close(map);
}

static void options_of_a_newer_caller_must_be_0_behind_ours(void **state)
{
	struct {
		struct usermap_opts opts;
		__u64 newer;
	} opts = { { .sz = sizeof(opts) }, 0 };
	struct usermap *map = make(HASH, 4, &opts.opts);

	(void)state;
	usermap_close(map);
	opts.newer = 1;
	assert_int_equal(usermap_create(HASH, NULL, 4, 8, 4, &opts.opts, &map), -EINVAL);
	opts.opts.sz = 0;
	assert_int_equal(usermap_create(HASH, NULL, 4, 8, 4, &opts.opts, &map), -EINVAL);
	opts.opts.sz = SIZE_MAX;
	assert_int_equal(usermap_create(HASH, NULL, 4, 8, 4, &opts.opts, &map), -EINVAL);
}

static void element_commands_of_a_hash(void **state)
{
	struct usermap *map = make(HASH, 2, NULL);
	__u32 key = 1, next = 0;
	__u64 value = 7;

	(void)state;
	assert_int_equal(get(map, 1), -ENOENT);
	assert_int_equal(usermap_get_next_key(map, NULL, &next), -ENOENT);
	assert_int_equal(put(map, 1, 11, BPF_EXIST), -ENOENT);
	assert_int_equal(put(map, 1, 11, BPF_NOEXIST), 0);
	assert_int_equal(put(map, 1, 11, BPF_NOEXIST), -EEXIST);
	assert_int_equal(put(map, 1, 12, BPF_EXIST), 0);
	assert_int_equal(put(map, 1, 12, 3), -EINVAL);
	assert_int_equal(put(map, 1, 12, BPF_F_LOCK), -EINVAL);
	assert_int_equal(put(map, 2, 22, 0), 0);
	assert_int_equal(put(map, 3, 33, 0), -E2BIG);
	assert_int_equal(get(map, 1), 12);
	assert_int_equal(usermap_lookup_elem(map, &key, &value, 1), -EINVAL);
	assert_int_equal(usermap_lookup_elem(map, &key, &value, BPF_F_LOCK), -EINVAL);
	assert_int_equal(value, 7);
	assert_int_equal(usermap_lookup_and_delete_elem(map, &key, &value, 1), -EINVAL);
	assert_int_equal(usermap_lookup_and_delete_elem(map, &key, &value, BPF_F_LOCK), -EINVAL);
	assert_int_equal(usermap_lookup_and_delete_elem(map, &key, &value, 0), 0);
	assert_int_equal(value, 12);
	assert_int_equal(usermap_delete_elem(map, &key), -ENOENT);
	assert_int_equal(usermap_get_next_key(map, NULL, &next), 0);
	assert_int_equal(next, 2);
	assert_int_equal(usermap_get_next_key(map, &next, &next), -ENOENT);
	usermap_close(map);
}

static void element_commands_of_an_array(void **state)
{
	struct usermap *map = make(ARRAY, 2, NULL);
	__u32 key = 1;
	__u64 value;

	(void)state;
	assert_int_equal(get(map, 1), 0);
	assert_int_equal(get(map, 2), -ENOENT);
	assert_int_equal(put(map, 1, 11, 0), 0);
	assert_int_equal(put(map, 2, 11, 0), -E2BIG);
	assert_int_equal(put(map, 1, 11, BPF_NOEXIST), -EEXIST);
	assert_int_equal(usermap_delete_elem(map, &key), -EINVAL);
	assert_int_equal(usermap_lookup_and_delete_elem(map, &key, &value, 0), -ENOTSUPP_OF_KERNEL);
	usermap_close(map);
}

static void reading_and_writing_may_be_refused(struct usermap *map, int read, int write)
{
	__u32 key = 0, count = 1, token, next;
	__u64 value = 5;
	__u64 found = 0;

	assert_int_equal(usermap_lookup_elem(map, &key, &value, 0), read);
	assert_int_equal(usermap_lookup_elem(map, &key, &value, BPF_F_LOCK), read ? read : -EINVAL);
	assert_int_equal(usermap_get_next_key(map, &(__u32){ 9 }, &next), read);
	assert_int_equal(usermap_lookup_batch(map, NULL, &token, &key, &value, &count, NULL), read);
	assert_int_equal(usermap_lookup_bulk(map, &key, &value, 1, &found), read ? read : 1);
	assert_int_equal(usermap_update_elem(map, &key, &value, 0), write);
	assert_int_equal(usermap_delete_elem(map, &key), write ? write : -EINVAL);
	assert_int_equal(usermap_update_batch(map, &key, &value, &count, NULL), write);
	assert_int_equal(usermap_delete_batch(map, &key, &count, NULL), write ? write : -ENOTSUPP_OF_KERNEL);
	assert_int_equal(usermap_lookup_and_delete_elem(map, &key, &value, 0),
			 read || write ? -EPERM : -ENOTSUPP_OF_KERNEL);
	assert_int_equal(usermap_lookup_and_delete_batch(map, NULL, &token, &key, &value, &count, NULL),
			 read || write ? -EPERM : -ENOTSUPP_OF_KERNEL);
}

static void access_is_what_the_handle_was_made_with(void **state)
{
	struct usermap *map = make_flags(ARRAY, 0);

	(void)state;
	reading_and_writing_may_be_refused(map, 0, 0);
	assert_int_equal(usermap_freeze(map), 0);
	reading_and_writing_may_be_refused(map, 0, -EPERM);
	assert_int_equal(usermap_freeze(map), -EPERM);
	usermap_close(map);
	map = make_flags(ARRAY, BPF_F_RDONLY);
	reading_and_writing_may_be_refused(map, 0, -EPERM);
	assert_int_equal(usermap_freeze(map), -EPERM);
	usermap_close(map);
	map = make_flags(ARRAY, BPF_F_WRONLY);
	reading_and_writing_may_be_refused(map, -EPERM, 0);
	assert_int_equal(usermap_freeze(map), 0);
	reading_and_writing_may_be_refused(map, -EPERM, -EPERM);
	usermap_close(map);
}

static void batches_of_a_hash(void **state)
{
	struct usermap *map = make(HASH, 4, NULL);
	__u32 keys[5] = { 1, 2, 3, 4, 5 }, gone[5] = { 3, 4, 9, 1, 2 }, out_keys[5], token, count = 5;
	__u64 values[5] = { 11, 22, 33, 44, 55 }, out[5];
	struct usermap_batch_opts opts = { .sz = sizeof(opts), .elem_flags = BPF_NOEXIST };

	(void)state;
	assert_int_equal(usermap_update_batch(map, keys, values, &count, &opts), -EINVAL);
	assert_int_equal(count, 5);
	opts = (struct usermap_batch_opts){ .sz = sizeof(opts), .flags = 1 };
	assert_int_equal(usermap_lookup_batch(map, NULL, &token, out_keys, out, &count, &opts), -EINVAL);
	assert_int_equal(usermap_update_batch(map, keys, values, &count, &opts), -E2BIG);
	assert_int_equal(count, 4);
	count = 0;
	assert_int_equal(usermap_update_batch(map, keys, values, &count, NULL), 0);
	count = 5;
	assert_int_equal(usermap_lookup_batch(map, NULL, &token, out_keys, out, &count, NULL), -ENOENT);
	assert_int_equal(count, 4);
	for (__u32 i = 0; i < count; i++)
		assert_int_equal(out[i], 11 * out_keys[i]);
	count = 5;
	assert_int_equal(usermap_delete_batch(map, gone, &count, NULL), -ENOENT);
	assert_int_equal(count, 2);
	count = 5;
	assert_int_equal(usermap_lookup_and_delete_batch(map, NULL, &token, out_keys, out, &count, NULL), -ENOENT);
	assert_int_equal(count, 2);
	assert_int_equal(get(map, 1), -ENOENT);
	usermap_close(map);
}

static void bulk_says_which_keys_are_present(void **state)
{
	enum { N = 130 };
	struct usermap *map = make(HASH, N, NULL);
	__u32 keys[N];
	__u64 values[N], found[3] = { ~0ull, ~0ull, ~0ull };

	(void)state;
	for (__u32 i = 0; i < N; i++) {
		keys[i] = i;
		values[i] = 1;
		if (i % 3 == 0)
			assert_int_equal(put(map, i, i * 10ull, 0), 0);
	}
	assert_int_equal(usermap_lookup_bulk(map, keys, values, N, found), (N + 2) / 3);
	for (__u32 i = 0; i < 192; i++)
		assert_int_equal(found[i / 64] >> i % 64 & 1, i < N && i % 3 == 0);
	for (__u32 i = 0; i < N; i++)
		assert_int_equal(values[i], i % 3 == 0 ? i * 10ull : 1);
	assert_int_equal(usermap_lookup_bulk(map, keys, values, 0, found), 0);
	assert_int_equal(usermap_lookup_bulk(map, keys, values, (__u32)INT_MAX + 1, found), -EINVAL);
	usermap_close(map);
}

static void info_in_every_length(void **state)
{
	struct usermap_opts opts = OPTS(.map_flags = BPF_F_NO_PREALLOC | BPF_F_RDONLY_PROG);
	struct usermap_info info = { .sz = sizeof(info) }, part;
	struct usermap *map = make(HASH, 10, &opts);

	(void)state;
	assert_int_equal(put(map, 1, 1, 0) | put(map, 2, 1, 0) | put(map, 3, 1, 0), 0);
	assert_int_equal(usermap_get_info(map, &info), 0);
	assert_int_equal(info.sz, sizeof(info));
	assert_int_equal(info.type, HASH);
	assert_int_equal(info.key_size, 4);
	assert_int_equal(info.value_size, 8);
	assert_int_equal(info.max_entries, 10);
	assert_int_equal(info.map_flags, opts.map_flags);
	assert_int_equal(info.memory, USERMAP_MEMORY_PRIVATE);
	assert_int_equal(info.reuse, USERMAP_REUSE_GRACE);
	assert_int_equal(info.frozen, 0);
	assert_string_equal(info.name, "made");
	assert_int_equal(info.count, 3);
	assert_int_equal(info.fill_permille, 300);
	assert_true(info.bytes_used > 0 && info.bytes_used <= info.bytes_reserved);
	for (size_t size = 0; size < sizeof(info); size++) {
		memset(&part, 0xee, sizeof(part));
		part.sz = size;
		if (size < offsetof(struct usermap_info, max_entries)) {
			assert_int_equal(usermap_get_info(map, &part), -EINVAL);
			continue;
		}
		assert_int_equal(usermap_get_info(map, &part), 0);
		assert_int_equal(part.sz, size);
		assert_int_equal(part.value_size, 8);
		assert_int_equal(((unsigned char *)&part)[size], 0xee);
	}
	part.sz = sizeof(part) + 100;
	assert_int_equal(usermap_get_info(map, &part), 0);
	assert_int_equal(part.sz, sizeof(part));
	assert_int_equal(usermap_freeze(map), 0);
	assert_int_equal(usermap_get_info(map, &info), 0);
	assert_int_equal(info.frozen, 1);
	usermap_close(map);
}

static void shared_map_is_opened_by_path_and_by_fd(void **state)
{
	char path[64];
	struct usermap_opts opts = OPTS(.path = path), read_only = OPTS(.map_flags = BPF_F_RDONLY);
	struct usermap *map, *other = NULL;
	int fd;

	(void)state;
	snprintf(path, sizeof(path), "/dev/shm/usermap-native-test-%d", getpid());
	map = make(HASH, 4, &opts);
	assert_int_equal(put(map, 1, 11, 0), 0);
	assert_int_equal(usermap_create(HASH, NULL, 4, 8, 4, &opts, &other), -EEXIST);
	assert_int_equal(usermap_create(HASH, "a b", 4, 8, 4, &opts, &other), -EINVAL);
	assert_int_equal(usermap_open(path, NULL, &other), 0);
	assert_int_equal(get(other, 1), 11);
	assert_int_equal(put(other, 2, 22, 0), 0);
	assert_int_equal(get(map, 2), 22);
	usermap_close(other);

	assert_int_equal(usermap_open(path, &read_only, &other), 0);
	assert_int_equal(get(other, 2), 22);
	assert_int_equal(put(other, 2, 33, 0), -EPERM);
	assert_int_equal(usermap_helper_update_elem(other, &(__u32){ 2 }, &(__u64){ 33 }, 0), -EPERM);
	assert_int_equal(usermap_helper_delete_elem(other, &(__u32){ 2 }), -EPERM);
	assert_int_equal(usermap_freeze(other), -EPERM);
	fd = usermap_get_fd(other);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	usermap_close(other);

	fd = usermap_get_fd(map);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(usermap_open_fd(fd, NULL, &other), 0);
	close(fd);
	assert_int_equal(get(other, 1), 11);
	usermap_close(other);
	usermap_close(map);

	assert_int_equal(usermap_open(path, &(struct usermap_opts)OPTS(.map_flags = BPF_F_WRONLY), &other), -EINVAL);
	assert_int_equal(usermap_open(path, &(struct usermap_opts)OPTS(.path = path), &other), -EINVAL);
	assert_int_equal(usermap_open(path, &(struct usermap_opts)OPTS(.reuse = USERMAP_REUSE_GRACE), &other), -EINVAL);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(usermap_open(path, NULL, &other), -ENOENT);
}

static void opening_what_is_no_map_is_refused(void **state)
{
	char path[64];
	struct usermap *map;

	(void)state;
	assert_int_equal(usermap_open("/dev/null", NULL, &map), -EINVAL);
	assert_int_equal(usermap_open("/", NULL, &map), -EISDIR);
	assert_int_equal(usermap_open_fd(-1, NULL, &map), -EBADF);
	snprintf(path, sizeof(path), "/dev/shm/usermap-native-pipe-%d", getpid());
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(usermap_open(path, NULL, &map), -EINVAL); /* and not a wait for the other end */
	unlink(path);
}

static void private_map_has_no_fd(void **state)
{
	struct usermap *map = make(HASH, 4, NULL);

	(void)state;
	assert_int_equal(usermap_get_fd(map), -EINVAL);
	usermap_close(map);
	usermap_close(NULL);
}

#define LIBBPF(call, expected)                                        \
	do {                                                          \
		errno = 0;                                            \
		assert_int_equal(call, expected);                     \
		assert_int_equal(errno, -(expected)); /* as libbpf */ \
	} while (0)

static void libbpf_names_check_both_sizes(void **state)
{
	struct usermap *map = make(HASH, 4, NULL);
	__u32 key = 1, next;
	__u64 value = 11;

	(void)state;
	LIBBPF(usermap__update_elem(map, &key, 3, &value, 8, 0), -EINVAL);
	LIBBPF(usermap__update_elem(map, &key, 4, &value, 9, 0), -EINVAL);
	LIBBPF(usermap__update_elem(map, &key, 4, &value, 8, BPF_EXIST), -ENOENT);
	LIBBPF(usermap__update_elem(map, &key, 4, &value, 8, BPF_NOEXIST), 0);
	LIBBPF(usermap__lookup_elem(map, &key, 5, &value, 8, 0), -EINVAL);
	LIBBPF(usermap__lookup_elem(map, &key, 4, &value, 0, 0), -EINVAL);
	LIBBPF(usermap__lookup_elem(map, &key, 4, &value, 8, 1), -EINVAL);
	value = 0;
	LIBBPF(usermap__lookup_elem(map, &key, 4, &value, 8, 0), 0);
	assert_int_equal(value, 11);
	LIBBPF(usermap__get_next_key(map, NULL, &next, 0), -EINVAL);
	LIBBPF(usermap__get_next_key(map, NULL, &next, 4), 0);
	assert_int_equal(next, 1);
	LIBBPF(usermap__get_next_key(map, &next, &next, 4), -ENOENT);
	LIBBPF(usermap__lookup_and_delete_elem(map, &key, 4, &value, 16, 0), -EINVAL);
	LIBBPF(usermap__lookup_and_delete_elem(map, &key, 8, &value, 8, 0), -EINVAL);
	LIBBPF(usermap__lookup_and_delete_elem(map, &key, 4, &value, 8, 0), 0);
	LIBBPF(usermap__delete_elem(map, &key, 3, 0), -EINVAL);
	LIBBPF(usermap__delete_elem(map, &key, 4, 1), -EINVAL);
	LIBBPF(usermap__delete_elem(map, &key, 4, 0), -ENOENT);
	usermap_close(map);
}

static void helpers_write_frozen_maps_and_see_F_LOCK_later(void **state)
{
	struct usermap *map = make(HASH, 4, NULL), *array = make(ARRAY, 4, NULL);
	__u32 key = 1, outside = 9;
	__u64 value = 11, *seen;

	(void)state;
	assert_int_equal(usermap_freeze(map), 0);
	usermap_read_lock();
	assert_null(usermap_helper_lookup_elem(map, &key));
	assert_int_equal(usermap_helper_update_elem(map, &key, &value, BPF_NOEXIST), 0);
	assert_int_equal(usermap_helper_update_elem(map, &key, &value, BPF_NOEXIST), -EEXIST);
	assert_int_equal(usermap_helper_update_elem(map, &key, &value, BPF_F_LOCK), -EINVAL);
	seen = usermap_helper_lookup_elem(map, &key);
	assert_non_null(seen);
	assert_int_equal((uintptr_t)seen % 8, 0);
	assert_int_equal(*seen, 11);
	assert_int_equal(usermap_helper_delete_elem(map, &key), 0);
	assert_int_equal(usermap_helper_delete_elem(map, &key), -ENOENT);
	usermap_read_unlock();

	assert_int_equal(usermap_helper_update_elem(array, &key, &value, BPF_NOEXIST | BPF_F_LOCK), -EEXIST);
	assert_int_equal(usermap_helper_update_elem(array, &key, &value, BPF_F_LOCK), -EINVAL);
	assert_int_equal(usermap_helper_update_elem(array, &outside, &value, BPF_NOEXIST | BPF_F_LOCK), -E2BIG);
	assert_int_equal(usermap_helper_update_elem(array, &outside, &value, 3), -EINVAL);
	assert_int_equal(usermap_helper_update_elem(array, &key, &value, 0), 0);
	assert_int_equal(usermap_helper_delete_elem(array, &key), -EINVAL);
	usermap_read_lock();
	seen = usermap_helper_lookup_elem(array, &key);
	assert_int_equal(*seen, 11);
	*seen = 12;
	assert_null(usermap_helper_lookup_elem(array, &outside));
	usermap_read_unlock();
	assert_int_equal(get(array, 1), 12);
	usermap_close(map);
	usermap_close(array);
}

int main(void)
{
	enum { ROWS = sizeof(create_rows) / sizeof(create_rows[0]) };
	struct CMUnitTest rows[ROWS];
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_of_an_older_caller_have_0_for_the_rest),
		cmocka_unit_test(options_of_a_newer_caller_must_be_0_behind_ours),
		cmocka_unit_test(element_commands_of_a_hash),
		cmocka_unit_test(element_commands_of_an_array),
		cmocka_unit_test(access_is_what_the_handle_was_made_with),
		cmocka_unit_test(batches_of_a_hash),
		cmocka_unit_test(bulk_says_which_keys_are_present),
		cmocka_unit_test(info_in_every_length),
		cmocka_unit_test(shared_map_is_opened_by_path_and_by_fd),
		cmocka_unit_test(opening_what_is_no_map_is_refused),
		cmocka_unit_test(private_map_has_no_fd),
		cmocka_unit_test(libbpf_names_check_both_sizes),
		cmocka_unit_test(helpers_write_frozen_maps_and_see_F_LOCK_later),
	};

	for (int i = 0; i < ROWS; i++)
		rows[i] = (struct CMUnitTest){ create_rows[i].name, create_row, NULL, NULL,
					       (void *)(uintptr_t)&create_rows[i] };
	return _cmocka_run_group_tests("native create", rows, ROWS, NULL, NULL) +
	       cmocka_run_group_tests_name("native", tests, NULL, NULL);
}
