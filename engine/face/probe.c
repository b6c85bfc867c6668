/* SPDX-License-Identifier: MIT */
/*
 * BPF_PROG_LOAD. There are no programs here, but libbpf and bpftool load small ones of their own before they make maps,
 * to find out what the kernel can do; if not even `return 0` loads, libbpf gives up. So these programs, to the
 * instruction, are taken and get a descriptor that can be closed. Any other load is EINVAL.
 *
 *   r0 = 0; exit              libbpf: does loading work at all, do names work; bpftool: is RLIMIT_MEMLOCK a limit
 *   call 160; exit            both: is memory accounted to control groups (the helper came with that)
 *   r1 = &map's value + 16; *(u64 *)r1 = 42; r0 = 0; exit
 *                             libbpf: do maps for global data work; they do
 */
#include "face/probe.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <usermap/bpf.h>

#include "face/fd.h"
#include "face/usercopy.h"

#define PROBE_MAX  5u
#define KNOWN_ATTR 256u /* more than any kernel's so far */

/* BPF_PROG_LOAD's attr, as far as the probes use it. */
struct load {
	__u32 type;
	__u32 n_insns;
	__u64 insns;
	__u64 license;
	__u32 log_level;
	__u32 log_size;
	__u64 log_buf;
	__u32 kernel_version;
	__u32 flags;
	char name[16];
};

#define RETURN_0                                                       \
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 }, \
	{                                                              \
		.code = BPF_JMP | BPF_EXIT                             \
	}

static const struct bpf_insn trivial[] = { RETURN_0 };
static const struct bpf_insn memory_accounting[] = {
	{ .code = BPF_JMP | BPF_CALL, .imm = 160 },
	{ .code = BPF_JMP | BPF_EXIT },
};
static const struct bpf_insn global_data[] = {
	{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = BPF_REG_1, .src_reg = BPF_PSEUDO_MAP_VALUE }, /* imm: the map */
	{ .imm = 16 },
	{ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_1, .imm = 42 },
	RETURN_0,
};

static bool is_probe(const struct bpf_insn *insns, size_t size)
{
	struct bpf_insn without_map[PROBE_MAX];
	struct fd_map found;

	if ((size == sizeof(trivial) && memcmp(insns, trivial, size) == 0) ||
	    (size == sizeof(memory_accounting) && memcmp(insns, memory_accounting, size) == 0))
		return true;
	memcpy(without_map, insns, size);
	without_map[0].imm = 0;
	if (size != sizeof(global_data) || memcmp(without_map, global_data, size) != 0 ||
	    fd_enter(insns[0].imm, NULL, &found))
		return false;
	fd_leave();
	return true;
}

static int check_load(const void *user, unsigned size)
{
	static const char zeros[KNOWN_ATTR];
	char attr[KNOWN_ATTR] = { 0 };
	struct bpf_insn insns[PROBE_MAX];
	struct load load;
	int error = size > sizeof(attr) ? -E2BIG : usercopy_in(attr, user, size);

	if (error)
		return error;
	memcpy(&load, attr, sizeof(load));
	if (load.type != BPF_PROG_TYPE_SOCKET_FILTER || load.n_insns < 1 || load.n_insns > PROBE_MAX || load.flags ||
	    memcmp(attr + sizeof(load), zeros, sizeof(attr) - sizeof(load)) != 0)
		return -EINVAL;
	error = usercopy_in(insns, (const void *)(uintptr_t)load.insns, load.n_insns * sizeof(insns[0]));
	if (error)
		return error;
	return is_probe(insns, load.n_insns * sizeof(insns[0])) ? 0 : -EINVAL;
}

long probe_load(const void *user, unsigned size)
{
	int error = check_load(user, size);

	if (error) {
		errno = -error;
		return -1;
	}
	return memfd_create("bpf-prog", MFD_CLOEXEC);
}
