/* SPDX-License-Identifier: MIT */
/*
 * The registry: what other processes and other users see of a user's maps, and that nothing stays of maps that nobody has,
 * however their holders went. Runs on a /dev/shm of its own, so only as root.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/statvfs.h>

#include "child.h"
#include "registry.h"

#define PIN "/sys/fs/bpf/shared"

static void unpin(const char *path)
{
	assert_int_equal(usermap_bpf_unpin(path), 0);
}

static void part_pins(void)
{
	int fd = make(0);

	CHECK(put(fd, 1, 11) == 0 && pin_call(ABI_OBJ_PIN, PIN, fd) == 0);
}

static void part_uses_pin(void)
{
	int fd = (int)pin_call(ABI_OBJ_GET, PIN, 0);

	CHECK(fd >= 0 && get(fd, 1) == 11 && put(fd, 2, 22) == 0);
}

static void a_pin_is_there_for_another_process(void **state)
{
	int fd;

	(void)state;
	in_child(part_pins); /* leaves by _exit */
	in_child(part_uses_pin);
	fd = (int)pin_call(ABI_OBJ_GET, PIN, 0);
	assert_true(get(fd, 1) == 11 && get(fd, 2) == 22);
	unpin(PIN);
	assert_int_equal(pin_call(ABI_OBJ_GET, PIN, 0), -ENOENT);
	close(fd);
	close(make(0));
	assert_int_equal(count_maps(), 0);
	assert_int_equal(count_files("map"), 0);
}

/* A process with maps that waits for its end. */
static pid_t holder(int n)
{
	int pipes[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (pid == 0) {
		for (int i = 0; i < n; i++)
			CHECK(make(0) >= 0);
		CHECK(write(pipes[1], "", 1) == 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	close(pipes[0]);
	close(pipes[1]);
	return pid;
}

static void end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void a_killed_process_leaves_no_map(void **state)
{
	pid_t one = holder(20), two = holder(3);
	int fd;

	(void)state;
	assert_int_equal(count_maps(), 23);
	end(one);
	assert_int_equal(count_maps(), 3);
	assert_int_equal(count_files("map"), 3); /* who lists, removes */
	fd = (int)map_by_id((uint32_t)next_map(0));
	end(two);
	assert_true(fd >= 0 && put(fd, 1, 11) == 0 && get(fd, 1) == 11);
	assert_int_equal(count_maps(), 1);
	close(fd);
	assert_int_equal(count_maps(), 0);
	assert_int_equal(count_files("map"), 0);
}

static void part_creates(void)
{
	CHECK(make(0) >= 0);
}

static void memory_comes_back_with_the_next_process(void **state)
{
	struct statvfs before, after;
	pid_t pid = holder(20);

	(void)state;
	end(pid);
	assert_int_equal(count_files("map"), 20);
	assert_int_equal(statvfs("/dev/shm", &before), 0);
	in_child(part_creates);
	assert_int_equal(count_files("map"), 1); /* the child's own */
	assert_int_equal(statvfs("/dev/shm", &after), 0);
	assert_true(after.f_bfree > before.f_bfree);
	assert_int_equal(count_maps(), 0);
}

static void dead_id_is_ENOENT_and_removed(void **state)
{
	pid_t pid = holder(1);
	uint32_t id = (uint32_t)next_map(0);

	(void)state;
	end(pid);
	assert_int_equal(count_files("map"), 1);
	assert_int_equal(map_by_id(id), -ENOENT);
	assert_int_equal(count_files("map"), 0);
}

static void *sleeps(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* Runs `part` in a child that leaves by exit(). */
static void child_exits(void (*part)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		part();
		exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void part_many(void)
{
	int fd = make(0);

	for (int i = 0; i < 100; i++)
		CHECK(make(0) >= 0);
	close(fd);
	dup2(fd + 1, 300);
	CHECK(pin_call(ABI_OBJ_PIN, PIN, fd + 2) == 0);
}

static void part_thread(void)
{
	pthread_t thread;

	CHECK(make(0) >= 0 && pthread_create(&thread, NULL, sleeps, NULL) == 0);
}

static void exit_leaves_nothing_but_pins(void **state)
{
	(void)state;
	child_exits(part_creates);
	assert_int_equal(count_files("map"), 0);
	child_exits(part_many);
	assert_int_equal(count_files("map"), 1);
	unpin(PIN);
	assert_int_equal(count_maps(), 0);
	child_exits(part_thread); /* that may use its map up to the end */
	assert_int_equal(count_files("map"), 1);
	assert_int_equal(count_maps(), 0);
}

static int shared_fd;

static void part_inherits(void)
{
	CHECK(put(shared_fd, 1, 11) == 0);
}

static void a_childs_exit_leaves_the_parents_maps(void **state)
{
	(void)state;
	shared_fd = make(0);
	child_exits(part_inherits);
	assert_int_equal(count_maps(), 1);
	assert_int_equal(get(shared_fd, 1), 11);
	close(shared_fd);
	assert_int_equal(count_maps(), 0);
}

static void become_nobody(void)
{
	CHECK(setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0);
}

static void part_nobody(void)
{
	int fd;

	become_nobody();
	CHECK(count_maps() == 0);
	CHECK(pin_call(ABI_OBJ_GET, PIN, 0) == -ENOENT);
	CHECK(map_by_id((uint32_t)id_of(shared_fd)) == -ENOENT);
	CHECK(put(shared_fd, 1, 11) == 0); /* but what it was given it may use */
	fd = make(0);
	CHECK(fd >= 0 && count_maps() == 1);
	CHECK(pin_call(ABI_OBJ_PIN, PIN, fd) == 0); /* root's pin is not in its way */
	CHECK(pin_call(ABI_OBJ_PIN, "/sys/fs/bpf/roots", shared_fd) == 0);
	close(fd);
	CHECK(count_maps() == 1);
	fd = (int)pin_call(ABI_OBJ_GET, "/sys/fs/bpf/roots", 0);
	CHECK(fd >= 0 && get(fd, 1) == 11);
	CHECK(unlink(in_registry("pin/sys/fs/bpf/shared")) == 0 && count_maps() == 0);
}

/* What becomes of an entry that its own user may not open. */
static void part_changes_mode(void)
{
	int fd;

	become_nobody();
	fd = make(0);
	CHECK(fd >= 0 && fchmod(fd, 0) == 0);
	CHECK(count_maps() == 1);
	CHECK(fchmod(fd, 0) == 0);
	close(fd);
	CHECK(count_maps() == 0);
}

static void an_entry_of_any_mode_is_collected(void **state)
{
	(void)state;
	in_child(part_changes_mode);
}

static void users_have_their_own(void **state)
{
	(void)state;
	shared_fd = make(0);
	assert_int_equal(pin_call(ABI_OBJ_PIN, PIN, shared_fd), 0);
	in_child(part_nobody);
	assert_int_equal(get(shared_fd, 1), 11);
	unpin(PIN);
	close(shared_fd);
	assert_int_equal(count_maps(), 1); /* the other user's pin keeps it */
	assert_int_equal(unlink("/dev/shm/usermap-bpf-map-4-65534/pin/sys/fs/bpf/roots"), 0);
	assert_int_equal(count_maps(), 0);
}

static void unpin_takes_pins_alone(void **state)
{
	int fd = make(0);

	(void)state;
	assert_int_equal(pin_call(ABI_OBJ_PIN, PIN, fd), 0);
	close(fd);
	assert_true(usermap_bpf_unpin("/sys/fs/bpf/none") == -1 && errno == ENOENT);
	assert_true(usermap_bpf_unpin("/sys/fs/bpf") == -1 && errno == EISDIR);
	assert_true(usermap_bpf_unpin("/sys/fs/bpf/.") == -1 && errno == EISDIR);
	assert_true(usermap_bpf_unpin("/nowhere/x") == -1 && errno == ENOENT);
	assert_true(usermap_bpf_unpin("/etc/hostname") == -1 && errno == ENOENT);
	assert_true(usermap_bpf_unpin("") == -1 && errno == ENOENT);
	assert_int_equal(count_files("map"), 1);
	assert_int_equal(usermap_bpf_unpin("/sys/fs/bpf/../bpf/shared"), 0);
	assert_int_equal(count_files("map"), 0); /* the map went with it */
}

static void part_few_descriptors(void)
{
	struct rlimit limit = { 40, 40 };
	int64_t id = 0;
	int n = 0;

	CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
	while ((id = next_map((uint32_t)id)) > 0) {
		int fd = (int)map_by_id((uint32_t)id);

		CHECK(fd == 3 && id_of(fd) == id && get(fd, 7) == ++n);
		close(fd);
	}
	CHECK(id == -ENOENT && n == 300);
}

/* A handle has a descriptor: of maps that it has closed a process mustn't keep as many as it may open. */
static void a_listing_takes_few_descriptors(void **state)
{
	char path[64];

	(void)state;
	for (int i = 0; i < 300; i++) {
		int fd = make(0);

		snprintf(path, sizeof(path), "/sys/fs/bpf/p%d", i);
		assert_int_equal(put(fd, 7, (uint64_t)i + 1), 0);
		assert_int_equal(pin_call(ABI_OBJ_PIN, path, fd), 0);
		close(fd);
	}
	in_child(part_few_descriptors);
	for (int i = 0; i < 300; i++) {
		snprintf(path, sizeof(path), "/sys/fs/bpf/p%d", i);
		unpin(path);
	}
	assert_int_equal(count_maps(), 0);
	assert_int_equal(count_files("map"), 0);
}

static void a_native_handle_keeps_the_map(void **state)
{
	struct usermap *map;
	int fd = make(0);
	uint32_t id = (uint32_t)id_of(fd), key = 1;
	uint64_t value = 11;

	(void)state;
	assert_int_equal(usermap_from_fd(fd, &map), 0);
	close(fd);
	close(make(0)); /* chances to collect */
	close(make(0));
	assert_int_equal(usermap_update_elem(map, &key, &value, 0), 0);
	fd = (int)map_by_id(id);
	assert_true(fd >= 0);
	assert_int_equal(get(fd, 1), 11);
	close(fd);
	usermap_close(map);
	close(make(0));
	assert_int_equal(map_by_id(id), -ENOENT);
	fd = make(ABI_F_RDONLY); /* then it's a handle of its own */
	id = (uint32_t)id_of(fd);
	assert_int_equal(usermap_from_fd(fd, &map), 0);
	close(fd);
	close(make(0));
	close((int)map_by_id(id));
	assert_int_equal(next_map(0), id);
	usermap_close(map);
	assert_int_equal(count_maps(), 0);
}

/* Ids that are multiples of 64 sweep. */
static void part_creates_64(void)
{
	for (int i = 0; i < 64; i++)
		close(make(0));
}

static void the_rest_of_a_dead_map_is_swept(void **state)
{
	int fd;

	(void)state;
	fd = open(in_registry("map/12345.btf"), O_CREAT | O_RDWR, 0600);
	assert_true(fd >= 0);
	close(fd);
	in_child(part_creates_64);
	assert_int_equal(access(in_registry("map/12345.btf"), F_OK), -1);
	assert_int_equal(count_maps(), 0);
}

static void part_foreign_directory(void)
{
	char path[64];
	int fd;

	CHECK(own_registry());
	snprintf(path, sizeof(path), "/dev/shm/usermap-bpf-map-4-%u", geteuid());
	CHECK(mkdir(path, 0777) == 0 && chmod(path, 0777) == 0); /* open to everybody: not to be trusted */
	fd = make(0);
	CHECK(fd >= 0 && put(fd, 1, 11) == 0);
	CHECK(next_map(0) == -ENOENT && map_by_id((uint32_t)id_of(fd)) == -ENOENT);
	CHECK(pin_call(ABI_OBJ_PIN, PIN, fd) == -EPERM && pin_call(ABI_OBJ_GET, PIN, 0) == -ENOENT);
	/* nor is a link followed, although it leads to a directory of ours */
	CHECK(rmdir(path) == 0 && mkdir("/dev/shm/ours", 0700) == 0 && symlink("/dev/shm/ours", path) == 0);
	CHECK(pin_call(ABI_OBJ_PIN, PIN, fd) == -EPERM && next_map(0) == -ENOENT);
	close(fd);
	CHECK(make(0) >= 0 && access("/dev/shm/ours/map", F_OK) != 0);
}

static void a_directory_that_is_not_ours_is_not_used(void **state)
{
	(void)state;
	in_child(part_foreign_directory);
}

static void ids_in_use_are_passed_over(void **state)
{
	int fds[3], counter = open(in_registry("ids"), O_RDWR);
	uint32_t ids[3], back;

	(void)state;
	for (int i = 0; i < 3; i++) {
		fds[i] = make(0);
		ids[i] = (uint32_t)id_of(fds[i]);
	}
	back = ids[0] - 1; /* as if 2^31 maps had come and gone */
	assert_int_equal(pwrite(counter, &back, sizeof(back), 0), sizeof(back));
	close(fds[1]);
	close(make(0)); /* collects the one in the middle */
	assert_int_equal(pwrite(counter, &back, sizeof(back), 0), sizeof(back));
	fds[1] = make(0);
	assert_int_equal(id_of(fds[1]), ids[1]);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	close(counter);
	assert_int_equal(count_maps(), 0);
}

static void part_umask(void)
{
	struct stat st;

	CHECK(own_registry());
	umask(0);
	CHECK(make(0) >= 0 && stat(in_registry(""), &st) == 0 && (st.st_mode & 0777) == 0700);
}

static void the_directory_is_the_users_alone(void **state)
{
	(void)state;
	in_child(part_umask);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_comes_back_with_the_next_process),
		cmocka_unit_test(a_pin_is_there_for_another_process),
		cmocka_unit_test(a_killed_process_leaves_no_map),
		cmocka_unit_test(dead_id_is_ENOENT_and_removed),
		cmocka_unit_test(exit_leaves_nothing_but_pins),
		cmocka_unit_test(a_childs_exit_leaves_the_parents_maps),
		cmocka_unit_test(users_have_their_own),
		cmocka_unit_test(an_entry_of_any_mode_is_collected),
		cmocka_unit_test(unpin_takes_pins_alone),
		cmocka_unit_test(a_listing_takes_few_descriptors),
		cmocka_unit_test(a_native_handle_keeps_the_map),
		cmocka_unit_test(the_rest_of_a_dead_map_is_swept),
		cmocka_unit_test(ids_in_use_are_passed_over),
		cmocka_unit_test(a_directory_that_is_not_ours_is_not_used),
		cmocka_unit_test(the_directory_is_the_users_alone),
	};

	if (!own_registry())
		return 77;
	return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
