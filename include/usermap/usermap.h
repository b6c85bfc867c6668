/* SPDX-License-Identifier: MIT */
/*
 * usermap: Linux BPF maps as a userspace library. This is the native face: handles and -errno.
 *
 * A map is one region of memory, private to the process or shared between processes. Operations have the semantics of
 * bpf(2) on Linux 6.18: the same flags, the same errno, the same counts, the same bytes.
 *
 * Guarantees (each has tests that carry its number; docs/guarantees.md says more):
 *  G1  Linearizable per key: lookup, update, delete and the outcomes of BPF_NOEXIST/BPF_EXIST appear in one order, and
 *      a key that is present throughout is never missed. A batch's values are each correct at an instant of the call.
 *  G2  No torn values in the copy face, any size, on hash maps; on arrays with BPF_F_LOCK. Otherwise, and for per-CPU
 *      values, per 8 aligned bytes, as in the kernel. Not for values that programs write through pointers.
 *  G3  Exactly max_entries. -E2BIG only if at an instant of the call the entries plus the writes in progress elsewhere
 *      reach max_entries. Never -EBUSY for contention. -ENOMEM only when memory is exhausted, or when more removed
 *      elements than the stated budget wait for a reader that doesn't leave its section. LRU types: never more than
 *      max_entries, never -E2BIG; an entry goes only by deletion or eviction.
 *  G4  Lock-free: after a thread's first write to a map its inserts, replacements and deletes complete although any other
 *      thread is stopped anywhere, as long as the thread records (4096 a map) last and, on USERMAP_REUSE_GRACE maps,
 *      the budget. Lookups are lock-free too. Not so: BPF_F_LOCK and lookups of values with a lock, which wait for the
 *      lock's holder; lookup_and_delete on per-CPU maps, which waits for updates of the value in progress (several
 *      seconds at most, once, if the updating thread is stopped or was killed); writes to LRU types with
 *      USERMAP_EVICTION_KERNEL, whose lists have locks, held for moments; evictions
 *      from LRU_PERCPU_HASH with a callback, which wait like lookup_and_delete.
 *  G5  A process that is killed while it holds a value's lock leaves the value as it was or as its BPF_F_LOCK update
 *      meant it, and the lock to the next one. Killed anywhere else, it leaves the map usable, but keeps what its
 *      operation held. LRU types: nothing is kept; the lists are made whole, and lost elements come back when others
 *      need them (USERMAP_EVICTION_S3FIFO: as entries that were hit are evicted). A process that has closed the map's
 *      descriptor behind the library's back (closefrom) can't tell who is dead: it waits for another one to do that.
 *  G6  On USERMAP_REUSE_GRACE maps a pointer from a lookup stays the same entry until usermap_read_unlock().
 *  G7  Errno, counts, output bytes and side effects of the command face (bpf.h) are those of Linux 6.18.
 *  G8  A walk returns each entry that is present throughout exactly once, unless it is deleted, or with BPF_F_ZERO_SEED
 *      replaced, under the cursor.
 *  G9  A hostile or corrupt shared file can't make the library read or write outside the region. A file that others can
 *      truncate can still raise SIGBUS; memfds are sealed against it.
 *
 * Threads: every function may be called by any thread at any time, except usermap_close(), which must be the last call
 * on its handle. Writes from a signal handler that interrupted a write on the same map are -EBUSY, if both go through one
 * handle; through another handle of a shared LRU map the thread may wait for itself.
 * Memory ordering: an update that a lookup sees happens before that lookup returns (release/acquire per key).
 * fork(): a private map is copied into the child like any private memory; a shared map stays shared. The child may use
 * every handle it inherits. fork() waits for other threads' read-side sections if a grace period is running: don't call
 * it while holding what such a section waits for. A child forked by a signal handler that interrupted a write to a
 * shared map must not return from the handler. A host that uses liburcu-bp itself leaves its fork handlers to this
 * library.
 *
 * Buffers: a key is key_size bytes, a value is value_bytes bytes (struct usermap_info); neither needs any alignment.
 * value_bytes is value_size, but for per-CPU types round_up(value_size, 8) * n_cpus: the slots of all CPUs, in order,
 * padding included, for lookups and updates alike. Output buffers are
 * untouched on error. No function stores a pointer to a caller's buffer.
 */
#ifndef USERMAP_USERMAP_H
#define USERMAP_USERMAP_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define USERMAP_API __attribute__((visibility("default")))

struct usermap;

/* Where a map's memory lies. */
enum usermap_memory {
	USERMAP_MEMORY_DEFAULT = 0, /* SHARED if opts.path is set, else PRIVATE */
	USERMAP_MEMORY_PRIVATE = 1, /* anonymous memory of this process; huge pages advised */
	USERMAP_MEMORY_SHARED = 2,  /* the file opts.path in a tmpfs, or a sealed memfd if path is NULL */
};

/* When the memory of a removed element may serve another entry. */
enum usermap_reuse {
	USERMAP_REUSE_DEFAULT = 0, /* GRACE for private maps, AT_ONCE for shared ones and for LRU types */
	USERMAP_REUSE_GRACE = 1,   /* after an RCU grace period; private maps only, and no LRU types */
	USERMAP_REUSE_AT_ONCE = 2, /* immediately, as the kernel's preallocated maps do */
};

/* Which entry a full LRU map gives up for a new one. Hits are what the policy counts as uses. */
enum usermap_eviction {
	/* The kernel's choice, entry by entry: kernel-identical lists, batches of evictions and all. Hits: lookups of the
	 * program face, and updates of existing entries. */
	USERMAP_EVICTION_KERNEL = 0,
	/* S3-FIFO (Yang et al., SOSP 2023): a better cache, that takes no lock. One entry goes at a time, and only when all
	 * elements are in use; replacing a value of LRU_HASH takes an element, too, until the old one is back. So BPF_EXIST on
	 * a present key can be -ENOENT where its own entry had to go: with max_entries 1 always.
	 * Hits: lookups and updates of single keys, bulk lookups, through every face. */
	USERMAP_EVICTION_S3FIFO = 1,
};

/*
 * Called when a map evicts an entry, by the thread whose update needs room, after the entry is gone and before its
 * memory is used again. value: value_bytes bytes, of a per-CPU type all slots. Both are valid during the call. It may
 * not write to the map (-EBUSY), nor close it. Not called for entries that are deleted or replaced.
 */
typedef void (*usermap_evict_fn)(void *ctx, const void *key, const void *value);

/* Options of usermap_create() and usermap_open(). Zero-initialise, set sz = sizeof; zero fields are defaults. */
struct usermap_opts {
	size_t sz;       /* sizeof(struct usermap_opts) of the caller */
	__u32 map_flags; /* BPF_F_*: what bpf(BPF_MAP_CREATE) takes */
	__u32 numa_node; /* with BPF_F_NUMA_NODE */
	__u64 map_extra; /* must be 0 for the types of this version */
	const char *path; /* file to create for a shared map: must not exist yet */
	__u32 memory;    /* enum usermap_memory */
	__u32 reuse;     /* enum usermap_reuse */
	__u32 n_cpus;    /* per-CPU values: how many CPUs have a slot, up to 4096; LRU types: how many have lists of their
	                  * own, on which depends what is evicted. 0: the possible CPUs of this machine. A map may so be
	                  * made for another machine, or for another number of shards */
	__u32 spin_lock; /* 1: each value holds a struct bpf_spin_lock at offset spin_lock_off, a multiple of 4. HASH, ARRAY */
	__u32 spin_lock_off;
	__u32 btf_size;
	const void *btf; /* instead: raw BTF of btf_size bytes, and in it the types of key and value, as BPF_MAP_CREATE takes
	                  * them. They are checked against the sizes; a struct bpf_spin_lock in the value is found by itself */
	__u32 btf_key_type_id; /* 0: none, for an ARRAY of one entry whose value is a section of variables */
	__u32 btf_value_type_id;
	__u32 eviction;  /* enum usermap_eviction; LRU types. S3FIFO: not with BPF_F_NO_COMMON_LRU */
	__u32 reserved;  /* 0 */
	usermap_evict_fn on_evict; /* LRU types, private maps; NULL: none */
	void *on_evict_ctx;
};

/*
 * Creates a map.
 * @type         BPF_MAP_TYPE_HASH, _ARRAY, _PERCPU_HASH, _PERCPU_ARRAY, _LRU_HASH or _LRU_PERCPU_HASH
 * @name         NULL, or up to 15 of [A-Za-z0-9_.] and Latin-1 letters
 * @opts         NULL for defaults
 * @map          receives the handle; untouched on error
 * Returns 0, or (kernel-semantics of BPF_MAP_CREATE, in the kernel's order)
 *  -EINVAL  unknown type; a flag the type doesn't take; key_size, value_size or max_entries 0 (ARRAY: key_size not 4);
 *           RDONLY with WRONLY; RDONLY_PROG with WRONLY_PROG; NUMA node absent; bad name; opts with unknown non-zero
 *           bytes, an unknown memory or reuse, GRACE for a shared map, a path for a private one; n_cpus for a type
 *           with neither per-CPU values nor LRU lists; LRU types: GRACE; other types: an eviction policy or callback;
 *           a callback for a shared map; an unknown policy, S3FIFO with BPF_F_NO_COMMON_LRU; a spin lock where none can
 *           be; per-CPU types and NO_COMMON_LRU: a NUMA node other than -1. BTF that is malformed or whose types don't
 *           have the map's sizes (other errors of malformed BTF: as BPF_BTF_LOAD, bpf.h)
 *  -E2BIG   HASH: key_size + value_size >= 4 MiB - 48, or max_entries > 2^31; ARRAY: value_size > INT_MAX; per-CPU
 *           types: round_up(value_size, 8) > 32768
 *  -524 (ENOTSUPP)  an LRU type with BPF_F_NO_PREALLOC
 *  -EOPNOTSUPP  a spin lock in a type that has none; a special field that this library doesn't have
 *  -EACCES  a spin lock with BPF_F_RDONLY_PROG or BPF_F_WRONLY_PROG
 *  -ENOMEM  the memory can't be had (also: the tmpfs is full)
 *  -EEXIST, -ENOENT, -EACCES, …  the file at opts.path can't be created
 * BPF_F_NO_COMMON_LRU rounds max_entries up to a multiple of the number of CPUs: each can hold only its share.
 */
USERMAP_API int usermap_create(enum bpf_map_type type, const char *name, __u32 key_size, __u32 value_size,
			       __u32 max_entries, const struct usermap_opts *opts, struct usermap **map);

/*
 * Attaches to the shared map in the file @path (or, usermap_open_fd, behind the descriptor @fd, which stays the
 * caller's). opts->map_flags may hold BPF_F_RDONLY (reads only, the mapping is read-only) and nothing else.
 * The file's header is checked completely before anything in it is followed.
 * Returns 0, -EINVAL (not a map, a corrupt one, another layout version, bad opts), -ENOMEM, or open(2)'s error.
 */
USERMAP_API int usermap_open(const char *path, const struct usermap_opts *opts, struct usermap **map);
USERMAP_API int usermap_open_fd(int fd, const struct usermap_opts *opts, struct usermap **map);

/* A descriptor of a shared map's file, to hand to another process; the caller closes it. -EINVAL for a private map;
 * -ENOMEM: the program has closed the library's own. */
USERMAP_API int usermap_get_fd(const struct usermap *map);

/* Ends the handle; NULL is allowed. A private map is gone, a shared one lives in its file. No call on the handle, and
 * no read-side section that holds its pointers, may be in progress. */
USERMAP_API void usermap_close(struct usermap *map);

/*
 * Copy face: the syscall's semantics. @flags: BPF_ANY, BPF_NOEXIST, BPF_EXIST for updates, 0 elsewhere; on maps with a
 * spin lock BPF_F_LOCK as well. HASH stands for PERCPU_HASH and the LRU types, and ARRAY for PERCPU_ARRAY, unless said
 * otherwise.
 *
 * LRU types: lookups of the copy face are no hits, as the syscall's are none, unless the policy is
 * USERMAP_EVICTION_S3FIFO. With USERMAP_EVICTION_KERNEL an update takes its element before it looks for the key, and so may
 * evict although it then fails (BPF_NOEXIST, BPF_EXIST) or only replaces; what is evicted may be its own key. BPF_EXIST
 * on LRU_PERCPU_HASH never evicts.
 *
 * BPF_F_LOCK: an update of an existing entry stores in place, under the value's lock (the entry keeps its place in
 * walks); a lookup never sees half of such an update, nor of what a program stores under the lock. Without a lock in
 * the values: -EINVAL. While the calling thread holds a lock of the map (usermap_helper_spin_lock), BPF_F_LOCK updates
 * of existing entries, lookups that would wait, and every lookup_and_delete are -EDEADLK. The lock's own 4 bytes are
 * never copied in and read as 0, with or without BPF_F_LOCK.
 */

/* Copies the value of @key. -ENOENT: absent (ARRAY: index >= max_entries). -EINVAL: flags. Values with a lock:
 * -EDEADLK, see above; -EBUSY, -ENOMEM: the holder is dead, and this thread can't take its place. */
USERMAP_API int usermap_lookup_elem(struct usermap *map, const void *key, void *value, __u64 flags);

/* Inserts or replaces. HASH: -EINVAL flags > 2, -EEXIST (NOEXIST, present), -ENOENT (EXIST, absent), -E2BIG full,
 * -ENOMEM (G3). LRU types: never full; -ENOMEM: for a while all elements were in other threads' hands. ARRAY: -EINVAL
 * flags > 2, -E2BIG index >= max_entries, -EEXIST for NOEXIST. Both: -EPERM frozen or opened read-only, -EBUSY from a
 * signal handler inside a write. */
USERMAP_API int usermap_update_elem(struct usermap *map, const void *key, const void *value, __u64 flags);

/* HASH: -ENOENT absent. ARRAY: always -EINVAL. Both: -EPERM frozen or opened read-only. */
USERMAP_API int usermap_delete_elem(struct usermap *map, const void *key);

/* Copies the value and removes the entry in one step: no update that returned 0 is lost in between. HASH: -ENOENT
 * absent. ARRAY: -524 (ENOTSUPP). Flags as lookup; -EPERM as update. The first call on a private map with values of up
 * to 8 bytes waits for updates in progress to end; on per-CPU maps every call waits for updates of the entry in
 * progress. -EDEADLK: the thread holds a lock of the map. */
USERMAP_API int usermap_lookup_and_delete_elem(struct usermap *map, const void *key, void *value, __u64 flags);

/* The key after @key in walk order, the first one if @key is NULL or absent. -ENOENT: no more. @key and @next_key may
 * be the same buffer. ARRAY: index + 1; an index >= max_entries restarts at 0. */
USERMAP_API int usermap_get_next_key(struct usermap *map, const void *key, void *next_key);

/* No writes through the copy face or the command face from now on. -524 (ENOTSUPP): values have a spin lock. -EPERM:
 * already frozen, or opened read-only. */
USERMAP_API int usermap_freeze(struct usermap *map);

struct usermap_batch_opts {
	size_t sz;        /* sizeof(struct usermap_batch_opts) of the caller */
	__u64 elem_flags; /* 0, or on maps with a spin lock BPF_F_LOCK */
	__u64 flags;      /* HASH lookups: must be 0; else ignored, as the kernel does */
};

/*
 * Batches: keys and values are arrays of *count keys of key_size and values of value_bytes bytes, without gaps.
 * *count is the room or the number asked for, and on return the number done; opts may be NULL. A count of 0 does
 * nothing. update: stops at the first error; *count elements are done. Errors as usermap_update_elem.
 * delete: stops at the first absent key, -ENOENT.
 * Supported: HASH all; ARRAY update and lookup, else -524 (ENOTSUPP). -EINVAL: elem_flags, flags. -EPERM as update.
 */
USERMAP_API int usermap_update_batch(struct usermap *map, const void *keys, const void *values, __u32 *count,
				     const struct usermap_batch_opts *opts);
USERMAP_API int usermap_delete_batch(struct usermap *map, const void *keys, __u32 *count,
				     const struct usermap_batch_opts *opts);
/*
 * Walks the map: @in_batch NULL starts, else it points to what an earlier call left in @out_batch: HASH a u32 bucket
 * index (a bucket is returned whole or not at all), ARRAY a u32 key.
 * 0: *count entries, more may follow. -ENOENT: *count entries, the walk is over. -ENOSPC (HASH): the next bucket alone
 * has more entries than *count: ask again with a larger one.
 */
USERMAP_API int usermap_lookup_batch(struct usermap *map, const void *in_batch, void *out_batch, void *keys,
				     void *values, __u32 *count, const struct usermap_batch_opts *opts);
USERMAP_API int usermap_lookup_and_delete_batch(struct usermap *map, const void *in_batch, void *out_batch, void *keys,
						void *values, __u32 *count, const struct usermap_batch_opts *opts);

/*
 * Beyond the kernel: looks @n given keys up, prefetching in groups. values: n values of value_bytes bytes; those of
 * absent keys are untouched. found: (n + 63) / 64 words, bit i set if key i is present, all other bits cleared.
 * Returns the number of keys present (>= 0), -EINVAL if n > INT_MAX.
 */
USERMAP_API int usermap_lookup_bulk(struct usermap *map, const void *keys, void *values, __u32 n, __u64 *found);

/* What a map is and holds, without a walk. */
struct usermap_info {
	size_t sz;          /* in: sizeof(struct usermap_info) of the caller; out: bytes filled in */
	__u32 type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 map_flags;    /* without BPF_F_RDONLY and BPF_F_WRONLY */
	__u32 memory;       /* enum usermap_memory, resolved */
	__u32 reuse;        /* enum usermap_reuse, resolved */
	__u32 frozen;       /* 1 after usermap_freeze */
	char name[16];
	__u64 map_extra;
	__u64 count;        /* live entries; exact when no write is in progress, and, LRU types, none was killed lately */
	__u64 bytes_reserved; /* address space or file size */
	__u64 bytes_used;   /* memory that was touched or preallocated for entries, index and bookkeeping */
	__u64 waiting;      /* removed elements that wait for a grace period */
	__u64 waiting_budget; /* how many may wait before a writer outside any section waits */
	__u64 grace_waits;  /* times a writer waited for a grace period */
	__u64 over_budget;  /* elements handed out above the budget, to writers inside a section */
	__u32 huge_pages;   /* 1 if huge pages were asked for and the kernel can give them to this region */
	__u32 fill_permille; /* count * 1000 / max_entries */
	__u32 n_cpus;       /* slots of a per-CPU value; 1 for other types */
	__u32 value_bytes;  /* what a value takes in the caller's buffers: value_size, per-CPU types round_up(value_size, 8) *
	                     * n_cpus */
	__u32 spin_lock;    /* 1: values hold a spin lock, at: */
	__u32 spin_lock_off;
	/* LRU types, since the map was made: */
	__u64 evictions;    /* entries that made room for others */
	__u64 refills;      /* KERNEL: times a CPU had no free element at hand, and got some from the common lists, or by
	                     * evicting */
	__u64 steals;       /* KERNEL: elements taken from another CPU's lists */
	__u64 rotations;    /* KERNEL: times the lists were rotated. S3FIFO: entries that were given another round */
	__u32 eviction;     /* enum usermap_eviction */
	__u32 reserved;
};
/* -EINVAL: info->sz is 0 or info has no room for the first four fields. */
USERMAP_API int usermap_get_info(const struct usermap *map, struct usermap_info *info);

/*
 * libbpf's contract (bpf_map__lookup_elem and siblings): the sizes are checked against the map's, -EINVAL if they
 * differ. get_next_key: @key NULL for the first.
 */
USERMAP_API int usermap__lookup_elem(struct usermap *map, const void *key, size_t key_sz, void *value, size_t value_sz,
				     __u64 flags);
USERMAP_API int usermap__update_elem(struct usermap *map, const void *key, size_t key_sz, const void *value,
				     size_t value_sz, __u64 flags);
USERMAP_API int usermap__delete_elem(struct usermap *map, const void *key, size_t key_sz, __u64 flags);
USERMAP_API int usermap__lookup_and_delete_elem(struct usermap *map, const void *key, size_t key_sz, void *value,
						size_t value_sz, __u64 flags);
USERMAP_API int usermap__get_next_key(struct usermap *map, const void *cur_key, void *next_key, size_t key_sz);

/* Where the library takes small private memory (handles, per-thread state) from. Call before the first other call.
 * Default: jemalloc's mallocx if the process has it, else malloc.
 * 0, -EINVAL: one of the two functions is missing, or NULL, -EBUSY: memory has been taken already. */
struct usermap_allocator {
	void *(*alloc)(size_t size, size_t align); /* zeroed or not; NULL when exhausted */
	void (*free)(void *p, size_t size);
};
USERMAP_API int usermap_set_allocator(const struct usermap_allocator *allocator);

#ifdef __cplusplus
}
#endif
#endif
