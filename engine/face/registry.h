/* SPDX-License-Identifier: MIT */
/*
 * The user's objects of the command face, maps and BTF, on this machine: which there are, under which ids. See
 * registry.c.
 */
#ifndef ENGINE_FACE_REGISTRY_H
#define ENGINE_FACE_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#include "core/region.h"

/* Programs that run on libraries of different layouts don't see each other's maps: the layout's version is in the name. */
#define REGISTRY_STRING(x) #x
#define REGISTRY_LAYOUT(x) REGISTRY_STRING(x)
#define REGISTRY_PREFIX	   "/dev/shm/usermap-bpf-map-" REGISTRY_LAYOUT(REGION_LAYOUT_VERSION) "-"
#define REGISTRY_DIRECTORY REGISTRY_PREFIX "%u" /* of a user id */
#define REGISTRY_PATH_SIZE 64

enum registry_kind { REGISTRY_MAP, REGISTRY_BTF };

/* The directory, made if it isn't there: a descriptor; or -errno, also where it isn't this user's alone. */
int registry_open(void);

/* A new unnamed file for an object; where there is no registry, a memfd. The lowest free descriptor, close-on-exec; or
 * -errno. */
int registry_create(enum registry_kind kind);

/* A number for a new object, not 0: greater than all before it, until 2^31 of them have been. 0 or -errno. */
int registry_new_id(enum registry_kind kind, uint32_t *id);

/* Enters an object's file under an id. Its descriptor must have been made one that counts (mapfile_hold). 0; -EEXIST:
 * the id has an owner, take the next; -ENOMEM, -EMFILE. A memfd can't be entered: 0, and it's in no list. */
int registry_add(enum registry_kind kind, uint32_t id, int fd);

/* Lets the map with this id keep the BTF behind fd alive. 0, -ENOMEM, -EMFILE. */
int registry_keep_btf(uint32_t map_id, int fd);

/* Opens an object by its id, for reading. The descriptor counts. It, or -ENOENT, or open(2)'s error. */
int registry_open_id(enum registry_kind kind, uint32_t id);

/* The smallest id above `after` that has an object. 0, -ENOENT, -ENOMEM, -EMFILE. */
int registry_next_id(enum registry_kind kind, uint32_t after, uint32_t *id);

/* Removes the object's entry, if it's the last thing that names it. */
void registry_reap(enum registry_kind kind, uint32_t id);

/* The same with all objects. */
void registry_sweep(void);

/* fd, just opened, given the lowest free number instead. */
int registry_lowest(int fd);

#endif
