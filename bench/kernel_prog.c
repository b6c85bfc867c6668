/* SPDX-License-Identifier: MIT */
/* The BPF programs of kernel_prog.h, instruction by instruction. */
#include "kernel_prog.h"

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

enum { R0, R1, R2, R3, R4, STATE = BPF_REG_6, KEY, POSITION, COUNTER, FRAME };

/* A program being written: where the next instruction goes, and the jumps to the end of the loop's body. */
struct writer {
	uint64_t code[64];
	int at;
	int to_next[4];
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

static void put_lookup(struct writer *w, const struct kernel_prog_maps *maps)
{
	put_map(w, R1, BPF_PSEUDO_MAP_FD, maps->map);
	put(w, MOV_REG(R2, KEY));
	put(w, CALL(BPF_FUNC_map_lookup_elem));
	put_next_if(w, NEXT_IF_IMM(BPF_JEQ, R0, 0));
	put(w, LOAD(BPF_DW, R0, R0, 0)); /* all of the value, compared by its low half: value_fits() of keys.h */
	put(w, ALU_IMM(BPF_LSH, R0, 32));
	put(w, LOAD(BPF_DW, R1, KEY, 0));
	put(w, ALU_IMM(BPF_LSH, R1, 32));
	put_next_if(w, NEXT_IF_REG(BPF_JNE, R0, R1));
}

/* The value is value_for() of keys.h, with COUNTER as the generation. */
static void put_update(struct writer *w, const struct kernel_prog_maps *maps, int flags)
{
	put(w, LOAD(BPF_W, R1, KEY, 0));
	put(w, MOV_REG(R2, COUNTER));
	put(w, ALU_IMM(BPF_LSH, R2, 32));
	put(w, ALU_REG(BPF_OR, R1, R2));
	put(w, STORE(BPF_DW, FRAME, R1, -8));
	put_map(w, R1, BPF_PSEUDO_MAP_FD, maps->map);
	put(w, MOV_REG(R2, KEY));
	put(w, MOV_REG(R3, FRAME));
	put(w, ALU_IMM(BPF_ADD, R3, -8));
	put(w, MOV_IMM(R4, flags));
	put(w, CALL(BPF_FUNC_map_update_elem));
	put_next_if(w, NEXT_IF_IMM(BPF_JNE, R0, 0));
}

static void put_delete(struct writer *w, const struct kernel_prog_maps *maps)
{
	put_map(w, R1, BPF_PSEUDO_MAP_FD, maps->map);
	put(w, MOV_REG(R2, KEY));
	put(w, CALL(BPF_FUNC_map_delete_elem));
	put_next_if(w, NEXT_IF_IMM(BPF_JNE, R0, 0));
}

static void put_count(struct writer *w, size_t field, int by_reg, int by)
{
	put(w, LOAD(BPF_DW, R1, STATE, (int)field));
	put(w, by_reg ? ALU_REG(BPF_ADD, R1, by) : ALU_IMM(BPF_ADD, R1, by));
	put(w, STORE(BPF_DW, STATE, R1, (int)field));
}

static void write_program(struct writer *w, enum kernel_prog_kind kind, const struct kernel_prog_maps *maps)
{
	int loop;

	put_map(w, STATE, BPF_PSEUDO_MAP_VALUE, maps->state);
	put(w, LOAD(BPF_DW, POSITION, STATE, offsetof(struct kernel_prog_state, position)));
	put(w, MOV_IMM(COUNTER, 0));
	loop = w->at;
	put_key(w, maps);
	switch (kind) {
	case KERNEL_PROG_LOOKUP:
		put_lookup(w, maps);
		break;
	case KERNEL_PROG_UPDATE:
		put_update(w, maps, BPF_ANY);
		break;
	case KERNEL_PROG_CHURN:
		put_delete(w, maps);
		put_update(w, maps, BPF_NOEXIST);
		break;
	}
	put_count(w, offsetof(struct kernel_prog_state, right), 0, 1);
	for (int i = 0; i < w->n_to_next; i++)
		w->code[w->to_next[i]] |= (uint64_t)(w->at - w->to_next[i] - 1) << 16;
	put(w, ALU_IMM(BPF_ADD, COUNTER, 1));
	put(w, insn(BPF_JMP | BPF_JLT | BPF_K, COUNTER, 0, loop - w->at - 1, KERNEL_PROG_RUN));
	put_count(w, offsetof(struct kernel_prog_state, position), 1, COUNTER);
	put(w, MOV_IMM(R0, 0));
	put(w, EXIT());
}

int kernel_prog_load(enum kernel_prog_kind kind, const struct kernel_prog_maps *maps)
{
	struct writer w = { .at = 0 };
	union bpf_attr attr;

	write_program(&w, kind, maps);
	memset(&attr, 0, sizeof(attr));
	attr.prog_type = BPF_PROG_TYPE_SCHED_CLS;
	attr.insns = (uint64_t)(uintptr_t)w.code;
	attr.insn_cnt = (__u32)w.at;
	attr.license = (uint64_t)(uintptr_t) "Dual MIT/GPL";
	return (int)syscall(__NR_bpf, BPF_PROG_LOAD, &attr, sizeof(attr));
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
