/* SPDX-License-Identifier: MIT */
/*
 * Regions: the memory of a map, one model for private and shared maps.
 *
 * A region is a run of parts (index, elements, …), each page-aligned, and the header in its last page: the values of an
 * ARRAY can then lie at file offset 0, where mmap of the descriptor must show them. Inside a region everything is an
 * index or an offset, so that it works at any address.
 *
 * The layout is a function of the attributes alone. Attaching recomputes it from the attributes in the header and
 * demands that file and header agree with it to the byte: no size or offset from the file is ever used.
 *
 * Memory is touched at creation as far as a part's `prealloc` says; the rest is address space until region_touch()
 * obtains it. On a tmpfs a page is always obtained by fallocate before it is touched, even for reading: touching a page
 * that the full filesystem can't give is SIGBUS.
 *
 * A shared region's file may lie on any filesystem that has fallocate and O_TMPFILE; meant are tmpfs and hugetlbfs. On
 * hugetlbfs the file, and so the header's place, is rounded up to a huge page.
 */
#ifndef ENGINE_CORE_REGION_H
#define ENGINE_CORE_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <usermap/usermap.h>

#include "core/attr.h"
#include "core/machine.h"

enum region_part {
	PART_INDEX,	  /* hash lines */
	PART_ELEMENTS,	  /* hash elements, array values */
	PART_NODES,	  /* overflow nodes */
	PART_RECORDS,	  /* thread records */
	PART_LISTS,	  /* credits and freelist heads, one line a CPU each */
	PART_PROCESSES,	  /* process slots (core/process.h); maps with spin locks */
	PART_SPARES,	  /* a spare value for each thread record; maps with spin locks */
	PART_EVICT,	  /* an eviction policy's lists; maps that evict */
	PART_EVICT_NODES, /* what the policy notes of each element */
	PART_PERCPU,	  /* per-CPU values: one area a CPU */
	PART_N
};

struct region_layout {
	struct map_attr attr;
	uint32_t reuse;	 /* enum usermap_reuse: GRACE or AT_ONCE */
	uint32_t n_cpus; /* possible CPUs when the map was made */
	uint64_t offset[PART_N];
	uint64_t size[PART_N];
	uint64_t areas[PART_N];	   /* the part is so many areas of equal size, one a CPU; mostly 1 */
	uint64_t prealloc[PART_N]; /* bytes of each area touched at creation */
	uint64_t total;		   /* with the header page */
};

#define REGION_PAGE	      4096u
#define REGION_MAGIC	      0x50414d5245535521ull /* "!USERMAP" */
#define REGION_LAYOUT_VERSION 4
#define REGION_PARITY	      0x0612u /* Linux 6.18 */

/* The last page of the region. All fields but the atomics are written once, before the region is visible to others. */
struct region_header {
	uint64_t magic;
	uint32_t layout_version;
	uint32_t parity;
	struct region_layout layout;
	uint64_t seed;		       /* of the hash function */
	_Atomic uint32_t frozen;       /* set once by freeze; any process reads it. Monotonic, so relaxed */
	_Atomic uint32_t id;	       /* the command face's map id, 0 elsewhere; written before the fd is handed out */
	_Atomic uint32_t records_used; /* records [0, this) have ever been held; only grows */
	uint32_t
		percpu_atomic; /* per-CPU types: additions are atomic instructions, not restartable sequences (percpu.c) */
};

/* Process-local; written by create and attach only, but for the bits of `obtained`. */
struct region {
	unsigned char *base;
	size_t size; /* of the mapping, and of the file */
	struct region_header *header;
	_Atomic uint64_t
		*obtained; /* a bit per 256 KiB that region_touch() needn't ask for again. Any thread sets it */
	int fd;		   /* own description of the file, -1: private */
	uint64_t device,
		inode; /* of the file: a program that closes every descriptor closes ours, too, and reuses its number */
	bool huge_pages; /* asked for, and possible here */
	bool read_only;
};

/* Adds a part to a layout; false if the region would pass 2^47 bytes. Call in the order of enum region_part, with
 * prealloc <= size. */
bool region_layout_add(struct region_layout *layout, enum region_part part, uint64_t size, uint64_t prealloc);
/* The same for a part of n areas of at least area_size bytes each, whole pages so that no two CPUs share a line. The
 * size of an area is then layout->size[part] / n. prealloc: of each area. */
bool region_layout_add_areas(struct region_layout *layout, enum region_part part, uint32_t n, uint64_t area_size,
			     uint64_t prealloc);
/* Ends a layout: sets total. map_create() and map_attach() call it after the type has added its parts. */
bool region_layout_end(struct region_layout *layout);

enum region_kind { REGION_PRIVATE, REGION_PATH, REGION_MEMFD, REGION_FD };

/* Makes a zero-filled region with its header. path: REGION_PATH, the name that region_publish() will give it; fd:
 * REGION_FD, an empty file that stays the caller's. 0, -ENOMEM, -EINVAL (NUMA node; file not empty), -EFBIG
 * (RLIMIT_FSIZE), -EEXIST, or open(2)'s errno. */
int region_create(struct region *region, const struct region_layout *layout, enum region_kind kind, const char *path,
		  int fd);
/* Ends the creation, when everything in the region is as others may find it: until now they find no name (REGION_PATH)
 * and no magic. path: as given to region_create, else NULL. 0, -EEXIST, or link(2)'s errno. */
int region_publish(struct region *region, const char *path);
/* Maps the file behind fd and copies its header's layout out, unchecked but for magic, versions and the file's size;
 * the caller recomputes it from the attributes and compares with region_layout_equal(). 0, -EINVAL, -ENOMEM,
 * open(2)'s. */
int region_attach(struct region *region, int fd, bool read_only, struct region_layout *found);
bool region_layout_equal(const struct region_layout *a, const struct region_layout *b);
/* Asks for huge pages. Part of region_create(); after region_attach() the caller does it, once the layout is
 * checked. */
void region_advise(struct region *region, const struct region_layout *layout);
void region_close(struct region *region);

/* Whether the program has not closed the region's descriptor. */
bool region_fd_is_ours(const struct region *region);
/* A further description of the file behind fd, which shares no locks and no offset with it. mode: open(2)'s. A descriptor,
 * -EINVAL (no regular file), or the error of open(2) or fstat(2). */
int file_reopen(int fd, int mode);
/* A further description of a shared region's file; mode: open(2)'s. Its descriptor, -ENOMEM if the program has closed the
 * region's, or open(2)'s error. */
int region_reopen(const struct region *region, int mode);

/* Obtains the memory of [offset, offset + size), and of what lies with it in the same 256 KiB. 0 or -ENOMEM.
 * Idempotent, any thread; not for read-only regions. Cheap when it was called for the same memory before. */
int region_touch(struct region *region, uint64_t offset, uint64_t size);
/* Bytes of memory the region has now. Asks the kernel. */
uint64_t region_resident(const struct region *region);

static inline void *region_part(const struct region *region, const struct region_layout *layout, enum region_part part)
{
	return region->base + layout->offset[part];
}

#endif
