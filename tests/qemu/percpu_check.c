/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU values where the CPUs are real: a thread on each CPU works on the slot of its number, while the others work on
 * theirs, through all three faces. guest.py runs this on many CPUs (of which some are possible and not there); it's
 * as right on any machine, and quicker.
 *
 * --guest POSSIBLE:PRESENT says what the machine has, where that is known, and that it's no machine whose CPUs or kernel
 * others need: CPUs are taken away and given back, and bpf(2) must work.
 */
#include "cpus.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <usermap/bpf.h>
#include <usermap/helper.h>

#include "../semantics/abi.h"
#include "core/percpu.h"

#define N_KEYS	  6u
#define STRIDE	  16u			  /* of a slot */
#define MAX_BYTES (2 * CPUS_MAX * STRIDE) /* of a value */
#define FILL	  0xa5

static struct {
	unsigned possible, present; /* 0: unknown; else this is a guest */
	unsigned rounds, stretch;
} options = { .rounds = 300, .stretch = 64 };

/* 12 bytes, so that a slot has padding. The counter is what percpu_add() counts in. */
struct value {
	uint64_t counter;
	uint32_t cpu;
} __attribute__((packed));

#define VALUE_SIZE 12u
_Static_assert(sizeof(struct value) == VALUE_SIZE, "as in the maps");

enum n_slots { AS_THE_MACHINE, TWICE_AS_MANY, A_QUARTER };

struct kind {
	const char *name;
	enum bpf_map_type type;
	__u32 map_flags;
	__u32 memory, reuse;
	enum n_slots n_slots;
};

#define PRIVATE USERMAP_MEMORY_PRIVATE
#define SHARED	USERMAP_MEMORY_SHARED
#define GRACE	USERMAP_REUSE_GRACE
#define AT_ONCE USERMAP_REUSE_AT_ONCE

static const struct kind kinds[] = {
	{ "array", BPF_MAP_TYPE_PERCPU_ARRAY, 0, PRIVATE, 0, AS_THE_MACHINE },
	{ "shared array of twice the slots", BPF_MAP_TYPE_PERCPU_ARRAY, 0, SHARED, 0, TWICE_AS_MANY },
	{ "shared array of a quarter of the slots", BPF_MAP_TYPE_PERCPU_ARRAY, 0, SHARED, 0, A_QUARTER },
	{ "hash", BPF_MAP_TYPE_PERCPU_HASH, 0, PRIVATE, GRACE, AS_THE_MACHINE },
	{ "hash of twice the slots", BPF_MAP_TYPE_PERCPU_HASH, BPF_F_NO_PREALLOC, PRIVATE, AT_ONCE, TWICE_AS_MANY },
	{ "shared hash", BPF_MAP_TYPE_PERCPU_HASH, 0, SHARED, AT_ONCE, AS_THE_MACHINE },
	{ "shared hash of a quarter of the slots", BPF_MAP_TYPE_PERCPU_HASH, 0, SHARED, AT_ONCE, A_QUARTER },
};

#define N_KINDS (sizeof(kinds) / sizeof(kinds[0]))

static uint32_t slots_of(const struct kind *kind)
{
	unsigned possible = cpus_possible();

	return kind->n_slots == TWICE_AS_MANY ? 2 * possible
	       : kind->n_slots == A_QUARTER   ? (possible + 3) / 4
					      : possible;
}

/* A map under test, with all it takes to judge it. */
struct subject {
	struct usermap *map;
	const struct kind *kind;
	uint32_t n_slots;
	unsigned adders; /* threads or processes on each CPU, in tests that add */
};

/* Room for N_KEYS keys that stay, and one for each CPU that comes and goes (hash). */
static struct subject make(const struct kind *kind)
{
	struct usermap_opts opts = {
		.sz = sizeof(opts), .map_flags = kind->map_flags, .memory = kind->memory, .reuse = kind->reuse
	};
	struct subject s = { .kind = kind, .n_slots = slots_of(kind) };
	struct usermap_info info = { .sz = sizeof(info) };
	__u32 max_entries = kind->type == BPF_MAP_TYPE_PERCPU_HASH ? N_KEYS + CPUS_MAX : N_KEYS;

	if (kind->n_slots != AS_THE_MACHINE)
		opts.n_cpus = s.n_slots;
	assert_int_equal(usermap_create(kind->type, "percpu", 4, VALUE_SIZE, max_entries, &opts, &s.map), 0);
	assert_int_equal(usermap_get_info(s.map, &info), 0);
	assert_int_equal(info.n_cpus, s.n_slots);
	assert_int_equal(info.value_bytes, s.n_slots * STRIDE);
	return s;
}

/* What a slot is made to hold before a test changes it: its number and its key's are in it, and no byte is 0. */
static struct value original(uint32_t key, uint32_t slot)
{
	return (struct value){ .counter = UINT64_C(0x0101010101010101) * (key + 1), .cpu = 0x10000 + slot };
}

/* Gives the keys their original values, through the copy face. The padding is made FILL. */
static void fill(const struct subject *s)
{
	unsigned char values[MAX_BYTES];

	for (uint32_t key = 0; key < N_KEYS; key++) {
		memset(values, FILL, sizeof(values));
		for (uint32_t slot = 0; slot < s->n_slots; slot++) {
			struct value value = original(key, slot);

			memcpy(values + slot * STRIDE, &value, VALUE_SIZE);
		}
		assert_int_equal(usermap_update_elem(s->map, &key, values, BPF_ANY), 0);
	}
}

/* What the slot must hold, at the end of a test. */
typedef struct value (*expectation)(const struct subject *s, uint32_t key, uint32_t slot);

/* Looks at all slots of all keys: by the copy face, and by pointers. */
static void check(const struct subject *s, expectation expected)
{
	unsigned char values[MAX_BYTES];

	for (uint32_t key = 0; key < N_KEYS; key++) {
		assert_int_equal(usermap_lookup_elem(s->map, &key, values, 0), 0);
		usermap_read_lock();
		for (uint32_t slot = 0; slot < s->n_slots; slot++) {
			const unsigned char *copied = values + slot * STRIDE;
			const void *at = usermap_helper_lookup_percpu_elem(s->map, &key, slot);
			struct value value = expected(s, key, slot);

			if (memcmp(copied, &value, VALUE_SIZE) != 0)
				print_error("key %u, slot %u\n", key, slot);
			assert_memory_equal(copied, &value, VALUE_SIZE);
			assert_memory_equal(at, &value, VALUE_SIZE);
			for (uint32_t byte = VALUE_SIZE; byte < STRIDE; byte++)
				assert_int_equal(copied[byte], FILL);
		}
		assert_null(usermap_helper_lookup_percpu_elem(s->map, &key, s->n_slots));
		usermap_read_unlock();
	}
}

/* CPUs that threads run on have stored their number and the count of their rounds; other slots are as they were. */
static struct value stored(const struct subject *s, uint32_t key, uint32_t slot)
{
	(void)s;
	if (!cpus_usable(slot))
		return original(key, slot);
	return (struct value){ .counter = key + options.rounds, .cpu = slot };
}

static const char *store_by_pointer(unsigned cpu, void *arg)
{
	const struct subject *s = arg;

	for (uint32_t round = 1; round <= options.rounds; round++) {
		for (uint32_t key = 0; key < N_KEYS; key++) {
			struct value was = { .counter = key + round - 1, .cpu = cpu };
			struct value is = { .counter = key + round, .cpu = cpu };

			if (round == 1)
				was = original(key, cpu);
			usermap_read_lock();

			struct value *p = usermap_helper_lookup_elem(s->map, &key);

			EXPECT(p && p == usermap_helper_lookup_percpu_elem(s->map, &key, cpu));
			EXPECT(memcmp(p, &was, VALUE_SIZE) == 0);
			memcpy(p, &is, VALUE_SIZE);
			usermap_read_unlock();
		}
	}
	return NULL;
}

static void pointer_is_to_the_slot_of_this_cpu(void **state)
{
	struct subject *s = *state;

	assert_int_equal(cpus_run(1, store_by_pointer, s), 0);
	check(s, stored);
}

static const char *store_by_update(unsigned cpu, void *arg)
{
	const struct subject *s = arg;

	for (uint32_t round = 1; round <= options.rounds; round++) {
		for (uint32_t key = 0; key < N_KEYS; key++) {
			struct value is = { .counter = key + round, .cpu = cpu };

			usermap_read_lock();
			EXPECT(usermap_helper_update_elem(s->map, &key, &is, round % 2 ? BPF_ANY : BPF_EXIST) == 0);

			const struct value *p = usermap_helper_lookup_elem(s->map, &key);

			EXPECT(p && memcmp(p, &is, VALUE_SIZE) == 0);
			usermap_read_unlock();
		}
	}
	return NULL;
}

static void program_update_changes_the_slot_of_this_cpu_alone(void **state)
{
	struct subject *s = *state;

	assert_int_equal(cpus_run(1, store_by_update, s), 0);
	check(s, stored);
}

struct seen {
	unsigned cpu, n;
	bool wrong;
};

static long see(struct usermap *map, const void *key, void *value, void *ctx)
{
	struct seen *seen = ctx;
	struct value expected = original(*(const uint32_t *)key, seen->cpu);

	seen->wrong |= value != usermap_helper_lookup_percpu_elem(map, key, seen->cpu);
	seen->wrong |= memcmp(value, &expected, VALUE_SIZE) != 0;
	seen->n++;
	return 0;
}

static const char *walk(unsigned cpu, void *arg)
{
	const struct subject *s = arg;
	struct seen seen = { .cpu = cpu };

	EXPECT(usermap_helper_for_each_elem(s->map, see, &seen, 0) == (long)N_KEYS);
	EXPECT(seen.n == N_KEYS && !seen.wrong);
	return NULL;
}

static void for_each_shows_the_slot_of_this_cpu(void **state)
{
	assert_int_equal(cpus_run(1, walk, *state), 0);
}

static struct value untouched(const struct subject *s, uint32_t key, uint32_t slot)
{
	(void)s;
	return original(key, slot);
}

/* Each CPU has a key of its own, whose memory has been another's in the round before. */
static const char *insert_by_program(unsigned cpu, void *arg)
{
	const struct subject *s = arg;
	const struct value zero = { 0 };
	unsigned char full[MAX_BYTES];
	uint32_t key = N_KEYS + cpu;

	memset(full, FILL, sizeof(full));
	for (uint32_t round = 0; round < options.rounds; round++) {
		struct value mine = { .counter = round, .cpu = cpu };

		EXPECT(usermap_update_elem(s->map, &key, full, BPF_NOEXIST) == 0);
		EXPECT(usermap_helper_delete_elem(s->map, &key) == 0);
		usermap_read_lock();
		EXPECT(usermap_helper_update_elem(s->map, &key, &mine, BPF_NOEXIST) == 0);
		for (uint32_t slot = 0; slot < s->n_slots; slot++) {
			const void *p = usermap_helper_lookup_percpu_elem(s->map, &key, slot);

			EXPECT(p && memcmp(p, slot == cpu % s->n_slots ? &mine : &zero, VALUE_SIZE) == 0);
		}
		usermap_read_unlock();
		EXPECT(usermap_helper_delete_elem(s->map, &key) == 0);
	}
	return NULL;
}

static void program_insert_makes_the_other_slots_zero(void **state)
{
	struct subject *s = *state;

	assert_int_equal(cpus_run(1, insert_by_program, s), 0);
	check(s, untouched);
}

/* CPUs beyond the last slot begin again at the first. */
static struct value added(const struct subject *s, uint32_t key, uint32_t slot)
{
	struct value value = original(key, slot);

	for (unsigned cpu = slot; cpu < CPUS_MAX; cpu += s->n_slots)
		value.counter += cpus_usable(cpu) ? (uint64_t)s->adders * options.rounds : 0;
	return value;
}

static const char *add(unsigned cpu, void *arg)
{
	const struct subject *s = arg;

	(void)cpu;
	for (uint32_t round = 0; round < options.rounds; round++)
		for (uint32_t key = 0; key < N_KEYS; key++)
			EXPECT(usermap_percpu_add(s->map, &key, 0, 1) == 0);
	return NULL;
}

static void adds_are_exact_in_each_slot(void **state)
{
	struct subject *s = *state;

	s->adders = 2;
	assert_int_equal(cpus_run(s->adders, add, s), 0);
	check(s, added);
}

/* Runs work in a process on each CPU; every other one attaches to the map itself. */
static void run_processes(const struct subject *s, cpus_work work)
{
	pid_t pids[CPUS_MAX] = { 0 };
	int status;

	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
		if (!cpus_usable(cpu))
			continue;
		pids[cpu] = fork();
		assert_true(pids[cpu] >= 0);
		if (pids[cpu] == 0) {
			struct subject mine = *s;
			int fd = cpu % 2 ? usermap_get_fd(s->map) : -1;

			if (!cpus_pin(cpu) || (fd >= 0 && usermap_open_fd(fd, NULL, &mine.map) != 0))
				_exit(EXIT_FAILURE);

			const char *fault = work(cpu, &mine);

			if (fault)
				fprintf(stderr, "CPU %u: %s\n", cpu, fault);
			_exit(fault ? EXIT_FAILURE : EXIT_SUCCESS);
		}
	}
	for (unsigned cpu = 0; cpu < CPUS_MAX; cpu++) {
		if (!pids[cpu])
			continue;
		assert_int_equal(waitpid(pids[cpu], &status, 0), pids[cpu]);
		assert_int_equal(status, 0);
	}
}

static void processes_store_in_their_cpus_slots(void **state)
{
	run_processes(*state, store_by_update);
	check(*state, stored);
}

static void adds_of_processes_are_exact_in_each_slot(void **state)
{
	struct subject *s = *state;

	s->adders = 1;
	run_processes(s, add);
	check(s, added);
}

static uint64_t sum(const struct subject *s, uint32_t key)
{
	unsigned char values[MAX_BYTES];
	uint64_t total = 0;
	struct value value;

	assert_int_equal(usermap_lookup_elem(s->map, &key, values, 0), 0);
	for (uint32_t slot = 0; slot < s->n_slots; slot++) {
		memcpy(&value, values + slot * STRIDE, VALUE_SIZE);
		total += value.counter;
	}
	return total;
}

struct storm {
	const struct subject *s;
	atomic_bool over;	     /* set by main */
	atomic_uint_fast64_t rounds; /* that all threads have done */
};

struct adder {
	pthread_t thread;
	struct storm *storm;
	unsigned cpu;
};

/* Goes back to its CPU again and again: when that is taken away, the kernel puts the thread elsewhere. */
static void *add_until_over(void *argument)
{
	const struct adder *adder = argument;
	uint64_t n = 0;

	for (; !adder->storm->over; n++) {
		if (n % 64 == 0)
			(void)cpus_pin(adder->cpu); /* may be away */
		for (uint32_t key = 0; key < N_KEYS; key++)
			if (usermap_percpu_add(adder->storm->s->map, &key, 0, 1) != 0)
				return "an add failed";
	}
	adder->storm->rounds += n;
	return NULL;
}

/* The sequences are stretched, as one of a few instructions is never interrupted there: some must be begun again, or this
 * proves nothing. Few threads: emulated CPUs leave slowly if the others are busy. */
static void adds_are_exact_while_cpus_come_and_go(void **state)
{
	const struct subject *s = *state;
	const unsigned leaving[] = { 1, options.present - 1 };
	struct storm storm = { .s = s };
	struct adder adders[6];
	uint64_t before[N_KEYS];
	void *fault;

	for (uint32_t key = 0; key < N_KEYS; key++)
		before[key] = sum(s, key);
	atomic_store(&percpu_aborts, 0);
	atomic_store(&percpu_stretch, options.stretch);
	for (unsigned i = 0; i < 6; i++) {
		adders[i] = (struct adder){ .storm = &storm, .cpu = leaving[i % 2] };
		assert_int_equal(pthread_create(&adders[i].thread, NULL, add_until_over, &adders[i]), 0);
	}
	for (unsigned i = 0; i < 2; i++) {
		assert_true(cpus_set_online(leaving[i], false));
		assert_false(cpus_usable(leaving[i]));
		assert_true(cpus_set_online(leaving[i], true));
	}
	storm.over = true;
	for (unsigned i = 0; i < 6; i++) {
		assert_int_equal(pthread_join(adders[i].thread, &fault), 0);
		assert_null(fault);
	}
	atomic_store(&percpu_stretch, 0);
	print_message("%" PRIuFAST64 " rounds, %" PRIu64 " aborts\n", storm.rounds, percpu_aborts);
	assert_true(percpu_aborts > 0);
	for (uint32_t key = 0; key < N_KEYS; key++)
		assert_int_equal(sum(s, key) - before[key], storm.rounds);
}

static int make_by_command(abi_bpf bpf, uint32_t type)
{
	union abi_attr attr = {
		.create = { .map_type = type, .key_size = 4, .value_size = VALUE_SIZE, .max_entries = N_KEYS }
	};

	return (int)bpf(ABI_MAP_CREATE, &attr, sizeof(attr));
}

static long element(abi_bpf bpf, int cmd, int fd, uint32_t key, void *value)
{
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = (uintptr_t)&key, .value = (uintptr_t)value } };

	return bpf(cmd, &attr, sizeof(attr));
}

/* All slots are stored by the command face; each CPU finds its own; what it stores there, the command face shows. */
static void command_face_shows_what_programs_store(void **state)
{
	static const uint32_t types[] = { ABI_PERCPU_ARRAY, ABI_PERCPU_HASH };
	unsigned char commanded[MAX_BYTES], copied[MAX_BYTES];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct subject s = { .n_slots = cpus_possible() };
		int fd = make_by_command(usermap_bpf, types[i]);

		assert_true(fd >= 0);
		assert_int_equal(usermap_from_fd(fd, &s.map), 0);
		fill(&s);
		for (uint32_t key = 0; key < N_KEYS; key++) {
			assert_int_equal(usermap_lookup_elem(s.map, &key, copied, 0), 0);
			assert_int_equal(element(usermap_bpf, ABI_MAP_UPDATE_ELEM, fd, key, copied), 0);
		}
		assert_int_equal(cpus_run(1, store_by_pointer, &s), 0);
		check(&s, stored);
		for (uint32_t key = 0; key < N_KEYS; key++) {
			assert_int_equal(usermap_lookup_elem(s.map, &key, copied, 0), 0);
			assert_int_equal(element(usermap_bpf, ABI_MAP_LOOKUP_ELEM, fd, key, commanded), 0);
			assert_memory_equal(commanded, copied, s.n_slots * STRIDE);
		}
		usermap_close(s.map);
		close(fd);
	}
}

static long kernel_bpf(int cmd, void *attr, unsigned size)
{
	return syscall(__NR_bpf, cmd, attr, size);
}

/* Writes values all of whose bytes differ from their neighbours', and reads them back, one by one and (arrays) in a batch. */
static void write_and_read(abi_bpf bpf, int fd, uint32_t type, unsigned char *read, size_t room)
{
	unsigned char value[MAX_BYTES];
	uint32_t keys[N_KEYS], token;
	size_t size = cpus_possible() * STRIDE;
	union abi_attr batch = { .batch = { .map_fd = (uint32_t)fd,
					    .keys = (uintptr_t)keys,
					    .count = N_KEYS,
					    .out_batch = (uintptr_t)&token,
					    .values = (uintptr_t)(read + N_KEYS * size) } };

	memset(read, FILL, room);
	for (uint32_t key = 0; key < N_KEYS; key++) {
		for (size_t i = 0; i < sizeof(value); i++)
			value[i] = (unsigned char)(i * 7 + i / 256 + key);
		assert_int_equal(element(bpf, ABI_MAP_UPDATE_ELEM, fd, key, value), 0);
	}
	for (uint32_t key = 0; key < N_KEYS; key++)
		assert_int_equal(element(bpf, ABI_MAP_LOOKUP_ELEM, fd, key, read + key * size), 0);
	if (type == ABI_PERCPU_ARRAY)
		assert_int_equal(bpf(ABI_MAP_LOOKUP_BATCH, &batch, sizeof(batch)), 0);
}

static void buffers_are_laid_out_as_the_kernels(void **state)
{
	static const uint32_t types[] = { ABI_PERCPU_ARRAY, ABI_PERCPU_HASH };
	static unsigned char ours[(2 * N_KEYS + 1) * MAX_BYTES], kernels[sizeof(ours)];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		int kernel = make_by_command(kernel_bpf, types[i]);

		if (kernel < 0 && errno == EPERM && !options.present)
			skip();
		assert_true(kernel >= 0);
		write_and_read(kernel_bpf, kernel, types[i], kernels, sizeof(kernels));
		close(kernel);

		int fd = make_by_command(usermap_bpf, types[i]);

		assert_true(fd >= 0);
		write_and_read(usermap_bpf, fd, types[i], ours, sizeof(ours));
		close(fd);
		assert_memory_equal(ours, kernels, sizeof(ours));
	}
}

static void machine_is_what_it_was_said_to_be(void **state)
{
	(void)state;
	assert_in_range(cpus_possible(), cpus_usable_count(), CPUS_MAX);
	if (!options.present)
		return;
	assert_int_equal(cpus_possible(), options.possible);
	assert_int_equal(cpus_usable_count(), options.present);
}

static int set_up(void **state)
{
	struct subject *s = malloc(sizeof(*s));

	*s = make(*state);
	fill(s);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct subject *s = *state;

	usermap_close(s->map);
	free(s);
	return 0;
}

static bool any(const struct kind *kind)
{
	return kind != NULL;
}

static bool cpus_have_slots_of_their_own(const struct kind *kind)
{
	return kind->n_slots != A_QUARTER;
}

static bool is_hash(const struct kind *kind)
{
	return kind->type == BPF_MAP_TYPE_PERCPU_HASH;
}

static bool is_shared(const struct kind *kind)
{
	return kind->memory == SHARED;
}

static bool is_shared_with_own_slots(const struct kind *kind)
{
	return is_shared(kind) && cpus_have_slots_of_their_own(kind);
}

static bool is_private_in_a_guest(const struct kind *kind)
{
	return options.present && kind->n_slots == AS_THE_MACHINE && !is_shared(kind);
}

/* clang-format off */
#define TEST(name, applies) { #name, name, applies }
/* clang-format on */
static const struct {
	const char *name;
	CMUnitTestFunction test;
	bool (*applies)(const struct kind *kind);
} tests_of_kinds[] = {
	TEST(pointer_is_to_the_slot_of_this_cpu, cpus_have_slots_of_their_own),
	TEST(program_update_changes_the_slot_of_this_cpu_alone, cpus_have_slots_of_their_own),
	TEST(for_each_shows_the_slot_of_this_cpu, cpus_have_slots_of_their_own),
	TEST(program_insert_makes_the_other_slots_zero, is_hash),
	TEST(adds_are_exact_in_each_slot, any),
	TEST(processes_store_in_their_cpus_slots, is_shared_with_own_slots),
	TEST(adds_of_processes_are_exact_in_each_slot, is_shared),
	TEST(adds_are_exact_while_cpus_come_and_go, is_private_in_a_guest),
};

#define N_TESTS (sizeof(tests_of_kinds) / sizeof(tests_of_kinds[0]))

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 'g':
		if (sscanf(arg, "%u:%u", &options.possible, &options.present) != 2)
			argp_error(state, "--guest takes POSSIBLE:PRESENT");
		return 0;
	case 's':
		options.stretch = (unsigned)strtoul(arg, NULL, 0);
		return 0;
	case 'r':
		options.rounds = (unsigned)strtoul(arg, NULL, 0);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option argp_options[] = {
	{ "guest", 'g', "POSSIBLE:PRESENT", 0, "this is a guest with so many CPUs", 0 },
	{ "stretch", 's', "N", 0, "pauses inside sequences, in the test that stretches them (64)", 0 },
	{ "rounds", 'r', "N", 0, "what each thread does so often (300)", 0 },
	{ 0 },
};

int main(int argc, char **argv)
{
	static const struct argp argp = {
		argp_options, parse_option, NULL, "Per-CPU values, with a thread on each CPU.", NULL, NULL, NULL
	};
	const struct CMUnitTest machine[] = {
		cmocka_unit_test(machine_is_what_it_was_said_to_be),
		cmocka_unit_test(command_face_shows_what_programs_store),
		cmocka_unit_test(buffers_are_laid_out_as_the_kernels),
	};
	int failed = 0;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	failed += cmocka_run_group_tests_name("machine", machine, NULL, NULL);
	for (size_t k = 0; k < N_KINDS; k++) {
		struct CMUnitTest tests[N_TESTS];
		size_t n = 0;

		for (size_t t = 0; t < N_TESTS; t++)
			if (tests_of_kinds[t].applies(&kinds[k]))
				tests[n++] = (struct CMUnitTest){ tests_of_kinds[t].name, tests_of_kinds[t].test,
								  set_up, tear_down, (void *)(uintptr_t)&kinds[k] };
		printf("\n%s\n", kinds[k].name);
		failed += _cmocka_run_group_tests(kinds[k].name, tests, n, NULL, NULL);
	}
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
