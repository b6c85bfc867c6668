/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "cpus.h"
#include "liar.h"
#include "memory.h"
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
	"a wrong byte of padding",
	"a lock's byte shown",
	"another errno with BPF_F_LOCK",
	"LRU: a command's lookup is a use",
	"LRU: another CPU's lists",
	"program: another errno",
	"program: a wrong byte",
	"program: a count one too high",
	"program: the order changed",
	"program: a store forgotten",
	"program: another CPU's slot",
	"program: one CPU's slot too many",
};

static struct {
	enum lie lie;
	abi_bpf honest;
	const struct helper_face *helpers; /* the honest ones */
	unsigned rarely;
	struct rng rng;
} liar;

void liar_begin(enum lie lie, const struct side *honest, unsigned rarely)
{
	memset(&liar, 0, sizeof(liar));
	liar.lie = lie;
	liar.honest = honest->bpf;
	liar.helpers = honest->helpers;
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

struct value {
	uint32_t size;	/* 0 if the map can't be asked */
	uint32_t bytes; /* in the caller's buffer */
	bool percpu, typed, lru;
};

static struct value value_of(uint32_t fd)
{
	uint32_t info[ABI_MAP_INFO_SIZE / 4] = { 0 };
	union abi_attr attr = { .info = { .bpf_fd = fd, .info_len = sizeof(info), .info = (uintptr_t)info } };
	struct value value = { 0 };

	if (liar.honest(ABI_OBJ_GET_INFO_BY_FD, &attr, 16))
		return value;
	value.size = value.bytes = info[3];
	value.percpu = abi_is_percpu(info[0]);
	value.lru = abi_is_lru(info[0]);
	value.typed = info[ABI_MAP_INFO_BTF_ID / 4] != 0;
	if (value.percpu)
		value.bytes = ((value.size + 7) & ~7u) * cpus_possible();
	return value;
}

/* Changes the lock in a value: the first word of zeros, as values are random. */
static void show_lock(uint64_t address, uint32_t size)
{
	for (uint32_t at = 0; at + 4 <= size; at += 4) {
		uint32_t word;
		struct iovec mine = { &word, 4 }, theirs = { (void *)(uintptr_t)(address + at), 4 };

		if (process_vm_readv(getpid(), &mine, 1, &theirs, 1, 0) == 4 && word == 0) {
			scribble(address + at);
			return;
		}
	}
}

/* The same lookup as a program makes it. */
static void mark(const struct abi_elem *elem)
{
	uint32_t info[ABI_MAP_INFO_SIZE / 4] = { 0 };
	union abi_attr attr = { .info = { .bpf_fd = elem->map_fd, .info_len = sizeof(info), .info = (uintptr_t)info } };
	struct helper_map map = { .fd = (int)elem->map_fd, .lock_off = NO_LOCK };
	struct helper_call call = { .key = (void *)(uintptr_t)elem->key };
	void *opened;

	if (liar.honest(ABI_OBJ_GET_INFO_BY_FD, &attr, 16) || !abi_is_lru(info[0]) || info[2] > HELPER_KEY_MAX ||
	    info[5] & (ABI_F_WRONLY_PROG | ABI_F_RDONLY_PROG))
		return;
	map.create = (struct abi_create){
		.map_type = info[0], .key_size = info[2], .value_size = info[3], .max_entries = info[4]
	};
	call.out = need_memory(info[3]);
	opened = liar.helpers->open(&map);
	liar.helpers->call(opened, HELPER_LOOKUP, &call);
	liar.helpers->close(opened);
	free(call.out);
}

/* A lie about the value that a lookup has found. */
static void lie_about_value(const struct abi_elem *elem)
{
	struct value value = value_of(elem->map_fd);

	switch (liar.lie) {
	case LIE_BYTE:
		scribble(elem->value + rng_below(&liar.rng, value.bytes));
		break;
	case LIE_BEYOND:
		scribble(elem->value + value.bytes);
		break;
	case LIE_PADDING:
		if (value.percpu && value.size % 8)
			scribble(elem->value + value.size);
		break;
	case LIE_LOCK:
		if (value.typed)
			show_lock(elem->value, value.size);
		break;
	default:
		break;
	}
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
	case LIE_BEYOND:
	case LIE_PADDING:
	case LIE_LOCK:
		if (elem)
			lie_about_value(&copy.elem);
		break;
	case LIE_F_LOCK:
		if (result < 0 && (cmd == ABI_MAP_LOOKUP_ELEM || cmd == ABI_MAP_UPDATE_ELEM) &&
		    copy.elem.flags & ABI_F_LOCK)
			errno = errno == EINVAL ? EPERM : EINVAL;
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
	case LIE_MARK:
		if (elem)
			mark(&copy.elem);
		break;
	default:
		break;
	}
	return result;
}

/* What the honest say when they are asked on another CPU. */
static long elsewhere(int cmd, void *attr, unsigned size)
{
	uint32_t here = (uint32_t)sched_getcpu();
	long result;
	int error;

	cpus_pin(here + 1);
	result = liar.honest(cmd, attr, size);
	error = errno;
	cpus_pin(here);
	errno = error;
	return result;
}

long liar_bpf(int cmd, void *attr, unsigned size)
{
	bool lying = rng_one_in(&liar.rng, liar.rarely);
	long result;

	if (lying && liar.lie == LIE_CPU && cmd == ABI_MAP_UPDATE_ELEM && value_of(peek(attr, size).elem.map_fd).lru)
		return elsewhere(cmd, attr, size);
	if (lying && ((liar.lie == LIE_FORGET && cmd == ABI_MAP_UPDATE_ELEM) ||
		      (liar.lie == LIE_KEEP && cmd == ABI_MAP_DELETE_ELEM))) {
		/* The answer is what it would be, as a lookup knows it; only the deed is missing. */
		union abi_attr copy = peek(attr, size);
		char value[1 << 17];
		uint32_t bytes = value_of(copy.elem.map_fd).bytes;

		copy.elem.flags = 0;
		copy.elem.value = (uintptr_t)value;
		if (copy.elem.key && bytes < sizeof(value) && size <= 32 &&
		    liar.honest(ABI_MAP_LOOKUP_ELEM, &copy, 32) == 0)
			return 0;
	}
	result = liar.honest(cmd, attr, size);
	return lying ? lie_after(cmd, attr, size, result) : result;
}

/* The program face. */

struct opened {
	struct helper_map map;
	void *honest;
};

static void *open_map(const struct helper_map *map)
{
	struct opened *opened = need_memory(sizeof(*opened));

	*opened = (struct opened){ *map, liar.helpers->open(map) };
	return opened;
}

static void close_map(void *opened)
{
	liar.helpers->close(((struct opened *)opened)->honest);
	free(opened);
}

static void swap_entries(const struct opened *opened, const struct helper_call *call)
{
	size_t entry = opened->map.create.key_size + opened->map.create.value_size;
	unsigned char *first = call->out, *second = first + entry;

	for (size_t i = 0; i < entry; i++) {
		unsigned char byte = first[i];

		first[i] = second[i];
		second[i] = byte;
	}
}

static long lie_after_helper(const struct opened *opened, enum helper helper, const struct helper_call *call,
			     long result)
{
	unsigned char *out = call->out;

	switch (liar.lie) {
	case LIE_HELPER_ERRNO:
		return result >= 0 ? result : result == -EINVAL ? -EPERM : -EINVAL;
	case LIE_HELPER_BYTE:
		if ((helper == HELPER_LOOKUP || helper == HELPER_LOOKUP_PERCPU) && result == 0)
			out[rng_below(&liar.rng, opened->map.create.value_size)]++;
		return result;
	case LIE_HELPER_COUNT:
		return helper == HELPER_FOR_EACH && result >= 0 ? result + 1 : result;
	case LIE_HELPER_ORDER:
		if (helper == HELPER_FOR_EACH && result > 1 && call->room > 1)
			swap_entries(opened, call);
		return result;
	case LIE_HELPER_SPREAD:
		if (helper == HELPER_UPDATE && result == 0 && abi_is_percpu(opened->map.create.map_type)) {
			cpus_pin((uint32_t)sched_getcpu() + 1);
			liar.helpers->call(opened->honest, HELPER_STORE, call);
		}
		return result;
	default:
		return result;
	}
}

static long call_helper(void *opened, enum helper helper, const struct helper_call *call)
{
	struct opened *o = opened;
	bool lying = rng_one_in(&liar.rng, liar.rarely);
	long result;

	if (lying && liar.lie == LIE_HELPER_FORGET && helper == HELPER_STORE)
		return liar.helpers->call(o->honest, HELPER_LOOKUP, call);
	if (lying && liar.lie == LIE_HELPER_CPU && abi_is_percpu(o->map.create.map_type))
		cpus_pin((uint32_t)sched_getcpu() + 1);
	result = liar.helpers->call(o->honest, helper, call);
	return lying ? lie_after_helper(o, helper, call, result) : result;
}

const struct helper_face liar_helpers = { open_map, call_helper, close_map };
