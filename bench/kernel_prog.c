/* SPDX-License-Identifier: MIT */
/* The BPF programs of kernel_prog.h, instruction by instruction. */
#include "kernel_prog.h"

#include "keys.h"

#include <linux/bpf.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* An instruction as a little-endian number: uint64_t without its bit-fields. */
static uint64_t insn(int code, int dst, int src, int off, int imm)
{
	return (uint64_t)code | (uint64_t)dst << 8 | (uint64_t)src << 12 | (uint64_t)(uint16_t)off << 16 |
	       (uint64_t)(uint32_t)imm << 32;
}

#define MOV_REG(d, s)	     insn(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define MOV_IMM(d, i)	     insn(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define ALU_REG(op, d, s)    insn(BPF_ALU64 | (op) | BPF_X, d, s, 0, 0)
#define ALU_IMM(op, d, i)    insn(BPF_ALU64 | (op) | BPF_K, d, 0, 0, i)
#define LOAD(size, d, s, o)  insn(BPF_LDX | BPF_MEM | (size), d, s, o, 0)
#define STORE(size, d, s, o) insn(BPF_STX | BPF_MEM | (size), d, s, o, 0)
#define CALL(helper)	     insn(BPF_JMP | BPF_CALL, 0, 0, 0, helper)
#define EXIT()		     insn(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

enum { R0, R1, R2, R3, R4, R5, STATE, KEY, POSITION, COUNTER, FRAME };

/* A program being written: where the next instruction goes, and the jumps to the end of the loop's body. */
struct writer {
	uint64_t code[128];
	int at;
	int to_next[2 + KERNEL_PROG_WORDS];
	int n_to_next;
};

static void put(struct writer *w, uint64_t instruction)
{
	w->code[w->at++] = instruction;
}

/* A 64-bit constant that the verifier replaces: a map's address, or that of its value. */
static void put_map(struct writer *w, int reg, int source, int fd)
{
	put(w, insn(BPF_LD | BPF_DW | BPF_IMM, reg, source, 0, fd));
	put(w, insn(0, 0, 0, 0, 0));
}

/* if (reg op imm) go on with the next key; the offset is filled in when the body's end is known. */
static void put_next_if(struct writer *w, uint64_t jump)
{
	w->to_next[w->n_to_next++] = w->at;
	put(w, jump);
}

#define NEXT_IF_IMM(op, d, i) insn(BPF_JMP | (op) | BPF_K, d, 0, 0, i)
#define NEXT_IF_REG(op, d, s) insn(BPF_JMP | (op) | BPF_X, d, s, 0, 0)

/* KEY = address of the ring's key number POSITION + COUNTER */
static void put_key(struct writer *w, const struct kernel_prog_maps *maps)
{
	put(w, MOV_REG(R1, POSITION));
	put(w, ALU_REG(BPF_ADD, R1, COUNTER));
	put(w, ALU_IMM(BPF_AND, R1, (int)maps->ring_mask));
	put(w, ALU_IMM(BPF_LSH, R1, 3));
	put_map(w, KEY, BPF_PSEUDO_MAP_VALUE, maps->keys);
	put(w, ALU_REG(BPF_ADD, KEY, R1));
}

/* KEY = address of keys_fresh(POSITION + COUNTER) */
static void put_fresh_key(struct writer *w)
{
	const uint64_t step = KEYS_FRESH_STEP;

	put(w, insn(BPF_LD | BPF_DW | BPF_IMM, R1, 0, 0, (int)(uint32_t)step));
	put(w, insn(0, 0, 0, 0, (int)(uint32_t)(step >> 32)));
	put(w, MOV_REG(R2, POSITION));
	put(w, ALU_REG(BPF_ADD, R2, COUNTER));
	put(w, ALU_REG(BPF_MUL, R1, R2));
	put(w, STORE(BPF_DW, FRAME, R1, -16));
	put(w, MOV_REG(KEY, FRAME));
	put(w, ALU_IMM(BPF_ADD, KEY, -16));
}

/* R0 = address of the value of the key at R2, or 0 */
static void put_ask(struct writer *w, int map)
{
	put_map(w, R1, BPF_PSEUDO_MAP_FD, map);
	put(w, CALL(BPF_FUNC_map_lookup_elem));
}

static void put_find(struct writer *w, int map)
{
	put_ask(w, map);
	put_next_if(w, NEXT_IF_IMM(BPF_JEQ, R0, 0));
}

/* Goes on only if the value at R0 fits the key. */
static void put_compare(struct writer *w)
{
	put(w, LOAD(BPF_DW, R0, R0, 0)); /* all of the value, compared by its low half: value_fits() of keys.h */
	put(w, ALU_IMM(BPF_LSH, R0, 32));
	put(w, LOAD(BPF_DW, R1, KEY, 0));
	put(w, ALU_IMM(BPF_LSH, R1, 32));
	put_next_if(w, NEXT_IF_REG(BPF_JNE, R0, R1));
}

static void put_lookup(struct writer *w, const struct kernel_prog_maps *maps)
{
	put(w, MOV_REG(R2, KEY));
	put_find(w, maps->map);
	put_compare(w);
}

/* R5 = value_for() of keys.h, with COUNTER as the generation */
static void put_value(struct writer *w)
{
	put(w, LOAD(BPF_W, R5, KEY, 0));
	put(w, MOV_REG(R4, COUNTER));
	put(w, ALU_IMM(BPF_LSH, R4, 32));
	put(w, ALU_REG(BPF_OR, R5, R4));
}

static void put_update(struct writer *w, const struct kernel_prog_maps *maps, int flags)
{
	put_value(w);
	put(w, STORE(BPF_DW, FRAME, R5, -8));
	put_map(w, R1, BPF_PSEUDO_MAP_FD, maps->map);
	put(w, MOV_REG(R2, KEY));
	put(w, MOV_REG(R3, FRAME));
	put(w, ALU_IMM(BPF_ADD, R3, -8));
	put(w, MOV_IMM(R4, flags));
	put(w, CALL(BPF_FUNC_map_update_elem));
	put_next_if(w, NEXT_IF_IMM(BPF_JNE, R0, 0));
}

/* Makes the jump at @at go to where the next instruction will be. */
static void land(struct writer *w, int at)
{
	w->code[at] |= (uint64_t)(uint16_t)(w->at - at - 1) << 16;
}

static void put_count(struct writer *w, size_t field, int by_reg, int by)
{
	put(w, LOAD(BPF_DW, R1, STATE, (int)field));
	put(w, by_reg ? ALU_REG(BPF_ADD, R1, by) : ALU_IMM(BPF_ADD, R1, by));
	put(w, STORE(BPF_DW, STATE, R1, (int)field));
}

static void put_cache(struct writer *w, const struct kernel_prog_maps *maps)
{
	int to_hit, to_end;

	put(w, MOV_REG(R2, KEY));
	put_ask(w, maps->map);
	to_hit = w->at;
	put(w, insn(BPF_JMP | BPF_JNE | BPF_K, R0, 0, 0, 0));
	put_update(w, maps, BPF_ANY);
	to_end = w->at;
	put(w, insn(BPF_JMP | BPF_JA, 0, 0, 0, 0));
	land(w, to_hit);
	put_compare(w);
	put_count(w, offsetof(struct kernel_prog_state, hits), 0, 1);
	land(w, to_end);
}

/* Takes or releases the lock in the value whose address is in the frame at -8. */
static void put_lock(struct writer *w, int helper)
{
	put(w, LOAD(BPF_DW, R1, FRAME, -8));
	put(w, CALL(helper));
}

/* The value is found and locked, its address is in R1 and in the frame. */
static void put_find_locked(struct writer *w, const struct kernel_prog_maps *maps)
{
	put(w, MOV_REG(R2, KEY));
	put_find(w, maps->map);
	put(w, STORE(BPF_DW, FRAME, R0, -8));
	put_lock(w, BPF_FUNC_spin_lock);
	put(w, LOAD(BPF_DW, R1, FRAME, -8));
}

/* Copies the words behind the lock's under the lock; then compares each as put_lookup does. */
static void put_locked_lookup(struct writer *w, const struct kernel_prog_maps *maps)
{
	put_find_locked(w, maps);
	for (int i = 1; i < KERNEL_PROG_WORDS; i++) {
		put(w, LOAD(BPF_DW, R2, R1, i * 8));
		put(w, STORE(BPF_DW, FRAME, R2, i * 8 - 72));
	}
	put_lock(w, BPF_FUNC_spin_unlock);
	put(w, LOAD(BPF_DW, R1, KEY, 0));
	put(w, ALU_IMM(BPF_LSH, R1, 32));
	for (int i = 1; i < KERNEL_PROG_WORDS; i++) {
		put(w, LOAD(BPF_DW, R2, FRAME, i * 8 - 72));
		put(w, ALU_IMM(BPF_LSH, R2, 32));
		put_next_if(w, NEXT_IF_REG(BPF_JNE, R2, R1));
	}
}

static void put_locked_update(struct writer *w, const struct kernel_prog_maps *maps)
{
	put_find_locked(w, maps);
	put_value(w);
	for (int i = 1; i < KERNEL_PROG_WORDS; i++)
		put(w, STORE(BPF_DW, R1, R5, i * 8));
	put_lock(w, BPF_FUNC_spin_unlock);
}

static void put_delete(struct writer *w, const struct kernel_prog_maps *maps)
{
	put_map(w, R1, BPF_PSEUDO_MAP_FD, maps->map);
	put(w, MOV_REG(R2, KEY));
	put(w, CALL(BPF_FUNC_map_delete_elem));
	put_next_if(w, NEXT_IF_IMM(BPF_JNE, R0, 0));
}

/* Ends the loop's body: counts to @n, from the start again at @loop. */
static void put_loop_end(struct writer *w, int loop, int n)
{
	for (int i = 0; i < w->n_to_next; i++)
		land(w, w->to_next[i]);
	put(w, ALU_IMM(BPF_ADD, COUNTER, 1));
	put(w, insn(BPF_JMP | BPF_JLT | BPF_K, COUNTER, 0, loop - w->at - 1, n));
}

static void put_return(struct writer *w)
{
	put(w, MOV_IMM(R0, 0));
	put(w, EXIT());
}

static void put_operation(struct writer *w, enum kernel_prog_kind kind, const struct kernel_prog_maps *maps)
{
	switch (kind) {
	case KERNEL_PROG_LOOKUP:
		if (maps->locked)
			put_locked_lookup(w, maps);
		else
			put_lookup(w, maps);
		break;
	case KERNEL_PROG_UPDATE:
		if (maps->locked)
			put_locked_update(w, maps);
		else
			put_update(w, maps, BPF_ANY);
		break;
	case KERNEL_PROG_CHURN:
		put_delete(w, maps);
		put_update(w, maps, BPF_NOEXIST);
		break;
	case KERNEL_PROG_FRESH:
		put_update(w, maps, BPF_ANY);
		break;
	case KERNEL_PROG_CACHE:
		put_cache(w, maps);
		break;
	}
}

static void write_program(struct writer *w, enum kernel_prog_kind kind, const struct kernel_prog_maps *maps)
{
	int loop;

	put_map(w, STATE, BPF_PSEUDO_MAP_VALUE, maps->state);
	put(w, LOAD(BPF_DW, POSITION, STATE, offsetof(struct kernel_prog_state, position)));
	put(w, MOV_IMM(COUNTER, 0));
	loop = w->at;
	if (kind == KERNEL_PROG_FRESH)
		put_fresh_key(w);
	else
		put_key(w, maps);
	put_operation(w, kind, maps);
	put_count(w, offsetof(struct kernel_prog_state, right), 0, 1);
	put_loop_end(w, loop, KERNEL_PROG_RUN);
	put_count(w, offsetof(struct kernel_prog_state, position), 1, COUNTER);
	put_return(w);
}

static int load(const struct writer *w)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attr.insns = (uint64_t)(uintptr_t)w->code;
	attr.insn_cnt = (__u32)w->at;
	attr.license = (uint64_t)(uintptr_t) "Dual MIT/GPL";
	return (int)syscall(__NR_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
}

int kernel_prog_load(enum kernel_prog_kind kind, const struct kernel_prog_maps *maps)
{
	struct writer w = { .at = 0 };

	write_program(&w, kind, maps);
	return load(&w);
}

int kernel_prog_load_adds(int map, int keys, int first)
{
	struct writer w = { .at = 0 };
	int loop;

	put_map(&w, KEY, BPF_PSEUDO_MAP_VALUE, keys);
	put(&w, MOV_IMM(COUNTER, 0));
	loop = w.at;
	put(&w, MOV_REG(R2, COUNTER));
	put(&w, ALU_IMM(BPF_LSH, R2, 3));
	put(&w, ALU_REG(BPF_ADD, R2, KEY));
	put(&w, ALU_IMM(BPF_ADD, R2, first * (int)sizeof(uint64_t)));
	put_find(&w, map);
	put(&w, LOAD(BPF_DW, R1, R0, 0));
	put(&w, ALU_IMM(BPF_ADD, R1, 1));
	put(&w, STORE(BPF_DW, R0, R1, 0));
	put_loop_end(&w, loop, KERNEL_PROG_ADDS);
	put_return(&w);
	return load(&w);
}

int kernel_prog_run(int prog, uint32_t repeat)
{
	unsigned char packet[64] = { 0 };
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.test.prog_fd = (__u32)prog;
	attr.test.data_in = (uint64_t)(uintptr_t)packet;
	attr.test.data_size_in = sizeof(packet);
	attr.test.repeat = repeat;
	return (int)syscall(__NR_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr));
}
