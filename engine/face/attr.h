/* SPDX-License-Identifier: MIT */
/*
 * What bpf(2) of Linux 6.18 takes and gives: the attr of the commands this library has, and struct bpf_map_info. The
 * installed kernel headers are older than the parity target, so both are spelt out here, with the constants those
 * headers lack.
 */
#ifndef ENGINE_FACE_ATTR_H
#define ENGINE_FACE_ATTR_H

#include <linux/bpf.h>

/* Flags of BPF_MAP_CREATE, by their 6.18 values; headers may have them as enumerators, so the names are our own. */
#define CREATE_VTYPE_BTF_OBJ_FD (1u << 15)
#define CREATE_TOKEN_FD		(1u << 16)
#define BTF_TOKEN_FD		(1u << 16) /* of BPF_BTF_LOAD and BPF_BTF_GET_FD_BY_ID */
#define OBJ_PATH_FD		(1u << 14) /* of BPF_OBJ_PIN and BPF_OBJ_GET: path_fd is where relative paths begin */

#define EXCL_PROG_HASH_SIZE 32u /* SHA-256 */
#define ATTR_SIZE_LIMIT	    4096u

union command_attr {
	struct {
		__u32 map_type;
		__u32 key_size;
		__u32 value_size;
		__u32 max_entries;
		__u32 map_flags;
		__u32 inner_map_fd;
		__u32 numa_node;
		char map_name[16];
		__u32 map_ifindex;
		__u32 btf_fd;
		__u32 btf_key_type_id;
		__u32 btf_value_type_id;
		__u32 btf_vmlinux_value_type_id;
		__u64 map_extra;
		__s32 value_type_btf_obj_fd;
		__s32 map_token_fd;
		__u64 excl_prog_hash;
		__u32 excl_prog_hash_size;
	} create;
	struct { /* LOOKUP, UPDATE, DELETE, GET_NEXT_KEY, LOOKUP_AND_DELETE, FREEZE */
		__u32 map_fd;
		__u32 pad;
		__u64 key;
		union {
			__u64 value;
			__u64 next_key;
		};
		__u64 flags;
	} elem;
	struct {
		__u64 in_batch;
		__u64 out_batch;
		__u64 keys;
		__u64 values;
		__u32 count;
		__u32 map_fd;
		__u64 elem_flags;
		__u64 flags;
	} batch;
	struct {
		__u32 bpf_fd;
		__u32 info_len;
		__u64 info;
	} info;
	struct {
		__u64 btf;
		__u64 log_buf;
		__u32 size;
		__u32 log_size;
		__u32 log_level;
		__u32 log_true_size; /* out */
		__u32 flags;
		__s32 token_fd;
	} btf;
	struct { /* OBJ_PIN, OBJ_GET */
		__u64 pathname;
		__u32 bpf_fd;
		__u32 file_flags;
		__s32 path_fd;
	} obj;
	struct {		/* GET_NEXT_ID, GET_FD_BY_ID */
		__u32 start_id; /* or the id */
		__u32 next_id;
		__u32 open_flags;
		__s32 token_fd;
	} id;
	__u64 whole[21]; /* with what other commands have */
};
_Static_assert(sizeof(union command_attr) == 168, "the attr of Linux 6.18");

struct command_map_info {
	__u32 type;
	__u32 id;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
	__u32 map_flags;
	char name[16];
	__u32 ifindex;
	__u32 btf_vmlinux_value_type_id;
	__u64 netns_dev;
	__u64 netns_ino;
	__u32 btf_id;
	__u32 btf_key_type_id;
	__u32 btf_value_type_id;
	__u32 btf_vmlinux_id;
	__u64 map_extra;
	__u64 hash; /* in: where to write the SHA-256 of a frozen ARRAY's contents */
	__u32 hash_size;
	__u32 pad;
};
_Static_assert(sizeof(struct command_map_info) == 104, "the map info of Linux 6.18");

struct command_btf_info {
	__u64 btf; /* in: where to write the bytes */
	__u32 btf_size;
	__u32 id;
	__u64 name; /* in: where to write the name */
	__u32 name_len;
	__u32 kernel_btf;
};
_Static_assert(sizeof(struct command_btf_info) == 32, "the BTF info of Linux 6.18");

#endif
