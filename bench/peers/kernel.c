/* SPDX-License-Identifier: MIT */
/* The live kernel's preallocated map, through bpf(2). */
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

static inline long command(int cmd, union bpf_attr *attr, unsigned int size)
{
	return syscall(__NR_bpf, cmd, attr, size);
}

#include "peers/command.h"

int FORM_TABLE(kernel_fd)(const void *table)
{
	return ((const struct command_map *)table)->fd;
}

const struct table_ops FORM_TABLE(kernel) = {
	.name = "kernel",
	.note = "through bpf(2), preallocated",
	.create = command_create,
	.destroy = command_destroy,
	.loop = { COMMAND_LOOPS },
	.census = COMMAND_CENSUS,
};
