/* SPDX-License-Identifier: MIT */
#include "compare.h"

size_t compare_run(struct side *left, struct side *right, const struct program *program)
{
	side_reset(left);
	side_reset(right);
	for (size_t i = 0; i < program->length; i++) {
		side_execute(left, &program->commands[i]);
		side_execute(right, &program->commands[i]);
		if (!image_equal(&left->image, &right->image))
			return i;
	}
	return NO_MISMATCH;
}
