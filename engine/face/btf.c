/* SPDX-License-Identifier: MIT */
/*
 * BPF_BTF_LOAD, and the descriptors it gives.
 *
 * A BTF descriptor is a file as a map's is (mapfile.c), with the bytes in it and no access where a map's offset has one.
 * It so lives as long as somebody has it, in any process, or a map does that was made with it (registry.c). Nothing else
 * is kept: who uses the BTF reads the bytes and checks them again, since whoever owns the file can reach them.
 *
 * The log: the kernel lists all types and what was wrong with the last. This face says what was wrong, in words of its
 * own, and nothing on success; how the text is cut, counted and faulted on is the kernel's.
 */
#include "face/btf.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/alloc.h"
#include "core/errno.h"
#include "core/region.h"
#include "face/caller.h"
#include "face/check.h"
#include "face/command.h"
#include "face/fd_scan.h"
#include "face/mapfile.h"
#include "face/registry.h"
#include "face/usercopy.h"

#define LOG_LEVELS 15u
#define LOG_FIXED  8u /* keep the beginning of a log that is too long, not its end */
#define LOG_LIMIT  (UINT32_MAX >> 2)

int refuse_fd(__u32 fd)
{
	int flags = fcntl(caller_fd((int)fd), F_GETFL);

	return flags < 0 || (flags & O_PATH) ? -EBADF : -EINVAL; /* what was opened by O_PATH counts as not open */
}

static int check_attr(const union command_attr *attr)
{
	if (attr->btf.flags & ~BTF_TOKEN_FD)
		return -EINVAL;
	if (attr->btf.flags)
		return refuse_fd((__u32)attr->btf.token_fd);
	if (attr->btf.size > BTF_SIZE_LIMIT)
		return -E2BIG;
	if (!attr->btf.log_buf != !attr->btf.log_size || (attr->btf.log_buf && !attr->btf.log_level))
		return -EINVAL;
	return attr->btf.log_level & ~LOG_LEVELS || attr->btf.log_size > LOG_LIMIT ? -EINVAL : 0;
}

/* Copies a text with its NUL to where the caller wants it. 0; -ENOSPC: it was cut; -EFAULT. */
static int put_text(const union command_attr *attr, const char *text, size_t size)
{
	size_t room = attr->btf.log_size;
	const char *from = text;

	if (size <= room)
		return usercopy_out(user_pointer(attr->btf.log_buf), text, size);
	if (!(attr->btf.log_level & LOG_FIXED))
		from += size - room;
	/* the last byte is the NUL in any case */
	if (usercopy_out(user_pointer(attr->btf.log_buf), from, room - 1) ||
	    usercopy_out(user_pointer(attr->btf.log_buf + room - 1), "", 1))
		return -EFAULT;
	return -ENOSPC;
}

/* Tells the caller how it went; the error of that, if there is one, takes the place of `error`. */
static int put_log(const union command_attr *attr, union command_attr *user, unsigned attr_size, int error,
		   const struct btf_fault *fault)
{
	char text[128] = "";
	__u32 size = 0;
	int failed = 0;

	if (error && fault->type_id)
		snprintf(text, sizeof(text), "type %u: %s\n", fault->type_id, fault->what);
	else if (error)
		snprintf(text, sizeof(text), "%s\n", fault->what);
	if (attr->btf.log_level)
		size = (__u32)strlen(text) + 1;
	if (attr->btf.log_buf)
		failed = put_text(attr, text, size);
	if (attr_size >= END_OF(btf.log_true_size) &&
	    usercopy_out((unsigned char *)user + offsetof(union command_attr, btf.log_true_size), &size, sizeof(size)))
		failed = -EFAULT;
	return failed ? failed : error;
}

/* Checks the caller's bytes, which are copied to `data`. */
static int check_bytes(const union command_attr *attr, union command_attr *user, unsigned attr_size, void *data)
{
	struct btf_fault fault;
	struct btf *btf = NULL;
	int error = usercopy_in(data, user_pointer(attr->btf.btf), attr->btf.size);

	if (error)
		fault = (struct btf_fault){ "the data can't be read", 0 };
	else
		error = btf_open(data, attr->btf.size, &btf, &fault);
	btf_close(btf);
	return put_log(attr, user, attr_size, error, &fault);
}

static int write_all(int fd, const unsigned char *data, size_t size)
{
	for (size_t at = 0; at < size;) {
		ssize_t n = pwrite(fd, data + at, size - at, (off_t)at);

		if (n <= 0)
			return -ENOMEM; /* a tmpfs has no other reason */
		at += (size_t)n;
	}
	return 0;
}

/* Enters the file in the registry and makes fd a descriptor that callers hold. *id is set once there is one. */
static int hand_out(int fd, uint32_t *id)
{
	int error = mapfile_hold(fd);

	if (!error)
		error = mapfile_restrict(fd, MAY_READ);
	if (error)
		return error;
	do {
		error = registry_new_id(REGISTRY_BTF, id);
		if (!error)
			error = registry_add(REGISTRY_BTF, *id, fd);
	} while (error == -EEXIST);
	return error ? error : mapfile_park(fd, mapfile_key(fd, *id), COOKIE_BTF);
}

/* Makes the bytes' descriptor. */
static int publish(const void *data, size_t size)
{
	int fd = registry_create(REGISTRY_BTF), error;
	uint32_t id = 0;

	if (fd < 0)
		return fd;
	fd_exit_arm();
	error = write_all(fd, data, size);
	mapfile_seal(fd);
	if (!error)
		error = hand_out(fd, &id);
	if (!error)
		return fd;
	close(fd);
	if (id)
		registry_reap(REGISTRY_BTF, id);
	return error;
}

int btf_open_fd(int file, uint32_t id)
{
	fd_exit_arm();
	mapfile_park(file, mapfile_key(file, id), COOKIE_BTF);
	return file;
}

long command_btf_load(const union command_attr *attr, union command_attr *user, unsigned size)
{
	size_t room = attr->btf.size ? attr->btf.size : 1;
	int result = check_attr(attr);
	void *data;

	if (result)
		return result;
	data = mem_alloc(room);
	if (!data)
		return -ENOMEM;
	result = check_bytes(attr, user, size, data);
	if (!result)
		result = publish(data, attr->btf.size);
	mem_free(data, room);
	return result;
}

/* The id of the BTF behind a descriptor, and how many bytes it has. 0, -EBADF, -EINVAL. */
static int identify(int fd, uint32_t *id, size_t *size)
{
	uint64_t cookie;
	struct stat st;
	int error = mapfile_cookie(fd, &cookie);

	if (error)
		return error;
	*id = COOKIE_ID(cookie);
	/* A key that isn't the file's: the offset is somebody else's idea. */
	if (COOKIE_ACCESS(cookie) != COOKIE_BTF || mapfile_key(fd, *id) != COOKIE_KEY(cookie))
		return -EINVAL;
	if (fstat(fd, &st) != 0 || st.st_size <= 0 || st.st_size > BTF_SIZE_LIMIT)
		return -EINVAL;
	*size = (size_t)st.st_size;
	return 0;
}

bool is_btf(int fd)
{
	uint32_t id;
	size_t size;

	return identify(caller_fd(fd), &id, &size) == 0;
}

int check_btf_fd(struct map_attr *attr, int fd, __u32 key_id, __u32 value_id)
{
	uint32_t id;
	size_t size;
	void *data;
	int error = identify(fd, &id, &size);

	if (error)
		return error;
	data = mem_alloc(size);
	if (!data)
		return -ENOMEM;
	error = pread(fd, data, size, 0) == (ssize_t)size ? check_btf(attr, data, size, key_id, value_id) : -EINVAL;
	mem_free(data, size);
	attr->btf_id = id;
	attr->btf_key_type_id = key_id;
	attr->btf_value_type_id = value_id;
	return error;
}

int btf_hold(int fd, uint32_t id)
{
	uint64_t cookie;
	int own = file_reopen(fd, O_RDONLY), error;

	if (own < 0)
		return own == -EINVAL ? -EBADF : own;
	error = mapfile_hold(own);
	/* the number may have been given to something else since it was looked at */
	if (!error &&
	    (mapfile_cookie(fd, &cookie) != 0 || COOKIE_ID(cookie) != id || mapfile_key(own, id) != COOKIE_KEY(cookie)))
		error = -EBADF;
	if (!error)
		return own;
	close(own);
	return error;
}

/* Copies the bytes out, as many as fit and there are. */
static int put_bytes(int fd, void *user, size_t size)
{
	unsigned char bytes[4096];

	for (size_t at = 0; at < size;) {
		size_t step = size - at < sizeof(bytes) ? size - at : sizeof(bytes);

		if (pread(fd, bytes, step, (off_t)at) != (ssize_t)step)
			return -EINVAL;
		if (usercopy_out((unsigned char *)user + at, bytes, step))
			return -EFAULT;
		at += step;
	}
	return 0;
}

/* The name of BTF that was loaded is empty. 0, -EINVAL, -EFAULT. */
static int put_name(struct command_btf_info *info)
{
	if (!info->name != !info->name_len)
		return -EINVAL;
	info->name_len = 0;
	return info->name ? usercopy_out(user_pointer(info->name), "", 1) : 0;
}

static int fill_info(int fd, struct command_btf_info *info)
{
	uint32_t id;
	size_t size;
	int error = identify(fd, &id, &size);

	if (error)
		return error;
	error = put_bytes(fd, user_pointer(info->btf), size < info->btf_size ? size : info->btf_size);
	if (error)
		return error;
	info->id = id;
	info->btf_size = (__u32)size;
	info->kernel_btf = 0;
	return put_name(info);
}

int btf_info(const union command_attr *attr, union command_attr *user)
{
	void *user_info = user_pointer(attr->info.info);
	struct command_btf_info info = { 0 };
	__u32 size = attr->info.info_len;
	uint32_t id;
	size_t bytes;
	int fd = caller_fd((int)attr->info.bpf_fd), error = identify(fd, &id, &bytes);

	if (!error)
		error = check_excess(user_info, sizeof(info), size);
	if (error)
		return error;
	if (size > sizeof(info))
		size = sizeof(info);
	error = usercopy_in(&info, user_info, size);
	if (!error)
		error = fill_info(fd, &info);
	if (!error)
		error = usercopy_out(user_info, &info, size);
	return error ? error
		     : usercopy_out((unsigned char *)user + offsetof(union command_attr, info.info_len), &size,
				    sizeof(size));
}
