/* SPDX-License-Identifier: MIT */
#include <stdint.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "abi.h"
#include "command.h"
#include "kernel.h"
#include "raw_bpf.h"

long kernel_bpf(int cmd, void *attr, unsigned size)
{
	return raw_bpf(cmd, attr, size);
}

bool kernel_is_oracle(const char **why)
{
	union abi_attr attr = { .create = { .map_type = ABI_HASH,
					    .key_size = 4,
					    .value_size = 4,
					    .max_entries = 1,
					    .map_flags = ABI_F_ZERO_SEED } };
	struct utsname name;
	int fd;

	if (uname(&name) || strncmp(name.release, "6.18.", 5)) {
		*why = "the kernel is not Linux 6.18";
		return false;
	}
	fd = (int)kernel_bpf(ABI_MAP_CREATE, &attr, command_attr_end(OP_CREATE));
	if (fd < 0) {
		*why = "the kernel refuses bpf(2), or BPF_F_ZERO_SEED, to this user";
		return false;
	}
	close(fd);
	return true;
}
