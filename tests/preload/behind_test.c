/* SPDX-License-Identifier: MIT */
/*
 * Descriptors closed by ways that the preload library doesn't see: noticed with USERMAP_CHECK_FDS=1, as it is run here.
 */
#include <fcntl.h>

#include "../faces/child.h"
#include "client.h"

/* Past the C library, as programs of other languages do. */
static void close_behind(int fd)
{
	long result;

#if defined(__x86_64__)
	__asm__ volatile("syscall" : "=a"(result) : "a"((long)SYS_close), "D"((long)fd) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long number __asm__("x8") = SYS_close;
	register long first __asm__("x0") = fd;

	__asm__ volatile("svc 0" : "+r"(first) : "r"(number) : "memory");
	result = first;
#endif
	assert_int_equal(result, 0);
}

static void a_descriptor_closed_behind_is_none(void **state)
{
	int fd = make(1);

	(void)state;
	assert_int_equal(get(fd), 1);
	close_behind(fd);
	assert_int_equal(get(fd), -EBADF);
	assert_int_equal(open("/dev/null", O_RDONLY), fd);
	assert_int_equal(get(fd), -EINVAL);
	close_behind(fd);
	assert_int_equal(make(2), fd);
	assert_int_equal(get(fd), 2);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(a_descriptor_closed_behind_is_none) };

	skip_without_maps();
	return cmocka_run_group_tests_name("behind", tests, NULL, NULL);
}
