/* SPDX-License-Identifier: MIT */
/* What the tables of Concurrency Kit get: their memory from malloc; a table outgrown under readers waits for them. */
#ifndef BENCH_CK_H
#define BENCH_CK_H

#include "peers/node.h"

#include <ck_malloc.h>
#include <ck_stdbool.h>

static void *ck_table_malloc(size_t size)
{
	return malloc(size);
}

static void ck_table_free(void *p, size_t size, bool readers)
{
	(void)size;
	if (readers)
		urcu_memb_synchronize_rcu();
	free(p);
}

static struct ck_malloc ck_table_memory = { .malloc = ck_table_malloc, .free = ck_table_free };

#endif
