/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of BTF: they serve wherever a descriptor gets (dup, fork, exec, SCM_RIGHTS), are what they say even if
 * their file was tampered with, and are no maps. And which values a map is refused.
 *
 * With the arguments "exec FD" the program is the child of the exec test: it answers with its exit status.
 */
#include <fcntl.h>
#include <linux/btf.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <usermap/usermap.h>

#include "../semantics/btf_build.h"
#include "child.h"
#include "maps.h"

enum { INT = 1, LOCK, VALUE };

static int load_build(struct btf_build *build)
{
	struct btf_bytes raw = { 0 };
	union abi_attr attr = { 0 };
	int fd;

	build_finish(build, &raw);
	attr.btf.btf = (uintptr_t)raw.data;
	attr.btf.size = (uint32_t)raw.size;
	fd = (int)call(ABI_BTF_LOAD, &attr);
	bytes_free(&raw);
	build_free(build);
	return fd;
}

static void begin_types(struct btf_build *build)
{
	build_int(build, "int", 4);
	build_type(build, "bpf_spin_lock", BTF_KIND_STRUCT, 1, 4);
	build_member(build, "val", INT, 0);
}

/* Of a value of 8 bytes with a lock at 4. */
static int load(void)
{
	struct btf_build build = { 0 };

	begin_types(&build);
	build_type(&build, "value", BTF_KIND_STRUCT, 2, 8);
	build_member(&build, "n", INT, 0);
	build_member(&build, "lock", LOCK, 32);
	return load_build(&build);
}

static int create(int btf, uint32_t type, uint32_t value_id, uint32_t value_size)
{
	union abi_attr attr = { .create = { .map_type = type,
					    .key_size = 4,
					    .value_size = value_size,
					    .max_entries = 4,
					    .btf_fd = (uint32_t)btf,
					    .btf_key_type_id = INT,
					    .btf_value_type_id = value_id } };

	return (int)call(ABI_MAP_CREATE, &attr);
}

/* 0, if a map made with the BTF has its lock at 4; else the error. */
static int use(int btf)
{
	int fd = create(btf, ABI_HASH, VALUE, 8);
	int64_t value;

	if (fd < 0)
		return fd;
	if (put(fd, 1, ~0ull))
		return -EIO;
	value = get(fd, 1);
	close(fd);
	return value == 0xffffffff ? 0 : -EIO;
}

static void duplicates_are_the_same_btf(void **state)
{
	int fd = load(), other = dup(fd);

	(void)state;
	assert_int_equal(use(fd), 0);
	close(fd);
	assert_int_equal(use(fd), -EBADF);
	assert_int_equal(use(other), 0);
	close(other);
}

static int inherited;

static void part_inherits(void)
{
	CHECK(use(inherited) == 0);
}

static void a_child_inherits_it(void **state)
{
	(void)state;
	inherited = load();
	in_child(part_inherits);
	close(inherited);
}

static void part_exec(void)
{
	char number[16];

	CHECK(fcntl(inherited, F_SETFD, 0) == 0);
	snprintf(number, sizeof(number), "%d", inherited);
	execl("/proc/self/exe", "btf_fd", "exec", number, NULL);
	_exit(1);
}

static void exec_keeps_it_without_close_on_exec(void **state)
{
	(void)state;
	inherited = load();
	in_child(part_exec);
	close(inherited);
}

static void part_sends(void)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int sockets[2], fd, received;

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
	if (fork() == 0) { /* as nobody, if we are root: who has the descriptor may use it */
		if (geteuid() == 0)
			CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
		CHECK(recvmsg(sockets[1], &message, 0) == 1);
		memcpy(&received, CMSG_DATA(header), sizeof(received));
		_exit(-use(received));
	}
	fd = load();
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	CHECK(sendmsg(sockets[0], &message, 0) == 1);
	close(fd); /* from now on the socket alone keeps it */
	CHECK(wait(&received) > 0 && received == 0);
}

static void another_process_can_be_sent_it(void **state)
{
	(void)state;
	in_child(part_sends);
}

/* Whoever owns the file can write to it. Then it's refused, or taken for what it says now, but never believed. */
static void a_file_that_was_changed_is_read_again(void **state)
{
	char path[64];
	int fd = load(), file;

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	file = open(path, O_RDWR | O_CLOEXEC);
	assert_true(file >= 0);
	assert_int_equal(use(fd), 0);
	assert_int_equal(pwrite(file, "x", 1, 0), 1);
	assert_int_equal(use(fd), -EINVAL);
	assert_int_equal(ftruncate(file, 0), 0);
	assert_int_equal(use(fd), -EINVAL);
	assert_int_equal(ftruncate(file, 1 << 30), 0);
	assert_int_equal(use(fd), -EINVAL);
	close(file);
	close(fd);
}

/* The same offset, on another file. */
static void a_file_parked_by_hand_is_EINVAL(void **state)
{
	int fd = load(), other = memfd_create("bpf-map", MFD_CLOEXEC);

	(void)state;
	assert_true(lseek(other, lseek(fd, 0, SEEK_CUR), SEEK_SET) > 0);
	assert_int_equal(use(other), -EINVAL);
	assert_int_equal(get(other, 1), -EINVAL);
	close(other);
	close(fd);
}

static void the_native_face_takes_it_for_no_map(void **state)
{
	struct usermap *map;
	int fd = load();

	(void)state;
	assert_int_equal(usermap_from_fd(fd, &map), -EINVAL);
	assert_int_equal(usermap_open_fd(fd, NULL, &map), -EINVAL);
	assert_int_equal(get(fd, 1), -EINVAL);
	close(fd);
}

static void part_no_descriptors(void)
{
	struct rlimit limit = { 40, 40 };
	int fd, last = -1;

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while ((fd = load()) >= 0)
		last = fd;
	CHECK(fd == -EMFILE && last > 0);
	close(last);
	CHECK(load() >= 0);
}

static void out_of_descriptors_is_EMFILE(void **state)
{
	(void)state;
	in_child(part_no_descriptors);
}

static void part_no_registry(void)
{
	int fd;

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/dev/shm", "tmpfs", MS_RDONLY, NULL) != 0)
		_exit(CHILD_SKIPPED);
	fd = load();
	CHECK(fd >= 0 && use(fd) == 0);
}

static void without_a_registry_it_is_a_memfd(void **state)
{
	(void)state;
	in_child(part_no_registry);
}

static void part_full(void)
{
	struct btf_build build = { 0 };

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/dev/shm", "tmpfs", 0, "size=64k") != 0)
		_exit(CHILD_SKIPPED);
	for (int i = 0; i < 10000; i++)
		build_int(&build, "int", 4);
	CHECK(load_build(&build) == -ENOMEM);
	CHECK(load() >= 0);
}

static void on_a_full_filesystem_it_is_ENOMEM(void **state)
{
	(void)state;
	in_child(part_full);
}

/* Fields that the kernel knows and this library doesn't. */

struct field {
	const char *type;
	uint32_t size;
};

static void values_with_other_fields_are_EOPNOTSUPP(void **state)
{
	static const struct field fields[] = {
		{ "bpf_timer", 16 },   { "bpf_wq", 16 },	   { "bpf_task_work", 8 },
		{ "bpf_refcount", 4 }, { "bpf_res_spin_lock", 4 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		struct btf_build build = { 0 };
		uint32_t special, value;
		int btf;

		begin_types(&build);
		special = build_type(&build, fields[i].type, BTF_KIND_STRUCT, 0, fields[i].size);
		value = build_type(&build, "value", BTF_KIND_STRUCT, 1, 24);
		build_member(&build, "special", special, 64);
		btf = load_build(&build);
		assert_true(btf >= 0);
		assert_int_equal(create(btf, ABI_HASH, value, 24), -EOPNOTSUPP);
		assert_int_equal(create(btf, ABI_ARRAY, value, 24), -EOPNOTSUPP);
		assert_int_equal(create(btf, ABI_PERCPU_HASH, value, 24), -EOPNOTSUPP);
		close(btf);
	}
}

static void pointers_to_the_kernels_objects_are_EOPNOTSUPP(void **state)
{
	static const char *const tags[] = { "kptr", "kptr_untrusted", "percpu_kptr", "uptr" };

	(void)state;
	for (size_t i = 0; i < sizeof(tags) / sizeof(tags[0]); i++) {
		struct btf_build build = { 0 };
		uint32_t value;
		int btf;

		begin_types(&build);
		build_type(&build, "zz_object", BTF_KIND_STRUCT, 0, 8);
		build_type(&build, tags[i], BTF_KIND_TYPE_TAG, 0, build.n);
		build_type(&build, NULL, BTF_KIND_PTR, 0, build.n);
		value = build_type(&build, "value", BTF_KIND_STRUCT, 1, 8);
		build_member(&build, "p", build.n - 1, 0);
		btf = load_build(&build);
		assert_true(btf >= 0);
		assert_int_equal(create(btf, ABI_HASH, value, 8), -EOPNOTSUPP);
		close(btf);
	}
}

static void two_locks_in_one_value_are_EOPNOTSUPP(void **state)
{
	struct btf_build build = { 0 };
	uint32_t inner, value;
	int btf;

	(void)state;
	begin_types(&build);
	inner = build_type(&build, "inner", BTF_KIND_STRUCT, 1, 4);
	build_member(&build, "lock", LOCK, 0);
	value = build_type(&build, "value", BTF_KIND_STRUCT, 2, 8);
	build_member(&build, "a", inner, 0);
	build_member(&build, "b", inner, 32);
	btf = load_build(&build);
	assert_true(btf >= 0);
	assert_int_equal(create(btf, ABI_ARRAY, value, 8), -EOPNOTSUPP);
	close(btf);
}

/* The lock is aligned in its struct, but that struct isn't. */
static void a_lock_at_an_odd_place_is_EOPNOTSUPP(void **state)
{
	struct btf_build build = { 0 };
	uint32_t inner, value;
	int btf;

	(void)state;
	begin_types(&build);
	inner = build_type(&build, "inner", BTF_KIND_STRUCT, 1, 4);
	build_member(&build, "lock", LOCK, 0);
	value = build_type(&build, "value", BTF_KIND_STRUCT, 1, 8);
	build_member(&build, "a", inner, 16);
	btf = load_build(&build);
	assert_true(btf >= 0);
	assert_int_equal(create(btf, ABI_ARRAY, value, 8), -EOPNOTSUPP);
	close(btf);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		/* children first, as in fd_test.c */
		cmocka_unit_test(without_a_registry_it_is_a_memfd),
		cmocka_unit_test(on_a_full_filesystem_it_is_ENOMEM),
		cmocka_unit_test(out_of_descriptors_is_EMFILE),
		cmocka_unit_test(another_process_can_be_sent_it),
		cmocka_unit_test(a_child_inherits_it),
		cmocka_unit_test(exec_keeps_it_without_close_on_exec),
		cmocka_unit_test(duplicates_are_the_same_btf),
		cmocka_unit_test(a_file_that_was_changed_is_read_again),
		cmocka_unit_test(a_file_parked_by_hand_is_EINVAL),
		cmocka_unit_test(the_native_face_takes_it_for_no_map),
		cmocka_unit_test(values_with_other_fields_are_EOPNOTSUPP),
		cmocka_unit_test(pointers_to_the_kernels_objects_are_EOPNOTSUPP),
		cmocka_unit_test(two_locks_in_one_value_are_EOPNOTSUPP),
		cmocka_unit_test(a_lock_at_an_odd_place_is_EOPNOTSUPP),
	};

	if (argc == 3 && strcmp(argv[1], "exec") == 0)
		return use(atoi(argv[2])) ? 1 : 0;
	return cmocka_run_group_tests_name("btf_fd", tests, NULL, NULL);
}
