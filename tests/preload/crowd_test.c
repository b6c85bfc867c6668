/* SPDX-License-Identifier: MIT */
/*
 * A crowd: processes of some threads each that make, pin, open, use, unpin and close maps, fork, and are killed. At the end
 * no map is left, nobody has seen another map's value, and no file of theirs has been touched.
 *
 *   crowd [SECONDS [SEED]]
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "../faces/child.h"
#include "../semantics/rng.h"
#include "client.h"

#define PROCESSES 8
#define THREADS	  4
#define NAMES	  12
#define HOME	  "/sys/fs/bpf"

enum { OBJ_PIN = 6, OBJ_GET = 7, MAP_GET_NEXT_ID = 12, MAP_GET_FD_BY_ID = 14 };

static char directory[64], map_name[16];
static uint64_t seed;

static long path_call(int cmd, int fd, unsigned name)
{
	char path[96];
	struct {
		uint64_t path;
		uint32_t fd, flags;
	} attr = { .path = (uintptr_t)path, .fd = (uint32_t)fd };
	long result;

	snprintf(path, sizeof(path), "%s/%u", directory, name);
	result = syscall(__NR_bpf, cmd, &attr, sizeof(attr));
	return result < 0 ? -errno : result;
}

static long id_call(int cmd, uint32_t id, uint32_t *next)
{
	struct {
		uint32_t id, next, flags;
	} attr = { .id = id };
	long result = syscall(__NR_bpf, cmd, &attr, sizeof(attr));

	*next = attr.next;
	return result < 0 ? -errno : result;
}

/* A map's key 0 has the map's own id, so that everybody can tell whether it's the map that was meant. */
static uint32_t id_of(int fd)
{
	uint32_t info[22] = { 0 };
	union abi_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = (uintptr_t)info } };

	CHECK(call(ABI_OBJ_GET_INFO_BY_FD, &attr) == 0);
	return info[1];
}

static int make_named(void)
{
	union abi_attr attr = { .create = { .map_type = ABI_HASH, .key_size = 4, .value_size = 8, .max_entries = 4 } };
	int fd;

	memcpy(attr.create.map_name, map_name, sizeof(map_name));
	fd = (int)call(ABI_MAP_CREATE, &attr);
	CHECK(fd >= 0);
	CHECK(put(fd, id_of(fd)) == 0);
	return fd;
}

/* Somebody's map: as its maker left it, or before the maker got so far. */
static void look_at(int fd)
{
	int64_t value = get(fd);

	CHECK(value == id_of(fd) || value == -ENOENT);
}

static void fork_a_user(int fd)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		look_at(fd);
		close(fd);
		CHECK(get(fd) == -EBADF);
		_exit(0);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
}

static void one_step(struct rng *rng, int file)
{
	unsigned name = (unsigned)(rng_next(rng) % NAMES);
	char path[96];
	uint32_t id;
	int fd, copy;

	snprintf(path, sizeof(path), "%s/%u", directory, name);
	switch (rng_next(rng) % 6) {
	case 0:
		fd = make_named();
		path_call(OBJ_PIN, fd, name);
		break;
	case 1:
		fd = (int)path_call(OBJ_GET, 0, name);
		CHECK(fd >= 0 || fd == -ENOENT);
		break;
	case 2:
		unlink(path);
		fd = make_named();
		break;
	case 3:
		id_call(MAP_GET_NEXT_ID, (uint32_t)(rng_next(rng) % 4) * 1000, &id);
		fd = make_named();
		id_call(MAP_GET_FD_BY_ID, 0, &id);
		break;
	case 4:
		fd = make_named();
		fork_a_user(fd);
		break;
	default:
		fd = make_named();
		copy = dup(fd);
		CHECK(dup2(file, fd) == fd && get(fd) == -EINVAL);
		close(fd);
		fd = copy;
		break;
	}
	if (fd < 0)
		return;
	look_at(fd);
	close(fd);
}

/* The thread's own file stays what it is. */
static void *work(void *number)
{
	struct rng rng = { seed ^ (uint64_t)getpid() << 16 ^ (uintptr_t)number };
	int file = memfd_create("a file", MFD_CLOEXEC);
	char text[8];

	CHECK(write(file, "content", 7) == 7 && lseek(file, 3, SEEK_SET) == 3);
	for (;;) {
		one_step(&rng, file);
		CHECK(get(file) == -EINVAL && lseek(file, 0, SEEK_CUR) == 3);
		CHECK(pread(file, text, 7, 0) == 7 && memcmp(text, "content", 7) == 0);
	}
	return NULL;
}

static void be_a_process(void)
{
	pthread_t threads[THREADS];

	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, (void *)i) == 0);
	pthread_join(threads[0], NULL);
}

static pid_t begin_process(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		setpgid(0, 0); /* so that it can be killed with the children that it has then */
		be_a_process();
		_exit(1);
	}
	setpgid(pid, pid);
	return pid;
}

static bool kill_process(pid_t pid)
{
	int status;
	bool well;

	/* a thread that failed a check has ended the process by itself */
	well = waitpid(pid, &status, WNOHANG) == 0;
	kill(-pid, SIGKILL);
	if (well)
		waitpid(pid, &status, 0);
	return well;
}

/* How many of the crowd's maps there are. */
static int count_maps(void)
{
	uint32_t id = 0, unused;
	int n = 0;

	while (id_call(MAP_GET_NEXT_ID, id, &id) == 0) {
		char info[88] = { 0 };
		int fd = (int)id_call(MAP_GET_FD_BY_ID, id, &unused);
		union abi_attr attr = {
			.info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = (uintptr_t)info }
		};

		if (fd < 0)
			continue;
		n += call(ABI_OBJ_GET_INFO_BY_FD, &attr) == 0 && strcmp(info + 24, map_name) == 0;
		close(fd);
	}
	return n;
}

/* Mounts of our own: on the kernel a bpffs. On the engine a registry, if we may: to count our maps we open all there are,
 * and other tests would find theirs in use. */
static bool prepare_mounts(void)
{
	bool own = unshare(CLONE_NEWNS) == 0 && mount("", "/", "none", MS_PRIVATE | MS_REC, NULL) == 0;

	if (!getenv("LD_PRELOAD"))
		return own && mount("bpf", HOME, "bpf", 0, NULL) == 0;
	return !own || mount("none", "/dev/shm", "tmpfs", 0, "mode=1777") == 0;
}

int main(int argc, char **argv)
{
	int seconds = argc > 1 ? atoi(argv[1]) : 6, left = 0, failed = 0, killed = 0;
	time_t end = time(NULL) + seconds;
	pid_t processes[PROCESSES];
	struct rng rng;

	seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
	printf("seed %llu\n", (unsigned long long)seed);
	rng = (struct rng){ seed };
	if (!prepare_mounts())
		return 77;
	skip_without_maps();
	snprintf(map_name, sizeof(map_name), "crowd_%d", getpid());
	snprintf(directory, sizeof(directory), HOME "/crowd-%d", getpid());
	if (mkdir(directory, 0700))
		return 1;
	for (int i = 0; i < PROCESSES; i++)
		processes[i] = begin_process();
	while (time(NULL) < end) {
		int i = (int)(rng_next(&rng) % PROCESSES);

		usleep((useconds_t)(rng_next(&rng) % 100000));
		failed += !kill_process(processes[i]);
		killed++;
		processes[i] = begin_process();
	}
	for (int i = 0; i < PROCESSES; i++)
		failed += !kill_process(processes[i]);
	for (unsigned name = 0; name < NAMES; name++) {
		char path[96];

		snprintf(path, sizeof(path), "%s/%u", directory, name);
		unlink(path);
	}
	if (rmdir(directory))
		failed++;
	/* the kernel frees maps some time after they have become unreachable; orphans of killed processes end, too */
	for (int wait = 0; wait < 50 && (left = count_maps()); wait++)
		usleep(100000);
	printf("%d killed, %d failed, %d maps left\n", killed, failed, left);
	return failed || left;
}
