/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_CORE_ATTR_H
#define ENGINE_CORE_ATTR_H

#include <linux/bpf.h>

/* What BPF_MAP_CREATE says of a map, after the checks common to all types. */
struct map_attr {
	__u32 type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 map_flags; /* with RDONLY and WRONLY still in it */
	__u32 numa_node;
	__u64 map_extra;
	char name[16];	     /* NUL-terminated, zeros behind the NUL */
	__u32 spin_lock;     /* 1: each value holds a struct bpf_spin_lock, */
	__u32 spin_lock_off; /* here: a multiple of 4 */
	__u32 btf_id;	     /* what BPF_OBJ_GET_INFO_BY_FD tells of the BTF that the map was made with; else 0 */
	__u32 btf_key_type_id;
	__u32 btf_value_type_id;
	__u32 eviction; /* enum usermap_eviction; 0 but for the LRU types */
};

#endif
