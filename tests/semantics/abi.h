/* SPDX-License-Identifier: MIT */
/*
 * The bpf(2) interface of Linux 6.18 as far as maps need it, written for the tests alone: the engine has its own, and
 * a mistake in one must not hide in the other. Debian's headers are older.
 */
#ifndef TESTS_SEMANTICS_ABI_H
#define TESTS_SEMANTICS_ABI_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#define ABI_ENOTSUPP 524

enum abi_cmd {
	ABI_MAP_CREATE = 0,
	ABI_MAP_LOOKUP_ELEM = 1,
	ABI_MAP_UPDATE_ELEM = 2,
	ABI_MAP_DELETE_ELEM = 3,
	ABI_MAP_GET_NEXT_KEY = 4,
	ABI_OBJ_PIN = 6,
	ABI_OBJ_GET = 7,
	ABI_MAP_GET_NEXT_ID = 12,
	ABI_MAP_GET_FD_BY_ID = 14,
	ABI_OBJ_GET_INFO_BY_FD = 15,
	ABI_BTF_LOAD = 18,
	ABI_BTF_GET_FD_BY_ID = 19,
	ABI_MAP_LOOKUP_AND_DELETE_ELEM = 21,
	ABI_MAP_FREEZE = 22,
	ABI_BTF_GET_NEXT_ID = 23,
	ABI_MAP_LOOKUP_BATCH = 24,
	ABI_MAP_LOOKUP_AND_DELETE_BATCH = 25,
	ABI_MAP_UPDATE_BATCH = 26,
	ABI_MAP_DELETE_BATCH = 27,
};

enum abi_map_type {
	ABI_HASH = 1,
	ABI_ARRAY = 2,
	ABI_PERCPU_HASH = 5,
	ABI_PERCPU_ARRAY = 6,
	ABI_LRU_HASH = 9,
	ABI_LRU_PERCPU_HASH = 10,
};

/* Flags of elements, not of maps. */
#define ABI_EXIST  2u
#define ABI_F_LOCK 4u

enum abi_map_flags {
	ABI_F_NO_PREALLOC = 1 << 0,
	ABI_F_NO_COMMON_LRU = 1 << 1,
	ABI_F_NUMA_NODE = 1 << 2,
	ABI_F_RDONLY = 1 << 3,
	ABI_F_WRONLY = 1 << 4,
	ABI_F_ZERO_SEED = 1 << 6,
	ABI_F_RDONLY_PROG = 1 << 7,
	ABI_F_WRONLY_PROG = 1 << 8,
	ABI_F_MMAPABLE = 1 << 10,
	ABI_F_INNER_MAP = 1 << 12,
	ABI_F_PATH_FD = 1 << 14, /* of OBJ_PIN and OBJ_GET */
	ABI_F_VTYPE_BTF_OBJ_FD = 1 << 15,
	ABI_F_TOKEN_FD = 1 << 16,
};

/* All structs are as large as the attr, so that whoever initialises one has initialised the whole. */
struct abi_create {
	uint32_t map_type;
	uint32_t key_size;
	uint32_t value_size;
	uint32_t max_entries;
	uint32_t map_flags;
	uint32_t inner_map_fd;
	uint32_t numa_node;
	char map_name[16];
	uint32_t map_ifindex;
	uint32_t btf_fd;
	uint32_t btf_key_type_id;
	uint32_t btf_value_type_id;
	uint32_t btf_vmlinux_value_type_id;
	uint64_t map_extra;
	int32_t value_type_btf_obj_fd;
	int32_t map_token_fd;
	uint64_t excl_prog_hash;
	uint32_t excl_prog_hash_size;
	uint32_t zeros[19];
};

struct abi_elem {
	uint32_t map_fd;
	uint32_t padding;
	uint64_t key;
	uint64_t value; /* GET_NEXT_KEY: next_key */
	uint64_t flags;
	uint64_t zeros[17];
};

struct abi_batch {
	uint64_t in_batch;
	uint64_t out_batch;
	uint64_t keys;
	uint64_t values;
	uint32_t count;
	uint32_t map_fd;
	uint64_t elem_flags;
	uint64_t flags;
	uint64_t zeros[14];
};

struct abi_get_info {
	uint32_t bpf_fd;
	uint32_t info_len;
	uint64_t info;
	uint64_t zeros[19];
};

struct abi_btf_load {
	uint64_t btf;
	uint64_t log;
	uint32_t size;
	uint32_t log_size;
	uint32_t log_level;
	uint32_t zeros[35];
};

struct abi_obj {
	uint64_t pathname;
	uint32_t bpf_fd;
	uint32_t file_flags;
	int32_t path_fd;
	uint32_t zeros[37];
};

struct abi_id {
	uint32_t id; /* GET_NEXT_ID: where to start */
	uint32_t next_id;
	uint32_t open_flags;
	int32_t token_fd;
	uint32_t zeros[38];
};

struct abi_btf_info {
	uint64_t btf;
	uint32_t btf_size;
	uint32_t id;
	uint64_t name;
	uint32_t name_len;
	uint32_t kernel_btf;
};

#define ABI_ATTR_SIZE	    168u
#define ABI_MAP_INFO_SIZE   104u
#define ABI_MAP_INFO_ID	    4u /* where struct bpf_map_info has the map's id */
#define ABI_MAP_INFO_BTF_ID 64u
#define ABI_MAP_INFO_HASH   88u /* and a pointer, with a size behind it, to where a hash of the contents is to go */

union abi_attr {
	struct abi_create create;
	struct abi_elem elem;
	struct abi_batch batch;
	struct abi_get_info info;
	struct abi_btf_load btf;
	struct abi_obj obj;
	struct abi_id id;
	struct {
		uint32_t freeze_fd;
		uint32_t freeze_zeros[41];
	};
	unsigned char bytes[ABI_ATTR_SIZE];
};

static_assert(sizeof(struct abi_create) == ABI_ATTR_SIZE && sizeof(struct abi_elem) == ABI_ATTR_SIZE &&
		      sizeof(struct abi_batch) == ABI_ATTR_SIZE && sizeof(struct abi_get_info) == ABI_ATTR_SIZE &&
		      sizeof(struct abi_btf_load) == ABI_ATTR_SIZE && sizeof(struct abi_obj) == ABI_ATTR_SIZE &&
		      sizeof(struct abi_id) == ABI_ATTR_SIZE && sizeof(union abi_attr) == ABI_ATTR_SIZE,
	      "see above");
static_assert(offsetof(struct abi_create, excl_prog_hash_size) == 88, "as in Linux 6.18");
static_assert(offsetof(struct abi_batch, map_fd) == 36, "as in Linux 6.18");

static inline int abi_is_array(uint32_t map_type)
{
	return map_type == ABI_ARRAY || map_type == ABI_PERCPU_ARRAY;
}

static inline int abi_is_percpu(uint32_t map_type)
{
	return map_type == ABI_PERCPU_HASH || map_type == ABI_PERCPU_ARRAY || map_type == ABI_LRU_PERCPU_HASH;
}

static inline int abi_is_lru(uint32_t map_type)
{
	return map_type == ABI_LRU_HASH || map_type == ABI_LRU_PERCPU_HASH;
}

/* What bpf(2) is to the tests: -1 and errno, or the result. */
typedef long (*abi_bpf)(int cmd, void *attr, unsigned size);

#endif
