/* SPDX-License-Identifier: MIT */
/* usermap's command face: the calls of peers/kernel.c, with and without asking the kernel about the fd every time. */
#include <usermap/bpf.h>

static inline long command(int cmd, union bpf_attr *attr, unsigned int size)
{
	return usermap_bpf(cmd, attr, size);
}

#include "peers/command.h"

static void check_fds(void *table)
{
	(void)table;
	usermap_bpf_check_fds(true);
}

static void trust_fds(void *table)
{
	(void)table;
	usermap_bpf_check_fds(false);
}

const struct table_ops FORM_TABLE(usermap_bpf) = {
	.name = "usermap_bpf",
	.note = "command face, each fd checked, shared memory, 4 KiB pages unless shmem THP is on",
	.create = command_create,
	.destroy = command_destroy,
	.census = COMMAND_CENSUS,
	.enter = check_fds,
	.loop = { COMMAND_LOOPS },
};

const struct table_ops FORM_TABLE(usermap_bpf_unchecked) = {
	.name = "usermap_bpf_unchecked",
	.note = "command face, fds remembered",
	.create = command_create,
	.destroy = command_destroy,
	.census = COMMAND_CENSUS,
	.enter = trust_fds,
	.loop = { COMMAND_LOOPS },
};
