/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of maps: every way to get another one, every way to lose one, and numbers that come to mean something else;
 * and descriptors that aren't maps', which nothing may happen to.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "../faces/child.h"
#include "client.h"

#define HIGH 700 /* a number that nothing else gets */

extern int __close(int fd);
extern int __dup2(int from, int to);

/* Ways to another descriptor. */

static int by_dup(int fd)
{
	return dup(fd);
}

static int by_dup2(int fd)
{
	return dup2(fd, HIGH);
}

static int by_dup3(int fd)
{
	return dup3(fd, HIGH, O_CLOEXEC);
}

static int by_f_dupfd(int fd)
{
	return fcntl(fd, F_DUPFD, HIGH);
}

static int by_f_dupfd_cloexec(int fd)
{
	return fcntl(fd, F_DUPFD_CLOEXEC, HIGH);
}

static int by_raw_dup(int fd)
{
	return (int)syscall(SYS_dup, fd);
}

static int by_raw_dup3(int fd)
{
	return (int)syscall(SYS_dup3, fd, HIGH, 0);
}

static int by_message(int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 }, byte = 0;
	struct iovec one = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &one, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *part = CMSG_FIRSTHDR(&message);
	int pair[2], received;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	part->cmsg_level = SOL_SOCKET;
	part->cmsg_type = SCM_RIGHTS;
	part->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(part), &fd, sizeof(fd));
	assert_int_equal(sendmsg(pair[0], &message, 0), 1);
	memset(control, 0, sizeof(control));
	assert_int_equal(recvmsg(pair[1], &message, 0), 1);
	memcpy(&received, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(received));
	close(pair[0]);
	close(pair[1]);
	return received;
}

static int by_pidfd(int fd)
{
	int self = pidfd_open(getpid(), 0), got = pidfd_getfd(self, fd, 0);

	close(self);
	return got;
}

static int (*const duplicate[])(int) = { by_dup,     by_dup2,	  by_dup3,    by_f_dupfd, by_f_dupfd_cloexec,
					 by_raw_dup, by_raw_dup3, by_message, by_pidfd };

static void a_duplicate_is_the_same_map(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(duplicate) / sizeof(duplicate[0]); i++) {
		int fd = make(1), other = duplicate[i](fd);

		assert_true(other >= 0 && other != fd);
		assert_int_equal(get(other), 1);
		assert_int_equal(put(other, 2), 0);
		assert_int_equal(get(fd), 2);
		close(fd);
		assert_int_equal(get(fd), -EBADF);
		assert_int_equal(get(other), 2); /* the map lives with its last descriptor */
		close(other);
		assert_int_equal(get(other), -EBADF);
	}
}

/* Ways to lose a descriptor. */

static void by_close(int fd)
{
	close(fd);
}

static void by_inner_close(int fd)
{
	__close(fd);
}

static void by_raw_close(int fd)
{
	syscall(SYS_close, fd);
}

static void by_close_range(int fd)
{
	close_range((unsigned)fd, (unsigned)fd, 0);
}

static void by_raw_close_range(int fd)
{
	syscall(SYS_close_range, fd, fd, 0);
}

static void by_fclose(int fd)
{
	FILE *file = fdopen(fd, "r");

	assert_non_null(file);
	fclose(file);
}

static void (*const lose[])(int) = {
	by_close, by_inner_close, by_raw_close, by_close_range, by_raw_close_range, by_fclose,
};

/* Puts @from at the number of a map. */

static void over_by_dup2(int from, int fd)
{
	assert_int_equal(dup2(from, fd), fd);
}

static void over_by_inner_dup2(int from, int fd)
{
	assert_int_equal(__dup2(from, fd), fd);
}

static void over_by_dup3(int from, int fd)
{
	assert_int_equal(dup3(from, fd, 0), fd);
}

static void over_by_raw_dup3(int from, int fd)
{
	assert_int_equal(syscall(SYS_dup3, from, fd, 0), fd);
}

static void over_by_close(int from, int fd)
{
	close(fd);
	assert_int_equal(fcntl(from, F_DUPFD, fd), fd);
}

static void (*const replace[])(int, int) = {
	over_by_dup2, over_by_inner_dup2, over_by_dup3, over_by_raw_dup3, over_by_close,
};

static void a_number_that_is_lost_is_no_map(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lose) / sizeof(lose[0]); i++) {
		int fd = make(1);

		assert_int_equal(get(fd), 1);
		lose[i](fd);
		assert_int_equal(get(fd), -EBADF);
		assert_int_equal(open("/dev/null", O_RDWR), fd);
		assert_int_equal(get(fd), -EINVAL);
		assert_int_equal(put(fd, 3), -EINVAL);
		close(fd);
	}
}

static void a_number_that_another_map_gets_is_that_map(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lose) / sizeof(lose[0]); i++) {
		int fd = make(1), kept = dup(fd);

		assert_int_equal(get(fd), 1);
		lose[i](fd);
		assert_int_equal(make(2), fd);
		assert_int_equal(get(fd), 2);
		assert_int_equal(put(fd, 3), 0);
		assert_int_equal(get(kept), 1);
		close(fd);
		close(kept);
	}
	for (size_t i = 0; i < sizeof(replace) / sizeof(replace[0]); i++) {
		int fd = make(1), other = make(2), null = open("/dev/null", O_RDWR);

		assert_int_equal(get(fd), 1);
		replace[i](other, fd);
		assert_int_equal(get(fd), 2);
		replace[i](null, fd);
		assert_int_equal(get(fd), -EINVAL);
		replace[i](other, fd);
		assert_int_equal(get(fd), 2);
		close(null);
		close(other);
		close(fd);
	}
}

static void freopen_closes(void **state)
{
	int fd = make(1);
	FILE *file = fdopen(fd, "r");

	(void)state;
	assert_non_null(file);
	assert_int_equal(get(fd), 1);
	file = freopen("/dev/null", "r", file);
	assert_non_null(file);
	assert_int_equal(fileno(file), fd);
	assert_int_equal(get(fd), -EINVAL);
	fclose(file);
}

static void close_everything(void)
{
	int first = make(1), second = make(2);

	CHECK(get(first) == 1 && get(second) == 2);
	closefrom(3);
	CHECK(get(first) == -EBADF && get(second) == -EBADF);
	CHECK(make(3) == 3 && get(3) == 3);
	CHECK(close_range(3, UINT32_MAX, 0) == 0);
	CHECK(get(3) == -EBADF && make(4) == 3 && get(3) == 4);
	CHECK(close_range(3, UINT32_MAX, CLOSE_RANGE_CLOEXEC) == 0);
	CHECK(get(3) == 4);
}

static void closing_everything_leaves_no_map(void **state)
{
	(void)state;
	in_child(close_everything);
}

/* Standard input may be a map, too, and the C library puts other files there by itself. */
static void become_a_daemon(void)
{
	int fd = make(1), report[2];
	char right = 0;

	CHECK(dup2(fd, 0) == 0 && get(0) == 1);
	CHECK(freopen("/dev/null", "r", stdin) && get(0) == -EINVAL);
	CHECK(dup2(fd, 0) == 0 && get(0) == 1);
	CHECK(pipe(report) == 0);
	signal(SIGHUP, SIG_IGN);
	if (fork() == 0) {
		/* daemon() leaves its parent, here this child, by _exit(0) */
		CHECK(daemon(1, 0) == 0);
		right = get(0) == -EINVAL && get(fd) == 1;
		_exit(write(report[1], &right, 1) != 1);
	}
	close(report[1]);
	CHECK(read(report[0], &right, 1) == 1 && right);
	wait(NULL);
}

static void daemon_closes(void **state)
{
	(void)state;
	in_child(become_a_daemon);
}

static void *work_alone(void *fd)
{
	int number = *(int *)fd;

	CHECK(unshare(CLONE_FILES) == 0);
	CHECK(get(number) == 1);
	close(number);
	CHECK(make(5) == number && get(number) == 5);
	return NULL;
}

/* A thread with descriptors of its own: the same number means two maps at once. */
static void unshare_descriptors(void)
{
	pthread_t thread;
	int fd = make(1);

	CHECK(get(fd) == 1);
	CHECK(pthread_create(&thread, NULL, work_alone, &fd) == 0);
	pthread_join(thread, NULL);
	CHECK(get(fd) == 1);
}

static void threads_may_have_descriptors_of_their_own(void **state)
{
	(void)state;
	in_child(unshare_descriptors);
}

/* What a vforked child does to its descriptors isn't done to its parent's. */
static void vfork_has_numbers_of_its_own(void **state)
{
	int fd = make(1), status;
	pid_t pid;

	(void)state;
	assert_int_equal(get(fd), 1);
	pid = vfork();
	if (pid == 0) {
		close(fd);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(get(fd), 1);
	close(fd);
}

static void a_forked_child_has_the_map(void **state)
{
	int fd = make(1), status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		CHECK(get(fd) == 1 && put(fd, 2) == 0);
		close(fd);
		CHECK(get(fd) == -EBADF);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(get(fd), 2);
	close(fd);
}

/* The program executes itself; --inherited is what main() then finds. */
static void an_executed_program_has_the_map(void **state)
{
	int fd = make(1), status;
	char number[16];
	pid_t pid;

	(void)state;
	snprintf(number, sizeof(number), "%d", HIGH);
	assert_int_equal(dup2(fd, HIGH), HIGH); /* not close-on-exec, as fd is */
	pid = fork();
	if (pid == 0) {
		execl("/proc/self/exe", "descriptors", "--inherited", number, NULL);
		_exit(1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(get(fd), 7);
	close(HIGH);
	close(fd);
}

static int check_inherited(const char *number)
{
	int fd = atoi(number);

	CHECK(lseek(fd, 0, SEEK_SET) == -1 && errno == ESPIPE); /* before its first use */
	CHECK(get(fd) == 1 && put(fd, 7) == 0);
	for (int other = 3; other < HIGH; other++)
		CHECK(get(other) != 1);
	close(fd);
	CHECK(get(fd) == -EBADF);
	return 0;
}

/* A descriptor looks as the kernel's. */
static void flags_and_offset_are_a_map_s(void **state)
{
	static const struct {
		uint32_t flags;
		int mode;
	} made[] = { { 0, O_RDWR }, { ABI_F_RDONLY, O_RDONLY }, { ABI_F_WRONLY, O_WRONLY } };

	(void)state;
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		int fd = make_with(made[i].flags);
		struct stat st;

		assert_int_equal(fcntl(fd, F_GETFL), made[i].mode);
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
		assert_int_equal(fcntl(fd, F_GETFL), made[i].mode | O_NONBLOCK);
		assert_int_equal(lseek(fd, 0, SEEK_CUR), -1);
		assert_int_equal(errno, ESPIPE);
		assert_int_equal(lseek(fd, 5, SEEK_SET), -1);
		assert_int_equal(errno, ESPIPE);
		assert_int_equal(syscall(SYS_lseek, fd, 5, SEEK_SET), -1);
		assert_int_equal(errno, ESPIPE);
		assert_int_equal(fstat(fd, &st), 0);
		assert_int_equal(get(fd), made[i].mode == O_WRONLY ? -EPERM : -ENOENT);
		close(fd);
	}
}

/* Descriptors that aren't maps'. */

/* What would change a file is refused by a map, which stays as it is. */
static void a_map_is_no_file_to_write(void **state)
{
	int fd = make(1);
	char bytes[4] = "none";

	(void)state;
	assert_true(write(fd, bytes, 4) == -1 && errno == EINVAL);
	assert_true(pwrite(fd, bytes, 4, 0) == -1 && errno == ESPIPE);
	assert_true(ftruncate(fd, 0) == -1 && errno == EINVAL);
	assert_true(fallocate(fd, 0, 0, 4096) == -1 && errno == ENODEV);
	assert_int_equal(posix_fallocate(fd, 0, 4096), ENODEV);
	assert_true(fchmod(fd, 0) == -1 && errno == EOPNOTSUPP);
	assert_int_equal(get(fd), 1);
	assert_int_equal(put(fd, 2), 0);
	close(fd);
	fd = make_with(ABI_F_RDONLY);
	assert_true(write(fd, bytes, 4) == -1 && errno == EBADF);
	assert_true(fallocate(fd, 0, 0, 4096) == -1 && errno == EBADF);
	close(fd);
}

static void nothing_happens_to_a_file(void **state)
{
	char name[] = "/tmp/usermap-preload-XXXXXX", text[8] = { 0 };
	int fd = mkstemp(name);

	(void)state;
	assert_int_equal(write(fd, "content", 7), 7);
	assert_int_equal(lseek(fd, 3, SEEK_SET), 3);
	assert_int_equal(get(fd), -EINVAL);
	assert_int_equal(put(fd, 1), -EINVAL);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 3);
	assert_int_equal(lseek(fd, 1, SEEK_CUR), 4);
	assert_int_equal(lseek(fd, -1, SEEK_END), 6);
	assert_int_equal(pread(fd, text, 7, 0), 7);
	assert_string_equal(text, "content");
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	unlink(name);
	close(fd);
}

static void others_are_EINVAL(void **state)
{
	int ends[2], pair[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	int others[] = { ends[0],
			 ends[1],
			 pair[0],
			 pair[1],
			 eventfd(0, 0),
			 open("/", O_RDONLY | O_DIRECTORY),
			 open("/dev/null", O_RDWR),
			 open("/proc/self/maps", O_RDONLY),
			 memfd_create("no map", 0) };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		int flags = fcntl(others[i], F_GETFL);

		assert_true(others[i] >= 0);
		assert_int_equal(get(others[i]), -EINVAL);
		assert_int_equal(put(others[i], 1), -EINVAL);
		assert_int_equal(fcntl(others[i], F_GETFL), flags);
		assert_int_equal(close(others[i]), 0);
		assert_int_equal(close(others[i]), -1);
		assert_int_equal(errno, EBADF);
		assert_int_equal(get(others[i]), -EBADF);
	}
}

static void a_file_is_mapped_as_ever(void **state)
{
	int fd = memfd_create("no map", 0);
	char *at;

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_true(at != MAP_FAILED);
	at[1] = 'x';
	assert_int_equal(pread(fd, at, 2, 0), 2);
	assert_int_equal(at[1], 'x');
	munmap(at, 4096);
	at = (char *)syscall(SYS_mmap, NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(at != MAP_FAILED);
	munmap(at, 4096);
	assert_true(mmap(NULL, 4096, PROT_READ, MAP_SHARED, -1, 0) == MAP_FAILED);
	assert_int_equal(errno, EBADF);
	close(fd);
}

/* errno of a call that succeeds stays what it was, and arguments beyond the third arrive. */
static void other_calls_pass_through_syscall(void **state)
{
	int fd = memfd_create("no map", 0);

	(void)state;
	errno = ENOTTY;
	assert_int_equal(syscall(SYS_gettid), gettid());
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(syscall(SYS_fallocate, fd, 0, 4096, 8192), 0);
	assert_int_equal(lseek(fd, 0, SEEK_END), 12288);
	assert_int_equal(syscall(-1), -1);
	assert_int_equal(errno, ENOSYS);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_duplicate_is_the_same_map),
		cmocka_unit_test(a_number_that_is_lost_is_no_map),
		cmocka_unit_test(a_number_that_another_map_gets_is_that_map),
		cmocka_unit_test(freopen_closes),
		cmocka_unit_test(closing_everything_leaves_no_map),
		cmocka_unit_test(daemon_closes),
		cmocka_unit_test(threads_may_have_descriptors_of_their_own),
		cmocka_unit_test(vfork_has_numbers_of_its_own),
		cmocka_unit_test(a_forked_child_has_the_map),
		cmocka_unit_test(an_executed_program_has_the_map),
		cmocka_unit_test(flags_and_offset_are_a_map_s),
		cmocka_unit_test(a_map_is_no_file_to_write),
		cmocka_unit_test(nothing_happens_to_a_file),
		cmocka_unit_test(others_are_EINVAL),
		cmocka_unit_test(a_file_is_mapped_as_ever),
		cmocka_unit_test(other_calls_pass_through_syscall),
	};

	if (argc == 3 && strcmp(argv[1], "--inherited") == 0)
		return check_inherited(argv[2]);
	skip_without_maps();
	return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
