/* SPDX-License-Identifier: MIT */
/*
 * usermap, BPF names: a BPF program's C source, written for clang -target bpf, compiles for this machine without a change and
 * works on usermap's maps. Two ways to come here: #define USERMAP_BPF_NAMES before <usermap/helper.h>; or, for a source that
 * includes <bpf/bpf_helpers.h>, the directory usermap/native on the compiler's include path, before the system's.
 *
 * A map variable, declared as for libbpf,
 *
 *	struct {
 *		__uint(type, BPF_MAP_TYPE_HASH);
 *		__uint(max_entries, 1000);
 *		__type(key, struct flow);
 *		__type(value, struct counts);
 *	} flows SEC(".maps");
 *
 * has members that are pointers, never followed: they only carry numbers and types to libbpf. Here the memory of the first
 * holds the map's handle, put there by usermap_bpf_create(&flows, opts) or usermap_bpf_bind(), once, before the program runs.
 * &handle of a plain `struct usermap *handle` is as good as a map variable.
 *
 * A program must run inside a read-side section, as the kernel runs one: usermap_bpf_run(program, context) sees to that.
 *
 * What is not as in the kernel: a thread is not kept on its CPU, see helper.h about per-CPU values. Packet pointers in struct
 * xdp_md and struct __sk_buff have 32 bits, so packets for a program that reads them directly must lie below 4 GiB (mmap's
 * MAP_32BIT). libbpf's own <bpf/bpf.h> has functions of the same names, so it can't be included in the same source.
 */
#ifndef USERMAP_BPF_NAMES_H
#define USERMAP_BPF_NAMES_H

#include <usermap/helper.h>

#ifdef __cplusplus
extern "C" {
#endif

/* For the functions below. The program's clock is CLOCK_MONOTONIC. */
USERMAP_API __u32 usermap_bpf_processor_id(void);
USERMAP_API __u64 usermap_bpf_ktime_ns(void);
USERMAP_API long usermap_bpf_for_each(void *variable, void *callback, void *ctx, __u64 flags);

/* The handle in a map variable. */
static inline struct usermap *usermap_bpf_map(const void *variable)
{
	struct usermap *map;

	__builtin_memcpy(&map, variable, sizeof(map)); /* declared as another pointer */
	return map;
}

/* Makes &variable name the map, which stays the caller's to close; NULL: no map. */
static inline void usermap_bpf_bind(void *variable, struct usermap *map)
{
	__builtin_memcpy(variable, &map, sizeof(map));
}

static inline int usermap_bpf_create_sized(void *variable, __u32 type, size_t key_size, size_t value_size,
					   size_t max_entries, const struct usermap_opts *opts)
{
	struct usermap *map;
	int error = usermap_create((enum bpf_map_type)type, NULL, (__u32)key_size, (__u32)value_size,
				   (__u32)max_entries, opts, &map);

	if (!error)
		usermap_bpf_bind(variable, map);
	return error;
}

/* The number N of a __uint(field, N) in the declaration of *variable. */
#define usermap_bpf_uint(variable, field) ((__u32)(sizeof(*(variable)->field) / sizeof(int)))

/* Creates the map that *variable declares by type, key, value and max_entries, and binds it. What C can't find out comes by
 * opts: map_flags (usermap_bpf_uint(&flows, map_flags), if the declaration has them) and where a struct bpf_spin_lock lies in
 * the value. Errors as usermap_create(). The map is ended by usermap_close(usermap_bpf_map(&flows)). */
#define usermap_bpf_create(variable, opts)                                                               \
	usermap_bpf_create_sized((variable), usermap_bpf_uint(variable, type), sizeof(*(variable)->key), \
				 sizeof(*(variable)->value), usermap_bpf_uint(variable, max_entries), (opts))

/* Runs a program inside a read-side section; its result. */
#define usermap_bpf_run(program, context)                                      \
	__extension__({                                                        \
		usermap_read_lock();                                           \
		__typeof__((program)(context)) usermap_r = (program)(context); \
		usermap_read_unlock();                                         \
		usermap_r;                                                     \
	})

/* The helpers, with the prototypes that libbpf gives them. Results as helper.h says. */
static inline void *bpf_map_lookup_elem(void *map, const void *key)
{
	return usermap_helper_lookup_elem(usermap_bpf_map(map), key);
}

static inline void *bpf_map_lookup_percpu_elem(void *map, const void *key, __u32 cpu)
{
	return usermap_helper_lookup_percpu_elem(usermap_bpf_map(map), key, cpu);
}

static inline long bpf_map_update_elem(void *map, const void *key, const void *value, __u64 flags)
{
	return usermap_helper_update_elem(usermap_bpf_map(map), key, value, flags);
}

static inline long bpf_map_delete_elem(void *map, const void *key)
{
	return usermap_helper_delete_elem(usermap_bpf_map(map), key);
}

/* The callback is long (*)(void *map, const void *key, void *value, void *ctx) and gets the same &map. Of what it returns the
 * low 32 bits count, so that one declared as int will do. */
static inline long bpf_for_each_map_elem(void *map, void *callback, void *ctx, __u64 flags)
{
	return usermap_bpf_for_each(map, callback, ctx, flags);
}

static inline long bpf_spin_lock(struct bpf_spin_lock *lock)
{
	return usermap_helper_spin_lock(lock);
}

static inline long bpf_spin_unlock(struct bpf_spin_lock *lock)
{
	return usermap_helper_spin_unlock(lock);
}

static inline __u32 bpf_get_smp_processor_id(void)
{
	return usermap_bpf_processor_id();
}

static inline __u64 bpf_ktime_get_ns(void)
{
	return usermap_bpf_ktime_ns();
}

#ifdef __cplusplus
}
#else

/* The words of declarations. BPF programs are C; in C++ these would be in the way of its own library. */
#define __uint(name, val)  int(*name)[val]
#define __type(name, val)  __typeof__(val) *name
#define __array(name, val) __typeof__(val) *name[]
#define SEC(name)	   __attribute__((used)) /* sections say something to libbpf alone */

enum libbpf_pin_type { LIBBPF_PIN_NONE, LIBBPF_PIN_BY_NAME };

#undef __always_inline
#define __always_inline __inline __attribute__((always_inline))
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif
#ifndef __weak
#define __weak __attribute__((weak))
#endif
#ifndef __hidden
#define __hidden __attribute__((visibility("hidden")))
#endif

#endif /* __cplusplus */
#endif
