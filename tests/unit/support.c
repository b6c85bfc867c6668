/* SPDX-License-Identifier: MIT */
/* What the unit tests share. */
#include "support.h"

#include <argp.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/alloc.h"

static __thread uint64_t state;

static error_t parse(int key, char *arg, struct argp_state *argp)
{
	(void)argp;
	if (key != 's')
		return ARGP_ERR_UNKNOWN;
	state = strtoull(arg, NULL, 0);
	return 0;
}

void support_seed(int argc, char **argv)
{
	static const struct argp_option options[] = { { "seed", 's', "N", 0, "replay the run with this seed", 0 },
						      { 0 } };
	static const struct argp argp = { .options = options, .parser = parse };

	assert_int_equal(getrandom(&state, sizeof(state), 0), sizeof(state));
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	print_message("seed: --seed %llu\n", (unsigned long long)state);
}

uint64_t support_random(void)
{
	/* splitmix64 */
	uint64_t z = state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

void support_random_seed(uint64_t seed)
{
	state = seed;
}

uint64_t support_random_below(uint64_t n)
{
	return support_random() % n;
}

static unsigned count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2; /* . and .. */
}

/* Under a sanitizer, whose runtime maps memory as it likes, only those of files. */
static bool is_ours(const char *mapping)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	return strstr(mapping, "bpf-map") || strstr(mapping, "(deleted)");
#else
	(void)mapping;
	return true;
#endif
}

static unsigned count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[4096 + 256];
	unsigned n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps))
		n += is_ours(line);
	fclose(maps);
	return n;
}

struct holdings support_holdings(const char *directory)
{
	return (struct holdings){ count_entries("/proc/self/fd"), count_mappings(), count_entries(directory) };
}

void support_assert_same(struct holdings before, struct holdings after)
{
	assert_int_equal(before.fds, after.fds);
	assert_int_equal(before.mappings, after.mappings);
	assert_int_equal(before.files, after.files);
}

const char *support_scratch_make(char path[64])
{
	snprintf(path, 64, "/dev/shm/usermap-unit-XXXXXX");
	assert_non_null(mkdtemp(path));
	return path;
}

void support_scratch_remove(const char *path)
{
	assert_int_equal(rmdir(path), 0);
}

static unsigned fail_nth, acquisitions;

static int refuse(const char *what)
{
	(void)what;
	return ++acquisitions == fail_nth;
}

void support_fail_nth(unsigned n)
{
	fail_nth = n;
	acquisitions = 0;
	usermap_test_fail = refuse;
}

unsigned support_acquisitions(void)
{
	return acquisitions;
}

bool support_emulated(void)
{
	unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), there = 0;
	bool populated;

	assert_true(page != MAP_FAILED);
	populated = madvise(page, 4096, 23 /* MADV_POPULATE_WRITE */) == 0;
	assert_int_equal(mincore(page, 4096, &there), 0);
	munmap(page, 4096);
	return populated && !(there & 1);
}

int support_in_child(int (*fn)(void *arg), void *arg)
{
	pid_t pid;
	int status;

	fflush(NULL);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		exit(fn(arg)); /* and not _exit, for what coverage and leak checkers do at the end */
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}
