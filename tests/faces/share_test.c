/* SPDX-License-Identifier: MIT */
/*
 * A map lives as long as a descriptor of it does, in whatever process (fork, exec, SCM_RIGHTS, SIGKILL), and ends with
 * the last.
 *
 * With the arguments "exec FD" the program is the child of the exec test: it answers with its exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "child.h"
#include "maps.h"

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
		execl("/proc/self/exe", "share", "exec", number, NULL);
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
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
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
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
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
		close(sockets[0]);
		if (geteuid() == 0)
			CHECK(setgid(65534) == 0 && setuid(65534) == 0);
		fd = receive_fd(sockets[1]);
		CHECK(get(fd, 1) == 11 && put(fd, 2, 22) == 0);
		fd = receive_fd(sockets[1]);
		CHECK(get(fd, 1) == -ENOENT && put(fd, 1, 13) == -EPERM);
		CHECK(write(sockets[1], "", 1) == 1 && read(sockets[1], &byte, 1) == 1);
		_exit(0);
	}
	close(sockets[1]); /* the child's end alone: if the child fails, the parent must notice */
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

static void part_closes_everything(void)
{
	struct usermap_opts opts = { .sz = sizeof(opts), .memory = USERMAP_MEMORY_SHARED };
	struct usermap *map;
	int null = open("/dev/null", O_RDONLY);

	CHECK(usermap_create(BPF_MAP_TYPE_HASH, "shared", 4, 8, 10, &opts, &map) == 0);
	closefrom(null + 1);
	for (int i = 0; i < 8; i++) /* one gets the number that the library had */
		CHECK(dup(null) > null);
	CHECK(usermap_get_fd(map) == -ENOMEM);
	usermap_close(map);
	for (int i = 0; i < 8; i++)
		CHECK(close(null + 1 + i) == 0);
}

static void a_handle_s_descriptor_is_never_another_file(void **state)
{
	(void)state;
	in_child(part_closes_everything);
}

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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forked_child_works_on_the_same_map),
		cmocka_unit_test(exec_keeps_a_map_without_close_on_exec),
		cmocka_unit_test(fd_sent_to_another_process_is_the_same_map),
		cmocka_unit_test(map_ends_with_its_last_descriptor),
		cmocka_unit_test(many_closed_maps_are_collected),
		cmocka_unit_test(map_in_a_sockets_queue_is_kept),
		cmocka_unit_test(descriptor_of_a_killed_process_does_not_count),
		cmocka_unit_test(a_handle_s_descriptor_is_never_another_file),
		cmocka_unit_test(handle_outlives_the_descriptor),
		cmocka_unit_test(commands_race_with_collection),
	};

	if (argc == 3 && strcmp(argv[1], "exec") == 0)
		return after_exec(atoi(argv[2]));
	return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
