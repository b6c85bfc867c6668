/* SPDX-License-Identifier: MIT */
/* The live kernel's map as peers/kernel.c has it, but past the C library: under usermap-run, too, it is the kernel's. */
#include <linux/bpf.h>
#include <unistd.h>

#include "../../tests/semantics/raw_bpf.h"

static inline long command(int cmd, union bpf_attr *attr, unsigned int size)
{
	return raw_bpf(cmd, attr, size);
}

#include "peers/command.h"

const struct table_ops FORM_TABLE(kernel_raw) = {
	.name = "kernel_raw",
	.note = "bpf(2) without the C library, preallocated",
	.create = command_create,
	.destroy = command_destroy,
	.loop = { COMMAND_LOOPS },
};
