/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "report.h"

static const char *const op_names[OP_N] = {
	"MAP_CREATE",
	"LOOKUP_ELEM",
	"UPDATE_ELEM",
	"DELETE_ELEM",
	"GET_NEXT_KEY",
	"LOOKUP_AND_DELETE_ELEM",
	"LOOKUP_BATCH",
	"LOOKUP_AND_DELETE_BATCH",
	"UPDATE_BATCH",
	"DELETE_BATCH",
	"OBJ_GET_INFO_BY_FD",
	"MAP_FREEZE",
	"(no command)",
	"(dup)",
	"(dump)",
	"(walk by LOOKUP_BATCH)",
	"(drain by LOOKUP_AND_DELETE_BATCH)",
	"bpf_map_lookup_elem",
	"bpf_map_lookup_percpu_elem",
	"bpf_map_update_elem",
	"bpf_map_delete_elem",
	"(program stores through a lookup's pointer)",
	"(program adds to this CPU's counter)",
	"bpf_for_each_map_elem",
};
static const char *const place_names[AT_N] = {
	"",    "at the edge", "over the edge", "read-only",	"NULL",
	"low", "unmapped",    "kernel",	       "non-canonical", "same as the first",
};
static const char *const fd_names[FD_N] = {
	"",	  "never open", "closed", "-1",	     "/dev/null", "pipe",
	"socket", "eventfd",	"memfd",  "tmpfile", "directory", "O_PATH",
};
static const char *const each_names[EACH_N] = { "", "delete", "update", "insert" };
static const char *const in_names[IN_N] = { "NULL", "token", "index", "huge" };
static const char *const keys_names[KEYS_N] = { "random", "ascending", "equal" };

static void report_pointer(const char *name, struct pointer pointer)
{
	if (pointer.place != AT_BUFFER || pointer.arg)
		printf(" %s=%s:%" PRIu32, name, place_names[pointer.place], pointer.arg);
}

static void report_create(const struct command *command)
{
	const struct abi_create *create = &command->create;

	printf(" type=%" PRIu32 " key_size=%" PRIu32 " value_size=%" PRIu32 " max_entries=%" PRIu32 " flags=%#" PRIx32,
	       create->map_type, create->key_size, create->value_size, create->max_entries, create->map_flags);
	printf(" name=");
	for (size_t i = 0; i < sizeof(create->map_name); i++)
		printf("%02x", (unsigned char)create->map_name[i]);
	if (command->lock != NO_LOCK)
		printf(" spin lock at %" PRIu32, command->lock);
	if (create->numa_node)
		printf(" numa_node=%" PRIu32, create->numa_node);
	if (create->map_ifindex)
		printf(" ifindex=%" PRIu32, create->map_ifindex);
	if (create->btf_key_type_id || create->btf_value_type_id || create->btf_vmlinux_value_type_id)
		printf(" btf=%" PRIu32 ",%" PRIu32 ",%" PRIu32, create->btf_key_type_id, create->btf_value_type_id,
		       create->btf_vmlinux_value_type_id);
	if (create->map_extra)
		printf(" map_extra=%" PRIu64, create->map_extra);
	if (create->btf_fd)
		printf(" other fds given");
	if (create->excl_prog_hash_size || command->buffer[0].place != AT_NULL)
		printf(" hash=%s/%" PRIu32, place_names[command->buffer[0].place], create->excl_prog_hash_size);
}

void report_command(const struct command *command)
{
	static const char *const buffer_names[BUFFER_N] = { "first", "second", "keys", "values" };

	printf("%s map=%" PRIu32, op_names[command->op], command->slot);
	if (command->op == OP_CREATE) {
		report_create(command);
	} else {
		printf(" key=%" PRIu32, command->key);
		if (command->op >= OP_LOOKUP_BATCH && command->op <= OP_DELETE_BATCH)
			printf(" in=%s keys=%s", in_names[command->in], keys_names[command->keys]);
		printf(" count=%" PRIu32, command->count);
		for (int i = 0; i < BUFFER_N; i++)
			report_pointer(buffer_names[i], command->buffer[i]);
	}
	if (command->fd != FD_SLOT)
		printf(" fd=%s", fd_names[command->fd]);
	if (command->f_lock)
		printf(" F_LOCK where there is a lock");
	if (command->op != OP_CREATE)
		printf(" cpu=%" PRIu32, command->cpu);
	if (command->each)
		printf(" each=%s", each_names[command->each]);
	if (command->flags)
		printf(" flags=%#" PRIx64, command->flags);
	if (command->elem_flags)
		printf(" elem_flags=%#" PRIx64, command->elem_flags);
	report_pointer("attr", command->attr);
	printf(" size=%" PRIu32, command->attr_size);
	if (command->junk_at != NO_JUNK)
		printf(" attr[%" PRIu32 "]=%#" PRIx32, command->junk_at, command->junk);
	printf(" seed=%#" PRIx64 "\n", command->seed);
}

const char *report_code(int code, char buffer[32])
{
	if (code >= 0)
		snprintf(buffer, 32, "%d", code);
	else
		snprintf(buffer, 32, "-%s",
			 code == -ABI_ENOTSUPP	  ? "ENOTSUPP"
			 : strerrorname_np(-code) ? strerrorname_np(-code)
						  : "?");
	return buffer;
}

static const char *section_at(const struct image *image, size_t at, size_t *start)
{
	const char *name = "answer";

	*start = 0;
	for (unsigned i = 0; i < image->sections && image->section[i].start <= at; i++) {
		name = image->section[i].name;
		*start = image->section[i].start;
	}
	return name;
}

static void report_bytes(const struct side *side, size_t at, size_t size)
{
	printf("    %-8s", side->name);
	for (size_t i = at; i < at + size && i < side->image.length; i++)
		printf(" %02x", side->image.bytes[i]);
	printf("\n");
}

void report_difference(const struct side *left, const struct side *right)
{
	const struct image *a = &left->image, *b = &right->image;
	size_t at = 0, start;
	char code[32];

	printf("  %s: %s", left->name, report_code(a->code, code));
	printf("   %s: %s\n", right->name, report_code(b->code, code));
	while (at < a->length && at < b->length && a->bytes[at] == b->bytes[at])
		at++;
	if (at == a->length && at == b->length)
		return;
	printf("  answers of %zu and %zu bytes differ", a->length, b->length);
	printf(" in \"%s\"", section_at(a, at, &start));
	printf(", byte %zu (buffers have a margin of 32 bytes before them)\n", at - start);
	report_bytes(left, at, 32);
	report_bytes(right, at, 32);
}
