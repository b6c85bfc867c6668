/* SPDX-License-Identifier: MIT */
/*
 * The file behind a map of the command face, and the descriptors of it that callers hold. See mapfile.c.
 */
#ifndef ENGINE_FACE_MAPFILE_H
#define ENGINE_FACE_MAPFILE_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

/*
 * The offset at which a descriptor of a map is parked: 1 << 62 | access << 60 | file's mark << 32 | map id. It is
 * further than any file reaches, it travels with the description wherever that goes, and one lseek reads it.
 */
#define COOKIE_MARK	    (1ull << 62)
#define COOKIE_ACCESS_SHIFT 60
/* What names the map: the cookie without mark and access. */
#define COOKIE_KEY(cookie)    ((cookie) & ((1ull << COOKIE_ACCESS_SHIFT) - 1))
#define COOKIE_ACCESS(cookie) ((unsigned)((cookie) >> COOKIE_ACCESS_SHIFT) & 3u) /* enum access */
#define COOKIE_ID(cookie)     ((uint32_t)(cookie))
/* In the place of an access: the file is no map, but BTF (btf.c). */
#define COOKIE_BTF 0u

/* The cookie of a descriptor. -EBADF: closed; -EINVAL: not a map. */
static inline int mapfile_cookie(int fd, uint64_t *cookie)
{
	off_t at = lseek(fd, 0, SEEK_CUR);

	if (__builtin_expect(at < (off_t)COOKIE_MARK, 0))
		return at == -1 && errno == EBADF ? -EBADF : -EINVAL;
	*cookie = (uint64_t)at;
	return 0;
}

/* The key of the map with this id in the file behind fd. 0 if fd isn't open. */
uint64_t mapfile_key(int fd, uint32_t id);

/* The id that the header of the map in the file behind fd says; 0 if there is no map. */
uint32_t mapfile_id(int fd);

/* The file has its final size: keeps it from being cut off under our feet, where that can be had (a memfd). */
void mapfile_seal(int fd);

/* Lets fd's description, and so whoever gets it, keep the map alive. 0 or -errno. */
int mapfile_hold(int fd);

/* Makes fd, a descriptor of its own description, one that callers hold: marks what it names. 0 or -errno. */
int mapfile_park(int fd, uint64_t key, unsigned access);

/* open(2)'s mode for an access. */
int mapfile_open_mode(unsigned access);

/* Replaces the description behind fd, opened for reading and writing, by one with this access, held. 0 or -errno. */
int mapfile_restrict(int fd, unsigned access);

/* Around asking for the exclusive lock, from the opening of the descriptor until the lock is given back. */
void mapfile_ask_begin(void);
void mapfile_ask_end(void);

/* Whether no caller anywhere holds a descriptor of the file, and it isn't pinned. fd: the region's own description; key:
 * the map's. */
bool mapfile_unused(int fd, uint64_t key);

#endif
