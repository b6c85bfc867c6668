/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "abi.h"
#include "command.h"
#include "kernel.h"

/* Not by syscall(): under the preload library that would be the engine. */
long kernel_bpf(int cmd, void *attr, unsigned size)
{
#if defined(__x86_64__)
	long result = __NR_bpf;

	__asm__ volatile("syscall"
			 : "+a"(result)
			 : "D"((long)cmd), "S"(attr), "d"((unsigned long)size)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long number __asm__("x8") = __NR_bpf;
	register long result __asm__("x0") = cmd;
	register void *second __asm__("x1") = attr;
	register unsigned long third __asm__("x2") = size;

	__asm__ volatile("svc 0" : "+r"(result) : "r"(number), "r"(second), "r"(third) : "memory");
#else
#error "how are system calls made here?"
#endif
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
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
