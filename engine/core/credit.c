/* SPDX-License-Identifier: MIT */
#include "core/credit.h"

#include "core/testpoint.h"

void credit_format(struct cpu_line *lines, uint32_t n_cpus, uint32_t n)
{
	for (uint32_t cpu = 0; cpu < n_cpus; cpu++)
		/* relaxed: the region isn't visible to others yet */
		atomic_store_explicit(&lines[cpu].credits, n / n_cpus + (cpu < n % n_cpus), memory_order_relaxed);
}

/* Sum of the versions if all counters are empty. Acquire loads: the second pass comes after the first. */
static bool collect(const struct cpu_line *lines, uint32_t n_cpus, uint64_t *versions)
{
	*versions = 0;
	for (uint32_t cpu = 0; cpu < n_cpus; cpu++) {
		uint64_t word = atomic_load_explicit(&lines[cpu].credits, memory_order_acquire);

		if ((uint32_t)word)
			return false;
		*versions += word >> 32;
	}
	return true;
}

bool credit_none_since(const struct cpu_line *lines, uint32_t n_cpus, uint64_t versions)
{
	uint64_t now;

	return collect(lines, n_cpus, &now) && now == versions;
}

bool credit_take(struct cpu_line *lines, uint32_t n_cpus, uint32_t cpu, uint64_t *versions)
{
	for (;;) {
		TEST_POINT(TP_CREDIT);
		if (credit_take_from(&lines[cpu]))
			return true;
		for (uint32_t i = 1; i < n_cpus; i++) {
			TEST_POINT(TP_CREDIT);
			if (credit_take_from(&lines[(cpu + i) % n_cpus]))
				return true;
		}
		if (!collect(lines, n_cpus, versions))
			continue;
		TEST_POINT(TP_CREDIT_EMPTY);
		if (credit_none_since(lines, n_cpus, *versions))
			return false;
	}
}

uint64_t credit_count(const struct cpu_line *lines, uint32_t n_cpus)
{
	uint64_t count = 0;

	for (uint32_t cpu = 0; cpu < n_cpus; cpu++)
		count += (uint32_t)atomic_load_explicit(&lines[cpu].credits, memory_order_relaxed);
	return count;
}
