/* SPDX-License-Identifier: MIT */
/* What bpf(2) says of each command: its number, and where the part of the attr that it uses ends. */
#include "command.h"

static const struct {
	int number;
	uint32_t attr_end;
} table[OP_N] = {
	[OP_CREATE] = { ABI_MAP_CREATE, 92 },
	[OP_LOOKUP] = { ABI_MAP_LOOKUP_ELEM, 32 },
	[OP_UPDATE] = { ABI_MAP_UPDATE_ELEM, 32 },
	[OP_DELETE] = { ABI_MAP_DELETE_ELEM, 16 },
	[OP_NEXT_KEY] = { ABI_MAP_GET_NEXT_KEY, 24 },
	[OP_LOOKUP_AND_DELETE] = { ABI_MAP_LOOKUP_AND_DELETE_ELEM, 32 },
	[OP_LOOKUP_BATCH] = { ABI_MAP_LOOKUP_BATCH, 56 },
	[OP_LOOKUP_AND_DELETE_BATCH] = { ABI_MAP_LOOKUP_AND_DELETE_BATCH, 56 },
	[OP_UPDATE_BATCH] = { ABI_MAP_UPDATE_BATCH, 56 },
	[OP_DELETE_BATCH] = { ABI_MAP_DELETE_BATCH, 56 },
	[OP_INFO] = { ABI_OBJ_GET_INFO_BY_FD, 16 },
	[OP_FREEZE] = { ABI_MAP_FREEZE, 4 },
	[OP_UNKNOWN] = { -1, 32 },
};

uint32_t command_attr_end(uint32_t op)
{
	return table[op].attr_end;
}

int command_number(const struct command *command)
{
	return command->op == OP_UNKNOWN ? (int)command->count : table[command->op].number;
}
