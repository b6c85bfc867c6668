/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cpus.h"
#include "crowd.h"
#include "rng.h"
#include "side.h"

static const struct slot no_map = { .fd = -1, .lock_off = NO_LOCK };

static int fd_or_exit(int fd, const char *what)
{
	if (fd < 0) {
		perror(what);
		exit(1);
	}
	return fd;
}

static void open_others(struct side *side)
{
	int fds[2];

	side->other_fd[FD_CLOSED] = 0x7ffffff0;
	side->other_fd[FD_MINUS_ONE] = -1;
	side->other_fd[FD_DEV_NULL] = fd_or_exit(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
	side->other_fd[FD_PIPE] = fd_or_exit(pipe2(fds, O_CLOEXEC) ? -1 : fds[0], "a pipe");
	close(fds[1]);
	side->other_fd[FD_SOCKET] = fd_or_exit(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "a socket");
	side->other_fd[FD_EVENT] = fd_or_exit(eventfd(0, EFD_CLOEXEC), "an eventfd");
	side->other_fd[FD_MEMFD] = fd_or_exit(memfd_create("no map", MFD_CLOEXEC), "a memfd");
	side->other_fd[FD_TMPFILE] = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (side->other_fd[FD_TMPFILE] < 0) /* no such tmpfs here: any file will do */
		side->other_fd[FD_TMPFILE] = fd_or_exit(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), "a file");
	side->other_fd[FD_DIRECTORY] = fd_or_exit(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), "/");
	side->other_fd[FD_PATH] = fd_or_exit(open("/", O_PATH | O_CLOEXEC), "/");
}

void side_init(struct side *side, const char *name, abi_bpf bpf, const struct helper_face *helpers)
{
	memset(side, 0, sizeof(*side));
	side->name = name;
	side->bpf = bpf;
	side->helpers = helpers;
	for (unsigned i = 0; i < SLOTS; i++)
		side->slot[i] = no_map;
	open_others(side);
}

void side_reset(struct side *side)
{
	for (unsigned i = 0; i < SLOTS; i++)
		slot_close(side, &side->slot[i]);
}

void side_close(struct side *side)
{
	side_reset(side);
	for (int i = FD_DEV_NULL; i < FD_N; i++)
		close(side->other_fd[i]);
	image_free(&side->image);
}

void slot_close(struct side *side, struct slot *slot)
{
	if (slot->helpers)
		side->helpers->close(slot->helpers);
	if (slot->fd >= 0)
		close(slot->fd);
	free(slot->crowd);
	*slot = no_map;
}

static bool walks_in_order(const struct abi_create *create)
{
	return abi_is_array(create->map_type) || create->max_entries == 1 || create->map_flags & ABI_F_ZERO_SEED;
}

static bool may_crowd(const struct abi_create *create)
{
	return !abi_is_array(create->map_type) && create->map_flags & ABI_F_ZERO_SEED && create->key_size >= 4 &&
	       create->max_entries >= 8 && create->max_entries <= 256;
}

static uint32_t value_bytes(const struct abi_create *create)
{
	return abi_is_percpu(create->map_type) ? ((create->value_size + 7) & ~7u) * cpus_possible()
					       : create->value_size;
}

/* Each CPU has as many elements as any other, if it has its own. */
static uint32_t round_up_to_cpus(const struct abi_create *create)
{
	uint32_t n = create->map_flags & ABI_F_NO_COMMON_LRU ? cpus_possible() : 1;

	return (create->max_entries + n - 1) / n * n;
}

void slot_open(struct side *side, struct slot *slot, int fd, const struct abi_create *create, uint32_t lock_off,
	       uint64_t seed)
{
	slot_close(side, slot);
	*slot = (struct slot){ .fd = fd, .create = *create, .seed = seed, .lock_off = lock_off };
	slot->create.max_entries = round_up_to_cpus(create);
	slot->ordered = walks_in_order(&slot->create);
	slot->value_bytes = value_bytes(create);
	if (may_crowd(&slot->create) && seed % 3 == 0)
		slot->crowd = crowd_numbers(create->key_size, slot->create.max_entries, slot_universe(slot));
}

uint32_t slot_universe(const struct slot *slot)
{
	uint32_t max = slot->create.max_entries;

	if (abi_is_lru(slot->create.map_type))
		return 2 * max + 2;
	return max > 8192 ? 8192 : max + max / 4 + 2; /* so large an index is there to be nearly empty */
}

void slot_key(const struct slot *slot, uint32_t number, void *key)
{
	uint32_t size = slot->create.key_size;
	struct rng rng = { number };

	if (slot->crowd && number < slot_universe(slot))
		number = slot->crowd[number];
	/* Every second map has keys that differ in four bytes only, the others in all. */
	if (slot->seed & 1 && size > 4 && !slot->crowd)
		for (uint32_t i = 4; i < size; i += 8) {
			uint64_t word = rng_next(&rng);

			memcpy((char *)key + i, &word, size - i < 8 ? size - i : 8);
		}
	else
		memset(key, 0, size);
	memcpy(key, &number, size < 4 ? size : 4);
}

void fill_value(uint64_t seed, void *value, size_t size)
{
	struct rng rng = { seed };

	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = rng_next(&rng);

		memcpy((char *)value + i, &word, size - i < 8 ? size - i : 8);
	}
}

long side_elem(struct side *side, int cmd, int fd, const void *key, void *value)
{
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = (uintptr_t)key, .value = (uintptr_t)value } };
	long result = side->bpf(cmd, &attr, command_attr_end(cmd == ABI_MAP_GET_NEXT_KEY ? OP_NEXT_KEY : OP_LOOKUP));

	return result < 0 ? -errno : result;
}
