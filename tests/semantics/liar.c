/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "liar.h"
#include "rng.h"

const char *const lie_names[LIE_N] = {
	"another errno",
	"a failure hidden",
	"a failure invented",
	"a count one too high",
	"a wrong byte",
	"a byte written behind the value",
	"the caller's key written to",
	"an update forgotten",
	"the order changed",
	"a delete forgotten",
	"the id changed",
};

static struct {
	enum lie lie;
	abi_bpf honest;
	unsigned rarely;
	struct rng rng;
} liar;

void liar_begin(enum lie lie, abi_bpf honest, unsigned rarely)
{
	memset(&liar, 0, sizeof(liar));
	liar.lie = lie;
	liar.honest = honest;
	liar.rarely = rarely;
}

/* Adds 1 to the byte at an address, if it is there and may be written. */
static bool scribble(uint64_t address)
{
	unsigned char byte;
	struct iovec mine = { &byte, 1 }, theirs = { (void *)(uintptr_t)address, 1 };

	if (process_vm_readv(getpid(), &mine, 1, &theirs, 1, 0) != 1)
		return false;
	byte++;
	return process_vm_writev(getpid(), &mine, 1, &theirs, 1, 0) == 1;
}

/* The value_size of a map, 0 if it can't be had. */
static uint32_t value_size(uint32_t fd)
{
	uint32_t info[4] = { 0 };
	union abi_attr attr = { .info = { fd, sizeof(info), (uintptr_t)info } };

	return liar.honest(ABI_OBJ_GET_INFO_BY_FD, &attr, 16) ? 0 : info[3];
}

/* Copies what can be read of the attr. */
static union abi_attr peek(void *attr, unsigned size)
{
	union abi_attr copy = { .freeze_fd = 0 };
	struct iovec mine = { &copy, size < sizeof(copy) ? size : sizeof(copy) }, theirs = { attr, mine.iov_len };

	if (process_vm_readv(getpid(), &mine, 1, &theirs, 1, 0) < 0)
		memset(&copy, 0, sizeof(copy));
	return copy;
}

/* A lie told after the honest answer; returns what is answered instead. */
static long lie_after(int cmd, void *attr, unsigned size, long result)
{
	int error = errno;
	union abi_attr copy = peek(attr, size);
	bool elem = cmd == ABI_MAP_LOOKUP_ELEM && result == 0;

	errno = error;
	switch (liar.lie) {
	case LIE_ERRNO:
		if (result < 0)
			errno = errno == EINVAL ? EPERM : EINVAL;
		break;
	case LIE_SUCCESS:
		if (result < 0 && cmd != ABI_MAP_CREATE)
			result = 0;
		break;
	case LIE_FAILURE:
		if (result == 0) {
			result = -1;
			errno = ENOMEM;
		}
		break;
	case LIE_COUNT:
		if (cmd >= ABI_MAP_LOOKUP_BATCH && cmd <= ABI_MAP_DELETE_BATCH && result == 0 && size >= 56)
			scribble((uintptr_t)attr + offsetof(struct abi_batch, count));
		break;
	case LIE_BYTE:
		if (elem)
			scribble(copy.elem.value + rng_below(&liar.rng, value_size(copy.elem.map_fd)));
		break;
	case LIE_BEYOND:
		if (elem)
			scribble(copy.elem.value + value_size(copy.elem.map_fd));
		break;
	case LIE_INPUT:
		if (elem)
			scribble(copy.elem.key);
		break;
	case LIE_ID:
		if (cmd == ABI_OBJ_GET_INFO_BY_FD && result == 0 && copy.info.info_len >= 8)
			scribble(copy.info.info + ABI_MAP_INFO_ID);
		break;
	case LIE_ORDER:
		if (elem)
			liar.honest(ABI_MAP_UPDATE_ELEM, attr, size);
		break;
	default:
		break;
	}
	return result;
}

long liar_bpf(int cmd, void *attr, unsigned size)
{
	bool lying = rng_one_in(&liar.rng, liar.rarely);
	long result;

	if (lying && ((liar.lie == LIE_FORGET && cmd == ABI_MAP_UPDATE_ELEM) ||
		      (liar.lie == LIE_KEEP && cmd == ABI_MAP_DELETE_ELEM))) {
		/* The answer is what it would be, as a lookup knows it; only the deed is missing. */
		union abi_attr copy = peek(attr, size);
		char value[1 << 17];

		copy.elem.flags = 0;
		copy.elem.value = (uintptr_t)value;
		if (copy.elem.key && value_size(copy.elem.map_fd) < sizeof(value) && size <= 32 &&
		    liar.honest(ABI_MAP_LOOKUP_ELEM, &copy, 32) == 0)
			return 0;
	}
	result = liar.honest(cmd, attr, size);
	return lying ? lie_after(cmd, attr, size, result) : result;
}
