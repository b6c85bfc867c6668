/* SPDX-License-Identifier: MIT */
/*
 * BTF by chance.
 *
 * Types are added one after another and refer to what fits best, as a rule an earlier type. With `wrong` in one of so
 * many choices something else is taken: a later id, one that doesn't exist, a kind that can't stand there, a size that
 * is too small. Some seeds add what chance would hardly find: chains about as long as the limits, and structs with
 * special fields. A quarter of them change some bytes in the end.
 */
#include <linux/btf.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "btf_generate.h"
#include "rng.h"

#define TYPES_MAX 160u

struct generator {
	struct rng rng;
	uint32_t wrong; /* one choice in so many is wrong; 0: none */
	struct btf_build build;
	uint32_t kind[TYPES_MAX]; /* by id; what is beyond has none */
	uint32_t size[TYPES_MAX]; /* 0: none, or unknown */
	bool locked[TYPES_MAX];	  /* it has a spin lock in it */
	uint32_t lock;		  /* the type of spin locks; 0: not there yet */
	uint32_t number;	  /* a 32-bit int */
};

static bool wrong(struct generator *g)
{
	return g->wrong && rng_one_in(&g->rng, g->wrong);
}

static uint32_t below(struct generator *g, uint32_t n)
{
	return n ? rng_below(&g->rng, n) : 0;
}

static uint32_t note(struct generator *g, uint32_t id, uint32_t kind, uint32_t size)
{
	if (id < TYPES_MAX) {
		g->kind[id] = kind;
		g->size[id] = size;
	}
	return id;
}

/* Names. */

static const char *good_name(struct generator *g)
{
	static const char *const names[] = { "a",   "b",       "zz_one", "zz_two",    "_",
					     "x.y", "zz_node", "next",	 "\xe9t\xe9", "T9" };

	return RNG_PICK(&g->rng, names);
}

static const char *bad_name(struct generator *g)
{
	static char long_name[600];
	static const char *const names[] = { "", "9a", "a b", "a-b", "\x01", "\xd7", ".x", "bpf_spin_lock", "a:b" };
	uint32_t length = 509 + below(g, 6);

	if (!rng_one_in(&g->rng, 4))
		return RNG_PICK(&g->rng, names);
	memset(long_name, 'n', length);
	long_name[length] = 0;
	return long_name;
}

static const char *some_name(struct generator *g)
{
	return wrong(g) ? bad_name(g) : good_name(g);
}

/* For what may be anonymous. */
static const char *maybe_name(struct generator *g)
{
	return rng_one_in(&g->rng, 4) ? NULL : some_name(g);
}

static const char *no_name(struct generator *g)
{
	return wrong(g) ? good_name(g) : NULL;
}

/* References. */

static uint32_t any_id(struct generator *g)
{
	static const uint32_t odd[] = { 0, 0xfffff, 0x100000, 0xffffffff, 500 };

	switch (below(g, 8)) {
	case 0:
		return RNG_PICK(&g->rng, odd);
	case 1:
	case 2:
		return g->build.n + below(g, 4);
	default:
		return below(g, g->build.n + 1);
	}
}

static bool is_kind(const struct generator *g, uint32_t id, uint32_t kinds)
{
	return id && id < TYPES_MAX && kinds >> g->kind[id] & 1;
}

/* An id of one of the kinds; any if there is none. */
static uint32_t id_of(struct generator *g, uint32_t kinds)
{
	if (!wrong(g))
		for (int tries = 0; tries < 40; tries++) {
			uint32_t id = 1 + below(g, g->build.n);

			if (is_kind(g, id, kinds))
				return id;
		}
	return any_id(g);
}

/* An id with a known size. */
static uint32_t id_of_part(struct generator *g)
{
	if (!wrong(g))
		for (int tries = 0; tries < 40; tries++) {
			uint32_t id = 1 + below(g, g->build.n);

			if (id < TYPES_MAX && g->size[id])
				return id;
		}
	return any_id(g);
}

static uint32_t size_of(const struct generator *g, uint32_t id)
{
	return id < TYPES_MAX ? g->size[id] : 0;
}

#define BIT(kind) (1u << BTF_KIND_##kind)
#define MODIFIERS (BIT(TYPEDEF) | BIT(CONST) | BIT(VOLATILE) | BIT(RESTRICT) | BIT(TYPE_TAG))
#define REFERABLE                                                                                               \
	(BIT(INT) | BIT(PTR) | BIT(ARRAY) | BIT(STRUCT) | BIT(UNION) | BIT(ENUM) | BIT(FWD) | BIT(FUNC_PROTO) | \
	 BIT(FLOAT) | BIT(ENUM64) | BIT(TYPEDEF) | BIT(CONST) | BIT(VOLATILE))

static uint32_t slightly_off(struct generator *g, uint32_t n)
{
	static const int32_t by[] = { -8, -4, -1, 1, 4, 8 };

	return wrong(g) ? n + (uint32_t)RNG_PICK(&g->rng, by) : n;
}

static uint32_t vlen_of_none(struct generator *g)
{
	return wrong(g) ? 1 : 0;
}

static void maybe_flag(struct generator *g)
{
	if (wrong(g))
		build_flag(&g->build);
}

/* One type of each kind. */

static void add_int(struct generator *g)
{
	static const uint32_t sizes[] = { 1, 2, 4, 4, 8, 16 };
	static const uint32_t data[] = { 0x01000000, 0x02000000, 0x04000000, 0 };
	uint32_t size = RNG_PICK(&g->rng, sizes), bits = slightly_off(g, size * 8), word;

	word = RNG_PICK(&g->rng, data) | (bits & 0xff);
	if (wrong(g))
		word |= (uint32_t)(rng_next(&g->rng) & rng_next(&g->rng));
	const char *name = maybe_name(g);

	note(g, build_type(&g->build, name, BTF_KIND_INT, vlen_of_none(g), size), BTF_KIND_INT, size);
	maybe_flag(g);
	build_word(&g->build, word);
}

static void add_reference(struct generator *g, uint32_t kind)
{
	static const char *const tags[] = { "kptr", "kptr_untrusted", "percpu_kptr", "uptr", "user", "kptr" };
	uint32_t to = rng_one_in(&g->rng, 12) ? 0 : id_of(g, kind == BTF_KIND_PTR ? REFERABLE | MODIFIERS : REFERABLE);
	const char *name = no_name(g);
	uint32_t id;

	if (kind == BTF_KIND_TYPEDEF)
		name = some_name(g);
	else if (kind == BTF_KIND_TYPE_TAG)
		name = wrong(g) ? NULL : RNG_PICK(&g->rng, tags);
	if (kind == BTF_KIND_TYPE_TAG && rng_one_in(&g->rng, 2))
		to = id_of(g, BIT(STRUCT));
	id = note(g, build_type(&g->build, name, kind, vlen_of_none(g), to), kind,
		  kind == BTF_KIND_PTR ? 8 : size_of(g, to));
	if (id < TYPES_MAX && kind != BTF_KIND_PTR && to < TYPES_MAX)
		g->locked[id] = g->locked[to];
	if (kind == BTF_KIND_TYPE_TAG && rng_one_in(&g->rng, 10))
		build_flag(&g->build);
	else
		maybe_flag(g);
}

static void add_array(struct generator *g)
{
	static const uint32_t counts[] = { 0, 1, 1, 2, 3, 5, 0x10000, 0x40000000 };
	uint32_t of = id_of_part(g), index = id_of(g, BIT(INT)), n = RNG_PICK(&g->rng, counts), id;

	if (n > 5 && !wrong(g))
		n = 4;
	const char *name = no_name(g);
	uint32_t size = wrong(g) ? 4 : 0;

	id = note(g, build_type(&g->build, name, BTF_KIND_ARRAY, vlen_of_none(g), size), BTF_KIND_ARRAY,
		  n * size_of(g, of));
	if (id < TYPES_MAX && of < TYPES_MAX)
		g->locked[id] = g->locked[of];
	maybe_flag(g);
	build_word(&g->build, of);
	build_word(&g->build, index);
	build_word(&g->build, n);
}

/* Members one behind the other, aligned to their size. The kernel logs a warning of its own when a value has two locks
 * in different structs, so that isn't asked for. */
static void add_struct(struct generator *g, uint32_t kind, const char *name)
{
	uint32_t type[12], offset[12], n = below(g, 7), end = 0, size, at = 0;
	bool flag = rng_one_in(&g->rng, 4), locked = false;
	uint32_t id = g->build.n + 1;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t align;

		type[i] = rng_one_in(&g->rng, 5) && g->lock ? g->lock : id_of_part(g);
		if (type[i] < TYPES_MAX && g->locked[type[i]]) {
			if (locked && !(type[i] == g->lock && wrong(g)))
				type[i] = g->number;
			locked = true;
		}
		size = size_of(g, type[i]);
		align = size >= 8 ? 8 : size > 1 ? size & (~size + 1) : 1;
		at = kind == BTF_KIND_UNION ? 0 : (end + align - 1) & ~(align - 1);
		offset[i] = at * 8;
		if (wrong(g))
			offset[i] += below(g, 64);
		if (flag &&
		    (is_kind(g, type[i], BIT(INT) | BIT(ENUM) | BIT(ENUM64)) ? rng_one_in(&g->rng, 2) : wrong(g)) &&
		    !(offset[i] >> 24))
			offset[i] |= slightly_off(g, 1 + below(g, 8)) << 24;
		if (at + size > end)
			end = at + size;
	}
	size = slightly_off(g, (end + 7) & ~7u);
	note(g, build_type(&g->build, name, kind, n, size), kind, size);
	if (id < TYPES_MAX)
		g->locked[id] = locked;
	if (flag)
		build_flag(&g->build);
	for (uint32_t i = 0; i < n; i++)
		build_member(&g->build, maybe_name(g), type[i], offset[i]);
}

static void add_enum(struct generator *g, uint32_t kind)
{
	static const uint32_t sizes[] = { 1, 2, 4, 4, 8, 3, 16, 0 };
	uint32_t n = below(g, 4), size = sizes[below(g, wrong(g) ? 8 : 5)];

	note(g, build_type(&g->build, maybe_name(g), kind, n, size), kind, size);
	if (rng_one_in(&g->rng, 2))
		build_flag(&g->build);
	for (uint32_t i = 0; i < n; i++) {
		build_word(&g->build, build_string(&g->build, some_name(g)));
		build_word(&g->build, i);
		if (kind == BTF_KIND_ENUM64)
			build_word(&g->build, 0);
	}
}

static void add_fwd(struct generator *g)
{
	const char *name = some_name(g);
	uint32_t size = wrong(g) ? 1 : 0;

	note(g, build_type(&g->build, name, BTF_KIND_FWD, vlen_of_none(g), size), BTF_KIND_FWD, 0);
	if (rng_one_in(&g->rng, 2))
		build_flag(&g->build);
}

static void add_proto(struct generator *g)
{
	uint32_t n = below(g, 4), result = rng_one_in(&g->rng, 3) ? 0 : id_of_part(g);

	note(g, build_type(&g->build, no_name(g), BTF_KIND_FUNC_PROTO, n, result), BTF_KIND_FUNC_PROTO, 0);
	maybe_flag(g);
	for (uint32_t i = 0; i < n; i++) {
		bool dots = i == n - 1 && rng_one_in(&g->rng, 3);
		const char *name = dots ? no_name(g) : wrong(g) ? NULL : some_name(g);

		build_word(&g->build, wrong(g) ? (uint32_t)rng_next(&g->rng) : build_string(&g->build, name));
		build_word(&g->build, dots ? 0 : id_of_part(g));
	}
}

static void add_func(struct generator *g)
{
	uint32_t linkage = below(g, wrong(g) ? 4 : 2);

	if (!wrong(g))
		add_proto(g);

	const char *name = some_name(g);

	note(g, build_type(&g->build, name, BTF_KIND_FUNC, linkage, id_of(g, BIT(FUNC_PROTO))), BTF_KIND_FUNC, 0);
	maybe_flag(g);
}

static void add_var(struct generator *g)
{
	uint32_t type = id_of_part(g), vlen = vlen_of_none(g);
	uint32_t id = build_type(&g->build, some_name(g), BTF_KIND_VAR, vlen, type);

	note(g, id, BTF_KIND_VAR, 0);
	if (id < TYPES_MAX && type < TYPES_MAX)
		g->locked[id] = g->locked[type];
	maybe_flag(g);
	build_word(&g->build, below(g, wrong(g) ? 4 : 2));
}

/* The type of a variable. */
static uint32_t type_of_var(const struct generator *g, uint32_t id)
{
	uint32_t type = 0;

	for (size_t at = 0, n = 1; n <= id && at + 12 <= g->build.types.size; n++) {
		uint32_t words[3];
		static const uint32_t fixed[NR_BTF_KINDS] = {
			[BTF_KIND_INT] = 4, [BTF_KIND_ARRAY] = 12, [BTF_KIND_VAR] = 4, [BTF_KIND_DECL_TAG] = 4
		};
		static const uint32_t each[NR_BTF_KINDS] = {
			[BTF_KIND_STRUCT] = 12, [BTF_KIND_UNION] = 12,	   [BTF_KIND_ENUM] = 8,
			[BTF_KIND_ENUM64] = 12, [BTF_KIND_FUNC_PROTO] = 8, [BTF_KIND_DATASEC] = 12
		};
		uint32_t kind;

		memcpy(words, g->build.types.data + at, sizeof(words));
		kind = BTF_INFO_KIND(words[1]);
		type = words[2];
		at += 12 + fixed[kind] + BTF_INFO_VLEN(words[1]) * each[kind];
	}
	return type;
}

static void add_datasec(struct generator *g)
{
	uint32_t var[6], offset[6], room[6], n = 1 + below(g, 4), end = 0, id;
	bool locked = false;

	for (uint32_t i = 0; i < n && !wrong(g); i++)
		add_var(g);
	id = g->build.n + 1;

	for (uint32_t i = 0; i < n; i++) {
		var[i] = id_of(g, BIT(VAR));
		if (var[i] < TYPES_MAX && g->locked[var[i]]) {
			if (locked) {
				n = i;
				break;
			}
			locked = true;
		}
		room[i] = slightly_off(g, size_of(g, type_of_var(g, var[i])));
		offset[i] = slightly_off(g, (end + 7) & ~7u);
		end = offset[i] + room[i];
	}
	const char *name = wrong(g) ? bad_name(g) : ".data a";

	note(g, build_type(&g->build, name, BTF_KIND_DATASEC, n, slightly_off(g, end)), BTF_KIND_DATASEC, 0);
	if (id < TYPES_MAX)
		g->locked[id] = locked;
	maybe_flag(g);
	for (uint32_t i = 0; i < n; i++) {
		build_word(&g->build, var[i]);
		build_word(&g->build, offset[i]);
		build_word(&g->build, room[i]);
	}
}

static void add_float(struct generator *g)
{
	static const uint32_t sizes[] = { 2, 4, 8, 12, 16, 0, 3, 32 };
	uint32_t size = sizes[below(g, wrong(g) ? 8 : 5)];

	const char *name = maybe_name(g);

	note(g, build_type(&g->build, name, BTF_KIND_FLOAT, vlen_of_none(g), size), BTF_KIND_FLOAT, size);
	maybe_flag(g);
}

static void add_decl_tag(struct generator *g)
{
	static const char *const tags[] = { "contains:zz_node:next", "contains:a:b", "contains:", "tag",
					    "contains:zz_node" };
	uint32_t target = id_of(g, BIT(FUNC) | BIT(STRUCT) | BIT(UNION) | BIT(VAR) | BIT(TYPEDEF));
	int32_t component =
		is_kind(g, target, BIT(STRUCT) | BIT(FUNC)) && rng_one_in(&g->rng, 3) ? (int32_t)below(g, 3) : -1;

	const char *tag = wrong(g) ? NULL : RNG_PICK(&g->rng, tags);

	note(g, build_type(&g->build, tag, BTF_KIND_DECL_TAG, vlen_of_none(g), target), BTF_KIND_DECL_TAG, 0);
	if (rng_one_in(&g->rng, 10))
		build_flag(&g->build);
	build_word(&g->build, wrong(g) ? (uint32_t)-2 : (uint32_t)component);
}

/* What chance alone would hardly come to. */

struct special {
	const char *name;
	uint32_t size;
};
static const struct special specials[] = {
	{ "bpf_list_head", 16 }, { "bpf_list_node", 24 }, { "bpf_rb_root", 16 }, { "bpf_rb_node", 32 },
	{ "bpf_refcount", 4 },	 { "bpf_timer", 16 },	  { "bpf_wq", 16 },	 { "bpf_res_spin_lock", 4 },
	{ "bpf_task_work", 8 },	 { "bpf_task_work", 16 }, { "bpf_dynptr", 16 },
};

static void add_lock(struct generator *g)
{
	uint32_t id = g->build.n + 1;

	if (wrong(g)) {
		note(g, build_type(&g->build, "bpf_spin_lock", BTF_KIND_TYPEDEF, 0, g->number), BTF_KIND_TYPEDEF, 4);
	} else {
		note(g, build_type(&g->build, "bpf_spin_lock", BTF_KIND_STRUCT, 1, slightly_off(g, 4)), BTF_KIND_STRUCT,
		     4);
		build_member(&g->build, "val", g->number, 0);
	}
	if (id < TYPES_MAX)
		g->locked[id] = true;
	if (!g->lock)
		g->lock = id;
}

static void add_special(struct generator *g)
{
	const struct special *special = &RNG_PICK(&g->rng, specials);

	uint32_t kind = wrong(g) ? BTF_KIND_UNION : BTF_KIND_STRUCT;

	note(g, build_type(&g->build, special->name, kind, 0, slightly_off(g, special->size)), BTF_KIND_STRUCT,
	     special->size);
}

/* Puts a member behind those before; now and then where the last one is. */
static void put_behind(struct generator *g, const char *name, uint32_t type, uint32_t *end)
{
	uint32_t at = (*end + 7) & ~7u, back = wrong(g) && at >= 8 ? 8 : 0;

	build_member(&g->build, name, type, (at - back) * 8);
	*end = at - back + size_of(g, type);
}

/* Some of a type: one, an array, or an array of structs of one. */
static uint32_t add_some_of(struct generator *g, uint32_t type)
{
	uint32_t n = below(g, 8) ? 1 + below(g, 3) : 10 + below(g, 4), id = type;

	if (rng_one_in(&g->rng, 2))
		return type;
	if (rng_one_in(&g->rng, 2)) {
		id = note(g, build_type(&g->build, NULL, BTF_KIND_STRUCT, 1, size_of(g, type)), BTF_KIND_STRUCT,
			  size_of(g, type));
		build_member(&g->build, "one", type, 0);
		if (!wrong(g)) {
			build_type(&g->build, "contains:zz_node:next", BTF_KIND_DECL_TAG, 0, id);
			build_word(&g->build, 0);
		}
	}
	return note(g, build_array(&g->build, id, g->number, n), BTF_KIND_ARRAY, n * size_of(g, id));
}

/* A list or a tree: a node's struct, and one with a root of such, or pointers to them. */
static void add_graph(struct generator *g)
{
	bool list = rng_one_in(&g->rng, 2), locked = g->lock && !wrong(g), owner = rng_one_in(&g->rng, 3);
	uint32_t node =
		build_type(&g->build, list ? "bpf_list_node" : "bpf_rb_node", BTF_KIND_STRUCT, 0, list ? 24 : 32);
	uint32_t root = build_type(&g->build, list ? "bpf_list_head" : "bpf_rb_root", BTF_KIND_STRUCT, 0, 16);
	uint32_t roots, object, holder, end = 0;

	note(g, node, BTF_KIND_STRUCT, list ? 24 : 32);
	note(g, root, BTF_KIND_STRUCT, 16);
	object = note(g, build_type(&g->build, "zz_node", BTF_KIND_STRUCT, 2 + locked, 64), BTF_KIND_STRUCT, 64);
	const char *next = wrong(g) ? "other" : "next";

	put_behind(g, next, wrong(g) ? root : node, &end);
	put_behind(g, "n", owner && rng_one_in(&g->rng, 2) ? root : g->number, &end);
	if (locked)
		put_behind(g, "lock", g->lock, &end);
	if (object < TYPES_MAX)
		g->locked[object] = locked;
	if (rng_one_in(&g->rng, 2)) {
		build_type(&g->build, "contains:zz_node:next", BTF_KIND_DECL_TAG, 0, object);
		build_word(&g->build, 1);
	}
	if (rng_one_in(&g->rng, 4)) {
		build_type(&g->build, "kptr", BTF_KIND_TYPE_TAG, 0, object);
		root = note(g, build_type(&g->build, NULL, BTF_KIND_PTR, 0, g->build.n), BTF_KIND_PTR, 8);
		for (uint32_t times = below(g, 3); times; times--)
			root = note(g, build_type(&g->build, NULL, BTF_KIND_VOLATILE, 0, root), BTF_KIND_VOLATILE, 8);
	}
	roots = add_some_of(g, root);
	end = 0;
	holder = g->build.n + 1;
	note(g, build_type(&g->build, "zz_holder", BTF_KIND_STRUCT, 2 + locked, 288), BTF_KIND_STRUCT, 288);
	put_behind(g, "first", roots, &end);
	put_behind(g, "own", owner ? node : g->number, &end);
	if (locked)
		put_behind(g, "lock", g->lock, &end);
	if (holder < TYPES_MAX)
		g->locked[holder] = locked;
	if (!wrong(g)) {
		build_type(&g->build, "contains:zz_node:next", BTF_KIND_DECL_TAG, 0, holder);
		build_word(&g->build, 0);
	}
}

/* About as many types as may wait for each other, each of which needs the next. */
static void add_chain(struct generator *g)
{
	static const uint32_t kinds[] = { BTF_KIND_TYPEDEF, BTF_KIND_CONST,  BTF_KIND_PTR,
					  BTF_KIND_ARRAY,   BTF_KIND_STRUCT, BTF_KIND_TYPE_TAG };
	uint32_t kind = RNG_PICK(&g->rng, kinds), length = 28 + below(g, 8);
	bool upwards = rng_one_in(&g->rng, 2); /* to later ids: all wait at the same time */

	for (uint32_t i = 0; i < length; i++) {
		uint32_t self = g->build.n + 1, to = upwards ? self + 1 : i ? self - 1 : g->number;

		if (rng_one_in(&g->rng, 60))
			kind = RNG_PICK(&g->rng, kinds);
		if (upwards && i == length - 1)
			to = g->number;
		switch (kind) {
		case BTF_KIND_ARRAY:
			build_array(&g->build, to, g->number, 1);
			break;
		case BTF_KIND_STRUCT:
			build_type(&g->build, NULL, kind, 1, 4);
			build_member(&g->build, "m", to, 0);
			break;
		default:
			build_type(&g->build, kind == BTF_KIND_TYPEDEF || kind == BTF_KIND_TYPE_TAG ? "t" : NULL, kind,
				   0, to);
		}
		note(g, self, kind, kind == BTF_KIND_PTR ? 8 : 4);
	}
}

static void add_any(struct generator *g)
{
	static const uint32_t kinds[] = {
		BTF_KIND_INT,	 BTF_KIND_INT,	    BTF_KIND_PTR,    BTF_KIND_PTR,	BTF_KIND_ARRAY,
		BTF_KIND_ARRAY,	 BTF_KIND_STRUCT,   BTF_KIND_STRUCT, BTF_KIND_STRUCT,	BTF_KIND_STRUCT,
		BTF_KIND_UNION,	 BTF_KIND_ENUM,	    BTF_KIND_FWD,    BTF_KIND_TYPEDEF,	BTF_KIND_TYPEDEF,
		BTF_KIND_CONST,	 BTF_KIND_RESTRICT, BTF_KIND_FUNC,   BTF_KIND_VOLATILE, BTF_KIND_FUNC_PROTO,
		BTF_KIND_VAR,	 BTF_KIND_DATASEC,  BTF_KIND_FLOAT,  BTF_KIND_DECL_TAG, BTF_KIND_TYPE_TAG,
		BTF_KIND_ENUM64,
	};
	uint32_t kind = RNG_PICK(&g->rng, kinds);

	switch (kind) {
	case BTF_KIND_INT:
		return add_int(g);
	case BTF_KIND_ARRAY:
		return add_array(g);
	case BTF_KIND_STRUCT:
	case BTF_KIND_UNION:
		return add_struct(g, kind, maybe_name(g));
	case BTF_KIND_ENUM:
	case BTF_KIND_ENUM64:
		return add_enum(g, kind);
	case BTF_KIND_FWD:
		return add_fwd(g);
	case BTF_KIND_FUNC_PROTO:
		return add_proto(g);
	case BTF_KIND_FUNC:
		return add_func(g);
	case BTF_KIND_VAR:
		return add_var(g);
	case BTF_KIND_DATASEC:
		return add_datasec(g);
	case BTF_KIND_FLOAT:
		return add_float(g);
	case BTF_KIND_DECL_TAG:
		return add_decl_tag(g);
	default:
		return add_reference(g, kind);
	}
}

/* Changes of the finished bytes. */

static void put_word(struct btf_bytes *raw, size_t at, uint32_t word)
{
	if (at + sizeof(word) <= raw->size)
		memcpy(raw->data + at, &word, sizeof(word));
}

static void spoil_word(struct generator *g, struct btf_bytes *raw)
{
	static const uint32_t words[] = { 0,  1,  2,   3,	4,	  8,	    31,		32,
					  33, 64, 128, 0xfffff, 0x100000, 0xffffff, 0x7fffffff, 0xffffffff };
	size_t at = 24 + 4 * (size_t)below(g, (uint32_t)(g->build.types.size / 4));

	put_word(raw, at, rng_one_in(&g->rng, 2) ? RNG_PICK(&g->rng, words) : below(g, g->build.n + 2));
}

static void spoil_header(struct generator *g, struct btf_bytes *raw)
{
	static const uint32_t lengths[] = { 0, 1, 2, 3, 4, 5, 7, 8, 9, 16, 20, 23, 25, 28, 32, 0xffffffff };
	uint32_t word, at = 4 * below(g, 6);

	memcpy(&word, raw->data + at, sizeof(word));
	if (at == 4)
		word = RNG_PICK(&g->rng, lengths);
	else if (rng_one_in(&g->rng, 2))
		word ^= 1u << below(g, 32);
	else
		word += below(g, 9) - 4;
	put_word(raw, at, word);
}

/* A header that is longer, as a later version's could be. */
static void grow_header(struct generator *g, struct btf_bytes *raw)
{
	static const unsigned char zeros[16];
	uint32_t more = 1 + below(g, 16);

	bytes_add(raw, zeros, more);
	memmove(raw->data + 24 + more, raw->data + 24, raw->size - 24 - more);
	memset(raw->data + 24, 0, more);
	if (wrong(g))
		raw->data[24 + below(g, more)] = 1;
	put_word(raw, 4, 24 + more);
}

static void spoil(struct generator *g, struct btf_bytes *raw)
{
	switch (below(g, 12)) {
	case 0:
		spoil_header(g, raw);
		break;
	case 1:
		grow_header(g, raw);
		break;
	case 2:
		raw->size -= below(g, raw->size < 8 ? 1 : 8);
		break;
	case 3:
		bytes_add(raw, "\0\0\0\0\0\0\0", 1 + below(g, 7));
		break;
	case 4:
	case 5:
		if (raw->size) {
			uint32_t at = below(g, (uint32_t)raw->size);

			raw->data[at] ^= (unsigned char)(1u << below(g, 8));
		}
		break;
	default:
		spoil_word(g, raw);
	}
}

uint32_t btf_generate(uint64_t seed, struct btf_bytes *raw)
{
	static const uint32_t rates[] = { 0, 0, 0, 400, 150, 60, 20 };
	struct generator g = { .rng = { seed } };
	uint32_t n = 1 + rng_below(&g.rng, 24), n_types;

	g.wrong = RNG_PICK(&g.rng, rates);
	g.number = note(&g, build_int(&g.build, "int", 4), BTF_KIND_INT, 4);
	for (uint32_t i = 0; i < n; i++) {
		switch (rng_below(&g.rng, 60)) {
		case 0:
			add_chain(&g);
			break;
		case 1:
			add_special(&g);
			break;
		case 2:
			add_graph(&g);
			break;
		case 3:
		case 4:
		case 5:
		case 6:
		case 7:
			add_lock(&g);
			break;
		default:
			add_any(&g);
		}
	}
	build_finish(&g.build, raw);
	if (rng_one_in(&g.rng, 4))
		for (uint32_t times = 1 + rng_below(&g.rng, 2); times; times--)
			spoil(&g, raw);
	n_types = g.build.n;
	build_free(&g.build);
	return n_types;
}
