/* SPDX-License-Identifier: MIT */
/*
 * BPF_BTF_LOAD, and the descriptors it gives.
 *
 * A BTF descriptor is a file as a map's is (mapfile.c), with the bytes in it and no access where a map's offset has one.
 * It so lives as long as somebody has it, in any process. Nothing else is kept: who uses the BTF reads the bytes and
 * checks them again, since whoever owns the file can reach them.
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
#include "face/check.h"
#include "face/command.h"
#include "face/mapfile.h"
#include "face/usercopy.h"

#define LOG_LEVELS 15u
#define LOG_FIXED  8u /* keep the beginning of a log that is too long, not its end */
#define LOG_LIMIT  (UINT32_MAX >> 2)

int refuse_fd(__u32 fd)
{
	int flags = fcntl((int)fd, F_GETFL);

	return flags < 0 || (flags & O_PATH) ? -EBADF : -EINVAL; /* what was opened by O_PATH counts as not open */
}

static int check_attr(const union command_attr *attr)
{
	if (!tail_is_zero(attr, END_OF(btf.token_fd)) || attr->btf.flags & ~BTF_TOKEN_FD)
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

/* Makes the bytes' descriptor. */
static int publish(const void *data, size_t size)
{
	int fd = mapfile_create(), error;
	uint32_t id;

	if (fd < 0)
		return fd;
	error = write_all(fd, data, size);
	mapfile_seal(fd);
	if (!error)
		error = mapfile_restrict(fd, MAY_READ);
	id = error ? 0 : mapfile_new_id();
	if (!error)
		error = id ? mapfile_park(fd, mapfile_key(fd, id), COOKIE_BTF) : -ENOMEM;
	if (error) {
		close(fd);
		return error;
	}
	return fd;
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
