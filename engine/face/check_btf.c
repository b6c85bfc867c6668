/* SPDX-License-Identifier: MIT */
/*
 * What BTF says of a new map: that the types of key and value have the map's sizes, and where a value has its spin lock.
 *
 * The kernel knows more special fields than spin locks: timers, work, pointers to its objects, lists and trees. Their
 * meaning comes from programs that run in it. A map with one is refused here by -EOPNOTSUPP, which the kernel has for
 * map types that can't hold a field. So is a value with two locks in different structs, of which the kernel uses the
 * last, and one whose lock lies at no multiple of 4, in a struct that does. But that is said when all that the kernel
 * checks is right.
 */
#include "face/btf.h"

#include "core/errno.h"
#include "map/map.h"

/* The sections .data, .rodata and .bss of a program come as one value, without a type for the key. */
static bool may_have_no_key(__u32 type)
{
	return type == BPF_MAP_TYPE_ARRAY || type == BPF_MAP_TYPE_PERCPU_ARRAY;
}

static int check_size(const struct btf *btf, __u32 *id, __u32 wanted)
{
	__u32 size;

	return btf_type_size(btf, id, &size) && size == wanted ? 0 : -EINVAL;
}

/* What the types of arrays ask for. Ids are those of the types behind typedefs and qualifiers. */
static int check_array(const struct map_attr *attr, const struct btf *btf, __u32 key_id, __u32 value_id)
{
	if (key_id)
		return btf_type_is_int32(btf, key_id) ? 0 : -EINVAL;
	if (attr->type != BPF_MAP_TYPE_ARRAY || attr->max_entries != 1)
		return -EINVAL;
	return btf_type_kind(btf, value_id) == BTF_KIND_DATASEC ? 0 : -EINVAL;
}

/* The fields that the kernel has in maps of a type. */
static __u32 fields_of_type(__u32 type)
{
	if (type == BPF_MAP_TYPE_HASH || type == BPF_MAP_TYPE_ARRAY)
		return BTF_FIELDS_OF_VALUES & ~(__u32)BTF_FIELD_UPTR;
	return BTF_FIELD_KPTR | BTF_FIELD_REFCOUNT;
}

static int find_fields(const struct map_attr *attr, const struct btf *btf, __u32 value_id, struct btf_fields *fields)
{
	int error = btf_find_fields(btf, value_id, BTF_FIELDS_OF_VALUES, fields);

	if (error == -ENOMEM)
		return error;
	if (error) /* fields that make no sense are none */
		fields->n = fields->kinds = 0;
	if (fields->n && attr->map_flags & (BPF_F_RDONLY_PROG | BPF_F_WRONLY_PROG))
		return -EACCES;
	return fields->kinds & ~fields_of_type(attr->type) ? -EOPNOTSUPP : 0;
}

/* Of what the kernel would have, this library has one spin lock. */
static int take_fields(struct map_attr *attr, const struct btf_fields *fields)
{
	if (!fields->n)
		return 0;
	if (fields->n != 1 || fields->kinds != BTF_FIELD_SPIN_LOCK || fields->field[0].offset % 4)
		return -EOPNOTSUPP;
	attr->spin_lock = 1;
	attr->spin_lock_off = fields->field[0].offset;
	return 0;
}

static int check_types(struct map_attr *attr, const struct btf *btf, __u32 key_id, __u32 value_id)
{
	struct btf_fields fields;
	int error = 0;

	if (key_id)
		error = check_size(btf, &key_id, attr->key_size);
	else if (!may_have_no_key(attr->type))
		error = -EINVAL;
	if (!error)
		error = check_size(btf, &value_id, attr->value_size);
	if (!error)
		error = find_fields(attr, btf, value_id, &fields);
	if (!error && may_have_no_key(attr->type))
		error = check_array(attr, btf, key_id, value_id);
	return error ? error : take_fields(attr, &fields);
}

int check_btf(struct map_attr *attr, const void *data, size_t size, __u32 key_id, __u32 value_id)
{
	struct btf_fault fault;
	struct btf *btf;
	int error = size > BTF_SIZE_LIMIT ? -E2BIG : btf_open(data, size, &btf, &fault);

	if (error)
		return error;
	error = check_types(attr, btf, key_id, value_id);
	btf_close(btf);
	return error;
}
