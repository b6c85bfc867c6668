/* SPDX-License-Identifier: MIT */
/*
 * The commands that go by ids, and what BPF_OBJ_GET_INFO_BY_FD says of BTF: each check, and which of two comes first. The
 * rows that act also show what is alive: maps by their descriptors, BTF by its own and by those of maps made with it.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/btf.h>
#include <time.h>

#include "../semantics/btf_build.h"
#include "rows.h"

static int make_map(abi_bpf bpf, uint32_t flags)
{
	union abi_attr attr = {
		.create = { .map_type = ABI_HASH, .key_size = 4, .value_size = 4, .max_entries = 4, .map_flags = flags }
	};

	return (int)call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));
}

/* BTF of one int, with id 1. */
static int load_btf(abi_bpf bpf, struct btf_bytes *raw)
{
	struct btf_build build = { 0 };
	union abi_attr attr = { 0 };
	int fd;

	build_int(&build, "int", 4);
	build_finish(&build, raw);
	build_free(&build);
	attr.btf.btf = address(raw->data);
	attr.btf.size = (uint32_t)raw->size;
	fd = (int)call(bpf, ABI_BTF_LOAD, &attr, sizeof(attr));
	assert_true(fd >= 0);
	return fd;
}

static int make_btf(abi_bpf bpf)
{
	struct btf_bytes raw = { 0 };
	int fd = load_btf(bpf, &raw);

	bytes_free(&raw);
	return fd;
}

static long info(abi_bpf bpf, int fd, void *to, uint32_t *size)
{
	union abi_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = *size, .info = address(to) } };
	long error = call(bpf, ABI_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr));

	*size = attr.info.info_len;
	return error;
}

static uint32_t map_id(abi_bpf bpf, int fd)
{
	uint32_t words[ABI_MAP_INFO_SIZE / 4] = { 0 }, size = sizeof(words);

	assert_int_equal(info(bpf, fd, words, &size), 0);
	assert_true(words[1] > 0 && words[1] < INT_MAX);
	return words[1];
}

static uint32_t btf_id(abi_bpf bpf, int fd)
{
	struct abi_btf_info btf = { 0 };
	uint32_t size = sizeof(btf);

	assert_int_equal(info(bpf, fd, &btf, &size), 0);
	assert_true(btf.id > 0 && btf.id < INT_MAX);
	return btf.id;
}

/* The id above `after`, 0 at the end, or -errno. */
static int64_t next(abi_bpf bpf, int cmd, uint32_t after)
{
	union abi_attr attr = { .id = { .id = after } };
	long error = call(bpf, cmd, &attr, sizeof(attr));

	return error == -ENOENT ? 0 : error ? error : attr.id.next_id;
}

static bool is_listed(abi_bpf bpf, int cmd, uint32_t id)
{
	return next(bpf, cmd, id - 1) == id;
}

static long by_id(abi_bpf bpf, int cmd, uint32_t id, uint32_t flags)
{
	union abi_attr attr = { .id = { .id = id, .open_flags = flags } };

	return call(bpf, cmd, &attr, sizeof(attr));
}

static long put(abi_bpf bpf, int fd, uint32_t key, uint32_t value)
{
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = address(&key), .value = address(&value) } };

	return call(bpf, ABI_MAP_UPDATE_ELEM, &attr, sizeof(attr));
}

static long get(abi_bpf bpf, int fd, uint32_t key)
{
	uint32_t value = 0;
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = address(&key), .value = address(&value) } };
	long error = call(bpf, ABI_MAP_LOOKUP_ELEM, &attr, sizeof(attr));

	return error ? error : value;
}

/* The kernel's objects end a little after their last descriptor. */
static bool is_gone(abi_bpf bpf, int get_cmd, uint32_t id)
{
	const struct timespec nap = { .tv_nsec = 10000000 };

	for (int i = 0; i < 500; i++) {
		long fd = by_id(bpf, get_cmd, id, 0);

		if (fd == -ENOENT)
			return true;
		assert_true(fd >= 0);
		close((int)fd);
		if (bpf != kernel_bpf)
			return false;
		nanosleep(&nap, NULL);
	}
	return false;
}

/* One command, on a map that there is */

struct id_row {
	const char *name;
	int expected; /* 0, or -errno */
	int cmd;
	struct abi_id attr; /* id 0: the map's or the BTF's; 1: that of nothing */
	uint32_t size;	    /* of the attr; 0: all */
	bool nowhere, read_only;
};

static const struct id_row id_rows[] = {
	{ "next_map_above_the_start", 0, ABI_MAP_GET_NEXT_ID, .size = 0 },
	{ "next_map_of_a_short_attr", 0, ABI_MAP_GET_NEXT_ID, .attr = { 0 }, .size = 4 },
	{ "next_map_next_id_is_not_looked_at", 0, ABI_MAP_GET_NEXT_ID, .attr = { .next_id = 77 } },
	{ "next_map_open_flags_are_EINVAL", -EINVAL, ABI_MAP_GET_NEXT_ID, .attr = { .open_flags = ABI_F_RDONLY } },
	{ "next_map_tail_is_EINVAL", -EINVAL, ABI_MAP_GET_NEXT_ID, .attr = { .zeros = { 1 } } },
	{ "next_map_of_the_last_is_ENOENT", -ENOENT, ABI_MAP_GET_NEXT_ID, .attr = { .id = INT_MAX - 1 } },
	{ "next_map_from_INT_MAX_is_EINVAL", -EINVAL, ABI_MAP_GET_NEXT_ID, .attr = { .id = INT_MAX } },
	{ "next_map_from_UINT_MAX_is_EINVAL", -EINVAL, ABI_MAP_GET_NEXT_ID, .attr = { .id = UINT_MAX } },
	{ "next_map_unreadable_attr_is_EFAULT", -EFAULT, ABI_MAP_GET_NEXT_ID, .attr = { 0 }, .nowhere = true },
	{ "next_map_read_only_attr_is_EFAULT", -EFAULT, ABI_MAP_GET_NEXT_ID, .attr = { 0 }, .read_only = true },
	{ "next_map_end_beats_a_read_only_attr", -ENOENT, ABI_MAP_GET_NEXT_ID, .attr = { .id = INT_MAX - 1 },
	  .read_only = true },
	{ "next_map_of_a_large_attr", 0, ABI_MAP_GET_NEXT_ID, .attr = { 0 }, .size = 4096 },
	{ "next_map_of_too_large_an_attr_is_E2BIG", -E2BIG, ABI_MAP_GET_NEXT_ID, .attr = { 0 }, .size = 4097 },
	{ "next_btf", 0, ABI_BTF_GET_NEXT_ID, .size = 0 },
	{ "next_btf_open_flags_are_EINVAL", -EINVAL, ABI_BTF_GET_NEXT_ID, .attr = { .open_flags = 1 } },
	{ "next_btf_of_the_last_is_ENOENT", -ENOENT, ABI_BTF_GET_NEXT_ID, .attr = { .id = INT_MAX - 1 } },
	{ "next_btf_from_INT_MAX_is_EINVAL", -EINVAL, ABI_BTF_GET_NEXT_ID, .attr = { .id = INT_MAX } },
	{ "next_btf_read_only_attr_is_EFAULT", -EFAULT, ABI_BTF_GET_NEXT_ID, .attr = { 0 }, .read_only = true },

	{ "map_by_id", 0, ABI_MAP_GET_FD_BY_ID, .size = 0 },
	{ "map_by_id_of_a_short_attr", 0, ABI_MAP_GET_FD_BY_ID, .attr = { 0 }, .size = 4 },
	{ "map_by_id_next_id_is_not_looked_at", 0, ABI_MAP_GET_FD_BY_ID, .attr = { .next_id = 5 } },
	{ "map_by_id_unknown_flags_are_EINVAL", -EINVAL, ABI_MAP_GET_FD_BY_ID, .attr = { .open_flags = 1 } },
	{ "map_by_id_token_flag_is_EINVAL", -EINVAL, ABI_MAP_GET_FD_BY_ID, .attr = { .open_flags = ABI_F_TOKEN_FD } },
	{ "map_by_id_RDONLY_and_WRONLY_is_EINVAL", -EINVAL, ABI_MAP_GET_FD_BY_ID,
	  .attr = { .open_flags = ABI_F_RDONLY | ABI_F_WRONLY } },
	{ "map_by_id_flags_beat_a_missing_id", -EINVAL, ABI_MAP_GET_FD_BY_ID,
	  .attr = { .id = 1, .open_flags = ABI_F_RDONLY | ABI_F_WRONLY } },
	{ "map_by_id_token_fd_is_EINVAL", -EINVAL, ABI_MAP_GET_FD_BY_ID, .attr = { .token_fd = 5 } },
	{ "map_by_id_missing_is_ENOENT", -ENOENT, ABI_MAP_GET_FD_BY_ID, .attr = { .id = 1 } },
	{ "map_by_id_above_INT_MAX_is_ENOENT", -ENOENT, ABI_MAP_GET_FD_BY_ID, .attr = { .id = UINT_MAX } },

	{ "btf_by_id", 0, ABI_BTF_GET_FD_BY_ID, .size = 0 },
	{ "btf_by_id_next_id_is_not_looked_at", 0, ABI_BTF_GET_FD_BY_ID, .attr = { .next_id = 7 } },
	{ "btf_by_id_flags_are_EINVAL", -EINVAL, ABI_BTF_GET_FD_BY_ID, .attr = { .open_flags = ABI_F_RDONLY } },
	{ "btf_by_id_token_fd_without_flag_is_ignored", 0, ABI_BTF_GET_FD_BY_ID, .attr = { .token_fd = 5 } },
	{ "btf_by_id_token_not_open_is_EBADF", -EBADF, ABI_BTF_GET_FD_BY_ID,
	  .attr = { .open_flags = ABI_F_TOKEN_FD, .token_fd = -1 } },
	{ "btf_by_id_token_of_something_else_is_EINVAL", -EINVAL, ABI_BTF_GET_FD_BY_ID,
	  .attr = { .open_flags = ABI_F_TOKEN_FD, .token_fd = 0 } },
	{ "btf_by_id_token_beats_a_missing_id", -EBADF, ABI_BTF_GET_FD_BY_ID,
	  .attr = { .id = 1, .open_flags = ABI_F_TOKEN_FD, .token_fd = -1 } },
	{ "btf_by_id_tail_is_EINVAL", -EINVAL, ABI_BTF_GET_FD_BY_ID, .attr = { .zeros = { 1 } } },
	{ "btf_by_id_missing_is_ENOENT", -ENOENT, ABI_BTF_GET_FD_BY_ID, .attr = { .id = 1 } },
};

static bool gives_fd(int cmd)
{
	return cmd == ABI_MAP_GET_FD_BY_ID || cmd == ABI_BTF_GET_FD_BY_ID;
}

static void run_id_row(void **state)
{
	const struct row_test *test = *state;
	const struct id_row *row = test->row;
	int map = make_map(test->bpf, 0), btf = make_btf(test->bpf);
	unsigned char *attr = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct abi_id id = row->attr;
	long result;

	if (gives_fd(row->cmd) && id.id == 0)
		id.id = row->cmd == ABI_MAP_GET_FD_BY_ID ? map_id(test->bpf, map) : btf_id(test->bpf, btf);
	else if (gives_fd(row->cmd) && id.id == 1)
		id.id = INT_MAX - 2;
	memcpy(attr, &id, sizeof(id));
	if (row->read_only)
		mprotect(attr, 8192, PROT_READ);
	result = call(test->bpf, row->cmd, row->nowhere ? nowhere() : (void *)attr, row->size ? row->size : sizeof(id));
	if (gives_fd(row->cmd) && result >= 0) {
		assert_int_equal(fcntl((int)result, F_GETFD), FD_CLOEXEC);
		close((int)result);
		result = 0;
	} else if (!gives_fd(row->cmd) && result) {
		memcpy(&id, attr, sizeof(id)); /* an error writes nothing */
		assert_int_equal(id.next_id, row->attr.next_id);
	}
	assert_int_equal(result, row->expected);
	/* attr stays: another at its address, protected differently, would be a page that the library knows otherwise */
	close(btf);
	close(map);
}

/* Rules that take several calls */

static void a_map_is_listed_while_it_has_a_descriptor(abi_bpf bpf)
{
	int fd = make_map(bpf, 0), other;
	uint32_t id = map_id(bpf, fd);

	assert_true(is_listed(bpf, ABI_MAP_GET_NEXT_ID, id));
	other = dup(fd);
	close(fd);
	assert_true(is_listed(bpf, ABI_MAP_GET_NEXT_ID, id));
	close(other);
	assert_true(is_gone(bpf, ABI_MAP_GET_FD_BY_ID, id));
	assert_false(is_listed(bpf, ABI_MAP_GET_NEXT_ID, id));
}

static void ids_grow_and_are_not_used_again(abi_bpf bpf)
{
	uint32_t last = 0;

	for (int i = 0; i < 200; i++) {
		int fd = make_map(bpf, 0);
		uint32_t id = map_id(bpf, fd);

		assert_true(id > last);
		last = id;
		close(fd);
	}
}

static void a_listing_finds_maps_in_the_order_of_ids(abi_bpf bpf)
{
	int fds[40];
	uint32_t ids[40], first;
	int64_t id;
	int met = 0;

	for (int i = 0; i < 40; i++) {
		fds[i] = make_map(bpf, 0);
		ids[i] = map_id(bpf, fds[i]);
		for (int gap = i == 20 ? 50 : 0; gap > 0; gap--) /* further than a guess reaches */
			close(make_map(bpf, 0));
	}
	first = ids[0];
	for (id = first - 1; (id = next(bpf, ABI_MAP_GET_NEXT_ID, (uint32_t)id)) > 0;)
		if (met < 40 && id == ids[met])
			met++;
	assert_int_equal(id, 0);
	assert_int_equal(met, 40);
	for (int i = 0; i < 40; i++)
		close(fds[i]);
}

static void a_descriptor_by_id_is_the_same_map(abi_bpf bpf)
{
	int fd = make_map(bpf, 0), lowest = open("/dev/null", O_RDONLY), other;

	close(lowest);
	assert_int_equal(put(bpf, fd, 1, 11), 0);
	other = (int)by_id(bpf, ABI_MAP_GET_FD_BY_ID, map_id(bpf, fd), 0);
	assert_int_equal(other, lowest);
	assert_int_equal(get(bpf, other, 1), 11);
	assert_int_equal(map_id(bpf, other), map_id(bpf, fd));
	close(fd);
	assert_int_equal(put(bpf, other, 2, 22), 0);
	assert_int_equal(get(bpf, other, 2), 22);
	close(other);
}

static void access_by_id_is_what_the_flags_say(abi_bpf bpf)
{
	int fd = make_map(bpf, ABI_F_RDONLY);
	uint32_t id = map_id(bpf, fd);
	int both = (int)by_id(bpf, ABI_MAP_GET_FD_BY_ID, id, 0), wo, ro, lowest;

	lowest = open("/dev/null", O_RDONLY);
	close(lowest);
	wo = (int)by_id(bpf, ABI_MAP_GET_FD_BY_ID, id, ABI_F_WRONLY);
	assert_int_equal(wo, lowest);
	lowest = open("/dev/null", O_RDONLY);
	close(lowest);
	ro = (int)by_id(bpf, ABI_MAP_GET_FD_BY_ID, id, ABI_F_RDONLY);
	assert_int_equal(ro, lowest);
	assert_int_equal(fcntl(both, F_GETFL) & O_ACCMODE, O_RDWR);
	assert_int_equal(fcntl(wo, F_GETFL) & O_ACCMODE, O_WRONLY);
	assert_int_equal(fcntl(ro, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(put(bpf, fd, 1, 1), -EPERM);
	assert_int_equal(put(bpf, wo, 1, 11), 0); /* modes are the descriptor's, not the map's */
	assert_int_equal(get(bpf, wo, 1), -EPERM);
	assert_int_equal(get(bpf, ro, 1), 11);
	assert_int_equal(put(bpf, ro, 1, 1), -EPERM);
	assert_int_equal(put(bpf, both, 1, 12), 0);
	assert_int_equal(get(bpf, fd, 1), 12);
	close(fd);
	close(both);
	close(wo);
	assert_int_equal(get(bpf, ro, 1), 12);
	close(ro);
}

static void btf_lives_while_it_has_a_descriptor(abi_bpf bpf)
{
	int fd = make_btf(bpf), other, lowest = open("/dev/null", O_RDONLY);
	uint32_t id = btf_id(bpf, fd);

	close(lowest);
	assert_true(is_listed(bpf, ABI_BTF_GET_NEXT_ID, id));
	other = (int)by_id(bpf, ABI_BTF_GET_FD_BY_ID, id, 0);
	assert_int_equal(other, lowest);
	assert_int_equal(fcntl(other, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(btf_id(bpf, other), id);
	close(fd);
	assert_true(is_listed(bpf, ABI_BTF_GET_NEXT_ID, id));
	close(other);
	assert_true(is_gone(bpf, ABI_BTF_GET_FD_BY_ID, id));
	assert_false(is_listed(bpf, ABI_BTF_GET_NEXT_ID, id));
}

static int make_typed(abi_bpf bpf, int btf)
{
	union abi_attr attr = { .create = { .map_type = ABI_HASH,
					    .key_size = 4,
					    .value_size = 4,
					    .max_entries = 4,
					    .btf_fd = (uint32_t)btf,
					    .btf_key_type_id = 1,
					    .btf_value_type_id = 1 } };

	return (int)call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));
}

static void btf_lives_as_long_as_a_map_made_with_it(abi_bpf bpf)
{
	struct btf_bytes raw = { 0 };
	unsigned char copy[256];
	int btf = load_btf(bpf, &raw), one, two, again;
	uint32_t id = btf_id(bpf, btf), size = sizeof(struct abi_btf_info);
	struct abi_btf_info btf_info = { .btf = address(copy), .btf_size = sizeof(copy) };

	one = make_typed(bpf, btf);
	two = make_typed(bpf, btf);
	assert_true(one >= 0 && two >= 0);
	close(btf);
	assert_true(is_listed(bpf, ABI_BTF_GET_NEXT_ID, id));
	close(one);
	again = (int)by_id(bpf, ABI_BTF_GET_FD_BY_ID, id, 0);
	assert_true(again >= 0);
	assert_int_equal(info(bpf, again, &btf_info, &size), 0);
	assert_int_equal(btf_info.btf_size, raw.size);
	assert_memory_equal(copy, raw.data, raw.size);
	close(again);
	close(two);
	assert_true(is_gone(bpf, ABI_BTF_GET_FD_BY_ID, id));
	bytes_free(&raw);
}

static void a_refused_map_keeps_no_btf(abi_bpf bpf)
{
	int btf = make_btf(bpf);
	uint32_t id = btf_id(bpf, btf);
	union abi_attr attr = { .create = { .map_type = ABI_HASH,
					    .key_size = 8,
					    .value_size = 4,
					    .max_entries = 4,
					    .btf_fd = (uint32_t)btf,
					    .btf_key_type_id = 1,
					    .btf_value_type_id = 1 } };

	assert_int_equal(call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr)), -EINVAL);
	close(btf);
	assert_true(is_gone(bpf, ABI_BTF_GET_FD_BY_ID, id));
}

static const struct act_row acts[] = {
	{ "a_map_is_listed_while_it_has_a_descriptor", a_map_is_listed_while_it_has_a_descriptor },
	{ "ids_grow_and_are_not_used_again", ids_grow_and_are_not_used_again },
	{ "a_listing_finds_maps_in_the_order_of_ids", a_listing_finds_maps_in_the_order_of_ids },
	{ "a_descriptor_by_id_is_the_same_map", a_descriptor_by_id_is_the_same_map },
	{ "access_by_id_is_what_the_flags_say", access_by_id_is_what_the_flags_say },
	{ "btf_lives_while_it_has_a_descriptor", btf_lives_while_it_has_a_descriptor },
	{ "btf_lives_as_long_as_a_map_made_with_it", btf_lives_as_long_as_a_map_made_with_it },
	{ "a_refused_map_keeps_no_btf", a_refused_map_keeps_no_btf },
};

/* Info of BTF */

enum where { AT_NULL, AT_BUFFER, AT_NOWHERE };

struct info_row {
	const char *name;
	int expected;
	uint32_t len;
	struct {
		enum where at;
		uint32_t size;
	} btf, text;
	bool read_only;
	uint32_t excess; /* a byte behind the struct */
};

static const struct info_row info_rows[] = {
	{ "btf_info", 0, .len = 32 },
	{ "btf_info_of_length_0", 0, .len = 0 },
	{ "btf_info_up_to_the_size", 0, .len = 12 },
	{ "btf_info_up_to_the_id", 0, .len = 16 },
	{ "btf_info_longer_than_the_kernels", 0, .len = 48 },
	{ "btf_info_longer_with_something_behind_is_E2BIG", -E2BIG, 48, .excess = 1 },
	{ "btf_info_too_long_is_E2BIG", -E2BIG, .len = 4097 },
	{ "btf_info_bytes", 0, 32, .btf = { AT_BUFFER, 256 } },
	{ "btf_info_first_bytes", 0, 32, .btf = { AT_BUFFER, 10 } },
	{ "btf_info_no_bytes", 0, 32, .btf = { AT_NOWHERE, 0 } },
	{ "btf_info_bytes_at_NULL_are_EFAULT", -EFAULT, 32, .btf = { AT_NULL, 10 } },
	{ "btf_info_bytes_nowhere_are_EFAULT", -EFAULT, 32, .btf = { AT_NOWHERE, 10 } },
	{ "btf_info_name", 0, 32, .text = { AT_BUFFER, 8 } },
	{ "btf_info_name_of_one_byte", 0, 32, .text = { AT_BUFFER, 1 } },
	{ "btf_info_name_without_size_is_EINVAL", -EINVAL, 32, .text = { AT_BUFFER, 0 } },
	{ "btf_info_size_without_name_is_EINVAL", -EINVAL, 32, .text = { AT_NULL, 8 } },
	{ "btf_info_name_nowhere_is_EFAULT", -EFAULT, 32, .text = { AT_NOWHERE, 1 } },
	{ "btf_info_name_cut_off_the_struct_is_EINVAL", -EINVAL, 24, .text = { AT_BUFFER, 8 } },
	{ "btf_info_name_and_its_size_alone", 0, 28, .text = { AT_BUFFER, 8 } },
	{ "btf_info_bytes_beat_the_name", -EFAULT, .len = 32, .btf = { AT_NOWHERE, 10 }, .text = { AT_BUFFER, 0 } },
	{ "btf_info_bytes_are_there_when_the_name_is_EINVAL", -EINVAL, .len = 32, .btf = { AT_BUFFER, 10 },
	  .text = { AT_BUFFER, 0 } },
	{ "btf_info_read_only_is_EFAULT", -EFAULT, 32, .read_only = true },
};

static uint64_t place(enum where where, void *buffer)
{
	return where == AT_NULL ? 0 : address(where == AT_BUFFER ? buffer : nowhere());
}

static void run_info_row(void **state)
{
	const struct row_test *test = *state;
	const struct info_row *row = test->row;
	struct btf_bytes raw = { 0 };
	unsigned char bytes[256], text[8];
	unsigned char *room = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct abi_btf_info before = {
		.btf_size = row->btf.size, .id = 99, .name_len = row->text.size, .kernel_btf = 7
	};
	struct abi_btf_info after;
	int fd = load_btf(test->bpf, &raw);
	uint32_t len = row->len;
	size_t copied = row->btf.size < raw.size ? row->btf.size : raw.size;
	bool bytes_out = row->expected == 0 || row->text.size == 0;

	memset(bytes, 0xaa, sizeof(bytes));
	memset(text, 0xaa, sizeof(text));
	before.btf = place(row->btf.at, bytes);
	before.name = place(row->text.at, text);
	memcpy(room, &before, sizeof(before));
	room[40] = (unsigned char)row->excess;
	if (row->read_only)
		mprotect(room, 8192, PROT_READ);
	assert_int_equal(info(test->bpf, fd, room, &len), row->expected);
	memcpy(&after, room, sizeof(after));
	if (row->expected) {
		assert_memory_equal(&before, &after, sizeof(before));
		assert_int_equal(len, row->len);
	} else {
		assert_int_equal(len, row->len < 32 ? row->len : 32);
		assert_int_equal(after.btf_size, row->len > 8 ? raw.size : row->btf.size);
		assert_int_equal(after.id != 99, row->len > 12);
		assert_int_equal(after.name_len, row->len > 24 ? 0 : row->text.size);
		assert_int_equal(after.kernel_btf, row->len > 28 ? 0 : 7);
		assert_int_equal(text[0], row->text.at == AT_BUFFER ? 0 : 0xaa);
	}
	assert_int_equal(text[1], 0xaa);
	if (row->btf.at == AT_BUFFER && bytes_out) {
		assert_memory_equal(bytes, raw.data, copied);
		assert_int_equal(bytes[copied], 0xaa);
	}
	bytes_free(&raw);
	close(fd);
}

int main(void)
{
	const struct row_table tables[] = {
		ROW_TABLE(id_rows, run_id_row),
		ROW_TABLE(acts, run_act),
		ROW_TABLE(info_rows, run_info_row),
	};

	return run_tables("ids", tables, sizeof(tables) / sizeof(tables[0]));
}
