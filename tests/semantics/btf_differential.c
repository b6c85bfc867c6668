/* SPDX-License-Identifier: MIT */
/*
 * BTF by chance, given to BPF_BTF_LOAD of the live kernel and of the engine, and what both take given to BPF_MAP_CREATE:
 * every answer must be the same, and so must the place of the spin lock in the values of the maps that were made.
 *
 *   btf_differential [--seed N] [--cases N]      compare; without a kernel to ask, with a record (--against)
 *   btf_differential --seed N --cases 1 --dump   one case, written to case.btf for bpftool to read
 *   btf_differential --record FILE               write the kernel's answers
 *   btf_differential --replay FILE               hold the engine against a record
 *
 * Case i of seed N is case 0 of seed N + i. Two differences are allowed: the engine refuses values with special fields
 * that it doesn't have, with more than one lock, or with one at an odd place, by EOPNOTSUPP, where the kernel makes a
 * map. And it can't know which of its own types the kernel lets be kept by a pointer: BPF_BTF_LOAD is ENOENT there, before
 * what else is wrong, and a value with such a pointer has no fields.
 */
#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/btf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>
#include <usermap/bpf.h>

#include "abi.h"
#include "btf_generate.h"
#include "core/btf.h"
#include "kernel.h"
#include "rng.h"

#define HEADER	  "BTF answers of Linux 6.18: seed %" PRIu64 " cases %" PRIu64 " hash %" PRIx64
#define CREATES	  6u
#define VALUE_MAX 4096u
#define KEY_MAX	  512u

enum lock { LOCK_NONE = -1, LOCK_MORE = -2 }; /* else the offset of the one lock; MORE: other fields, or several */

/* What one side says of a case. */
struct answers {
	int load;
	struct {
		int error;
		int lock;
	} create[CREATES];
};

static struct {
	uint64_t seed;
	uint64_t cases;
	const char *record;
	const char *against;
	const char *replay;
	bool dump;
} options = { .cases = 2000 };

static int ask(abi_bpf bpf, int cmd, union abi_attr *attr)
{
	long result = bpf(cmd, attr, sizeof(*attr));

	return result < 0 ? -errno : (int)result;
}

static int load(abi_bpf bpf, const struct btf_bytes *raw)
{
	union abi_attr attr = { .btf = { .btf = (uintptr_t)raw->data, .size = (uint32_t)raw->size } };

	return ask(bpf, ABI_BTF_LOAD, &attr);
}

enum wish { WISH_SIZE, WISH_INT, WISH_FIELDS };

static bool has(const struct btf *btf, uint32_t id, enum wish wish)
{
	struct btf_fields fields;
	uint32_t size;

	if (!btf_type_size(btf, &id, &size) || !size || size > VALUE_MAX)
		return false;
	if (wish == WISH_INT)
		return btf_type_is_int32(btf, id);
	return wish == WISH_SIZE || (btf_find_fields(btf, id, BTF_FIELDS_OF_VALUES, &fields) == 0 && fields.n);
}

/* An id of which the map may be made; in most cases one with what is wished for. */
static uint32_t pick_id(struct rng *rng, const struct btf *btf, uint32_t n_types, enum wish wish)
{
	uint32_t id = rng_below(rng, n_types + 2);

	for (int tries = 0; tries < 8 && !has(btf, id, wish); tries++)
		id = rng_below(rng, n_types + 2);
	return id;
}

static uint32_t size_of(struct rng *rng, const struct btf *btf, uint32_t id, uint32_t limit)
{
	uint32_t size;

	if (rng_one_in(rng, 20) || !btf_type_size(btf, &id, &size) || !size || size > limit)
		return 4 + rng_below(rng, 3);
	return size;
}

/* The attributes of a map for the types. */
static void pick_map(struct rng *rng, const struct btf *btf, uint32_t n_types, struct abi_create *create)
{
	static const uint32_t types[] = { ABI_HASH, ABI_HASH, ABI_ARRAY, ABI_ARRAY, ABI_PERCPU_HASH, ABI_PERCPU_ARRAY };
	static const uint32_t flags[] = { 0, 0, 0, 0, ABI_F_RDONLY_PROG, ABI_F_WRONLY_PROG };
	uint32_t type = RNG_PICK(rng, types);
	uint32_t key = rng_one_in(rng, 6) ? 0 : pick_id(rng, btf, n_types, rng_below(rng, 4) ? WISH_INT : WISH_SIZE);
	uint32_t value = pick_id(rng, btf, n_types, rng_below(rng, 2) ? WISH_FIELDS : WISH_SIZE);

	/* one after the other, so that a seed gives the same case whatever compiler made this */
	*create = (struct abi_create){ .map_type = type, .btf_key_type_id = key, .btf_value_type_id = value };
	create->key_size = abi_is_array(type) ? 4 : size_of(rng, btf, key, KEY_MAX);
	create->value_size = size_of(rng, btf, value, VALUE_MAX);
	create->max_entries = 1 + rng_below(rng, 2);
	create->map_flags = RNG_PICK(rng, flags);
}

/* Fills the value with ones and sees what can't be filled. */
static int find_lock(abi_bpf bpf, int fd, const struct abi_create *create)
{
	static unsigned char key[KEY_MAX], value[64 * VALUE_MAX];
	union abi_attr element = { .elem = {
					   .map_fd = (uint32_t)fd, .key = (uintptr_t)key, .value = (uintptr_t)value } };
	union abi_attr locked = element, freeze = { .freeze_fd = (uint32_t)fd };
	int at = LOCK_NONE, hidden = 0;

	if (abi_is_percpu(create->map_type))
		return ask(bpf, ABI_MAP_FREEZE, &freeze) == 0 ? LOCK_NONE : LOCK_MORE;
	memset(value, 0xff, create->value_size);
	locked.elem.flags = ABI_F_LOCK;
	if (ask(bpf, ABI_MAP_UPDATE_ELEM, &element) || ask(bpf, ABI_MAP_LOOKUP_ELEM, &element))
		return LOCK_MORE;
	for (uint32_t i = 0; i < create->value_size; i++) {
		hidden += value[i] != 0xff;
		at = value[i] == 0 && at == LOCK_NONE ? (int)i : at;
	}
	if (ask(bpf, ABI_MAP_LOOKUP_ELEM, &locked) == 0)
		return hidden == 4 && ask(bpf, ABI_MAP_FREEZE, &freeze) == -ABI_ENOTSUPP ? at : LOCK_MORE;
	return hidden == 0 && ask(bpf, ABI_MAP_FREEZE, &freeze) == 0 ? LOCK_NONE : LOCK_MORE;
}

static void ask_maps(abi_bpf bpf, int fd, const struct abi_create creates[CREATES], struct answers *answers)
{
	for (uint32_t i = 0; i < CREATES; i++) {
		union abi_attr attr = { .create = creates[i] };
		int map;

		attr.create.btf_fd = (uint32_t)fd;
		map = ask(bpf, ABI_MAP_CREATE, &attr);
		answers->create[i].error = map < 0 ? map : 0;
		answers->create[i].lock = LOCK_NONE;
		if (map < 0)
			continue;
		answers->create[i].lock = find_lock(bpf, map, &creates[i]);
		close(map);
	}
}

static void ask_side(abi_bpf bpf, const struct btf_bytes *raw, const struct abi_create *creates,
		     struct answers *answers)
{
	int fd = load(bpf, raw);

	memset(answers, 0, sizeof(*answers));
	answers->load = fd < 0 ? fd : 0;
	if (fd < 0)
		return;
	if (creates)
		ask_maps(bpf, fd, creates, answers);
	close(fd);
}

static bool same(const struct btf_bytes *raw, const struct answers *kernel, const struct answers *engine)
{
	if (kernel->load != engine->load)
		return kernel->load == -ENOENT && memmem(raw->data, raw->size, "kptr", 4);
	for (uint32_t i = 0; i < CREATES; i++) {
		int lock = kernel->create[i].lock;

		if (engine->create[i].error == -EOPNOTSUPP && !kernel->create[i].error &&
		    (lock == LOCK_MORE ||
		     (lock == LOCK_NONE ? memmem(raw->data, raw->size, "kptr", 4) != NULL : lock % 4)))
			continue;
		if (memcmp(&kernel->create[i], &engine->create[i], sizeof(kernel->create[i])) != 0)
			return false;
	}
	return true;
}

static void report(uint64_t seed, const struct abi_create *creates, const struct answers *kernel,
		   const struct answers *engine)
{
	printf("DIFFERENT: --seed %" PRIu64 " --cases 1\n  load: kernel %d, engine %d\n", seed, kernel->load,
	       engine->load);
	for (uint32_t i = 0; creates && i < CREATES; i++)
		printf("  map type %u key %u value %u entries %u flags 0x%x ids %u %u: kernel %d lock %d, engine %d "
		       "lock %d\n",
		       creates[i].map_type, creates[i].key_size, creates[i].value_size, creates[i].max_entries,
		       creates[i].map_flags, creates[i].btf_key_type_id, creates[i].btf_value_type_id,
		       kernel->create[i].error, kernel->create[i].lock, engine->create[i].error,
		       engine->create[i].lock);
}

/* A line a case: the load's answer and, if it's 0, those of the maps; a map's is its error, or where its lock is. */
static bool read_answers(FILE *file, struct answers *answers)
{
	int n = fscanf(file, "%d", &answers->load), word;

	for (uint32_t i = 0; n == 1 && !answers->load && i < CREATES; i++) {
		n = fscanf(file, " e%d", &answers->create[i].error);
		answers->create[i].lock = LOCK_NONE;
		if (n != 1 && (n = fscanf(file, "%d", &word)) == 1)
			answers->create[i].lock = word;
	}
	return n == 1;
}

static void write_answers(FILE *file, const struct answers *answers)
{
	fprintf(file, "%d", answers->load);
	for (uint32_t i = 0; !answers->load && i < CREATES; i++) {
		if (answers->create[i].error)
			fprintf(file, " e%d", answers->create[i].error);
		else
			fprintf(file, " %d", answers->create[i].lock);
	}
	fprintf(file, "\n");
}

static void dump(const struct btf_bytes *raw)
{
	FILE *file = fopen("case.btf", "wb");

	if (file) {
		fwrite(raw->data, 1, raw->size, file);
		fclose(file);
	}
}

/* How the cases went. */
struct counts {
	uint64_t different, loaded, maps, locks;
};

/* `file`: the answers of a recorded kernel are read from it, or (record) the kernel's are written to it. */
static bool run_case(uint64_t seed, FILE *file, struct counts *counts)
{
	struct answers kernel = { 0 }, engine = { 0 };
	struct abi_create creates[CREATES];
	struct rng rng = { ~seed };
	struct btf_bytes raw = { 0 };
	struct btf_fault fault;
	struct btf *btf = NULL;
	uint32_t n_types = btf_generate(seed, &raw);
	bool parsed = btf_open(raw.data, raw.size, &btf, &fault) == 0, ok = true;

	if (options.dump)
		dump(&raw);
	for (uint32_t i = 0; parsed && i < CREATES; i++)
		pick_map(&rng, btf, n_types, &creates[i]);
	btf_close(btf);
	if (!file || options.record)
		ask_side(kernel_bpf, &raw, parsed ? creates : NULL, &kernel);
	else
		ok = read_answers(file, &kernel);
	if (!ok)
		printf("the record is cut short\n");
	ask_side(usermap_bpf, &raw, parsed ? creates : NULL, &engine);
	if (file && options.record)
		write_answers(file, &kernel);
	if (ok && !same(&raw, &kernel, &engine)) {
		report(seed, parsed ? creates : NULL, &kernel, &engine);
		counts->different++;
	}
	bytes_free(&raw);
	counts->loaded += engine.load == 0;
	for (uint32_t i = 0; parsed && i < CREATES; i++) {
		counts->maps += engine.load == 0 && engine.create[i].error == 0;
		counts->locks += engine.create[i].error == 0 && engine.create[i].lock >= 0;
	}
	return ok;
}

static bool run(FILE *file)
{
	struct counts counts = { 0 };
	bool ok = true;

	for (uint64_t i = 0; ok && i < options.cases && counts.different < 10; i++)
		ok = run_case(options.seed + i, file, &counts);
	printf("seed %" PRIu64 ", %" PRIu64 " cases: %" PRIu64 " loaded, %" PRIu64 " maps, %" PRIu64
	       " with a lock, %" PRIu64 " differences\n",
	       options.seed, options.cases, counts.loaded, counts.maps, counts.locks, counts.different);
	/* A comparison of refusals alone would prove nothing. */
	if (options.cases >= 1000 && (counts.loaded < options.cases / 4 || counts.locks < options.cases / 100)) {
		printf("too few of them mean anything\n");
		ok = false;
	}
	return ok && !counts.different;
}

static error_t option(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 's':
		options.seed = strtoull(arg, NULL, 0);
		return 0;
	case 'n':
		options.cases = strtoull(arg, NULL, 0);
		return 0;
	case 'r':
		options.record = arg;
		return 0;
	case 'a':
		options.against = arg;
		return 0;
	case 'p':
		options.replay = arg;
		return 0;
	case 'd':
		options.dump = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Of the bytes of all cases: a record is of use as long as the cases are made as they were. */
static uint64_t fingerprint(void)
{
	struct btf_bytes raw = { 0 };
	uint64_t hash = 0xcbf29ce484222325u;

	for (uint64_t i = 0; i < options.cases; i++) {
		btf_generate(options.seed + i, &raw);
		for (size_t at = 0; at < raw.size; at++)
			hash = (hash ^ raw.data[at]) * 0x100000001b3u;
	}
	bytes_free(&raw);
	return hash;
}

/* Opens the record and takes seed and number of its cases. */
static FILE *open_record(const char *path)
{
	FILE *file = fopen(path, "r");
	uint64_t hash;

	if (!file || fscanf(file, HEADER, &options.seed, &options.cases, &hash) != 3) {
		printf("%s is no record\n", path);
		exit(1);
	}
	if (hash != fingerprint()) {
		printf("%s is of other cases: they are made in another way now, record it again\n", path);
		exit(1);
	}
	return file;
}

static FILE *make_record(const char *path)
{
	FILE *file = fopen(path, "w");

	if (!file) {
		perror(path);
		exit(1);
	}
	fprintf(file, HEADER "\n", options.seed, options.cases, fingerprint());
	return file;
}

int main(int argc, char **argv)
{
	static const struct argp_option known[] = { { "seed", 's', "N", 0, "of the first case; default: by chance", 0 },
						    { "cases", 'n', "N", 0, "how many", 0 },
						    { "record", 'r', "FILE", 0, "write the kernel's answers", 0 },
						    { "against", 'a', "FILE", 0,
						      "compare with these if there is no kernel to ask", 0 },
						    { "replay", 'p', "FILE", 0, "compare with these in any case", 0 },
						    { "dump", 'd', NULL, 0, "write the (last) case to case.btf", 0 },
						    { 0 } };
	static const struct argp argp = { known, option, NULL, "Compares what the engine and the kernel say of BTF.",
					  0,	 0,	 0 };
	const char *why;
	FILE *file = NULL;
	bool ok;

	if (getrandom(&options.seed, sizeof(options.seed), 0) != sizeof(options.seed))
		return 1;
	options.seed >>= 24;
	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (options.replay) {
		file = open_record(options.replay);
	} else if (!kernel_is_oracle(&why)) {
		printf("%s: %s\n", why, options.against ? "its recorded answers instead" : "nothing to compare with");
		if (!options.against || options.record)
			return 77;
		file = open_record(options.against);
	} else if (options.record) {
		file = make_record(options.record);
	}
	ok = run(file);
	if (file)
		fclose(file);
	return ok ? 0 : 1;
}
