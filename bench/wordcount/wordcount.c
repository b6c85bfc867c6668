/* SPDX-License-Identifier: MIT */
/*
 * Counts every word of this machine's text files in one shared HASH map, by several threads and then, in a fresh map,
 * by several processes, and compares every count with an independent one.
 *
 * Counting is exact under races by what the map promises alone: a missing word is inserted with BPF_NOEXIST, which
 * succeeds for exactly one worker, and nothing is deleted, so that the pointer to a word's value stays that word's and
 * everyone adds to it atomically. Processes attach to the map by its descriptor; each sees it at an address of its own.
 */
#include <argp.h>
#include <err.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <usermap/helper.h>

#include "reference.h"
#include "text.h"

#define CHUNK 65536

struct options {
	unsigned threads;
	unsigned processes;
	unsigned megabytes;
	unsigned entries;
	unsigned top;
	char **paths;
};

/* A counting run: what its workers share. */
struct run {
	const struct text *text;
	struct usermap *map;
	/* Where the next chunk begins. Every worker takes chunks from it, so it lies in memory that forked workers
	 * share. */
	_Atomic size_t *next;
};

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void check(int error, const char *what)
{
	if (error) {
		errno = -error;
		err(EXIT_FAILURE, "%s", what);
	}
}

/* Adds one to the word's count. Inside a read-side section. */
static void count_word(struct usermap *map, const char *word)
{
	static const __u64 one = 1;
	_Atomic __u64 *count = usermap_helper_lookup_elem(map, word);

	if (!count) {
		int error = usermap_update_elem(map, word, &one, BPF_NOEXIST);

		if (!error)
			return;
		if (error != -EEXIST)
			check(error, "inserting a word");
		count = usermap_helper_lookup_elem(map, word);
		if (!count)
			errx(EXIT_FAILURE, "%s is there and isn't", word);
	}
	/* relaxed: the totals are read after the workers have been joined */
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

static void *work(void *argument)
{
	const struct run *run = argument;
	size_t at, end;
	char word[WORD_SIZE];

	/* relaxed: a ticket, nothing is published by it */
	while ((at = atomic_fetch_add_explicit(run->next, CHUNK, memory_order_relaxed)) < run->text->size) {
		end = at + CHUNK < run->text->size ? at + CHUNK : run->text->size;
		text_skip_cut_word(run->text, &at);
		usermap_read_lock();
		while (text_next_word(run->text, &at, end, word))
			count_word(run->map, word);
		usermap_read_unlock();
	}
	return NULL;
}

static void run_threads(struct run *run, unsigned n)
{
	pthread_t threads[n];

	for (unsigned i = 0; i < n; i++)
		check(-pthread_create(&threads[i], NULL, work, run), "pthread_create");
	for (unsigned i = 0; i < n; i++)
		check(-pthread_join(threads[i], NULL), "pthread_join");
}

static void run_processes(struct run *run, unsigned n)
{
	int fd = usermap_get_fd(run->map);
	int status;

	check(fd < 0 ? fd : 0, "usermap_get_fd");
	for (unsigned i = 0; i < n; i++) {
		pid_t child = fork();

		if (child < 0)
			err(EXIT_FAILURE, "fork");
		if (child == 0) {
			check(usermap_open_fd(fd, NULL, &run->map), "attaching to the map");
			work(run);
			_exit(EXIT_SUCCESS);
		}
	}
	while (wait(&status) > 0)
		if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS)
			errx(EXIT_FAILURE, "a counting process failed");
	close(fd);
}

static void expect_count(const char *word, unsigned long long counted, unsigned long long right)
{
	if (counted != right)
		errx(EXIT_FAILURE, "%s: counted %llu, should be %llu", word, counted, right);
}

/* Every word of the reference must be in the map with its count, and a walk of the map must find those and no
 * others. */
static void verify(struct usermap *map, const struct reference *reference)
{
	enum { BATCH = 4096 };
	static char words[BATCH][WORD_SIZE];
	static __u64 counts[BATCH];
	__u32 token, n;
	void *from = NULL;
	size_t walked = 0;
	int error;

	for (size_t i = 0; i < reference->n; i++) {
		counts[0] = 0;
		usermap_lookup_elem(map, reference->words[i].word, &counts[0], 0);
		expect_count(reference->words[i].word, counts[0], reference->words[i].count);
	}
	do {
		n = BATCH;
		error = usermap_lookup_batch(map, from, &token, words, counts, &n, NULL);
		if (error && error != -ENOENT)
			check(error, "walking the map");
		for (__u32 i = 0; i < n; i++)
			expect_count(words[i], counts[i], reference_find(words[i]));
		walked += n;
		from = &token;
	} while (!error);
	if (walked != reference->n)
		errx(EXIT_FAILURE, "%zu different words in the map, should be %zu", walked, reference->n);
}

static void count_and_verify(const struct text *text, const struct options *options, const struct reference *reference,
			     const char *who, unsigned n, void (*how)(struct run *run, unsigned n))
{
	struct usermap_opts opts = { .sz = sizeof(opts), .memory = USERMAP_MEMORY_SHARED };
	struct run run = { .text = text };
	double begin, took;

	check(usermap_create(BPF_MAP_TYPE_HASH, "words", WORD_SIZE, sizeof(__u64), options->entries, &opts, &run.map),
	      "creating the map");
	run.next = mmap(NULL, sizeof(*run.next), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.next == MAP_FAILED)
		err(EXIT_FAILURE, "mmap");
	begin = seconds();
	how(&run, n);
	took = seconds() - begin;
	verify(run.map, reference);
	printf("  %2u %-22s %7.2f s %8.1f MB/s %8.2f M words/s   all %zu counts right\n", n, who, took,
	       (double)text->size / 1e6 / took, (double)reference->total / 1e6 / took, reference->n);
	fflush(stdout);
	munmap((void *)run.next, sizeof(*run.next));
	usermap_close(run.map);
}

static int more_frequent(const void *a, const void *b)
{
	const struct reference_word *x = a, *y = b;

	return x->count != y->count ? (x->count < y->count) - (x->count > y->count) : strcmp(x->word, y->word);
}

/* Sorts the reference's list: only after the last reference_find(). */
static void print_top(struct reference *reference, unsigned top)
{
	qsort(reference->words, reference->n, sizeof(*reference->words), more_frequent);
	printf("  the most frequent:");
	for (size_t i = 0; i < top && i < reference->n; i++)
		printf(" %s %llu", reference->words[i].word, reference->words[i].count);
	printf("\n");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *options = state->input;
	unsigned *number;
	unsigned long value;
	char *end;

	switch (key) {
	case ARGP_KEY_ARGS:
		options->paths = state->argv + state->next;
		return 0;
	case 't':
		number = &options->threads;
		break;
	case 'p':
		number = &options->processes;
		break;
	case 'm':
		number = &options->megabytes;
		break;
	case 'e':
		number = &options->entries;
		break;
	case 'n':
		number = &options->top;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	value = strtoul(arg, &end, 10);
	if (*end || end == arg || value == 0 || value > 1u << 30)
		argp_error(state, "%s is no number from 1 to 2^30", arg);
	*number = (unsigned)value;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp_option argp_options[] = {
		{ "threads", 't', "N", 0, "threads that count (2 a CPU)", 0 },
		{ "processes", 'p', "N", 0, "processes that count (2 a CPU)", 0 },
		{ "megabytes", 'm', "N", 0, "stop reading at so many MB of text (64)", 0 },
		{ "entries", 'e', "N", 0, "max_entries of the map: different words (1048576)", 0 },
		{ "top", 'n', "N", 0, "how many of the most frequent words to show (10)", 0 },
		{ 0 }
	};
	static const struct argp argp = {
		.options = argp_options,
		.parser = parse,
		.args_doc = "[PATH...]",
		.doc = "Counts the words of text files in a shared map, by threads and by processes, and verifies "
		       "every count.",
	};
	static char *default_paths[] = { "/usr/share/common-licenses",
					 "/usr/share/perl",
					 "/usr/share/perl5",
					 "/usr/share/doc",
					 "/usr/include",
					 "/usr/lib/python3",
					 "/usr/share",
					 NULL };
	unsigned cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	struct options options = { 2 * cpus, 2 * cpus, 64, 1 << 20, 10, default_paths };
	struct reference reference;
	struct text text;
	double begin;

	argp_parse(&argp, argc, argv, 0, NULL, &options);
	begin = seconds();
	text_read(&text, options.paths, options.megabytes * (size_t)1000000);
	if (text.size == 0)
		errx(EXIT_FAILURE, "no text found");
	printf("  %.1f MB of text in %u files, read in %.2f s\n", (double)text.size / 1e6, text.files,
	       seconds() - begin);
	fflush(stdout);
	begin = seconds();
	reference_count(&reference, text.bytes, options.entries);
	printf("  %-25s %7.2f s, %llu words, %zu different\n", "independent count", seconds() - begin, reference.total,
	       reference.n);
	fflush(stdout);
	count_and_verify(&text, &options, &reference, "threads", options.threads, run_threads);
	count_and_verify(&text, &options, &reference, "processes", options.processes, run_processes);
	print_top(&reference, options.top);
	return EXIT_SUCCESS;
}
