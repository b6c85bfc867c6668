/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>
#include <usermap/bpf.h>

#include "ask.h"
#include "command.h"
#include "kernel.h"
#include "kernel_helper.h"
#include "map_helper.h"
#include "typeinfo.h"

/* Whose rules are being tested. */
static abi_bpf asked;
static const struct helper_face *asked_helpers;

int ask(int cmd, void *attr, unsigned size)
{
	long result = asked(cmd, attr, size);

	return result < 0 ? -errno : (int)result;
}

int elem(int cmd, int fd, const void *key, const void *value, uint64_t flags)
{
	union abi_attr attr = {
		.elem = { .map_fd = (uint32_t)fd, .key = (uintptr_t)key, .value = (uintptr_t)value, .flags = flags }
	};

	return ask(cmd, &attr, cmd == ABI_MAP_DELETE_ELEM ? 16 : cmd == ABI_MAP_GET_NEXT_KEY ? 24 : 32);
}

int freeze(int fd)
{
	union abi_attr attr = { .freeze_fd = (uint32_t)fd };

	return ask(ABI_MAP_FREEZE, &attr, 4);
}

union abi_attr create_attr(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t max_entries, uint32_t flags)
{
	return (union abi_attr){ .create = { .map_type = type,
					     .key_size = key_size,
					     .value_size = value_size,
					     .max_entries = max_entries,
					     .map_flags = flags } };
}

static int create_from(union abi_attr *attr)
{
	int fd = ask(ABI_MAP_CREATE, attr, command_attr_end(OP_CREATE));

	assert_true(fd >= 0);
	return fd;
}

int create(uint32_t type, uint32_t key_size, uint32_t value_size, uint32_t max_entries, uint32_t flags)
{
	union abi_attr attr = create_attr(type, key_size, value_size, max_entries, flags);

	return create_from(&attr);
}

struct helper_map new_map(uint32_t type, uint32_t value_size, uint32_t max_entries, uint32_t flags, uint32_t lock_off)
{
	union abi_attr attr = create_attr(type, 4, value_size, max_entries, flags), load = { .freeze_fd = 0 };
	struct helper_map map = { .create = attr.create, .lock_off = lock_off };
	struct lockable types;
	int fd = -1;

	if (lock_off != NO_LOCK) {
		typeinfo_lockable(&types, 4, abi_is_array(type), value_size, lock_off, false);
		load.btf = (struct abi_btf_load){ .btf = (uintptr_t)types.raw, .size = types.size };
		fd = ask(ABI_BTF_LOAD, &load, sizeof(load.btf));
		assert_true(fd >= 0);
		attr.create.btf_fd = (uint32_t)fd;
		attr.create.btf_key_type_id = types.key_id;
		attr.create.btf_value_type_id = types.value_id;
	}
	map.fd = create_from(&attr);
	close(fd);
	return map;
}

long help(const struct helper_map *map, enum helper helper, const struct helper_call *call)
{
	void *opened = asked_helpers->open(map);
	long result = asked_helpers->call(opened, helper, call);

	asked_helpers->close(opened);
	return result;
}

unsigned char *page_edge(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	unsigned char *p = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(p, MAP_FAILED);
	assert_int_equal(munmap(p + page, page), 0);
	return p + page;
}

static int ask_the_kernel(void **state)
{
	(void)state;
	asked = kernel_bpf;
	asked_helpers = &kernel_helpers;
	return 0;
}

static int ask_the_engine(void **state)
{
	(void)state;
	asked = usermap_bpf;
	asked_helpers = &engine_helpers;
	return 0;
}

int ask_both_these(const struct CMUnitTest *rules, size_t n)
{
	const char *why;
	int failed = 0;

	/* Commands whose attr is cut short name descriptor 0: it must be one, and no map. */
	if (close(0) == 0 || errno == EBADF)
		assert_int_equal(open("/dev/null", O_RDONLY), 0);
	if (kernel_is_oracle(&why))
		failed += _cmocka_run_group_tests("the live kernel", rules, n, ask_the_kernel, NULL);
	else
		print_message("the live kernel is not asked: %s\n", why);
	failed += _cmocka_run_group_tests("the engine", rules, n, ask_the_engine, NULL);
	return failed ? 1 : 0;
}
