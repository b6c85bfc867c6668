/* SPDX-License-Identifier: MIT */
/*
 * The differential test: streams of random commands run on the live kernel and on the engine, and every answer must be
 * the same. Without a kernel that can be asked, the engine is held against a recorded transcript.
 *
 *   differential --seed 7 --streams 100        100 streams, of seeds 7 to 106
 *   differential --seed 7 --streams 1          the stream of a failure again; it is shrunk and printed
 *   differential --record FILE | --replay FILE a transcript
 *   differential --right private               the native face's private maps, with sound streams
 *   usermap-run differential --right syscall   the preload library: what a program that knows nothing of it gets
 *   differential --self-test                   the comparison: equal sides agree, every kind of lie is noticed
 */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <usermap/bpf.h>

#include "compare.h"
#include "cpus.h"
#include "kernel.h"
#include "kernel_helper.h"
#include "liar.h"
#include "map_helper.h"
#include "native.h"
#include "report.h"
#include "transcript.h"

static struct {
	struct transcript streams;
	const char *left, *right;
	const char *record, *replay, *fallback;
	bool self_test;
} options = { .streams = { .streams = 300, .steps = 4000 }, .left = "kernel", .right = "engine" };

static uint64_t number(const char *text, struct argp_state *state)
{
	char *end;
	uint64_t value;

	errno = 0;
	value = strtoull(text, &end, 0);
	if (errno || *end || end == text)
		argp_error(state, "'%s' is no number", text);
	return value;
}

static error_t parse(int key, char *text, struct argp_state *state)
{
	switch (key) {
	case 's':
		options.streams.seed = number(text, state);
		break;
	case 'n':
		options.streams.steps = number(text, state);
		break;
	case 'm':
		options.streams.streams = number(text, state);
		break;
	case 'l':
		options.left = text;
		break;
	case 'r':
		options.right = text;
		break;
	case 'w':
		options.record = text;
		break;
	case 'p':
		options.replay = text;
		break;
	case 't':
		options.fallback = text;
		break;
	case 'S':
		options.streams.sound = true;
		break;
	case 'c':
		options.self_test = true;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp_option argp_options[] = {
	{ "seed", 's', "N", 0, "seed of the first stream (default: random, and printed)", 0 },
	{ "steps", 'n', "N", 0, "commands a stream (default 4000)", 0 },
	{ "streams", 'm', "N", 0, "streams to run (default 300)", 0 },
	{ "left", 'l', "SIDE", 0,
	  "kernel (default); engine; unchecked: the engine without a look at descriptors; "
	  "syscall: what syscall() leads to under usermap-run; "
	  "or a native face: private, at-once, memfd",
	  0 },
	{ "right", 'r', "SIDE", 0, "engine (default), or one of the others", 0 },
	{ "record", 'w', "FILE", 0, "write a transcript of the left side", 0 },
	{ "replay", 'p', "FILE", 0, "hold the right side against a transcript", 0 },
	{ "transcript", 't', "FILE", 0, "replay this one if the kernel can't be asked", 0 },
	{ "sound", 'S', NULL, 0, "only commands in which nothing is wrong; the last four sides get no others", 0 },
	{ "self-test", 'c', NULL, 0, "test the comparison", 0 },
	{ 0 },
};

static long libc_bpf(int cmd, void *attr, unsigned size)
{
	return syscall(__NR_bpf, cmd, attr, size);
}

/* bpf(2) as a program calls it that knows nothing of the library. It must not be the kernel's. */
static abi_bpf preloaded(void)
{
	union abi_attr attr = { .create = { .map_type = ABI_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 } };
	int fd = (int)libc_bpf(ABI_MAP_CREATE, &attr, sizeof(attr));
	struct usermap *map;

	if (fd < 0 || usermap_from_fd(fd, &map)) {
		fprintf(stderr, "syscall: to be run under usermap-run\n");
		exit(1);
	}
	usermap_close(map);
	close(fd);
	return libc_bpf;
}

/* A side's two faces. */
static abi_bpf find_faces(const char *name, const struct helper_face **helpers)
{
	*helpers = &engine_helpers;
	if (strcmp(name, "engine") == 0)
		return usermap_bpf;
	if (strcmp(name, "unchecked") == 0) {
		usermap_bpf_check_fds(false);
		return usermap_bpf;
	}
	if (strcmp(name, "syscall") == 0)
		return preloaded();
	*helpers = &kernel_helpers;
	if (strcmp(name, "kernel") == 0)
		return kernel_bpf;
	*helpers = &liar_helpers;
	if (strcmp(name, "liar") == 0)
		return liar_bpf;
	*helpers = &native_helpers;
	if (native_find(name))
		return native_find(name);
	fprintf(stderr, "no such side: %s\n", name);
	exit(1);
}

/* Whether a side can run only streams in which nothing is wrong. */
static bool is_delicate(const char *name)
{
	return native_find(name) || strcmp(name, "unchecked") == 0;
}

/* All sides use the same buffers: what a stream leaves in them is then the same for each. */
static void open_side(struct side *side, const char *name)
{
	static struct arena attr, buffer[BUFFER_N];
	const struct helper_face *helpers;
	abi_bpf bpf = find_faces(name, &helpers);

	if (!attr.base) {
		arena_init(&attr);
		for (int i = 0; i < BUFFER_N; i++)
			arena_init(&buffer[i]);
	}
	side_init(side, name, bpf, helpers);
	side->attr = attr;
	memcpy(side->buffer, buffer, sizeof(buffer));
}

static void explain(struct side *left, struct side *right, struct program *program, uint64_t seed, size_t at)
{
	printf("FAILED: stream seed %" PRIu64 ", step %zu of %" PRIu64 ":\n  ", seed, at, options.streams.steps);
	report_command(&program->commands[at]);
	report_difference(left, right);
	printf("replay: --seed %" PRIu64 " --streams 1 --steps %" PRIu64 "\n", seed, options.streams.steps);
	compare_shrink(left, right, program);
	at = compare_run(left, right, program);
	if (at == NO_MISMATCH) {
		printf("it does not fail every time\n");
		return;
	}
	printf("the shortest program found:\n");
	for (size_t i = 0; i <= at; i++) {
		printf("  ");
		report_command(&program->commands[i]);
	}
	report_difference(left, right);
}

/* Runs the streams; false at the first that fails. */
static bool run_streams(struct side *left, struct side *right, const struct transcript *streams, bool verbose,
			uint64_t *compared)
{
	for (uint64_t i = 0; i < streams->streams; i++) {
		struct program program = program_generate(streams->seed + i, streams->steps, streams->sound);
		size_t at = compare_run(left, right, &program);

		*compared += at == NO_MISMATCH ? program.length : at;
		if (at != NO_MISMATCH && verbose)
			explain(left, right, &program, streams->seed + i, at);
		program_free(&program);
		if (at != NO_MISMATCH)
			return false;
	}
	return true;
}

static bool compare_sides(void)
{
	struct side left, right;
	uint64_t compared = 0;
	bool same;

	open_side(&left, options.left);
	open_side(&right, options.right);
	same = run_streams(&left, &right, &options.streams, true, &compared);
	printf("%s and %s: %" PRIu64 " answers compared, seeds from %" PRIu64 ": %s\n", left.name, right.name, compared,
	       options.streams.seed, same ? "all the same" : "they differ");
	side_close(&left);
	side_close(&right);
	return same;
}

/* Equal sides must agree, and the liar must be caught at each kind of lie. */
static bool self_test(const char *name)
{
	struct transcript streams = { options.streams.seed, 20, 4000, false };
	struct side honest, liar;
	uint64_t compared;
	bool passed = true;

	open_side(&honest, name);
	open_side(&liar, "liar");
	for (int lie = 0; lie < LIE_N; lie++) {
		bool caught;

		if (liar_needs_cpus((enum lie)lie) > cpus_usable()) {
			printf("%-32s needs another CPU\n", lie_names[lie]);
			continue;
		}
		compared = 0;
		liar_begin((enum lie)lie, &honest, 10);
		caught = !run_streams(&honest, &liar, &streams, false, &compared);
		printf("%-32s %s after %" PRIu64 " answers\n", lie_names[lie], caught ? "caught" : "NOT CAUGHT",
		       compared);
		passed &= caught;
	}
	compared = 0;
	liar_begin(LIE_N, &honest, 50);
	if (!run_streams(&honest, &liar, &streams, true, &compared))
		passed = false;
	printf("%-32s %" PRIu64 " answers compared\n", "no lie", compared);
	side_close(&honest);
	side_close(&liar);
	return passed;
}

static bool record(void)
{
	struct side side;
	bool done;

	open_side(&side, options.left);
	done = transcript_record(&side, options.record, &options.streams);
	side_close(&side);
	return done;
}

static bool replay(const char *path)
{
	uint64_t compared = 0;
	struct side side;
	bool same;

	open_side(&side, options.right);
	same = transcript_replay(&side, path, options.streams.sound, &compared);
	printf("%s and the transcript: %" PRIu64 " answers compared: %s\n", side.name, compared,
	       same ? "all the same" : "failed");
	side_close(&side);
	return same;
}

/* A command whose attr is cut short names descriptor 0: it must be one, and no map. */
static void fix_standard_input(void)
{
	int fd = open("/dev/null", O_RDONLY);

	if (fd < 0 || (fd && dup2(fd, 0))) {
		perror("/dev/null");
		exit(1);
	}
	if (fd)
		close(fd);
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		argp_options, parse, NULL, "bpf(2) maps: the live kernel and usermap side by side", NULL, NULL, NULL
	};
	const char *why = NULL;
	bool oracle;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getrandom(&options.streams.seed, sizeof(uint32_t), 0) < 0)
		options.streams.seed = (uint64_t)getpid();
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (is_delicate(options.left) || is_delicate(options.right))
		options.streams.sound = true;
	fix_standard_input();
	if (options.replay)
		return replay(options.replay) ? 0 : 1;
	printf("seed %" PRIu64 "\n", options.streams.seed);
	oracle = kernel_is_oracle(&why);
	if (options.self_test)
		return self_test(oracle ? "kernel" : "engine") ? 0 : 1;
	if (!oracle && (strcmp(options.left, "kernel") == 0 || strcmp(options.right, "kernel") == 0)) {
		printf("%s: %s\n", why, options.fallback ? "the transcript instead" : "nothing to compare with");
		return !options.fallback ? 77 : replay(options.fallback) ? 0 : 1;
	}
	if (options.record)
		return record() ? 0 : 1;
	return compare_sides() ? 0 : 1;
}
