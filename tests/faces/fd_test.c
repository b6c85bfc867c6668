/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of the command face behave as a map's do in the kernel: numbers, access modes, close, dup; also where
 * /dev/shm can't be used, where descriptors run out, and where they aren't checked.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "child.h"
#include "maps.h"

static void fd_is_the_lowest_and_close_on_exec(void **state)
{
	int lowest = open("/dev/null", O_RDONLY), fd;

	(void)state;
	close(lowest);
	fd = make(0);
	assert_int_equal(fd, lowest);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	fd = make(ABI_F_RDONLY);
	assert_int_equal(fd, lowest);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
}

static void access_mode_is_the_flags(void **state)
{
	int both = make(0), read_only = make(ABI_F_RDONLY), write_only = make(ABI_F_WRONLY);

	(void)state;
	assert_int_equal(fcntl(both, F_GETFL) & O_ACCMODE, O_RDWR);
	assert_int_equal(fcntl(read_only, F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_int_equal(fcntl(write_only, F_GETFL) & O_ACCMODE, O_WRONLY);
	assert_int_equal(put(read_only, 1, 1), -EPERM);
	assert_int_equal(get(read_only, 1), -ENOENT);
	assert_int_equal(put(write_only, 1, 1), 0);
	assert_int_equal(get(write_only, 1), -EPERM);
	close(both);
	close(read_only);
	close(write_only);
}

static void path_of_fd_says_bpf_map(void **state)
{
	char link[64], path[256] = { 0 };
	int fd = make(0);

	(void)state;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	assert_true(readlink(link, path, sizeof(path) - 1) > 0);
	assert_non_null(strstr(path, "bpf-map"));
	close(fd);
}

static void closed_fd_is_EBADF(void **state)
{
	int fd = make(0);

	(void)state;
	close(fd);
	assert_int_equal(put(fd, 1, 1), -EBADF);
	assert_int_equal(get(fd, 1), -EBADF);
	assert_int_equal(id_of(fd), -EBADFD);
	assert_int_equal(get(-1, 1), -EBADF);
	assert_int_equal(get(INT32_MAX, 1), -EBADF);
}

static void fd_of_something_else_is_EINVAL(void **state)
{
	int pipes[2], others[5];

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	others[0] = pipes[0];
	others[1] = pipes[1];
	others[2] = open("/", O_RDONLY);
	others[3] = memfd_create("bpf-map", 0);
	others[4] = socket(AF_UNIX, SOCK_STREAM, 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(get(others[i], 1), -EINVAL);
		close(others[i]);
	}
	others[0] = open("/", O_PATH);
	assert_int_equal(get(others[0], 1), -EBADF);
	close(others[0]);
}

/* A file that stands where a map's descriptor would: its contents are not taken for a map. */
static void fd_parked_by_hand_is_EINVAL(void **state)
{
	int fd = memfd_create("bpf-map", MFD_CLOEXEC), map = make(0);
	off_t cookie = lseek(map, 0, SEEK_CUR);

	(void)state;
	assert_true(lseek(fd, cookie ^ 1 << 10, SEEK_SET) > 0);
	assert_int_equal(get(fd, 1), -EINVAL);
	assert_int_equal(ftruncate(fd, 1 << 16), 0);
	assert_int_equal(get(fd, 1), -EINVAL);
	close(fd);
	close(map);
}

static void duplicates_are_the_same_map(void **state)
{
	int fd = make(0), dups[3];

	(void)state;
	assert_int_equal(put(fd, 1, 11), 0);
	dups[0] = dup(fd);
	dups[1] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	dups[2] = dup2(fd, 200);
	close(fd);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(get(dups[i], 1), 11 + i);
		assert_int_equal(put(dups[i], 1, 12 + (uint64_t)i), 0);
		close(make(0)); /* a chance to collect what is still in use */
	}
	assert_int_equal(id_of(dups[0]), id_of(dups[2]));
	for (int i = 0; i < 3; i++)
		close(dups[i]);
}

static void reused_number_is_the_new_map(void **state)
{
	int fd = make(0), other;

	(void)state;
	assert_int_equal(put(fd, 1, 11), 0);
	close(fd);
	other = make(0);
	assert_int_equal(other, fd);
	assert_int_equal(get(other, 1), -ENOENT);
	close(other);
	other = open("/dev/null", O_RDWR);
	assert_int_equal(other, fd);
	assert_int_equal(get(other, 1), -EINVAL);
	close(other);
}

static void dup2_over_a_map_replaces_it(void **state)
{
	int one = make(0), two = make(0);

	(void)state;
	assert_int_equal(put(one, 1, 11), 0);
	assert_int_equal(put(two, 1, 22), 0);
	assert_int_equal(dup2(one, two), two);
	assert_int_equal(get(two, 1), 11);
	close(one);
	close(two);
}

static void ids_are_unique(void **state)
{
	int64_t ids[20];
	int fds[20];

	(void)state;
	for (int i = 0; i < 20; i++) {
		fds[i] = make(0);
		ids[i] = id_of(fds[i]);
		assert_true(ids[i] > 0);
		for (int j = 0; j < i; j++)
			assert_int_not_equal(ids[i], ids[j]);
	}
	for (int i = 0; i < 20; i++)
		close(fds[i]);
}

static void part_unchecked(void)
{
	int before = make(0), one, two, copy;

	CHECK(put(before, 1, 10) == 0);
	CHECK(usermap_bpf_check_fds(false) == true);
	CHECK(usermap_bpf_check_fds(false) == false);
	CHECK(get(before, 1) == 10 && get(before, 1) == 10); /* asked about, then remembered */
	one = make(0);
	two = make(ABI_F_RDONLY);
	CHECK(put(one, 1, 11) == 0 && get(one, 1) == 11);
	CHECK(put(two, 1, 22) == -EPERM && get(two, 1) == -ENOENT);
	copy = fcntl(one, F_DUPFD, 3000);
	CHECK(copy < 0 || (get(copy, 1) == 11 && get(copy, 1) == 11));
	CHECK(get(999, 1) == -EBADF);
	close(one);
	close(copy);
	one = make(0); /* a new map under an old number: remembered afresh */
	CHECK(get(one, 1) == -ENOENT && put(one, 1, 33) == 0);
	copy = fcntl(one, F_DUPFD, 50);
	CHECK(get(copy, 1) == 33);
	close(one);
	close(copy);
	close(make(0));
	CHECK(get(copy, 1) == -EBADF); /* collected, so no longer remembered */
	one = make(0);
	CHECK(usermap_bpf_check_fds(true) == false);
	close(one);
	one = open("/dev/null", O_RDONLY);
	CHECK(usermap_bpf_check_fds(false) == true);
	CHECK(get(one, 1) == -EINVAL);
}

static void unchecked_fds_are_remembered(void **state)
{
	(void)state;
	in_child(part_unchecked);
}

static void part_no_descriptors(void)
{
	struct rlimit limit = { 64, 64 };
	int fd, last = -1;

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while ((fd = make(0)) >= 0) {
		CHECK(put(fd, 1, (uint64_t)fd) == 0);
		last = fd;
	}
	CHECK(fd == -EMFILE && last >= 0 && get(last, 1) == last);
	CHECK(make_sized(0, 0, 1) == -EINVAL);
	for (int i = 3; i <= last; i++)
		if (id_of(i) > 0)
			close(i);
	CHECK(make(0) >= 0);
}

static void out_of_descriptors_is_EMFILE(void **state)
{
	(void)state;
	in_child(part_no_descriptors);
}

static atomic_bool first_begins;

static void *first_call(void *unused)
{
	first_begins = true;
	make(0);
	return unused;
}

/* Forks while another thread is in its, and the process's, first call. */
static void part_forks_at_first(void)
{
	pthread_t thread;
	pid_t pid;
	int status;

	CHECK(pthread_create(&thread, NULL, first_call, NULL) == 0);
	while (!first_begins)
		;
	for (volatile unsigned wait = (unsigned)getpid() * 2654435761u % 20000; wait; wait--)
		;
	pid = fork();
	if (pid == 0) {
		alarm(10);
		_exit(make(0) >= 0 ? 0 : 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void a_fork_may_race_with_the_first_call(void **state)
{
	(void)state;
	if (!CAN_FORK_AMONG_THREADS)
		skip();
	for (int i = 0; i < 200; i++)
		in_child(part_forks_at_first);
}

/* A mount namespace of our own, with nothing in /dev/shm. */
static void own_shm(unsigned long flags)
{
	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/dev/shm", "tmpfs", flags, NULL) != 0)
		_exit(CHILD_SKIPPED);
}

static void check_works_by_memfd(void)
{
	char link[64], path[256] = { 0 };
	int fd = (errno = EXDEV, make(0)), other = make(ABI_F_RDONLY);
	int pipes[2];

	CHECK(errno == EXDEV); /* whatever failed inside */
	CHECK(fd >= 0 && put(fd, 1, 11) == 0 && get(fd, 1) == 11);
	CHECK(other >= 0 && put(other, 1, 11) == -EPERM && get(other, 1) == -ENOENT);
	CHECK(id_of(fd) > 0 && id_of(fd) != id_of(other));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	CHECK(readlink(link, path, sizeof(path) - 1) > 0 && strncmp(path, "/memfd:bpf-map", 14) == 0);
	CHECK(ftruncate(fd, 0) != 0 && errno == EPERM);
	CHECK(pipe(pipes) == 0);
	if (fork() == 0) { /* the counter of ids is shared with children */
		int64_t id;

		fd = make(0);
		id = id_of(fd);
		CHECK(write(pipes[1], &id, sizeof(id)) == sizeof(id));
		_exit(0);
	}

	int64_t id;

	CHECK(read(pipes[0], &id, sizeof(id)) == sizeof(id));
	other = make(0);
	CHECK(id > 0 && id_of(other) > 0 && id_of(other) != id);
	close(fd);
	for (int i = 0; i < 3; i++)
		close(make(0));
	CHECK(get(fd, 1) == -EBADF);
}

static void part_read_only_shm(void)
{
	own_shm(MS_RDONLY);
	check_works_by_memfd();
}

static void part_foreign_directory(void)
{
	char path[64];

	own_shm(0);
	snprintf(path, sizeof(path), "/dev/shm/usermap-bpf-map-4-%u", geteuid());
	CHECK(mkdir(path, 0777) == 0 && chmod(path, 0777) == 0); /* open to everybody: not to be trusted */
	check_works_by_memfd();
}

static void without_a_registry_maps_are_memfds(void **state)
{
	(void)state;
	in_child(part_read_only_shm);
	in_child(part_foreign_directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* children first: a process finds its counter of ids once, and TSan can't follow threads into a fork */
		cmocka_unit_test(without_a_registry_maps_are_memfds),
		cmocka_unit_test(a_fork_may_race_with_the_first_call),
		cmocka_unit_test(unchecked_fds_are_remembered),
		cmocka_unit_test(out_of_descriptors_is_EMFILE),
		cmocka_unit_test(fd_is_the_lowest_and_close_on_exec),
		cmocka_unit_test(access_mode_is_the_flags),
		cmocka_unit_test(path_of_fd_says_bpf_map),
		cmocka_unit_test(closed_fd_is_EBADF),
		cmocka_unit_test(fd_of_something_else_is_EINVAL),
		cmocka_unit_test(fd_parked_by_hand_is_EINVAL),
		cmocka_unit_test(duplicates_are_the_same_map),
		cmocka_unit_test(reused_number_is_the_new_map),
		cmocka_unit_test(dup2_over_a_map_replaces_it),
		cmocka_unit_test(ids_are_unique),
	};

	return cmocka_run_group_tests_name("fd", tests, NULL, NULL);
}
