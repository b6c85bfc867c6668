/* SPDX-License-Identifier: MIT */
/*
 * Attributes of BPF_MAP_CREATE: such as are accepted, and such in which one or a few things are twisted.
 *
 * The maps they ask for stay small, whatever is wrong with them: the kernel really allocates.
 */
#include <string.h>

#include "cpus.h"
#include "generate.h"

#define KIB		 1024u
#define MIB		 (1024u * KIB)
#define HASH_SUM_LIMIT	 (4 * MIB - 48) /* key_size + value_size from here on is E2BIG */
#define PERCPU_LIMIT	 32768u		/* a per-CPU value may be this, rounded up to 8 */
#define BPF_MEMALLOC_MAX 4000u /* larger elements may fail to be had without preallocation: no matter of rules */

/* clang-format off: it lines the numbers up */
static const uint32_t key_sizes[] = {
	1, 2, 3, 4, 4, 4, 5, 6, 7, 8, 8, 8, 8, 9, 12, 13, 16, 16, 20, 24, 31, 32, 33, 40, 64,
};
static const uint32_t big_key_sizes[] = { 65, 100, 127, 128, 255, 256, 257, 512, 513, 1000, 4096, 5000 };
static const uint32_t value_sizes[] = {
	1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 8, 8, 9, 12, 15, 16, 16, 17, 24, 31, 32, 40, 63, 64, 65,
};
static const uint32_t big_value_sizes[] = { 100, 127, 128, 250, 256, 511, 1000, 1024, 4095, 4096, 4097, 10000, 65536 };
static const uint32_t big_percpu_value_sizes[] = {
	100, 127, 128, 250, 256, 511, 1000, 1024, 4095, 4096, 10000, 32761, 32768,
};
static const uint32_t lockable_value_sizes[] = {
	4, 5, 8, 8, 12, 13, 16, 16, 20, 24, 30, 32, 40, 64, 65, 100, 128, 1000,
};
static const uint32_t small_max[] = { 1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 16, 17, 20, 31, 32, 33 };
static const uint32_t large_max[] = {
	63, 64, 65, 100, 127, 128, 129, 200, 255, 256, 257, 300, 512, 1000, 1024, 2000, 4097, 5000,
};
/* clang-format on */
static const uint32_t hash_flags[] = { ABI_F_NO_PREALLOC, ABI_F_ZERO_SEED, ABI_F_ZERO_SEED, ABI_F_RDONLY_PROG,
				       ABI_F_WRONLY_PROG };
static const uint32_t percpu_array_flags[] = { ABI_F_RDONLY_PROG, ABI_F_WRONLY_PROG };
static const uint32_t lru_flags[] = { ABI_F_NO_COMMON_LRU, ABI_F_NO_COMMON_LRU, ABI_F_RDONLY_PROG, ABI_F_WRONLY_PROG };
static const uint32_t all_types[] = { ABI_HASH,		ABI_ARRAY,    ABI_PERCPU_HASH, ABI_PERCPU_HASH,
				      ABI_PERCPU_ARRAY, ABI_LRU_HASH, ABI_LRU_HASH,    ABI_LRU_PERCPU_HASH };
static const uint32_t array_flags[] = { ABI_F_MMAPABLE, ABI_F_INNER_MAP, ABI_F_RDONLY_PROG, ABI_F_WRONLY_PROG };

static uint64_t map_bytes(const struct abi_create *create)
{
	uint64_t value = (create->value_size + 7ull) & ~7ull;

	if (abi_is_percpu(create->map_type))
		value *= cpus_possible();
	if (abi_is_array(create->map_type))
		return value * create->max_entries;
	if (create->map_flags & ABI_F_NO_PREALLOC)
		return 16ull * create->max_entries;
	return (create->key_size + value + 88) * create->max_entries;
}

/* Cuts max_entries down to what `limit` bytes hold. Attributes that are refused for their size are left as they are. */
static void keep_small(struct abi_create *create, uint64_t limit)
{
	if (!abi_is_array(create->map_type) && create->max_entries > 1u << 31)
		return;
	while (create->max_entries > 1 && map_bytes(create) > limit)
		create->max_entries /= 2;
}

static void random_name(struct rng *rng, char name[16])
{
	static const char letters[] = "abcXYZ019_.";
	uint32_t length = rng_below(rng, 16);

	for (uint32_t i = 0; i < length; i++)
		name[i] = rng_one_in(rng, 16) ? (char)(0xc0 + rng_below(rng, 64))
					      : letters[rng_below(rng, sizeof(letters) - 1)];
	if (length < 14 && rng_one_in(rng, 4))
		name[length + 1] = '?'; /* behind the NUL anything goes */
}

/* What may be had for some maps only because there is memory just then: no matter of rules. */
static void keep_preallocated(struct abi_create *create)
{
	uint32_t element = create->key_size + create->value_size;

	if (element > BPF_MEMALLOC_MAX)
		create->map_flags &= ~(uint32_t)ABI_F_NO_PREALLOC;
}

static void good_sizes(struct rng *rng, struct abi_create *create)
{
	create->key_size = rng_one_in(rng, 12) ? RNG_PICK(rng, big_key_sizes) : RNG_PICK(rng, key_sizes);
	if (!rng_one_in(rng, 8))
		create->value_size = RNG_PICK(rng, value_sizes);
	else if (abi_is_percpu(create->map_type))
		create->value_size = RNG_PICK(rng, big_percpu_value_sizes);
	else
		create->value_size = RNG_PICK(rng, big_value_sizes);
	create->max_entries = rng_one_in(rng, 3) ? RNG_PICK(rng, large_max) : RNG_PICK(rng, small_max);
}

static void good_flags(struct rng *rng, struct abi_create *create)
{
	if (abi_is_array(create->map_type)) {
		create->key_size = 4;
		if (rng_one_in(rng, 3))
			create->map_flags |= create->map_type == ABI_ARRAY ? RNG_PICK(rng, array_flags)
									   : RNG_PICK(rng, percpu_array_flags);
		return;
	}
	if (rng_one_in(rng, 2))
		create->map_flags |= ABI_F_ZERO_SEED;
	if (rng_one_in(rng, 2))
		create->map_flags |=
			abi_is_lru(create->map_type) ? RNG_PICK(rng, lru_flags) : RNG_PICK(rng, hash_flags);
	keep_preallocated(create);
}

static void good_node(struct rng *rng, struct abi_create *create)
{
	if (rng_one_in(rng, 12) && !(create->map_flags & ABI_F_NO_COMMON_LRU)) {
		create->map_flags |= ABI_F_NUMA_NODE;
		create->numa_node = rng_one_in(rng, 2) && !abi_is_percpu(create->map_type) ? 0 : UINT32_MAX;
	} else if (rng_one_in(rng, 12)) {
		create->numa_node = 77; /* ignored without the flag */
	}
}

/* Gives the values of a map a spin lock, which programs must be allowed to take. Returns where it is. */
static uint32_t add_lock(struct rng *rng, struct abi_create *create)
{
	create->value_size = RNG_PICK(rng, lockable_value_sizes);
	create->map_flags &= ~(uint32_t)(ABI_F_RDONLY_PROG | ABI_F_WRONLY_PROG);
	return 4 * rng_below(rng, (create->value_size - 4) / 4 + 1);
}

/* Attributes that are accepted. */
static void good_create(struct rng *rng, struct command *command, uint64_t limit, bool by_cpus)
{
	struct abi_create *create = &command->create;

	if (by_cpus)
		create->map_type = RNG_PICK(rng, all_types);
	else
		create->map_type = rng_one_in(rng, 4) ? ABI_ARRAY : ABI_HASH;
	good_sizes(rng, create);
	good_flags(rng, create);
	if (!abi_is_percpu(create->map_type) && !abi_is_lru(create->map_type) && rng_one_in(rng, 4))
		command->lock = add_lock(rng, create);
	good_node(rng, create);
	if (rng_one_in(rng, 16))
		create->map_flags |= rng_one_in(rng, 2) ? ABI_F_RDONLY : ABI_F_WRONLY;
	if (rng_one_in(rng, 3))
		random_name(rng, create->map_name);
	keep_small(create, limit);
}

/* The next three change one thing of the attributes, mostly to something wrong. */
static void twist_size(struct rng *rng, struct abi_create *create)
{
	static const uint32_t types[] = { 0, 34, 200, 0x7fffffff, 0xffffffff };
	static const uint32_t maxima[] = { 0, 0, (1u << 31) + 1, 0xffffffff };
	static const uint32_t percpu_values[] = { PERCPU_LIMIT - 7, PERCPU_LIMIT, PERCPU_LIMIT + 1, 2 * PERCPU_LIMIT };
	bool array = abi_is_array(create->map_type);

	switch (rng_below(rng, 6)) {
	case 0:
		create->map_type = RNG_PICK(rng, types);
		break;
	case 1:
		create->key_size = 0;
		break;
	case 2:
		create->value_size = 0;
		break;
	case 3:
		create->max_entries = create->map_type == ABI_PERCPU_ARRAY ? 0 : RNG_PICK(rng, maxima);
		break;
	case 4:
		create->key_size = array ? rng_below(rng, 9) : RNG_PICK(rng, big_key_sizes);
		break;
	case 5: /* at the limits of sizes; rarely just below, where it takes time */
		create->max_entries = 1;
		if (abi_is_percpu(create->map_type) && rng_one_in(rng, 2))
			create->value_size = RNG_PICK(rng, percpu_values);
		else if (abi_is_percpu(create->map_type) && !array)
			create->key_size = HASH_SUM_LIMIT - create->value_size - (rng_one_in(rng, 8) ? 1 : 0);
		else if (array)
			create->value_size = rng_one_in(rng, 8) ? 1 * MIB : 1u << 31;
		else
			create->value_size = HASH_SUM_LIMIT - create->key_size - (rng_one_in(rng, 8) ? 1 : 0);
		break;
	}
}

static void twist_flags(struct rng *rng, struct abi_create *create)
{
	static const uint32_t nodes[] = { 0, 0, 4096, UINT32_MAX - 1 }; /* 0 is wrong for per-CPU types */

	switch (rng_below(rng, 7)) {
	case 0:
		create->map_flags |= 1u << rng_below(rng, 32);
		break;
	case 1:
		create->map_flags = (uint32_t)rng_next(rng);
		break;
	case 2:
		create->map_flags |= ABI_F_RDONLY | ABI_F_WRONLY;
		break;
	case 3:
		create->map_flags |= ABI_F_RDONLY_PROG | ABI_F_WRONLY_PROG;
		break;
	case 4:
		create->map_flags |= ABI_F_NUMA_NODE;
		create->numa_node = RNG_PICK(rng, nodes);
		break;
	case 5:
		create->map_flags |= rng_one_in(rng, 2) ? ABI_F_VTYPE_BTF_OBJ_FD : ABI_F_TOKEN_FD;
		break;
	case 6: /* with LRU types, what each of the two doesn't go with */
		create->map_flags |= ABI_F_NO_COMMON_LRU;
		create->map_flags |= rng_one_in(rng, 2) ? ABI_F_NUMA_NODE : ABI_F_NO_PREALLOC;
		break;
	}
}

static void twist_other(struct rng *rng, struct abi_create *create)
{
	static const uint32_t ids[] = { 1, 77, 0xffffffff };
	uint32_t at;

	switch (rng_below(rng, 8)) {
	case 0:
		memset(create->map_name, 'n', sizeof(create->map_name));
		break;
	case 1:
		at = rng_below(rng, 3);
		create->map_name[at] = (char)rng_next(rng);
		break;
	case 2:
		create->map_ifindex = rng_one_in(rng, 2) ? 1 : 0x7ffffff0;
		break;
	case 3:
		create->btf_key_type_id = RNG_PICK(rng, ids);
		break;
	case 4:
		create->btf_value_type_id = RNG_PICK(rng, ids);
		break;
	case 5:
		create->btf_vmlinux_value_type_id = RNG_PICK(rng, ids);
		break;
	case 6:
		create->map_extra = rng_one_in(rng, 2) ? 1 : rng_next(rng);
		break;
	case 7:
		create->excl_prog_hash_size = rng_one_in(rng, 2) ? 32 : rng_below(rng, 64);
		break;
	}
}

static void twist_create(struct rng *rng, struct abi_create *create)
{
	static void (*const twists[])(struct rng *, struct abi_create *) = { twist_size, twist_flags, twist_other };

	RNG_PICK(rng, twists)(rng, create);
}

void generate_create(struct rng *rng, struct command *command, bool twisted, bool by_cpus)
{
	struct abi_create *create = &command->create;

	command->op = OP_CREATE;
	command->buffer[0].place = AT_NULL;
	command->attr_size = rng_one_in(rng, 2) ? command_attr_end(OP_CREATE) : ABI_ATTR_SIZE;
	if (!twisted) {
		command->slot = rng_below(rng, SLOTS - 1);
		good_create(rng, command, rng_one_in(rng, 4) ? 1 * MIB : 128 * KIB, by_cpus);
		return;
	}
	command->slot = SLOTS - 1; /* where strange maps live for a moment */
	good_create(rng, command, 64 * KIB, by_cpus);
	if (rng_one_in(rng, 16)) { /* an index of many lines, nearly empty */
		create->map_type = ABI_HASH;
		create->map_flags &= ~(uint32_t)ABI_F_NO_COMMON_LRU;
		create->map_flags |= ABI_F_NO_PREALLOC;
		create->key_size = create->value_size = 8;
		create->max_entries = 1u << (13 + rng_below(rng, 5));
	}
	for (uint32_t n = rng_below(rng, 4); n; n--)
		twist_create(rng, create);
	if (rng_one_in(rng, 12)) /* whatever the type is, and the flags */
		command->lock = 4 * rng_below(rng, 4);
	keep_preallocated(create);
	if (create->excl_prog_hash_size || rng_one_in(rng, 20))
		command->buffer[0].place = rng_one_in(rng, 2) ? AT_BUFFER : rng_below(rng, AT_PARTNER);
	command->fd = rng_below(rng, FD_N);
	if (rng_one_in(rng, 2)) {
		create->btf_fd = create->inner_map_fd = 1; /* stand for command->fd, see execute.c */
		create->value_type_btf_obj_fd = create->map_token_fd = 1;
	}
	keep_small(create, 16 * MIB);
}
