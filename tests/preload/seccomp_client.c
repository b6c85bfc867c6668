/* SPDX-License-Identifier: MIT */
/*
 * A statically linked program that says what bpf(2) answers it: once by itself, to the kernel's maps, once under
 * usermap-run --seccomp. seccomp.py holds the two outputs against each other.
 *
 *   seccomp_client DIRECTORY      the rows; a bpffs, or what can have pins, is there
 *   seccomp_client inherited FD   the value behind an inherited descriptor
 *   seccomp_client whose          where a map's descriptor leads
 *   seccomp_client speed N        ns a lookup
 *   seccomp_client daemon         prints a map's id and ends with 9; a child keeps the map to the end of stdin
 *   seccomp_client fetch ID       prints the value of the map with that id
 *   seccomp_client terminated     says "ready", and when SIGTERM comes, ends with 7
 *   seccomp_client killed         kills itself
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>

#include "client.h"

#define PAGE  4096u
#define STORM 3000

static char *program;

static void say(const char *what, int64_t answer)
{
	printf("%s: %lld\n", what, (long long)answer);
}

/* 0: a descriptor, which is closed. */
static int64_t given(int64_t fd)
{
	return fd < 0 ? fd : close((int)fd);
}

static int make_type(uint32_t type, uint32_t flags)
{
	union abi_attr attr = {
		.create = { .map_type = type, .key_size = 4, .value_size = 8, .max_entries = 16, .map_flags = flags }
	};

	return (int)call(ABI_MAP_CREATE, &attr);
}

static long elem(int cmd, int fd, const void *key, const void *value, uint64_t flags)
{
	union abi_attr attr = {
		.elem = { .map_fd = (uint32_t)fd, .key = (uintptr_t)key, .value = (uintptr_t)value, .flags = flags }
	};

	return call(cmd, &attr);
}

static void elements(void)
{
	static const uint32_t types[] = { ABI_HASH, ABI_ARRAY, ABI_PERCPU_HASH, ABI_PERCPU_ARRAY, 77 };
	uint32_t key = 3;
	uint64_t values[512] = { 8 };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		int fd = make_type(types[i], 0);

		printf("type %u, descriptor %s, flags %d\n", types[i], fd < 0 ? "none" : "one", fcntl(fd, F_GETFD));
		values[0] = 8;
		say("update", elem(ABI_MAP_UPDATE_ELEM, fd, &key, values, 0));
		say("update of what isn't there", elem(ABI_MAP_UPDATE_ELEM, fd, &key, values, 1));
		values[0] = 0;
		say("lookup", elem(ABI_MAP_LOOKUP_ELEM, fd, &key, values, 0));
		say("value", (int64_t)values[0]);
		say("first key", elem(ABI_MAP_GET_NEXT_KEY, fd, NULL, &key, 0));
		say("key", key);
		say("lookup and delete", elem(ABI_MAP_LOOKUP_AND_DELETE_ELEM, fd, &key, values, 0));
		say("delete", elem(ABI_MAP_DELETE_ELEM, fd, &key, NULL, 0));
		say("freeze", elem(ABI_MAP_FREEZE, fd, NULL, NULL, 0));
		say("update when frozen", elem(ABI_MAP_UPDATE_ELEM, fd, &key, values, 0));
		say("close", close(fd));
	}
}

/* Pointers to nothing, and the bytes before. */
static void pointers(void)
{
	int fd = make(5);
	uint32_t key = 0, count = 4, keys[4] = { 0, 1, 2, 3 };
	uint64_t values[4] = { 5, 6, 7, 8 };
	unsigned char *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	union abi_attr batch = { .batch = { .keys = (uintptr_t)keys, .count = count, .map_fd = (uint32_t)fd } };

	mprotect(pages + PAGE, PAGE, PROT_NONE);
	say("no attr", syscall(__NR_bpf, ABI_MAP_CREATE, pages + PAGE, 48) < 0 ? -errno : 0);
	say("half an attr", syscall(__NR_bpf, ABI_MAP_CREATE, pages + PAGE - 24, 48) < 0 ? -errno : 0);
	say("a huge attr", syscall(__NR_bpf, ABI_MAP_CREATE, pages, 5000) < 0 ? -errno : 0);
	say("no key", elem(ABI_MAP_LOOKUP_ELEM, fd, pages + PAGE, values, 0));
	say("half a key", elem(ABI_MAP_LOOKUP_ELEM, fd, pages + PAGE - 2, values, 0));
	say("the kernel's key", elem(ABI_MAP_LOOKUP_ELEM, fd, (void *)(1ull << 63), values, 0));
	say("no value to write", elem(ABI_MAP_UPDATE_ELEM, fd, &key, pages + PAGE, 0));
	memset(pages, 0xee, PAGE);
	say("half a value to read", elem(ABI_MAP_LOOKUP_ELEM, fd, &key, pages + PAGE - 4, 0));
	say("its first byte", pages[PAGE - 4]);
	say("a value that can't be written", elem(ABI_MAP_LOOKUP_ELEM, fd, &key, (void *)(uintptr_t)&elements, 0));
	batch.batch.values = (uintptr_t)values;
	say("update batch", call(ABI_MAP_UPDATE_BATCH, &batch));
	say("count", batch.batch.count);
	batch.batch.values = (uintptr_t)(pages + PAGE - 16);
	say("update batch of half the values", call(ABI_MAP_UPDATE_BATCH, &batch));
	say("count", batch.batch.count);
	mprotect(pages, PAGE, PROT_READ);
	say("read-only memory", elem(ABI_MAP_LOOKUP_ELEM, fd, &key, pages, 0));
	say("unknown command", syscall(__NR_bpf, 999, values, 8) < 0 ? -errno : 0);
	munmap(pages, 2 * PAGE);
	close(fd);
}

static void *own_table(void *fd_of_others)
{
	int fd = *(int *)fd_of_others;

	unshare(CLONE_FILES);
	close(fd);
	say("closed in a thread's own table", get(fd));
	say("another map there", make(9) == fd ? get(fd) : -1);
	close(fd);
	return NULL;
}

static void descriptors(void)
{
	int fd = make(5), copy = dup(fd), ends[2], status, many[200];
	struct rlimit limit, less = { 40, 0 };
	char number[12];
	pthread_t thread;
	pid_t child;

	say("the lowest number", copy - fd);
	close(fd);
	say("closed", get(fd));
	say("its copy", get(copy));
	say("another one there", make(6) == fd ? get(fd) : -1);
	if (pipe(ends) == 0)
		say("a pipe", get(ends[0]));
	say("-1", get(-1));
	say("-100", get(-100));
	dup2(ends[0], fd);
	say("a pipe over it", get(fd));
	dup2(copy, fd);
	say("a map over it", get(fd));
	child = fork();
	if (child == 0) {
		put(copy, 7);
		_exit(get(copy) == 7 ? 3 : 4);
	}
	waitpid(child, &status, 0);
	say("a child", WEXITSTATUS(status));
	say("what it wrote", get(copy));
	child = fork();
	if (child == 0) {
		snprintf(number, sizeof(number), "%d", dup(copy));
		execl(program, program, "inherited", number, NULL);
		_exit(126);
	}
	waitpid(child, &status, 0);
	say("an executed child", WEXITSTATUS(status));
	pthread_create(&thread, NULL, own_table, &copy);
	pthread_join(thread, NULL);
	say("here it's still open", get(copy));
	for (int i = 0; i < 200; i++)
		many[i] = make(i);
	for (int i = 0; i < 200; i += 50)
		say("one of many", get(many[i]));
	for (int i = 0; i < 200; i++)
		close(many[i]);
	getrlimit(RLIMIT_NOFILE, &limit);
	less.rlim_max = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &less);
	while ((fd = make(1)) >= 0)
		;
	say("when there is no number left", fd);
	say("and the others", get(copy));
	close_range(3, ~0u, 0);
	setrlimit(RLIMIT_NOFILE, &limit);
	say("afterwards", given(make(1)));
}

static long pin(int cmd, int fd, const char *path, uint32_t flags, int at)
{
	union abi_attr attr = {
		.obj = { .pathname = (uintptr_t)path, .bpf_fd = (uint32_t)fd, .file_flags = flags, .path_fd = at }
	};

	return call(cmd, &attr);
}

static void pins(const char *directory)
{
	int fd = make(5), at = open(directory, O_PATH | O_DIRECTORY), again;
	char path[256];

	snprintf(path, sizeof(path), "%s/absolute", directory);
	say("pin", pin(ABI_OBJ_PIN, fd, path, 0, 0));
	say("pin once more", pin(ABI_OBJ_PIN, fd, path, 0, 0));
	say("get what isn't there", pin(ABI_OBJ_GET, 0, "/nowhere", 0, 0));
	say("pin elsewhere", pin(ABI_OBJ_PIN, fd, "/usermap-elsewhere", 0, 0));
	say("a path of nowhere", pin(ABI_OBJ_GET, 0, (char *)8, 0, 0));
	say("pin by a directory", pin(ABI_OBJ_PIN, fd, "by_directory", ABI_F_PATH_FD, at));
	say("by a closed one", pin(ABI_OBJ_PIN, fd, "by_closed", ABI_F_PATH_FD, 99));
	if (chdir(directory))
		say("chdir", -errno);
	say("pin relative", pin(ABI_OBJ_PIN, fd, "relative", 0, 0));
	close(fd);
	again = (int)pin(ABI_OBJ_GET, 0, "absolute", 0, 0);
	say("get relative", get(again));
	close(again);
	again = (int)pin(ABI_OBJ_GET, 0, path, ABI_F_RDONLY, 0);
	say("get for reading", get(again));
	say("write by that", put(again, 6));
	say("get all", given(pin(ABI_OBJ_GET, 0, "relative", 0, 0)) + given(pin(ABI_OBJ_GET, 0, "by_directory", 0, 0)));
	close(again);
	close(at);
}

static void ids(void)
{
	uint32_t info[26] = { 0 };
	int fd = make(5), other;
	union abi_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = (uintptr_t)info } };

	say("info", call(ABI_OBJ_GET_INFO_BY_FD, &attr));
	printf("type %u key %u value %u entries %u\n", info[0], info[2], info[3], info[4]);
	attr = (union abi_attr){ .id = { .id = info[1] } };
	other = (int)call(ABI_MAP_GET_FD_BY_ID, &attr);
	say("by id", get(other));
	close(other);
	attr = (union abi_attr){ .id = { .id = info[1] - 1 } };
	say("next id", call(ABI_MAP_GET_NEXT_ID, &attr));
	say("is it this one", (int64_t)attr.id.next_id - info[1]);
	close(fd);
}

/* A command made from the same places as the one before, or from places that were others' before. */
static long elem_from(union abi_attr *attr, int cmd, int fd, uint32_t *key, uint64_t *value)
{
	*attr = (union abi_attr){ .elem = {
					  .map_fd = (uint32_t)fd, .key = (uintptr_t)key, .value = (uintptr_t)value } };
	return call(cmd, attr);
}

/* 16 entries, each asked for by its key in the same place. */
static int64_t sum_from(union abi_attr *attr, int fd, uint32_t *key, uint64_t *value)
{
	int64_t sum = 0;

	for (uint32_t i = 0; i < 16; i++) {
		*key = i;
		*value = 0;
		sum = sum * 3 + elem_from(attr, ABI_MAP_LOOKUP_ELEM, fd, key, value) + (int64_t)*value;
	}
	return sum;
}

static void fill_from(union abi_attr *attr, int fd, uint32_t *key, uint64_t *value)
{
	for (uint32_t i = 0; i < 16; i++) {
		*key = i;
		*value = i + 100;
		elem_from(attr, ABI_MAP_UPDATE_ELEM, fd, key, value);
	}
}

/* The keys in their order, each read from where the one before was written to. */
static int64_t walk_from(union abi_attr *attr, int fd, uint32_t *key)
{
	int64_t sum = 0;

	for (long error = elem_from(attr, ABI_MAP_GET_NEXT_KEY, fd, NULL, (uint64_t *)key); !error;
	     error = elem_from(attr, ABI_MAP_GET_NEXT_KEY, fd, key, (uint64_t *)key))
		sum = sum * 3 + *key;
	return sum;
}

static void places(void)
{
	unsigned char *pages = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *border = pages + 2 * PAGE;
	union abi_attr *attr = (union abi_attr *)(border - sizeof(*attr)), *far = (union abi_attr *)pages;
	union abi_attr *after = (union abi_attr *)border;
	uint32_t *key = (uint32_t *)border, *before = (uint32_t *)(border - 16);
	uint64_t *value = (uint64_t *)(border + 16), *elsewhere = (uint64_t *)(pages + PAGE);
	int fd = make_type(ABI_ARRAY, 0), other = make_type(ABI_ARRAY, 0);

	fill_from(attr, fd, key, value);
	say("from the same places", sum_from(attr, fd, key, value));
	say("another attr", sum_from(far, fd, key, value));
	say("another map", sum_from(far, other, key, value));
	say("the first", sum_from(attr, fd, key, value));
	say("another key", sum_from(attr, fd, before - 64, value));
	say("another value", sum_from(attr, fd, key, elsewhere));
	say("the value where the key is", sum_from(attr, fd, key, (uint64_t *)key));
	fill_from(attr, other, key, value);
	fill_from(attr, other, before - 64, elsewhere);
	say("updated from elsewhere", sum_from(far, other, key, value));
	say("a walk", walk_from(attr, fd, key));
	say("no key", elem_from(attr, ABI_MAP_LOOKUP_ELEM, fd, NULL, value));
	fill_from(attr, fd, key, value);
	sum_from(attr, fd, key, value);
	mprotect(border, PAGE, PROT_NONE);
	say("lookup: the key's page is gone", elem_from(attr, ABI_MAP_LOOKUP_ELEM, fd, key, elsewhere));
	say("update: so it is", elem_from(attr, ABI_MAP_UPDATE_ELEM, fd, key, value));
	say("from a page that is there", sum_from(attr, fd, before - 64, elsewhere));
	mprotect(border, PAGE, PROT_READ | PROT_WRITE);
	sum_from(after, fd, before, elsewhere);
	mprotect(border - PAGE, PAGE, PROT_NONE);
	say("the page before is gone", elem_from(after, ABI_MAP_LOOKUP_ELEM, fd, before, value));
	say("from behind it", sum_from(after, fd, (uint32_t *)(border + 512), (uint64_t *)pages));
	munmap(pages, 4 * PAGE);
	close(fd);
	close(other);
}

struct provider {
	int faults, map;
	int64_t found;
};

/* Provides a page when it's first touched, but not before it was answered itself. */
static void *provide(void *of_provider)
{
	struct provider *provider = of_provider;
	static _Alignas(PAGE) uint64_t content[PAGE / sizeof(uint64_t)] = { 1234 };
	struct uffd_msg fault;
	struct uffdio_copy copy = { .src = (uintptr_t)content, .len = PAGE };

	if (read(provider->faults, &fault, sizeof(fault)) != (ssize_t)sizeof(fault))
		return NULL;
	provider->found = get(provider->map);
	copy.dst = fault.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
	ioctl(provider->faults, UFFDIO_COPY, &copy);
	return NULL;
}

/* An update whose value isn't there before another command has been answered. Who may not provide memory just does
 * both. */
static void provided(void)
{
	uint64_t *value = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = { .range = { (uintptr_t)value, PAGE }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct provider provider = { .map = make(77), .faults = (int)syscall(SYS_userfaultfd, O_CLOEXEC) };
	int fd = make(5);
	uint32_t key = 0;
	pthread_t thread;

	alarm(60); /* a supervisor that waits for itself */
	if (provider.faults >= 0) {
		ioctl(provider.faults, UFFDIO_API, &api);
		ioctl(provider.faults, UFFDIO_REGISTER, &range);
		pthread_create(&thread, NULL, provide, &provider);
	} else {
		*value = 1234;
		provider.found = get(provider.map);
	}
	for (int i = 0; i < 100; i++) /* the only caller */
		get(fd);
	say("update by memory that is provided", elem(ABI_MAP_UPDATE_ELEM, fd, &key, value, 0));
	if (provider.faults >= 0)
		pthread_join(thread, NULL);
	say("who provided it found", provider.found);
	say("the value", get(fd));
	alarm(0);
	close(provider.faults);
	close(provider.map);
	close(fd);
	munmap(value, PAGE);
}

/* The value, asked for among commands that let the supervisor's threads change places. */
static int64_t get_by_all(int fd)
{
	int64_t value = get(fd);

	for (int i = 0; i < 20 && value >= 0; i++) {
		close(make(1));
		value = get(fd);
	}
	return value;
}

/* Two children, one after the other, and the second with the number of the first if it may have that. */
static void numbers_again(void)
{
	int fd = make(5), status;
	pid_t number = fork(), second;
	struct {
		uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
			set_tid_size;
	} clone = { .exit_signal = SIGCHLD, .set_tid = (uintptr_t)&number, .set_tid_size = 1 };

	if (number == 0)
		_exit((int)get_by_all(fd));
	waitpid(number, &status, 0);
	say("a child's", WEXITSTATUS(status));
	second = (pid_t)syscall(SYS_clone3, &clone, sizeof(clone));
	if (second < 0)
		second = fork();
	if (second == 0) {
		close(fd);
		_exit(make(9) == fd ? (int)get_by_all(fd) : 1);
	}
	waitpid(second, &status, 0);
	say("a second child's", WEXITSTATUS(status));
	close(fd);
}

static int64_t map_at(void **at, int prot, int flags, int fd, off_t offset)
{
	*at = mmap(NULL, PAGE, prot, flags, fd, offset);
	return *at == MAP_FAILED ? -errno : 0;
}

static void mappings(void)
{
	int fd = make_type(ABI_ARRAY, ABI_F_MMAPABLE), plain = make(1), file = open(program, O_RDONLY), frozen;
	uint64_t value = 77, *values;
	uint32_t key = 2;
	void *at;

	say("flags", fcntl(fd, F_GETFD));
	say("write", map_at(&at, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
	values = at;
	say("flags as before", fcntl(fd, F_GETFD));
	fcntl(fd, F_SETFD, 0);
	elem(ABI_MAP_UPDATE_ELEM, fd, &key, &value, 0);
	say("by command and here", (int64_t)values[key]);
	values[key] = 78;
	elem(ABI_MAP_LOOKUP_ELEM, fd, &key, &value, 0);
	say("here and by command", (int64_t)value);
	say("read", map_at(&at, PROT_READ, MAP_SHARED, fd, 0));
	say("flags still", fcntl(fd, F_GETFD));
	say("the same", (int64_t)((uint64_t *)at)[key]);
	say("make it writable", mprotect(at, PAGE, PROT_READ | PROT_WRITE) ? -errno : 0);
	say("freeze", elem(ABI_MAP_FREEZE, fd, NULL, NULL, 0));
	say("private", map_at(&at, PROT_READ, MAP_PRIVATE, fd, 0));
	say("executable", map_at(&at, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0));
	say("behind the end", map_at(&at, PROT_READ, MAP_SHARED, fd, PAGE));
	say("at no page", map_at(&at, PROT_READ, MAP_SHARED, fd, 8));
	say("another type", map_at(&at, PROT_READ, MAP_SHARED, plain, 0));
	say("closed", map_at(&at, PROT_READ, MAP_SHARED, 99, 0));
	say("a file", map_at(&at, PROT_READ, MAP_SHARED, file, 0));
	say("a file, private", map_at(&at, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0));
	say("memory", map_at(&at, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, fd, 0));
	close(fd);
	say("when it's closed", (int64_t)values[key]);
	frozen = make_type(ABI_ARRAY, ABI_F_MMAPABLE);
	say("freeze another", elem(ABI_MAP_FREEZE, frozen, NULL, NULL, 0));
	say("write", map_at(&at, PROT_READ | PROT_WRITE, MAP_SHARED, frozen, 0));
	say("read", map_at(&at, PROT_READ, MAP_SHARED, frozen, 0));
	close_range(3, ~0u, 0);
}

static void loads(void)
{
	static const uint64_t return_0[] = { 0xb7, 0x95 };
	struct {
		uint32_t type, n;
		uint64_t insns, license;
	} load = { 1, 2, (uintptr_t)return_0, (uintptr_t) "GPL" };
	static const struct {
		uint16_t magic;
		uint8_t version, flags;
		uint32_t header, type_off, type_len, str_off, str_len;
		char strings[2];
	} btf = { 0xeb9f, 1, 0, 24, 0, 0, 0, 1, "" };
	union abi_attr attr = { .btf = { .btf = (uintptr_t)&btf, .size = 25 } };
	long fd = call(ABI_BTF_LOAD, &attr);

	say("BTF", fd < 0 ? fd : 0);
	say("a map's command on it", get((int)fd));
	say("a mapping of it", mmap(NULL, PAGE, PROT_READ, MAP_SHARED, (int)fd, 0) == MAP_FAILED ? -errno : 0);
	say("close", close((int)fd));
	fd = syscall(__NR_bpf, 5, &load, sizeof(load));
	say("a program that returns 0", fd < 0 ? -errno : close((int)fd));
}

static void tick(int sig)
{
	(void)sig;
}

/* Each operation is done once, however often a signal comes between. An answer EINTR says that it wasn't done. */
static void storm(int flags)
{
	struct sigaction action = { .sa_handler = tick, .sa_flags = flags };
	struct itimerval fast = { { 0, 100 }, { 0, 100 } }, off = { 0 };
	union abi_attr attr = { .create = {
					.map_type = ABI_HASH, .key_size = 4, .value_size = 8, .max_entries = STORM } };
	int fd = (int)call(ABI_MAP_CREATE, &attr), wrong = 0, interrupted = 0;

	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &fast, NULL);
	for (uint32_t key = 0; key < STORM; key++) {
		uint64_t value = key;
		long error;

		while ((error = elem(ABI_MAP_UPDATE_ELEM, fd, &key, &value, 1)) == -EINTR)
			interrupted++;
		wrong += error != 0;
		if (key % 2)
			while ((error = elem(ABI_MAP_LOOKUP_AND_DELETE_ELEM, fd, &key, &value, 0)) == -EINTR)
				interrupted++;
		wrong += error != 0;
	}
	setitimer(ITIMER_REAL, &off, NULL);
	say("done twice, or not at all", wrong);
	if (flags)
		say("interrupted", interrupted);
	close(fd);
}

/* Children that are killed while they write; the map goes on. */
static void kills(void)
{
	int fd = make(0), status;

	for (int i = 0; i < 30; i++) {
		pid_t child = fork();

		if (child == 0)
			for (int64_t n = 0;; n++)
				put(fd, n);
		usleep(2000);
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
	}
	put(fd, 11);
	say("after kills", get(fd));
	close(fd);
}

static int speed(int n)
{
	int fd = make(1);
	struct timespec from, to;

	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < n; i++)
		get(fd);
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%.0f ns a lookup\n",
	       ((double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec)) / n);
	return 0;
}

static int whose(void)
{
	char link[32], target[256] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", make(1));
	if (readlink(link, target, sizeof(target) - 1) < 0)
		return 1;
	puts(target);
	return 0;
}

static uint32_t id_of(int fd)
{
	uint32_t info[26] = { 0 };
	union abi_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = (uintptr_t)info } };

	return call(ABI_OBJ_GET_INFO_BY_FD, &attr) ? 0 : info[1];
}

static int leave_daemon(void)
{
	char byte;

	printf("%u\n", id_of(make(5)));
	if (fork())
		return 9;
	setsid();
	return read(0, &byte, 1) == 0 ? 0 : 1;
}

static int fetch(const char *id)
{
	union abi_attr attr = { .id = { .id = (uint32_t)atoi(id) } };
	int fd = (int)call(ABI_MAP_GET_FD_BY_ID, &attr);

	printf("%lld\n", (long long)(fd < 0 ? fd : get(fd)));
	return 0;
}

static void end_7(int sig)
{
	(void)sig;
	_exit(7);
}

static int await_signal(void)
{
	signal(SIGTERM, end_7);
	puts("ready");
	pause();
	return 1;
}

static int mode(const char *name, const char *argument)
{
	if (strcmp(name, "inherited") == 0)
		return (int)get(atoi(argument));
	if (strcmp(name, "speed") == 0)
		return speed(atoi(argument));
	if (strcmp(name, "fetch") == 0)
		return fetch(argument);
	if (strcmp(name, "whose") == 0)
		return whose();
	if (strcmp(name, "daemon") == 0)
		return leave_daemon();
	if (strcmp(name, "terminated") == 0)
		return await_signal();
	if (strcmp(name, "killed") == 0)
		return raise(SIGKILL);
	return 2;
}

static int rows(const char *directory)
{
	elements();
	pointers();
	places();
	provided();
	descriptors();
	numbers_again();
	pins(directory);
	ids();
	mappings();
	loads();
	storm(SA_RESTART);
	storm(0);
	kills();
	return 0;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return 2;
	program = argv[0];
	setvbuf(stdout, NULL, _IOLBF, 0); /* nothing for children to say again */
	return *argv[1] == '/' ? rows(argv[1]) : mode(argv[1], argc > 2 ? argv[2] : "");
}
