/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arena.h"

#define MARGIN 32u
#define HOLE   (1u << 16)

static void *map_or_exit(void *at, size_t size, int prot, int flags, int fd)
{
	void *p = mmap(at, size, prot, flags, fd, 0);

	if (p == MAP_FAILED) {
		perror("buffers");
		exit(1);
	}
	return p;
}

void arena_init(struct arena *arena)
{
	int fd = memfd_create("buffers", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, ARENA_SIZE)) {
		perror("buffers");
		exit(1);
	}
	arena->base = map_or_exit(NULL, ARENA_SIZE + HOLE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	map_or_exit(arena->base, ARENA_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd);
	arena->read_only = map_or_exit(NULL, ARENA_SIZE, PROT_READ, MAP_SHARED, fd);
	close(fd);
}

/* The buffer's place, as an offset into the arena. */
static size_t offset_of(struct pointer pointer, size_t size)
{
	switch (pointer.place) {
	case AT_EDGE:
		return ARENA_SIZE - size;
	case AT_SHORT:
		return ARENA_SIZE - size + (size ? 1 + pointer.arg % 1024 * size / 1024 : 0);
	default:
		return ((ARENA_SIZE - size - 2 * MARGIN) & ~(size_t)63) + pointer.arg % 8;
	}
}

void arena_place(const struct arena *arena, struct pointer pointer, size_t size, unsigned char canary,
		 const struct window *partner, struct window *window)
{
	size_t offset = offset_of(pointer, size);

	*window = (struct window){ 0 };
	switch (pointer.place) {
	case AT_NULL:
		return;
	case AT_LOW:
		window->user = (void *)(uintptr_t)(8 + pointer.arg % 4096);
		return;
	case AT_UNMAPPED:
		window->user = arena->base + ARENA_SIZE + pointer.arg;
		return;
	case AT_KERNEL:
		window->user = (void *)(uintptr_t)0xffff888000001000u;
		return;
	case AT_NON_CANONICAL:
		window->user = (void *)(uintptr_t)0x8000000000001000u;
		return;
	case AT_PARTNER:
		window->user = partner->user;
		return;
	case AT_READ_ONLY:
		window->user = (void *)(uintptr_t)(arena->read_only + offset);
		break;
	default:
		window->user = arena->base + offset;
		break;
	}
	window->data = arena->base + offset;
	window->size = offset + size > ARENA_SIZE ? ARENA_SIZE - offset : size;
	window->start = window->data - MARGIN;
	window->length = MARGIN + window->size + (offset + size + MARGIN > ARENA_SIZE ? 0 : MARGIN);
	memset(window->start, canary, window->length);
}

void window_write(struct window *window, size_t offset, const void *bytes, size_t size)
{
	if (offset >= window->size)
		return;
	memcpy(window->data + offset, bytes, size < window->size - offset ? size : window->size - offset);
}
