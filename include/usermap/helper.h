/* SPDX-License-Identifier: MIT */
/*
 * usermap, program face: what a BPF program calls. Lookups give pointers into the map instead of copies.
 *
 * A pointer is valid inside the read-side section in which it was looked up. On USERMAP_REUSE_GRACE maps it stays the
 * same entry until the section ends (G6), even if the entry is deleted meanwhile. On USERMAP_REUSE_AT_ONCE maps it
 * keeps the kernel's weaker promise for preallocated maps: the memory stays readable, but may come to serve another
 * key. Stores through a pointer are the program's own: they are seen by others in whatever pieces the program makes
 * them.
 *
 * Deviation from the kernel: on private maps an update of a value of up to 8 bytes is one store in place, so an older
 * pointer shows the new value.
 */
#ifndef USERMAP_HELPER_H
#define USERMAP_HELPER_H

#include <usermap/usermap.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Begins and ends a read-side section (liburcu, bp flavour). Sections nest. A thread needs no registration. A section
 * must end in the thread that began it; a thread may exit inside one, which ends it. */
USERMAP_API void usermap_read_lock(void);
USERMAP_API void usermap_read_unlock(void);

/* Pointer to the value of @key, 8-byte aligned; NULL if absent. The caller is inside a section. */
USERMAP_API void *usermap_helper_lookup_elem(struct usermap *map, const void *key);

/* As usermap_update_elem and usermap_delete_elem, with the helpers' differences: a frozen map is written all the same,
 * and ARRAY with BPF_NOEXIST|BPF_F_LOCK is -EEXIST. */
USERMAP_API long usermap_helper_update_elem(struct usermap *map, const void *key, const void *value, __u64 flags);
USERMAP_API long usermap_helper_delete_elem(struct usermap *map, const void *key);

#ifdef __cplusplus
}
#endif
#endif
