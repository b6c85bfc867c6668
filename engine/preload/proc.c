/* SPDX-License-Identifier: MIT */
/*
 * What /proc says of descriptors, in this and in other processes: /proc/PID/fdinfo/N has a map's attributes, and
 * /proc/PID/fd/N leads to "anon_inode:bpf-map". bpftool reads both.
 *
 * The kernel's own answers are asked first. In its fdinfo stands the descriptor's offset, which tells a map's from
 * any other and names it (face/mapfile.h); the file is then opened through /proc/PID/fd/N, and shows by its header that
 * it is what the offset claims.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/region.h"
#include "face/mapfile.h"
#include "face/registry.h"
#include "map/map.h"
#include "preload/ours.h"

#define TEXT_SIZE 4096u
#define LINK_SIZE 512u

/* /proc/PID or /proc/PID/task/TID, and a descriptor there. */
struct proc_fd {
	char process[64];
	const char *number;
};

/* Whether path is PROCESS/`directory`/N. */
static bool parse(const char *path, const char *directory, struct proc_fd *found)
{
	const char *number = path ? strrchr(path, '/') : NULL;
	size_t length = strlen(directory), before;

	if (!number || strncmp(path, "/proc/", 6) != 0 || !number[1] || number[1 + strspn(number + 1, "0123456789")])
		return false;
	before = (size_t)(number - path);
	if (before < length + 1 || path[before - length - 1] != '/' || strncmp(number - length, directory, length) != 0)
		return false;
	before -= length + 1;
	if (before >= sizeof(found->process))
		return false;
	memcpy(found->process, path, before);
	found->process[before] = 0;
	found->number = number + 1;
	return true;
}

static int open_in(const struct proc_fd *at, const char *directory)
{
	char path[128];

	if (snprintf(path, sizeof(path), "%s/%s/%s", at->process, directory, at->number) >= (int)sizeof(path))
		return -1;
	return next_open(path, O_RDONLY | O_CLOEXEC, 0);
}

/* The kernel's fdinfo, and the offset in it if that is one of ours. */
static bool read_fdinfo(const struct proc_fd *at, char text[TEXT_SIZE], uint64_t *cookie)
{
	int fd = open_in(at, "fdinfo");
	ssize_t n = fd < 0 ? -1 : read(fd, text, TEXT_SIZE - 1);

	if (fd >= 0)
		next_close(fd);
	if (n <= 0)
		return false;
	text[n] = 0;
	if (strncmp(text, "pos:\t", 5) != 0)
		return false;
	*cookie = strtoull(text + 5, NULL, 10);
	return *cookie >= COOKIE_MARK && *cookie <= INT64_MAX;
}

struct text {
	char bytes[TEXT_SIZE];
	size_t length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *text, const char *format, ...)
{
	size_t room = sizeof(text->bytes) - text->length;
	va_list list;
	int n;

	va_start(list, format);
	n = vsnprintf(text->bytes + text->length, room, format, list);
	va_end(list);
	if (n > 0)
		text->length += (size_t)n < room ? (size_t)n : room - 1;
}

/* What stands in every fdinfo: with no offset, without the library's lock, and with a map's flags. */
static void add_common(struct text *text, char *kernels)
{
	char *rest = kernels;

	for (char *line = strtok_r(kernels, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "pos:", 4) == 0)
			add(text, "pos:\t0\n");
		else if (strncmp(line, "flags:\t", 7) == 0)
			add(text, "flags:\t0%lo\n",
			    strtoul(line + 7, NULL, 8) & (O_ACCMODE | O_NONBLOCK | O_APPEND | O_CLOEXEC));
		else if (strncmp(line, "lock:", 5) != 0)
			add(text, "%s\n", line);
	}
}

static bool add_map(struct text *text, int fd, uint64_t cookie)
{
	struct usermap *map;
	bool same;

	if (map_attach(fd, true, &map))
		return false;
	/* relaxed: written before anybody could have the descriptor */
	same = atomic_load_explicit(&map->region.header->id, memory_order_relaxed) == COOKIE_ID(cookie);
	if (same) {
		add(text, "map_type:\t%u\nkey_size:\t%u\nvalue_size:\t%u\nmax_entries:\t%u\nmap_flags:\t0x%x\n",
		    map->ops->type, map->key_size, map->value_size, map->max_entries, map->map_flags);
		add(text, "map_extra:\t0x%llx\nmemlock:\t%llu\nmap_id:\t%u\nfrozen:\t%d\n",
		    (unsigned long long)map->layout.attr.map_extra, (unsigned long long)region_resident(&map->region),
		    COOKIE_ID(cookie), map_is_frozen(map));
	}
	map_put(map);
	return same;
}

static bool add_object(struct text *text, const struct proc_fd *at, uint64_t cookie)
{
	int fd = open_in(at, "fd");
	bool ours = fd >= 0 && mapfile_key(fd, COOKIE_ID(cookie)) == COOKIE_KEY(cookie);

	if (ours && COOKIE_ACCESS(cookie) == COOKIE_BTF)
		add(text, "btf_id:\t%u\n", COOKIE_ID(cookie));
	else if (ours)
		ours = add_map(text, fd, cookie);
	if (fd >= 0)
		next_close(fd);
	return ours;
}

/* A descriptor with these contents, to be read from the beginning; or -1. flags: open's, O_CLOEXEC counts. */
static int text_open(const char *text, size_t size, int flags)
{
	char path[40];
	int result = -1, fd = memfd_create("usermap-text", MFD_CLOEXEC);

	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/thread-self/fd/%d", fd);
	if (write(fd, text, size) == (ssize_t)size) /* else there is no memory */
		result = next_open(path, O_RDONLY | (flags & O_CLOEXEC), 0);
	next_close(fd);
	return result;
}

int fdinfo_open(const char *path, int flags)
{
	int error = errno, fd = -1;
	struct text text = { .length = 0 };
	char kernels[TEXT_SIZE];
	struct proc_fd at;
	uint64_t cookie;

	if ((flags & O_ACCMODE) != O_RDONLY || !parse(path, "fdinfo", &at))
		return -1;
	if (read_fdinfo(&at, kernels, &cookie)) {
		add_common(&text, kernels);
		if (add_object(&text, &at, cookie))
			fd = text_open(text.bytes, text.length, flags);
	}
	errno = error;
	return fd;
}

/* The kernel's text for a link in /proc/PID/fd, if it is a map's, BTF's or a probe's; else NULL. */
static const char *kernels_link(const char *path)
{
	char link[LINK_SIZE], text[TEXT_SIZE];
	struct proc_fd at;
	uint64_t cookie;
	ssize_t n;

	if (!parse(path, "fd", &at))
		return NULL;
	n = next_readlink(path, link, sizeof(link) - 1);
	if (n <= 0)
		return NULL;
	link[n] = 0;
	if (strncmp(link, "/memfd:bpf-prog ", 16) == 0)
		return "anon_inode:bpf-prog";
	if ((!strstr(link, REGISTRY_PREFIX) && strncmp(link, "/memfd:bpf-", 11) != 0) ||
	    !read_fdinfo(&at, text, &cookie))
		return NULL;
	return COOKIE_ACCESS(cookie) == COOKIE_BTF ? "anon_inode:btf" : "anon_inode:bpf-map";
}

static ssize_t our_readlinkat(int at, const char *path, char *buffer, size_t size)
{
	int error = errno;
	char actual[PATH_MAX];
	const char *text =
		size && size <= INT_MAX ? kernels_link(path) : NULL; /* a size that isn't the kernel's EINVAL */
	size_t length;

	errno = error;
	if (!text)
		return next_readlinkat(at, pin_to_read(at, path, actual), buffer, size);
	length = strlen(text) < size ? strlen(text) : size;
	memcpy(buffer, text, length);
	return (ssize_t)length;
}
PUBLISH(readlinkat, our_readlinkat);

static ssize_t our_readlink(const char *path, char *buffer, size_t size)
{
	return our_readlinkat(AT_FDCWD, path, buffer, size);
}
PUBLISH(readlink, our_readlink);

/* The names that programs compiled with _FORTIFY_SOURCE call. */
static ssize_t our_readlink_chk(const char *path, char *buffer, size_t size, size_t room)
{
	return size > room ? next___readlink_chk(path, buffer, size, room) : our_readlink(path, buffer, size);
}
PUBLISH(__readlink_chk, our_readlink_chk);

static ssize_t our_readlinkat_chk(int at, const char *path, char *buffer, size_t size, size_t room)
{
	return size > room ? next___readlinkat_chk(at, path, buffer, size, room)
			   : our_readlinkat(at, path, buffer, size);
}
PUBLISH(__readlinkat_chk, our_readlinkat_chk);
