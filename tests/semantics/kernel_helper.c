/* SPDX-License-Identifier: MIT */
/*
 * The kernel's program face: a BPF program for each helper and map, assembled here, loaded at its first use and run by
 * BPF_PROG_TEST_RUN. Arguments and result lie in a map that programs and this file share, which is mapped here.
 *
 * A program can't be told to read or write a span of a map's value whose size it does not know when it is written, so
 * each is written for its map's sizes. Spans are copied by bpf_probe_read_kernel(), which stores anywhere a program may;
 * but under a spin lock programs may call nothing, so there the copy is a row of loads and stores.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "btf_build.h"
#include "kernel.h"
#include "kernel_helper.h"
#include "memory.h"

enum {
	CALL_LOOKUP = 1,
	CALL_UPDATE = 2,
	CALL_DELETE = 3,
	CALL_SPIN_LOCK = 93,
	CALL_SPIN_UNLOCK = 94,
	CALL_PROBE_READ_KERNEL = 113,
	CALL_FOR_EACH = 164,
	CALL_LOOKUP_PERCPU = 195,
};

/* The shared map's one value. */
struct shared {
	int64_t result;
	uint64_t flags, delta, offset;
	uint64_t cpu, each, limit;
	uint64_t seen; /* callbacks so far */
	unsigned char key[HELPER_KEY_MAX];
	unsigned char value[HELPER_VALUE_MAX], out[HELPER_VALUE_MAX];
};

static struct shared *shared;
static int shared_fd;

struct programs {
	struct helper_map map;
	int program[HELPER_N]; /* -1: not loaded */
	int log_fd;	       /* an array, where a for_each notes its entries; -1: not yet made */
	unsigned char *log;
	size_t log_size;
};

/* An instruction as a little-endian number: uint64_t without its bit-fields. */
static uint64_t insn(int code, int dst, int src, int off, int imm)
{
	return (uint64_t)code | (uint64_t)dst << 8 | (uint64_t)src << 12 | (uint64_t)(uint16_t)off << 16 |
	       (uint64_t)(uint32_t)imm << 32;
}

#define MOV_REG(d, s)	     insn(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_IMM(d, i)	     insn(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ADD_REG(d, s)	     insn(BPF_ALU64 | BPF_ADD | BPF_X, d, s, 0, 0)
#define ADD_IMM(d, i)	     insn(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define LOAD(size, d, s, o)  insn(BPF_LDX | BPF_MEM | (size), d, s, o, 0)
#define STORE(size, d, s, o) insn(BPF_STX | BPF_MEM | (size), d, s, o, 0)
#define JUMP_IMM(op, d, i)   insn(BPF_JMP | (op) | BPF_K, d, 0, 0, i)
#define JUMP_REG(op, d, s)   insn(BPF_JMP | (op) | BPF_X, d, s, 0, 0)
#define CALL(helper)	     insn(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define EXIT()		     insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

enum { R0, R1, R2, R3, R4, R6 = BPF_REG_6, R7, R8, R9, FRAME };

/* A program being written. */
struct writer {
	uint64_t code[1024];
	int at;
	int callback; /* where the callback begins, 0: there is none */
};

static void put(struct writer *w, uint64_t instruction)
{
	if (w->at == sizeof(w->code) / sizeof(w->code[0])) {
		fprintf(stderr, "a program is too long\n");
		exit(1);
	}
	w->code[w->at++] = instruction;
}

/* A 64-bit constant that the verifier replaces. */
static void put_address(struct writer *w, int reg, int source, int fd, int offset)
{
	put(w, insn(BPF_LD | BPF_DW | BPF_IMM, reg, source, 0, fd));
	put(w, insn(0, 0, 0, 0, offset));
}

static void put_map(struct writer *w, int reg, int fd)
{
	put_address(w, reg, BPF_PSEUDO_MAP_FD, fd, 0);
}

#define put_shared(w, reg, field) \
	put_address(w, reg, BPF_PSEUDO_MAP_VALUE, shared_fd, (int)offsetof(struct shared, field))

/* reg = shared->field */
#define put_argument(w, reg, field)                \
	do {                                       \
		put_shared(w, reg, field);         \
		put(w, LOAD(BPF_DW, reg, reg, 0)); \
	} while (0)

static int put_jump(struct writer *w, uint64_t jump)
{
	put(w, jump);
	return w->at - 1;
}

/* A jump that was put goes to here. */
static void land(struct writer *w, int jump)
{
	w->code[jump] |= (uint64_t)(uint16_t)(w->at - jump - 1) << 16;
}

/* R0 = the value's address; -ENOENT and the program's end if there is none. */
static void put_lookup(struct writer *w, const struct helper_map *map)
{
	int found;

	put_map(w, R1, map->fd);
	put_shared(w, R2, key);
	put(w, CALL(CALL_LOOKUP));
	found = put_jump(w, JUMP_IMM(BPF_JNE, R0, 0));
	put_shared(w, R1, result);
	put(w, MOV_IMM(R0, -ENOENT));
	put(w, STORE(BPF_DW, R1, R0, 0));
	put(w, MOV_IMM(R0, 0));
	put(w, EXIT());
	land(w, found);
}

/* The program's end; R0 is the result. */
static void put_end(struct writer *w)
{
	put_shared(w, R1, result);
	put(w, STORE(BPF_DW, R1, R0, 0));
	put(w, MOV_IMM(R0, 0));
	put(w, EXIT());
}

static void put_copy_out(struct writer *w, const struct helper_map *map)
{
	put(w, MOV_REG(R3, R0));
	put_shared(w, R1, out);
	put(w, MOV_IMM(R2, (int)map->create.value_size));
	put(w, CALL(CALL_PROBE_READ_KERNEL));
}

static void write_lookup(struct writer *w, const struct helper_map *map)
{
	put_lookup(w, map);
	put_copy_out(w, map);
	put_end(w);
}

static void write_lookup_percpu(struct writer *w, const struct helper_map *map)
{
	int found, end;

	put_map(w, R1, map->fd);
	put_shared(w, R2, key);
	put_argument(w, R3, cpu);
	put(w, CALL(CALL_LOOKUP_PERCPU));
	found = put_jump(w, JUMP_IMM(BPF_JNE, R0, 0));
	put(w, MOV_IMM(R0, -ENOENT));
	end = put_jump(w, insn(BPF_JMP | BPF_JA, 0, 0, 0, 0));
	land(w, found);
	put_copy_out(w, map);
	land(w, end);
	put_end(w);
}

static void write_update(struct writer *w, const struct helper_map *map)
{
	put_argument(w, R4, flags);
	put_map(w, R1, map->fd);
	put_shared(w, R2, key);
	put_shared(w, R3, value);
	put(w, CALL(CALL_UPDATE));
	put_end(w);
}

static void write_delete(struct writer *w, const struct helper_map *map)
{
	put_map(w, R1, map->fd);
	put_shared(w, R2, key);
	put(w, CALL(CALL_DELETE));
	put_end(w);
}

/* Bytes [from, to) at R7 go to where R6 is, by the largest aligned pieces. */
static void put_moves(struct writer *w, uint32_t from, uint32_t to)
{
	while (from < to) {
		static const int codes[] = { BPF_B, BPF_H, BPF_W, BPF_DW };
		int step = 3;

		while (from % (1u << step) || from + (1u << step) > to)
			step--;
		put(w, LOAD(codes[step], R1, R7, (int)from));
		put(w, STORE(codes[step], R6, R1, (int)from));
		from += 1u << step;
	}
}

static void put_lock_call(struct writer *w, uint32_t lock_off, int helper)
{
	put(w, MOV_REG(R1, R6));
	put(w, ADD_IMM(R1, (int)lock_off));
	put(w, CALL(helper));
}

static void write_store(struct writer *w, const struct helper_map *map)
{
	put_lookup(w, map);
	if (map->lock_off == NO_LOCK) {
		put(w, MOV_REG(R1, R0));
		put(w, MOV_IMM(R2, (int)map->create.value_size));
		put_shared(w, R3, value);
		put(w, CALL(CALL_PROBE_READ_KERNEL));
	} else {
		put(w, MOV_REG(R6, R0));
		put_shared(w, R7, value);
		put_lock_call(w, map->lock_off, CALL_SPIN_LOCK);
		put_moves(w, 0, map->lock_off);
		put_moves(w, map->lock_off + 4, map->create.value_size);
		put_lock_call(w, map->lock_off, CALL_SPIN_UNLOCK);
		put(w, MOV_IMM(R0, 0));
	}
	put_end(w);
}

static void write_add(struct writer *w, const struct helper_map *map)
{
	int inside;

	put_lookup(w, map);
	put_argument(w, R2, offset);
	inside = put_jump(w, JUMP_IMM(BPF_JLE, R2, (int)map->create.value_size - 8));
	put(w, MOV_IMM(R0, -EINVAL));
	put_end(w);
	land(w, inside);
	put(w, ADD_REG(R0, R2));
	put_argument(w, R2, delta);
	put(w, LOAD(BPF_DW, R1, R0, 0));
	put(w, ADD_REG(R1, R2));
	put(w, STORE(BPF_DW, R0, R1, 0));
	put(w, MOV_IMM(R0, 0));
	put_end(w);
}

static uint32_t round_up_8(uint32_t size)
{
	return (size + 7) & ~7u;
}

/* The callback's note of its entry, if the log has room; R6 and R7 are key and value. */
static void put_note(struct writer *w, const struct programs *programs)
{
	const struct abi_create *create = &programs->map.create;
	int full;

	put_map(w, R1, programs->log_fd);
	put(w, MOV_REG(R2, FRAME));
	put(w, ADD_IMM(R2, -4));
	put(w, CALL(CALL_LOOKUP));
	full = put_jump(w, JUMP_IMM(BPF_JEQ, R0, 0));
	put(w, MOV_REG(R9, R0));
	put(w, MOV_REG(R1, R0));
	put(w, MOV_IMM(R2, (int)create->key_size));
	put(w, MOV_REG(R3, R6));
	put(w, CALL(CALL_PROBE_READ_KERNEL));
	put(w, MOV_REG(R1, R9));
	put(w, ADD_IMM(R1, (int)round_up_8(create->key_size)));
	put(w, MOV_IMM(R2, (int)create->value_size));
	put(w, MOV_REG(R3, R7));
	put(w, CALL(CALL_PROBE_READ_KERNEL));
	land(w, full);
}

static void put_update(struct writer *w, const struct helper_map *map, int flags)
{
	put_map(w, R1, map->fd);
	put_shared(w, R3, value);
	put(w, MOV_IMM(R4, flags));
	put(w, CALL(CALL_UPDATE));
}

/* What the callback does; R6 is the entry's key, R8 enum each. */
static void put_each(struct writer *w, const struct helper_map *map)
{
	int other = put_jump(w, JUMP_IMM(BPF_JNE, R8, EACH_DELETE));

	put_map(w, R1, map->fd);
	put(w, MOV_REG(R2, R6));
	put(w, CALL(CALL_DELETE));
	land(w, other);
	other = put_jump(w, JUMP_IMM(BPF_JNE, R8, EACH_UPDATE));
	put(w, MOV_REG(R2, R6));
	put_update(w, map, BPF_ANY);
	land(w, other);
	other = put_jump(w, JUMP_IMM(BPF_JNE, R8, EACH_INSERT));
	put_shared(w, R2, key);
	put_update(w, map, BPF_NOEXIST);
	land(w, other);
}

static void write_callback(struct writer *w, const struct programs *programs)
{
	int stop;

	put(w, MOV_REG(R6, R2));
	put(w, MOV_REG(R7, R3));
	put_argument(w, R1, seen);
	put(w, STORE(BPF_W, FRAME, R1, -4));
	put(w, ADD_IMM(R1, 1));
	put_shared(w, R2, seen);
	put(w, STORE(BPF_DW, R2, R1, 0));
	put_note(w, programs);
	put_argument(w, R8, each);
	put_each(w, &programs->map);
	put_argument(w, R1, seen);
	put_argument(w, R2, limit);
	put(w, MOV_IMM(R0, 1));
	stop = put_jump(w, JUMP_REG(BPF_JGE, R1, R2));
	put(w, MOV_IMM(R0, 0));
	land(w, stop);
	put(w, EXIT());
}

static void write_for_each(struct writer *w, const struct programs *programs)
{
	int callback;

	put_argument(w, R4, flags);
	put_map(w, R1, programs->map.fd);
	callback = w->at;
	put_address(w, R2, BPF_PSEUDO_FUNC, 0, 0);
	put(w, MOV_IMM(R3, 0));
	put(w, CALL(CALL_FOR_EACH));
	put_end(w);
	w->callback = w->at;
	w->code[callback] |= (uint64_t)(uint32_t)(w->callback - callback - 1) << 32;
	write_callback(w, programs);
}

static void write_program(struct writer *w, enum helper helper, const struct programs *programs)
{
	static void (*const writers[HELPER_N])(struct writer *, const struct helper_map *) = {
		[HELPER_LOOKUP] = write_lookup, [HELPER_LOOKUP_PERCPU] = write_lookup_percpu,
		[HELPER_UPDATE] = write_update, [HELPER_DELETE] = write_delete,
		[HELPER_STORE] = write_store,	[HELPER_ADD] = write_add,
	};

	if (helper == HELPER_FOR_EACH)
		write_for_each(w, programs);
	else
		writers[helper](w, &programs->map);
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int create_shared_map(uint32_t value_size, uint32_t max_entries)
{
	union abi_attr attr = { .create = { .map_type = ABI_ARRAY,
					    .key_size = 4,
					    .value_size = value_size,
					    .max_entries = max_entries,
					    .map_flags = ABI_F_MMAPABLE } };
	int fd = (int)kernel_bpf(ABI_MAP_CREATE, &attr, sizeof(attr));

	if (fd < 0)
		die("a map shared with programs");
	return fd;
}

static void *map_shared_map(int fd, size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		die("a map shared with programs");
	return p;
}

/* What the verifier wants to know of a program with a callback: which functions there are. */
static int load_functions(struct bpf_func_info functions[2], int callback)
{
	struct btf_build build = { .n = 0 };
	struct btf_bytes raw = { 0 };
	uint32_t number = build_int(&build, "long", 8);
	uint32_t prototype = build_type(&build, NULL, BTF_KIND_FUNC_PROTO, 0, number);
	union bpf_attr attr;
	int fd;

	functions[0].insn_off = 0;
	functions[0].type_id = build_type(&build, "run", BTF_KIND_FUNC, BTF_FUNC_STATIC, prototype);
	functions[1].insn_off = (uint32_t)callback;
	functions[1].type_id = build_type(&build, "each", BTF_KIND_FUNC, BTF_FUNC_STATIC, prototype);
	build_finish(&build, &raw);
	build_free(&build);
	memset(&attr, 0, sizeof(attr));
	attr.btf = (uintptr_t)raw.data;
	attr.btf_size = (uint32_t)raw.size;
	fd = (int)kernel_bpf(BPF_BTF_LOAD, &attr, sizeof(attr));
	bytes_free(&raw);
	if (fd < 0)
		die("types of a program");
	return fd;
}

static int load_program(const struct writer *w)
{
	static char log[1 << 16];
	struct bpf_func_info functions[2];
	union bpf_attr attr;
	int fd;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attr.insns = (uintptr_t)w->code;
	attr.insn_cnt = (uint32_t)w->at;
	attr.license = (uintptr_t) "Dual MIT/GPL";
	if (w->callback) {
		attr.prog_btf_fd = (uint32_t)load_functions(functions, w->callback);
		attr.func_info = (uintptr_t)functions;
		attr.func_info_cnt = 2;
		attr.func_info_rec_size = sizeof(functions[0]);
	}
	fd = (int)kernel_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
	if (fd < 0) {
		attr.log_buf = (uintptr_t)log;
		attr.log_size = sizeof(log);
		attr.log_level = 1;
		kernel_bpf(BPF_PROG_LOAD, &attr, sizeof(attr));
		fprintf(stderr, "%s\n", log);
		die("a program");
	}
	if (w->callback)
		close((int)attr.prog_btf_fd);
	return fd;
}

static void run_program(int fd)
{
	unsigned char packet[64] = { 0 };
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (uint32_t)fd;
	attr.test.data_in = (uintptr_t)packet;
	attr.test.data_size_in = sizeof(packet);
	if (kernel_bpf(BPF_PROG_TEST_RUN, &attr, sizeof(attr)))
		die("running a program");
}

static void *kernel_open(const struct helper_map *map)
{
	struct programs *programs = need_memory(sizeof(*programs));

	if (!shared) {
		shared_fd = create_shared_map(sizeof(*shared), 1);
		shared = map_shared_map(shared_fd, sizeof(*shared));
	}
	programs->map = *map;
	/* The slot's descriptor may come to be another one. */
	programs->map.fd = dup(map->fd);
	if (programs->map.fd < 0)
		die("a descriptor");
	programs->log_fd = -1;
	for (int i = 0; i < HELPER_N; i++)
		programs->program[i] = -1;
	return programs;
}

static void open_log(struct programs *programs)
{
	uint32_t entry = round_up_8(programs->map.create.key_size) + round_up_8(programs->map.create.value_size);

	programs->log_size = (size_t)entry * helper_room(&programs->map.create);
	programs->log_fd = create_shared_map(entry, helper_room(&programs->map.create));
	programs->log = map_shared_map(programs->log_fd, programs->log_size);
}

static void load(struct programs *programs, enum helper helper)
{
	struct writer w = { .at = 0 };

	if (helper == HELPER_FOR_EACH)
		open_log(programs);
	write_program(&w, helper, programs);
	programs->program[helper] = load_program(&w);
}

/* Gathers what the callback noted. */
static void read_log(const struct programs *programs, unsigned char *out, uint32_t room)
{
	uint32_t key_size = programs->map.create.key_size, value_size = programs->map.create.value_size;
	const unsigned char *note = programs->log;

	for (uint64_t i = 0; i < shared->seen && i < room; i++) {
		memcpy(out, note, key_size);
		memcpy(out + key_size, note + round_up_8(key_size), value_size);
		out += key_size + value_size;
		note += round_up_8(key_size) + round_up_8(value_size);
	}
}

static long kernel_call(void *opened, enum helper helper, const struct helper_call *call)
{
	struct programs *programs = opened;
	const struct abi_create *create = &programs->map.create;

	if (programs->program[helper] < 0)
		load(programs, helper);
	shared->flags = call->flags;
	shared->delta = call->delta;
	shared->offset = call->offset;
	shared->cpu = call->cpu;
	shared->each = call->each;
	shared->limit = call->limit;
	shared->seen = 0;
	if (call->key)
		memcpy(shared->key, call->key, create->key_size);
	if (call->value)
		memcpy(shared->value, call->value, create->value_size);
	if (call->out && helper != HELPER_FOR_EACH)
		memcpy(shared->out, call->out, create->value_size);
	run_program(programs->program[helper]);
	if (helper == HELPER_FOR_EACH)
		read_log(programs, call->out, call->room);
	else if (call->out)
		memcpy(call->out, shared->out, create->value_size);
	return shared->result;
}

static void kernel_close(void *opened)
{
	struct programs *programs = opened;

	for (int i = 0; i < HELPER_N; i++)
		if (programs->program[i] >= 0)
			close(programs->program[i]);
	if (programs->log_fd >= 0) {
		munmap(programs->log, programs->log_size);
		close(programs->log_fd);
	}
	close(programs->map.fd);
	free(programs);
}

const struct helper_face kernel_helpers = { kernel_open, kernel_call, kernel_close };
