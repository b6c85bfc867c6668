/* SPDX-License-Identifier: MIT */
/*
 * Descriptors of the command face behave as a map's do in the kernel: close, dup, fork, exec, SCM_RIGHTS, access modes; and a
 * map ends with its last descriptor.
 *
 * With the arguments "exec FD" the program is the child of the exec test: it answers with its exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <usermap/bpf.h>

#include "../semantics/abi.h"
#include "child.h"

static long call(int cmd, union abi_attr *attr)
{
	long result = usermap_bpf(cmd, attr, sizeof(*attr));

	return result < 0 ? -errno : result;
}

static int make_sized(uint32_t flags, uint32_t value_size, uint32_t max_entries)
{
	union abi_attr attr = { .create = { .map_type = ABI_HASH, .key_size = 4, .value_size = value_size,
					    .max_entries = max_entries, .map_flags = flags } };

	return (int)call(ABI_MAP_CREATE, &attr);
}

static int make(uint32_t flags)
{
	return make_sized(flags, 8, 16);
}

static int put(int fd, uint32_t key, uint64_t value)
{
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = (uintptr_t)&key, .value = (uintptr_t)&value } };

	return (int)call(ABI_MAP_UPDATE_ELEM, &attr);
}

/* The value of the key, or -errno. */
static int64_t get(int fd, uint32_t key)
{
	int64_t value = 0;
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = (uintptr_t)&key, .value = (uintptr_t)&value } };
	long error = call(ABI_MAP_LOOKUP_ELEM, &attr);

	return error ? error : value;
}

static int64_t id_of(int fd)
{
	uint32_t info[26] = { 0 };
	union abi_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = (uintptr_t)info } };
	long error = call(ABI_OBJ_GET_INFO_BY_FD, &attr);

	return error ? error : (int64_t)info[1];
}

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

/* Two processes take turns through a pipe each way. */
struct turns {
	int to_child[2], to_parent[2];
};

static void turns_open(struct turns *turns)
{
	assert_int_equal(pipe(turns->to_child) | pipe(turns->to_parent), 0);
}

static void turns_close(struct turns *turns)
{
	for (int i = 0; i < 2; i++) {
		close(turns->to_child[i]);
		close(turns->to_parent[i]);
	}
}

static void pass(const int pipe[2])
{
	CHECK(write(pipe[1], "", 1) == 1);
}

static void await(const int pipe[2])
{
	char byte;

	CHECK(read(pipe[0], &byte, 1) == 1);
}

static void join(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void forked_child_works_on_the_same_map(void **state)
{
	struct turns turns;
	int fd = make(0);
	pid_t pid;

	(void)state;
	turns_open(&turns);
	assert_int_equal(put(fd, 1, 11), 0);
	pid = fork();
	if (pid == 0) {
		int own;

		CHECK(get(fd, 1) == 11);
		CHECK(put(fd, 2, 22) == 0);
		own = make(0);
		CHECK(own >= 0 && id_of(own) != id_of(fd) && put(own, 1, 99) == 0);
		pass(turns.to_parent);
		await(turns.to_child); /* the parent has closed its descriptor and collected */
		CHECK(get(own, 1) == 99);
		CHECK(get(fd, 3) == 33 && put(fd, 3, 44) == 0 && get(fd, 3) == 44);
		_exit(0);
	}
	await(turns.to_parent);
	assert_int_equal(get(fd, 2), 22);
	assert_int_equal(get(fd, 1), 11);
	assert_int_equal(put(fd, 3, 33), 0);
	close(fd);
	close(make(0));
	pass(turns.to_child);
	join(pid);
	turns_close(&turns);
}

static const char *self;

static void exec_keeps_a_map_without_close_on_exec(void **state)
{
	int fd = make(0), kept = fcntl(fd, F_DUPFD, 50);
	char number[16];
	pid_t pid;

	(void)state;
	assert_int_equal(put(fd, 1, 11), 0);
	snprintf(number, sizeof(number), "%d", kept);
	pid = fork();
	if (pid == 0) {
		execl(self, self, "exec", number, NULL);
		_exit(127);
	}
	join(pid);
	assert_int_equal(get(fd, 2), 22);
	close(fd);
	close(kept);
}

static int after_exec(int fd)
{
	CHECK(get(fd, 1) == 11);
	CHECK(put(fd, 2, 22) == 0);
	CHECK(id_of(fd) > 0);
	return 0;
}

static void send_fd(int socket, int fd)
{
	char byte = 0, control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	CHECK(sendmsg(socket, &message, 0) == 1);
}

static int receive_fd(int socket)
{
	char byte, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &byte, 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int fd;

	CHECK(recvmsg(socket, &message, 0) == 1 && CMSG_FIRSTHDR(&message));
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

/* The child is forked before the map exists, so it must attach. As another user, if we are root. */
static void fd_sent_to_another_process_is_the_same_map(void **state)
{
	int sockets[2], fd, read_only;
	char byte;
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	pid = fork();
	if (pid == 0) {
		if (geteuid() == 0)
			CHECK(setgid(65534) == 0 && setuid(65534) == 0);
		fd = receive_fd(sockets[1]);
		CHECK(get(fd, 1) == 11 && put(fd, 2, 22) == 0);
		fd = receive_fd(sockets[1]);
		CHECK(get(fd, 1) == -ENOENT && put(fd, 1, 13) == -EPERM);
		CHECK(write(sockets[1], "", 1) == 1 && read(sockets[1], &byte, 1) == 1);
		_exit(0);
	}
	fd = make(0);
	read_only = make(ABI_F_RDONLY);
	assert_int_equal(put(fd, 1, 11), 0);
	send_fd(sockets[0], fd);
	send_fd(sockets[0], read_only);
	assert_int_equal(read(sockets[0], &byte, 1), 1);
	assert_int_equal(get(fd, 2), 22);
	assert_int_equal(write(sockets[0], "", 1), 1);
	join(pid);
	close(fd);
	close(read_only);
	close(sockets[0]);
	close(sockets[1]);
}

/* Mappings of maps that this process has. */
static int mappings(void)
{
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "r");
	int n = 0;

	while (fgets(line, sizeof(line), maps))
		n += strstr(line, "bpf-map") && strstr(line, "(deleted)");
	fclose(maps);
	return n;
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 1024; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void map_ends_with_its_last_descriptor(void **state)
{
	int fds_before, before, fd, copy;

	(void)state;
	close(make(0));
	close(make(0)); /* what earlier tests left is collected, all but this one */
	before = mappings();
	fds_before = open_fds();
	fd = make(0);
	copy = dup(fd);
	assert_int_equal(mappings(), before);
	close(fd);
	close(make(0));
	assert_int_equal(get(copy, 1), -ENOENT);
	assert_int_equal(mappings(), before + 1); /* the copy's, and the one just closed */
	close(copy);
	close(make(0));
	assert_int_equal(mappings(), before);
	assert_int_equal(open_fds(), fds_before);
}

static void many_closed_maps_are_collected(void **state)
{
	(void)state;
	close(make(0));
	close(make(0));

	int before = mappings();

	for (int i = 0; i < 300; i++)
		close(make(0));
	assert_int_equal(mappings(), before);
}

static void map_in_a_sockets_queue_is_kept(void **state)
{
	int sockets[2], fd = make(0);

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	assert_int_equal(put(fd, 1, 11), 0);
	send_fd(sockets[0], fd);
	close(fd);
	for (int i = 0; i < 3; i++)
		close(make(0));
	fd = receive_fd(sockets[1]);
	assert_int_equal(get(fd, 1), 11);
	close(fd);
	close(sockets[0]);
	close(sockets[1]);
}

static void descriptor_of_a_killed_process_does_not_count(void **state)
{
	struct turns turns;
	int fd, before, status;
	pid_t pid;

	(void)state;
	close(make(0));
	close(make(0));
	before = mappings();
	turns_open(&turns);
	fd = make(0);
	pid = fork();
	if (pid == 0) {
		pass(turns.to_parent);
		pause();
	}
	await(turns.to_parent);
	close(fd);
	close(make(0));
	assert_int_equal(mappings(), before + 1); /* the child has it */
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(make(0));
	assert_int_equal(mappings(), before);
	turns_close(&turns);
}

static void handle_outlives_the_descriptor(void **state)
{
	struct usermap *map = NULL, *reader = NULL;
	int fd = make(0), read_only, again;
	uint32_t key = 1;
	uint64_t value = 0, other = 12;

	(void)state;
	assert_int_equal(put(fd, 1, 11), 0);
	assert_int_equal(usermap_from_fd(fd, &map), 0);
	close(fd);
	for (int i = 0; i < 3; i++)
		close(make(0));
	assert_int_equal(usermap_lookup_elem(map, &key, &value, 0), 0);
	assert_int_equal(value, 11);
	again = usermap_get_fd(map); /* serves the command face as well */
	assert_true(again >= 0);
	assert_int_equal(get(again, 1), 11);
	assert_int_equal(put(again, 1, 12), 0);
	assert_int_equal(usermap_lookup_elem(map, &key, &value, 0), 0);
	assert_int_equal(value, 12);
	usermap_close(map);
	assert_int_equal(get(again, 1), 12);
	close(again);

	read_only = make(ABI_F_RDONLY);
	assert_int_equal(usermap_from_fd(read_only, &reader), 0);
	assert_int_equal(usermap_update_elem(reader, &key, &other, 0), -EPERM);
	assert_int_equal(usermap_lookup_elem(reader, &key, &value, 0), -ENOENT);
	usermap_close(reader);
	close(read_only);
	read_only = make(ABI_F_WRONLY);
	assert_int_equal(usermap_from_fd(read_only, &reader), 0);
	assert_int_equal(usermap_update_elem(reader, &key, &other, 0), 0);
	assert_int_equal(usermap_lookup_elem(reader, &key, &value, 0), -EPERM);
	usermap_close(reader);
	close(read_only);
	assert_int_equal(usermap_from_fd(read_only, &map), -EBADF);
	assert_int_equal(usermap_from_fd(0, &map), -EINVAL);
}

static atomic_bool done;

static void *look_up(void *arg)
{
	int fd = *(int *)arg;

	while (!atomic_load(&done))
		CHECK(get(fd, 1) == 11);
	return NULL;
}

static void *duplicate_and_close(void *arg)
{
	while (!atomic_load(&done)) {
		int fd = make(0);

		CHECK(fd >= 0 && put(fd, 1, 1) == 0 && get(fd, 1) == 1);
		close(fd);
	}
	(void)arg;
	return NULL;
}

static void commands_race_with_collection(void **state)
{
	pthread_t threads[4];
	int fd = make(0);

	(void)state;
	assert_int_equal(put(fd, 1, 11), 0);
	atomic_store(&done, false);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? look_up : duplicate_and_close, &fd), 0);
	for (int i = 0; i < 100; i++) {
		int other = make(0);

		assert_int_equal(put(other, 2, 2), 0);
		close(other);
	}
	atomic_store(&done, true);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(get(fd, 1), 11);
	close(fd);
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
	int fd = make(0), other = make(ABI_F_RDONLY);
	struct turns turns;

	CHECK(fd >= 0 && put(fd, 1, 11) == 0 && get(fd, 1) == 11);
	CHECK(other >= 0 && put(other, 1, 11) == -EPERM && get(other, 1) == -ENOENT);
	CHECK(id_of(fd) > 0 && id_of(fd) != id_of(other));
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	CHECK(readlink(link, path, sizeof(path) - 1) > 0 && strncmp(path, "/memfd:bpf-map", 14) == 0);
	CHECK(ftruncate(fd, 0) != 0 && errno == EPERM);
	CHECK(pipe(turns.to_parent) == 0);
	if (fork() == 0) { /* the counter of ids is shared with children */
		int64_t id;

		fd = make(0);
		id = id_of(fd);
		CHECK(write(turns.to_parent[1], &id, sizeof(id)) == sizeof(id));
		_exit(0);
	}

	int64_t id;

	CHECK(read(turns.to_parent[0], &id, sizeof(id)) == sizeof(id));
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
	snprintf(path, sizeof(path), "/dev/shm/usermap-bpf-map-%u", geteuid());
	CHECK(mkdir(path, 0777) == 0 && chmod(path, 0777) == 0); /* open to everybody: not to be trusted */
	check_works_by_memfd();
}

static void without_a_registry_maps_are_memfds(void **state)
{
	(void)state;
	in_child(part_read_only_shm);
	in_child(part_foreign_directory);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		/* children first: a process finds its counter of ids once, and TSan's can't follow threads into a fork */
		cmocka_unit_test(without_a_registry_maps_are_memfds),
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
		cmocka_unit_test(forked_child_works_on_the_same_map),
		cmocka_unit_test(exec_keeps_a_map_without_close_on_exec),
		cmocka_unit_test(fd_sent_to_another_process_is_the_same_map),
		cmocka_unit_test(map_ends_with_its_last_descriptor),
		cmocka_unit_test(many_closed_maps_are_collected),
		cmocka_unit_test(map_in_a_sockets_queue_is_kept),
		cmocka_unit_test(descriptor_of_a_killed_process_does_not_count),
		cmocka_unit_test(handle_outlives_the_descriptor),
		cmocka_unit_test(commands_race_with_collection),
	};

	if (argc == 3 && strcmp(argv[1], "exec") == 0)
		return after_exec(atoi(argv[2]));
	self = "/proc/self/exe";
	return cmocka_run_group_tests_name("fd", tests, NULL, NULL);
}
