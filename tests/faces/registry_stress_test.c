/* SPDX-License-Identifier: MIT */
/*
 * 8 processes of 4 threads create, pin, open, list, map, close and unlink the same maps, fork while others are inside the
 * engine, and are killed. A map's contents say which map it is, so that none is taken for another; a descriptor that isn't a
 * map's must stay what it was; and in the end nothing is left in the registry. The engine's own /dev/shm, so only as root.
 *
 *   registry_stress [SECONDS [SEED]]
 */
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>

#include "../semantics/btf_build.h"
#include "../semantics/rng.h"
#include "child.h"
#include "registry.h"

#define PROCESSES 8
#define THREADS	  4
#define SLOTS	  6
#define NAMES	  12

static double deadline;
static struct stat sentinel; /* of a file that every process has open, here: */
static int sentinel_fd;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

struct worker {
	struct rng rng;
	int fd[SLOTS]; /* maps, or -1 */
};

static uint64_t below(struct worker *w, uint64_t n)
{
	return rng_next(&w->rng) % n;
}

static int *slot(struct worker *w)
{
	return &w->fd[below(w, SLOTS)];
}

static void keep(struct worker *w, int fd)
{
	int *to = slot(w);

	if (*to >= 0)
		close(*to);
	*to = fd;
}

static void pin_name(char path[64], struct worker *w)
{
	snprintf(path, 64, "/sys/fs/bpf/p%d", (int)below(w, NAMES));
}

/* Every map has its own id under the key 1, or nothing yet; and who has a descriptor finds it listed. */
static void check_map(int fd)
{
	int64_t id = id_of(fd), value = get(fd, 1);

	CHECK(id > 0 && next_map((uint32_t)id - 1) == id);
	CHECK(id > 0 && (value == id || value == -ENOENT || value == 0));
	CHECK(put(fd, 1, (uint64_t)id) == 0 && get(fd, 1) == id);
}

static int load_btf(void)
{
	struct btf_build build = { 0 };
	struct btf_bytes raw = { 0 };
	union abi_attr attr = { 0 };
	int fd;

	build_int(&build, "int", 4);
	build_int(&build, "long", 8);
	build_finish(&build, &raw);
	attr.btf.btf = (uintptr_t)raw.data;
	attr.btf.size = (uint32_t)raw.size;
	fd = (int)call(ABI_BTF_LOAD, &attr);
	bytes_free(&raw);
	build_free(&build);
	return fd;
}

static void create(struct worker *w)
{
	int btf = below(w, 2) ? load_btf() : -1, fd;
	union abi_attr attr = { .create = { .map_type = ABI_ARRAY, .key_size = 4, .value_size = 8, .max_entries = 8 } };

	if (below(w, 4) == 0)
		attr.create.map_type = ABI_HASH;
	else
		attr.create.map_flags = ABI_F_MMAPABLE;
	if (btf >= 0) {
		attr.create.btf_fd = (uint32_t)btf;
		attr.create.btf_key_type_id = 1;
		attr.create.btf_value_type_id = 2;
	}
	fd = (int)call(ABI_MAP_CREATE, &attr);
	if (btf >= 0)
		close(btf);
	CHECK(fd >= 0);
	check_map(fd);
	keep(w, fd);
}

static void pin_one(struct worker *w)
{
	int fd = *slot(w);
	char path[64];
	long error;

	if (fd < 0)
		return;
	pin_name(path, w);
	error = pin_call(ABI_OBJ_PIN, path, fd);
	CHECK(error == 0 || error == -EEXIST);
}

static void open_one(struct worker *w)
{
	char path[64];
	int fd;

	pin_name(path, w);
	fd = (int)pin_call(ABI_OBJ_GET, path, 0);
	CHECK(fd >= 0 || fd == -ENOENT);
	if (fd < 0)
		return;
	check_map(fd);
	keep(w, fd);
}

static void unpin_one(struct worker *w)
{
	char path[64];

	pin_name(path, w);
	CHECK(usermap_bpf_unpin(path) == 0 || errno == ENOENT);
}

static void list(struct worker *w)
{
	int64_t id = 0, before;

	for (uint64_t n = below(w, 40); n > 0; n--) {
		before = id;
		id = next_map((uint32_t)id);
		CHECK(id > before || id == -ENOENT);
		if (id < 0)
			return;
	}
	if (id > 0) {
		int fd = (int)map_by_id((uint32_t)id);

		CHECK(fd >= 0 || fd == -ENOENT);
		if (fd >= 0) {
			CHECK(id_of(fd) == id);
			check_map(fd);
			keep(w, fd);
		}
	}
}

static void map_one(struct worker *w)
{
	int fd = *slot(w);
	uint64_t *values;

	if (fd < 0)
		return;
	values = usermap_bpf_mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (values == MAP_FAILED) {
		CHECK(errno == 524);
		return;
	}
	CHECK(values[1] == 0 || values[1] == (uint64_t)id_of(fd));
	munmap(values, 4096);
}

static void close_one(struct worker *w)
{
	int *fd = slot(w);

	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void step(struct worker *w);

static void fork_one(struct worker *w)
{
	pid_t pid;
	int status;

	if (!CAN_FORK_AMONG_THREADS || below(w, 4))
		return;
	pid = fork();
	CHECK(pid >= 0);
	if (pid == 0) {
		for (uint64_t n = below(w, 20); n > 0; n--)
			step(w);
		if (below(w, 2))
			kill(getpid(), SIGKILL);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
}

static void step(struct worker *w)
{
	static void (*const acts[])(struct worker *) = {
		create, create, pin_one, open_one, open_one, unpin_one, list, map_one, close_one, close_one, fork_one,
	};

	acts[below(w, sizeof(acts) / sizeof(acts[0]))](w);
}

static void *work(void *seed)
{
	struct worker w = { .fd = { -1, -1, -1, -1, -1, -1 } };

	w.rng.state = (uint64_t)(uintptr_t)seed;
	while (now() < deadline)
		step(&w);
	for (int i = 0; i < SLOTS; i++)
		if (w.fd[i] >= 0)
			close(w.fd[i]);
	return NULL;
}

static void process(uint64_t seed)
{
	pthread_t threads[THREADS];
	struct stat st;

	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)(seed * THREADS + i)) == 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	CHECK(fstat(sentinel_fd, &st) == 0 && st.st_ino == sentinel.st_ino && st.st_dev == sentinel.st_dev);
	CHECK(lseek(sentinel_fd, 0, SEEK_CUR) == 42);
	exit(0);
}

static pid_t start(uint64_t seed)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid == 0)
		process(seed);
	return pid;
}

static void reap(pid_t pid, bool killed)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFSIGNALED(status) ? killed && WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
}

/* Kills one after the other, and starts others in their place. */
static void run(uint64_t seed)
{
	pid_t pids[PROCESSES], victim;
	struct rng rng;
	int status;

	rng.state = seed;
	for (int i = 0; i < PROCESSES; i++)
		pids[i] = start(rng_next(&rng));
	while (now() < deadline - 0.2) {
		pid_t *of = &pids[rng_next(&rng) % PROCESSES];

		usleep((unsigned)(rng_next(&rng) % 100000));
		kill(*of, SIGKILL);
		reap(*of, true);
		*of = start(rng_next(&rng));
	}
	for (int i = 0; i < PROCESSES; i++)
		reap(pids[i], false);
	while ((victim = wait(&status)) > 0) /* children of the killed, which came to us */
		CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 3;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)time(NULL);
	char entry[64];

	if (!own_registry())
		return 77;
	fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
	sentinel_fd = open("/dev/shm/sentinel", O_CREAT | O_RDWR, 0600);
	CHECK(sentinel_fd >= 0 && fstat(sentinel_fd, &sentinel) == 0 && lseek(sentinel_fd, 42, SEEK_SET) == 42);
	CHECK(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
	deadline = now() + seconds;
	run(seed);
	for (int i = 0; i < NAMES; i++) {
		snprintf(entry, sizeof(entry), "pin/sys/fs/bpf/p%d", i);
		unlink(in_registry(entry));
	}
	fprintf(stderr, "%d maps and %d BTF objects are left to collect\n", count_files("map"), count_files("btf"));
	close(make(0)); /* the first creation of this process collects */
	close(make(0));
	CHECK(count_maps() == 0);
	if (count_files("map") || count_files("btf")) {
		fprintf(stderr, "left: %d maps, %d BTF objects\n", count_files("map"), count_files("btf"));
		return 1;
	}
	return 0;
}
