/* SPDX-License-Identifier: MIT */
/*
 * A program without the C library, which makes its system calls itself, as those written in Go do: under usermap-run
 * --seccomp. Exits with the value that it read from its map.
 */
#include <stdint.h>
#include <sys/syscall.h>

#include "../semantics/abi.h"

static long kernel(long number, long a, const void *b, long c)
{
#if defined(__x86_64__)
	__asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return number;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register const void *x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
#endif
}

/* Nothing here may call memset, which there isn't: so all are static. */
static union abi_attr create = { .create = { .map_type = ABI_HASH, .key_size = 4, .value_size = 8, .max_entries = 4 } };
static union abi_attr elem;
static uint64_t value = 42;
static uint32_t key = 7;

void _start(void);
void _start(void)
{
	long fd = kernel(__NR_bpf, ABI_MAP_CREATE, &create, sizeof(create));

	elem.elem.map_fd = (uint32_t)fd;
	elem.elem.key = (uintptr_t)&key;
	elem.elem.value = (uintptr_t)&value;
	if (kernel(__NR_bpf, ABI_MAP_UPDATE_ELEM, &elem, sizeof(elem)) != 0)
		value = 1;
	value = 0;
	if (kernel(__NR_bpf, ABI_MAP_LOOKUP_ELEM, &elem, sizeof(elem)) != 0)
		value = 2;
	kernel(__NR_exit_group, (long)value, 0, 0);
	__builtin_unreachable();
}
