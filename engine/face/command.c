/* SPDX-License-Identifier: MIT */
/*
 * The command face: bpf(2). Here is the order of checks that all commands share:
 * attr size, attr, tail, descriptor, access, flags, key, value, the type's own checks, copy-out.
 *
 * A command runs inside a read-side section, so that its map isn't collected meanwhile (fd.c).
 *
 * Commands on elements are short, and store little: while one waits for memory, the processor can then begin the next one's
 * waiting. So no more of the attr is copied and cleared than a command uses.
 */
#include "face/command.h"

#include <errno.h>
#include <usermap/bpf.h>

#include "core/alloc.h"
#include "core/hold.h"
#include "core/sha256.h"
#include "face/btf.h"
#include "face/check.h"
#include "face/fd.h"
#include "face/usercopy.h"

/* Trusted copies of a key and a value: on the stack if they are small. */
struct bounce {
	void *key;
	void *value;
	size_t allocated; /* 0: on the stack */
	_Alignas(16) unsigned char stack[512];
};

static int bounce_get(struct bounce *bounce, const struct usermap *map)
{
	size_t key_room = ((size_t)map->key_size + 15) & ~(size_t)15;
	size_t size = key_room + map->value_bytes;
	unsigned char *room = bounce->stack;

	bounce->allocated = 0;
	if (__builtin_expect(size > sizeof(bounce->stack), 0)) {
		room = mem_alloc(size);
		if (!room)
			return -ENOMEM;
		bounce->allocated = size;
	}
	bounce->key = room;
	bounce->value = room + key_room;
	return 0;
}

static void bounce_put(struct bounce *bounce)
{
	if (bounce->allocated)
		mem_free(bounce->key, bounce->allocated);
}

/* What a descriptor may do to its map, as reads and writes by command go. */
static unsigned access_now(const struct fd_map *found)
{
	return map_is_frozen(found->map) ? found->access & ~(unsigned)MAY_WRITE : found->access;
}

static inline void leave(unsigned need)
{
	if (need & MAY_WRITE)
		thread_set_writing(NULL);
	fd_leave();
}

/* Takes the map of a descriptor into use, if it may do all that is needed. */
static inline int enter(__u32 fd, const void *user_key, unsigned need, struct fd_map *found)
{
	int error = fd_enter((int)fd, user_key, found);

	if (__builtin_expect(error != 0, 0))
		return error;
	if (need & MAY_WRITE)
		thread_set_writing(found->map); /* before the look whether it's frozen */
	if (__builtin_expect((access_now(found) & need) != need, 0)) {
		leave(need);
		return -EPERM;
	}
	return 0;
}

/* A command on one element: gets the map, the attr and the bounce buffers. */
typedef int (*element_step)(struct usermap *map, const union command_attr *attr, struct bounce *bounce);

static inline __attribute__((always_inline)) int on_element(const union command_attr *attr, unsigned need,
							    element_step step)
{
	struct fd_map found;
	struct bounce bounce;
	int error = enter(attr->elem.map_fd, user_pointer(attr->elem.key), need, &found);

	if (error)
		return error;
	error = bounce_get(&bounce, found.map);
	if (!error) {
		error = step(found.map, attr, &bounce);
		bounce_put(&bounce);
	}
	leave(need);
	return error;
}

static int copy_key(struct usermap *map, const union command_attr *attr, struct bounce *bounce)
{
	return usercopy_in(bounce->key, user_pointer(attr->elem.key), map->key_size);
}

static int copy_value_out(struct usermap *map, const union command_attr *attr, struct bounce *bounce)
{
	return usercopy_out(user_pointer(attr->elem.value), bounce->value, map->value_bytes);
}

static int lookup_step(struct usermap *map, const union command_attr *attr, struct bounce *bounce)
{
	int error = check_lock_flag(map, attr->elem.flags);

	if (!error)
		error = copy_key(map, attr, bounce);
	if (!error)
		error = map->ops->lookup(map, bounce->key, bounce->value, attr->elem.flags);
	return error ? error : copy_value_out(map, attr, bounce);
}

static long command_lookup(const union command_attr *attr)
{
	if (attr->elem.flags & ~(__u64)BPF_F_LOCK)
		return -EINVAL;
	return on_element(attr, MAY_READ, lookup_step);
}

static int update_step(struct usermap *map, const union command_attr *attr, struct bounce *bounce)
{
	int error = check_lock_flag(map, attr->elem.flags);

	if (!error)
		error = copy_key(map, attr, bounce);
	if (!error)
		error = usercopy_in(bounce->value, user_pointer(attr->elem.value), map->value_bytes);
	return error ? error : map->ops->update(map, bounce->key, bounce->value, attr->elem.flags);
}

static long command_update(const union command_attr *attr)
{
	return on_element(attr, MAY_WRITE, update_step);
}

static int delete_step(struct usermap *map, const union command_attr *attr, struct bounce *bounce)
{
	int error = copy_key(map, attr, bounce);

	return error ? error : map->ops->delete(map, bounce->key);
}

static long command_delete(const union command_attr *attr)
{
	return on_element(attr, MAY_WRITE, delete_step);
}

static int next_key_step(struct usermap *map, const union command_attr *attr, struct bounce *bounce)
{
	int error = attr->elem.key ? copy_key(map, attr, bounce) : 0;

	if (!error)
		error = map->ops->next_key(map, attr->elem.key ? bounce->key : NULL, bounce->key);
	return error ? error : usercopy_out(user_pointer(attr->elem.next_key), bounce->key, map->key_size);
}

static long command_next_key(const union command_attr *attr)
{
	return on_element(attr, MAY_READ, next_key_step);
}

static int lookup_and_delete_step(struct usermap *map, const union command_attr *attr, struct bounce *bounce)
{
	int error = check_lock_flag(map, attr->elem.flags);

	if (!error)
		error = copy_key(map, attr, bounce);
	if (!error)
		error = map->ops->lookup_and_delete
				? map->ops->lookup_and_delete(map, bounce->key, bounce->value, attr->elem.flags)
				: -ENOTSUPP;
	return error ? error
		     : copy_value_out(map, attr, bounce); /* EFAULT here: the element is gone, as in the kernel */
}

static long command_lookup_and_delete(const union command_attr *attr)
{
	if (attr->elem.flags & ~(__u64)BPF_F_LOCK)
		return -EINVAL;
	return on_element(attr, MAY_READ | MAY_WRITE, lookup_and_delete_step);
}

static long command_freeze(const union command_attr *attr)
{
	struct fd_map found;
	int error = enter(attr->elem.map_fd, NULL, 0, &found);

	if (error)
		return error;
	error = freeze_map(found.map, found.access & MAY_WRITE);
	fd_leave();
	return error;
}

/* A field of the caller's attr, which may lie anywhere. */
static void *field_of(void *user, size_t offset)
{
	return (void *)((uintptr_t)user + offset);
}

static long command_batch(enum batch_kind kind, const union command_attr *attr, void *user)
{
	void *count = field_of(user, offsetof(union command_attr, batch.count));
	struct map_batch batch = {
		.io = &usercopy_io,
		.in_batch = user_pointer(attr->batch.in_batch),
		.out_batch = user_pointer(attr->batch.out_batch),
		.keys = user_pointer(attr->batch.keys),
		.values = user_pointer(attr->batch.values),
		.max = attr->batch.count,
		.elem_flags = attr->batch.elem_flags,
	};
	struct fd_map found;
	int error = enter(attr->batch.map_fd, NULL, batch_access(kind), &found);

	if (error)
		return error;
	error = check_batch(found.map, kind, attr->batch.elem_flags, attr->batch.flags);
	if (!error && batch.max) {
		/* The count is 0 before anything is done: whatever fails later, it was written. */
		error = usercopy_out(count, &batch.count, sizeof(batch.count));
		if (!error) {
			error = run_batch(found.map, kind, &batch);
			if (usercopy_out(count, &batch.count, sizeof(batch.count)))
				error = -EFAULT;
		}
	}
	leave(batch_access(kind));
	return error;
}

int check_excess(const unsigned char *user, size_t known, size_t size)
{
	if (size > ATTR_SIZE_LIMIT)
		return -E2BIG;
	for (size_t at = known; at < size;) {
		unsigned char bytes[256] = { 0 };
		size_t step = size - at < sizeof(bytes) ? size - at : sizeof(bytes);
		int error = usercopy_in(bytes, user + at, step);

		for (size_t i = 0; i < step; i++) /* those before a fault too: the kernel looks at them in turn */
			if (bytes[i])
				return -E2BIG;
		if (error)
			return error;
		at += step;
	}
	return 0;
}

/* As the kernel does, over what the caller had there: the fields of offloading stay the caller's, and those of BTF if
 * the map has none. */
static void fill_info(const struct usermap *map, struct command_map_info *info)
{
	info->type = map->ops->type;
	/* relaxed: written before anybody could have the descriptor */
	info->id = atomic_load_explicit(&map->region.header->id, memory_order_relaxed);
	info->key_size = map->key_size;
	info->value_size = map->value_size;
	info->max_entries = map->max_entries;
	info->map_flags = map->map_flags;
	memcpy(info->name, map->layout.attr.name, sizeof(info->name));
	if (map->layout.attr.btf_id) {
		info->btf_id = map->layout.attr.btf_id;
		info->btf_key_type_id = map->layout.attr.btf_key_type_id;
		info->btf_value_type_id = map->layout.attr.btf_value_type_id;
	}
	info->btf_vmlinux_value_type_id = 0;
	info->map_extra = map->layout.attr.map_extra;
}

/* The digest of a frozen ARRAY's contents, for who asks: the kernel has it to check signed programs' maps. */
static int write_hash(const struct usermap *map, const struct command_map_info *info)
{
	unsigned char digest[SHA256_SIZE];

	if (!info->hash && !info->hash_size)
		return 0;
	if (!info->hash || !map->ops->sha256 || info->hash_size != sizeof(digest))
		return -EINVAL;
	if (!map_is_frozen(map))
		return -EPERM;
	map->ops->sha256(map, digest);
	return usercopy_out(user_pointer(info->hash), digest, sizeof(digest));
}

static int info_of_map(const struct usermap *map, const union command_attr *attr, union command_attr *user)
{
	unsigned char *user_info = user_pointer(attr->info.info);
	struct command_map_info info = { 0 };
	__u32 size = attr->info.info_len;
	int error =
		check_excess(user_info, offsetof(struct command_map_info, pad), size); /* the kernel: to hash_size */

	if (error)
		return error;
	if (size > sizeof(info))
		size = sizeof(info);
	error = usercopy_in(&info, user_info, size);
	if (error)
		return error;
	error = write_hash(map, &info);
	if (error)
		return error;
	fill_info(map, &info);
	error = usercopy_out(user_info, &info, size);
	return error ? error
		     : usercopy_out(field_of(user, offsetof(union command_attr, info.info_len)), &size, sizeof(size));
}

static long command_info(const union command_attr *attr, union command_attr *user)
{
	struct fd_map found;
	int error = fd_enter((int)attr->info.bpf_fd, NULL, &found);

	if (error == -EINVAL)
		return btf_info(attr, user);
	if (error)
		return error == -EBADF ? -EBADFD : error; /* this command alone */
	error = info_of_map(found.map, attr, user);
	fd_leave();
	return error;
}

/* Where the fields that a command uses end; other commands use all there are. */
static const unsigned char used[] = {
	[BPF_MAP_CREATE] = END_OF(create.excl_prog_hash_size),
	[BPF_MAP_LOOKUP_ELEM] = END_OF(elem.flags),
	[BPF_MAP_UPDATE_ELEM] = END_OF(elem.flags),
	[BPF_MAP_DELETE_ELEM] = END_OF(elem.key),
	[BPF_MAP_GET_NEXT_KEY] = END_OF(elem.next_key),
	[BPF_MAP_LOOKUP_AND_DELETE_ELEM] = END_OF(elem.flags),
	[BPF_MAP_FREEZE] = END_OF(elem.map_fd),
	[BPF_MAP_LOOKUP_BATCH] = END_OF(batch.flags),
	[BPF_MAP_LOOKUP_AND_DELETE_BATCH] = END_OF(batch.flags),
	[BPF_MAP_UPDATE_BATCH] = END_OF(batch.flags),
	[BPF_MAP_DELETE_BATCH] = END_OF(batch.flags),
	[BPF_OBJ_GET_INFO_BY_FD] = END_OF(info.info),
	[BPF_OBJ_PIN] = END_OF(obj.path_fd),
	[BPF_OBJ_GET] = END_OF(obj.path_fd),
	[BPF_MAP_GET_NEXT_ID] = END_OF(id.next_id),
	[BPF_MAP_GET_FD_BY_ID] = END_OF(id.open_flags),
	[BPF_BTF_GET_NEXT_ID] = END_OF(id.next_id),
	[BPF_BTF_GET_FD_BY_ID] = END_OF(id.token_fd),
	[BPF_BTF_LOAD] = END_OF(btf.token_fd),
};

static bool all_zero(const unsigned char *bytes, size_t size)
{
	unsigned char any = 0;

	for (size_t i = 0; i < size; i++)
		any |= bytes[i];
	return !any;
}

/* Copies the attr in as far as the command uses it, zero-extended. What the caller's has behind that must be zero. */
static inline int read_attr(union command_attr *attr, void *user, size_t size, size_t end)
{
	unsigned char *bytes = (unsigned char *)attr;
	int error = 0;

	if (size < end)
		memset(bytes + size, 0, end - size);
	if (__builtin_expect(size <= end, 1))
		return usercopy_in(attr, user, size);
	if (size > sizeof(*attr)) {
		error = check_excess(user, sizeof(*attr), size);
		size = sizeof(*attr);
	}
	if (!error)
		error = usercopy_in(attr, user, size);
	return error || all_zero(bytes + end, size - end) ? error : -EINVAL;
}

/* Commands that go through the registry, and take locks. */
static long on_registry(int cmd, const union command_attr *attr, void *user, unsigned size)
{
	switch (cmd) {
	case BPF_MAP_CREATE:
		return command_create(attr);
	case BPF_OBJ_PIN:
		return command_pin(attr);
	case BPF_OBJ_GET:
		return command_get(attr);
	case BPF_MAP_GET_NEXT_ID:
		return command_map_next_id(attr, user);
	case BPF_MAP_GET_FD_BY_ID:
		return command_map_by_id(attr);
	case BPF_BTF_GET_NEXT_ID:
		return command_btf_next_id(attr, user);
	case BPF_BTF_GET_FD_BY_ID:
		return command_btf_by_id(attr);
	case BPF_BTF_LOAD:
		return command_btf_load(attr, user, size);
	default:
		return -EINVAL;
	}
}

static long dispatch(int cmd, const union command_attr *attr, void *user, unsigned size)
{
	struct held before;
	long result;

	switch (cmd) {
	case BPF_MAP_LOOKUP_ELEM:
		return command_lookup(attr);
	case BPF_MAP_UPDATE_ELEM:
		return command_update(attr);
	case BPF_MAP_DELETE_ELEM:
		return command_delete(attr);
	case BPF_MAP_GET_NEXT_KEY:
		return command_next_key(attr);
	case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
		return command_lookup_and_delete(attr);
	case BPF_MAP_FREEZE:
		return command_freeze(attr);
	case BPF_MAP_LOOKUP_BATCH:
		return command_batch(BATCH_LOOKUP, attr, user);
	case BPF_MAP_LOOKUP_AND_DELETE_BATCH:
		return command_batch(BATCH_LOOKUP_AND_DELETE, attr, user);
	case BPF_MAP_UPDATE_BATCH:
		return command_batch(BATCH_UPDATE, attr, user);
	case BPF_MAP_DELETE_BATCH:
		return command_batch(BATCH_DELETE, attr, user);
	case BPF_OBJ_GET_INFO_BY_FD:
		return command_info(attr, user);
	default:
		hold_begin(&before);
		result = on_registry(cmd, attr, user, size);
		hold_end(&before);
		return result;
	}
}

/* Mends what kept a command from getting a descriptor or memory. Whether that can help, and the command can be run again
 * from the beginning: it has done nothing, but for a batch, which may have come some way. What it stored it stores again; what
 * it deleted is gone. */
static bool can_repeat(int cmd, void *user, long result)
{
	bool can = true;
	struct held before;
	__u32 done = 0;

	hold_begin(&before);
	if (result == -EMFILE)
		fd_make_room(); /* the kernel's maps have no descriptors of their own */
	else
		can = fd_drop_lost();
	hold_end(&before);
	if (!can || result == -EMFILE)
		return can;
	if (cmd == BPF_MAP_UPDATE_BATCH || cmd == BPF_MAP_DELETE_BATCH || cmd == BPF_MAP_LOOKUP_AND_DELETE_BATCH)
		usercopy_in(&done, field_of(user, offsetof(union command_attr, batch.count)), sizeof(done));
	return !done;
}

static inline long run(int cmd, void *user, unsigned size)
{
	enum { REPEATS = 2 };
	size_t end = (size_t)cmd < sizeof(used) && used[cmd] ? used[cmd] : sizeof(union command_attr);
	union command_attr attr;
	long result = read_attr(&attr, user, size, end);

	if (result)
		return result;
	for (int i = 0;; i++) {
		result = dispatch(cmd, &attr, user, size);
		if (__builtin_expect(result != -EMFILE && result != -ENOMEM, 1) || i == REPEATS ||
		    !can_repeat(cmd, user, result))
			return result;
	}
}

long usermap_bpf(int cmd, void *attr, unsigned size)
{
	int before = errno;
	long result = run(cmd, attr, size);

	/* whatever failed inside: bpftool looks at errno after calls that went well */
	errno = __builtin_expect(result < 0, 0) ? (int)-result : before;
	return result < 0 ? -1 : result;
}
