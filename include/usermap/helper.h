/* SPDX-License-Identifier: MIT */
/*
 * usermap, program face: what a BPF program calls. Pointers instead of copies, -errno, and no freezing: that is for
 * commands, programs write on, as in the kernel.
 *
 * A pointer is valid inside the read-side section in which it was looked up. On USERMAP_REUSE_GRACE maps it stays the
 * same entry until the section ends (G6), even if the entry is deleted meanwhile. On USERMAP_REUSE_AT_ONCE maps it
 * keeps the kernel's weaker promise for preallocated maps: the memory stays readable, but may come to serve another
 * key. Stores through a pointer are the program's own: they are seen by others in whatever pieces the program makes
 * them.
 *
 * LRU types reuse at once, private maps, too: an entry may be evicted, and its memory serve another key, while a pointer to
 * it is held. Lookups here are hits: they keep the entry from being evicted soon.
 *
 * Per-CPU types: pointers are to the slot of the CPU that the call runs on. A kernel program stays on that CPU until it
 * returns; a thread may be moved, or preempted by another thread that uses the same slot. So read-modify-write through
 * such a pointer can lose updates: usermap_percpu_add() can't.
 *
 * Deviation from the kernel: on private maps an update of a value of up to 8 bytes is one store in place, so an older
 * pointer shows the new value. And a handle that was attached with BPF_F_RDONLY, or comes from a BPF_F_RDONLY
 * descriptor, maps its memory read-only: writes through it are -EPERM, stores through its pointers fault.
 *
 * With USERMAP_BPF_NAMES defined before the first inclusion, the names that BPF programs use (bpf_map_lookup_elem() and
 * siblings) are there, too: see usermap/bpf_names.h.
 */
#ifndef USERMAP_HELPER_H
#define USERMAP_HELPER_H

#include <usermap/usermap.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Begins and ends a read-side section (liburcu, bp flavour). Sections nest. A thread needs no registration. A section
 * must end in the thread that began it; a thread may exit inside one (return, pthread_exit,
 * cancellation), which ends it. */
USERMAP_API void usermap_read_lock(void);
USERMAP_API void usermap_read_unlock(void);

/* Pointer to the value of @key, 8-byte aligned (per-CPU types: to this CPU's slot); NULL if absent. The caller is
 * inside a section. */
USERMAP_API void *usermap_helper_lookup_elem(struct usermap *map, const void *key);

/* Pointer to the slot of @cpu; NULL if @key is absent, @cpu is not below the map's number of CPUs, or the type has no
 * per-CPU values. The caller is inside a section. */
USERMAP_API void *usermap_helper_lookup_percpu_elem(struct usermap *map, const void *key, __u32 cpu);

/* As usermap_update_elem and usermap_delete_elem, with the helpers' differences: a frozen map is written all the same,
 * and ARRAY and PERCPU_ARRAY with BPF_NOEXIST|BPF_F_LOCK are -EEXIST. Per-CPU types: @value is value_size bytes for
 * this CPU's slot alone; an insert makes the other slots zero (value_size bytes of them), an update leaves them alone.
 * -EDEADLK: BPF_F_LOCK while the thread holds a spin lock of this map. */
USERMAP_API long usermap_helper_update_elem(struct usermap *map, const void *key, const void *value, __u64 flags);
USERMAP_API long usermap_helper_delete_elem(struct usermap *map, const void *key);

/*
 * Calls @fn for each entry, in walk order, until it returns something else than 0. @value is as from
 * usermap_helper_lookup_elem(); @key is a copy. The callback may update and delete entries, the present one too.
 * Returns the number of callbacks run, the one that stopped included. -EINVAL: @flags not 0, or the type has no
 * for_each. -ENOMEM. The walk runs inside a section of its own. (bpf_for_each_map_elem)
 */
typedef long (*usermap_for_each_fn)(struct usermap *map, const void *key, void *value, void *ctx);
USERMAP_API long usermap_helper_for_each_elem(struct usermap *map, usermap_for_each_fn fn, void *ctx, __u64 flags);

/*
 * Takes and releases the spin lock in a value: @lock is the struct bpf_spin_lock inside a value of a map with spin
 * locks, reached through a pointer from usermap_helper_lookup_elem(). It excludes other holders, and BPF_F_LOCK updates
 * and lookups, in all processes. A thread holds at most one lock of a map at a time; one that exits holding it releases
 * it, and so does the end of its process (what the program had stored by then stays as it is).
 * lock: 0; -EDEADLK: the thread holds a lock of this map (seen if both go through one handle; of two handles a
 *       thread would wait for itself); -EINVAL: no lock of a map of this process is there; -ENOMEM;
 *       -EPERM: attached with BPF_F_RDONLY; -EBUSY: in a signal handler that interrupted a write to the map.
 *       Acquires: sees what earlier holders stored.
 * unlock: 0; -EINVAL, -EPERM: not held by this thread; -EBUSY: as above. Releases.
 */
USERMAP_API int usermap_helper_spin_lock(struct bpf_spin_lock *lock);
USERMAP_API int usermap_helper_spin_unlock(struct bpf_spin_lock *lock);

/*
 * Adds @delta to the 8-byte counter at @offset of the present CPU's slot of @key's value: exact, however threads are
 * preempted and moved. A restartable sequence (rseq) on x86-64 and aarch64: on private PERCPU_HASH maps and on PERCPU_ARRAY
 * its path has no atomic instruction. Where the map was made by a thread without rseq, or for fewer CPUs than this machine
 * has, an atomic add. The sum over all slots is exact; concurrent whole-slot updates overwrite, as ever.
 * Returns 0; -ENOENT: absent (PERCPU_ARRAY: index >= max_entries); -EINVAL: not a per-CPU type, @offset is not a
 * multiple of 8 or the counter isn't inside value_size; -EOPNOTSUPP: this thread has no rseq but the map relies on it;
 * -ENOMEM; -EPERM: attached with BPF_F_RDONLY; -EBUSY: in a signal handler that interrupted a write to the map.
 */
USERMAP_API int usermap_percpu_add(struct usermap *map, const void *key, __u32 offset, __u64 delta);

#ifdef __cplusplus
}
#endif

#ifdef USERMAP_BPF_NAMES
#include <usermap/bpf_names.h>
#endif
#endif
