/* SPDX-License-Identifier: MIT */
/*
 * The contract between the faces and the map types.
 *
 * A face checks and translates arguments, then calls a map's ops; a map type implements struct map_ops in its own file
 * and is listed in registry.c. Ops get keys and values in trusted buffers; only the batch ops reach the caller's memory
 * themselves, through the struct user_io that the face hands them, because how far a batch gets before a bad pointer is
 * part of the contract.
 *
 * All ops return 0 or -errno (ENOTSUPP is 524, in core/errno.h). An op that a type doesn't have is NULL: the face
 * answers -ENOTSUPP, in its place in the order of checks.
 */
#ifndef ENGINE_MAP_MAP_H
#define ENGINE_MAP_MAP_H

#include <stdatomic.h>
#include <usermap/helper.h>

#include "core/attr.h"
#include "core/region.h"

#define MAP_MAX_CPUS 4096u

struct usermap;
struct value_locks;

/* Where a new map's memory comes from. */
struct map_backing {
	enum { BACKING_PRIVATE, BACKING_PATH, BACKING_MEMFD, BACKING_FD } kind;
	const char *path;	   /* BACKING_PATH: created with O_EXCL */
	int fd;			   /* BACKING_FD: an empty file; stays the caller's, the region reopens it */
	enum usermap_reuse reuse;  /* GRACE or AT_ONCE */
	__u32 n_cpus;		   /* CPUs with a slot in per-CPU values, and with LRU lists; 0: the machine's */
	usermap_evict_fn on_evict; /* LRU types; NULL: none */
	void *on_evict_ctx;
};

/* How a batch reaches the caller's memory. Both return 0 or -EFAULT; a prefix may have been copied. */
struct user_io {
	int (*in)(void *dst, const void *user, size_t size);
	int (*out)(void *user, const void *src, size_t size);
	bool (*sure)(const void *user, size_t size); /* whether an out() to there is as good as done */
};

struct map_batch {
	const struct user_io *io;
	const void *in_batch; /* user pointers, as the caller gave them */
	void *out_batch;
	void *keys;
	void *values;
	__u32 max;	  /* entries asked for, > 0 */
	__u32 count;	  /* out: what is to be written back, also on error; 0 at entry */
	__u64 elem_flags; /* checked by the face */
};

struct map_ops {
	enum bpf_map_type type;
	bool percpu; /* values have a slot for each CPU */
	bool evicts; /* an LRU type: reuses at once, and a full map gives entries up */
	/* Checks of BPF_MAP_CREATE that belong to the type, in the kernel's order. */
	int (*alloc_check)(const struct map_attr *attr);
	/* Lays the parts of a new region out (attr is in *layout); then formats it; then, for a new and an attached
	 * region alike, makes the process-local part. detach ends that part. */
	int (*layout)(struct region_layout *layout);
	int (*format)(struct usermap *map);
	int (*attach)(struct usermap *map);
	void (*detach)(struct usermap *map);

	/* Values are map->value_bytes long: of a per-CPU type all slots. flags: the face has checked that BPF_F_LOCK
	 * comes only where values have a spin lock, but for the program face's updates. */
	int (*lookup)(struct usermap *map, const void *key, void *value, __u64 flags);
	int (*update)(struct usermap *map, const void *key, const void *value, __u64 flags);
	int (*delete)(struct usermap *map, const void *key);
	int (*next_key)(struct usermap *map, const void *key, void *next_key); /* key NULL: first; may alias next_key */
	int (*lookup_and_delete)(struct usermap *map, const void *key, void *value, __u64 flags);
	int (*lookup_batch)(struct usermap *map, struct map_batch *batch);
	int (*lookup_and_delete_batch)(struct usermap *map, struct map_batch *batch);
	int (*update_batch)(struct usermap *map, struct map_batch *batch);
	int (*delete_batch)(struct usermap *map, struct map_batch *batch);
	bool can_map;		  /* with BPF_F_MMAPABLE, values may be mapped: they lie at offset 0 */
	bool batch_flags_checked; /* lookup batches refuse flags != 0 (the HASH family) */
	void (*prefetch)(struct usermap *map, const void *keys,
			 __u32 n); /* may be NULL: n keys will be written to soon */
	int (*lookup_bulk)(struct usermap *map, const void *keys, void *values, __u32 n, __u64 *found);
	/* The program face; inside a read-side section. lookup_ptr, update_prog and for_each of per-CPU types: this
	 * CPU's slot, value_size bytes. update_prog NULL: as update. */
	void *(*lookup_ptr)(struct usermap *map, const void *key);
	int (*update_prog)(struct usermap *map, const void *key, const void *value, __u64 flags);
	void *(*lookup_percpu_ptr)(struct usermap *map, const void *key, __u32 cpu); /* cpu < map->n_cpus */
	long (*for_each)(struct usermap *map, usermap_for_each_fn fn, void *ctx);    /* callbacks run, or -errno */
	/* Adds to the u64 at `offset`, checked by the face, of this CPU's slot. 0, -ENOENT, -EOPNOTSUPP, -ENOMEM,
	 * -EBUSY. */
	int (*percpu_add)(struct usermap *map, const void *key, __u32 offset, __u64 delta);
	const struct value_locks *(*value_locks)(struct usermap *map); /* of a map with spin locks (core/vlock.h) */
	void (*info)(const struct usermap *map, struct usermap_info *info);
	void (*sha256)(const struct usermap *map, unsigned char digest[32]); /* of the whole contents; ARRAY alone */
};

/* The handle: process-local. Written at creation and attach only, so every thread reads it freely. */
struct usermap {
	const struct map_ops *ops;
	struct region region;	     /* the memory, and region.header */
	struct region_layout layout; /* checked copy of the header's */
	__u32 key_size;		     /* copies of the header's checked fields: a shared header may be scribbled on */
	__u32 value_size;
	__u32 max_entries;
	__u32 map_flags;     /* without RDONLY and WRONLY */
	__u32 n_cpus;	     /* slots of a per-CPU value; other types: 1 */
	__u32 value_bytes;   /* of a value in the caller's buffers: value_size, or of all slots */
	bool spin_lock;	     /* values have a struct bpf_spin_lock, */
	__u32 spin_lock_off; /* here */
	enum usermap_reuse reuse;
	bool read_only;		   /* native face: attached with BPF_F_RDONLY; writes are -EPERM */
	bool write_only;	   /* native face: made with BPF_F_WRONLY; reads are -EPERM */
	usermap_evict_fn on_evict; /* LRU types */
	void *on_evict_ctx;
	__u32 local_id;	  /* index of this handle in every thread's table of records */
	atomic_uint refs; /* handles given out; the last usermap_close() detaches. By face and registry */
	_Alignas(64) unsigned char type_data[2048]; /* the type's process-local part */
};

const struct map_ops *map_ops_find(__u32 type);

/* Whether a map of these attributes may have the spin lock that they say: 0, -EOPNOTSUPP (the type), -EACCES (a flag
 * for programs), -EINVAL (no lock can be there). */
int map_check_spin_lock(const struct map_attr *attr);
/* Whether a map of these attributes may have the eviction policy that they say: 0, -EINVAL. */
int map_check_eviction(const struct map_attr *attr);
/* Makes a map of checked attributes. 0, -ENOMEM, or open(2)'s error. */
int map_create(const struct map_attr *attr, const struct map_backing *backing, struct usermap **map);
/* Attaches to the region behind fd, which stays the caller's (the region reopens it). 0, -EINVAL, -ENOMEM,
 * open(2)'s. */
int map_attach(int fd, bool read_only, struct usermap **map);
void map_get(struct usermap *map);
void map_put(struct usermap *map); /* the last one detaches, unmaps and frees */

static inline bool map_is_frozen(const struct usermap *map)
{
	/* relaxed: freeze promises nothing about writes that race with it */
	return atomic_load_explicit(&map->region.header->frozen, memory_order_relaxed) != 0;
}

/* The batch ops that work for any type with update, delete, lookup and next_key (map/batch.c). */
int batch_update(struct usermap *map, struct map_batch *batch);
int batch_delete(struct usermap *map, struct map_batch *batch);
int batch_lookup(struct usermap *map, struct map_batch *batch); /* tokens are keys: ARRAY */

#endif
