/* SPDX-License-Identifier: MIT */
/* core/percpu: where slots lie, which bytes the copies touch, how additions are done and who may do them. */
#include "support.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/machine.h"
#include "core/percpu.h"

#ifndef SYS_rseq
#error "the C library has no rseq"
#endif
#define RSEQ_UNREGISTER 1

#define CANARY	 0xa5
#define MAX_CPUS 200
#define MAX_SIZE 64

static const uint32_t cpu_counts[] = { 1, 2, 3, 16, MAX_CPUS };

struct fixture {
	struct region_layout layout;
	struct region region;
	struct percpu percpu;
};

static void make_layout(struct region_layout *layout, uint32_t value_size, uint32_t n, uint32_t n_cpus,
			uint32_t prealloc)
{
	*layout = (struct region_layout){ .n_cpus = n_cpus, .reuse = USERMAP_REUSE_AT_ONCE };
	layout->attr.value_size = value_size;
	layout->attr.max_entries = n;
	assert_true(percpu_layout(layout, n, prealloc));
	assert_true(region_layout_end(layout));
}

static void make_part(struct fixture *f, uint32_t value_size, uint32_t n, uint32_t n_cpus, uint32_t prealloc,
		      bool shared)
{
	make_layout(&f->layout, value_size, n, n_cpus, prealloc);
	assert_int_equal(region_create(&f->region, &f->layout, shared ? REGION_MEMFD : REGION_PRIVATE, NULL, -1), 0);
	percpu_format(&f->region, &f->layout);
	percpu_attach(&f->percpu, &f->region, &f->layout, n);
}

static void make(struct fixture *f, uint32_t value_size, uint32_t n, uint32_t n_cpus, bool shared)
{
	make_part(f, value_size, n, n_cpus, n, shared);
}

static unsigned char *slot(const struct fixture *f, uint32_t cpu, uint32_t index)
{
	return percpu_slot(&f->percpu, cpu, index);
}

static void fill(const struct fixture *f, int byte)
{
	for (uint32_t cpu = 0; cpu < f->percpu.n_cpus; cpu++)
		memset(slot(f, cpu, 0), byte, (size_t)f->percpu.n * f->percpu.stride);
}

static bool all(const unsigned char *p, int byte, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (p[i] != byte)
			return false;
	return true;
}

/* Layout */

static void areas_are_whole_pages_and_slots_lie_side_by_side(void **unused)
{
	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cpu_counts); i++) {
		for (uint32_t size = 1; size < 40; size += 3) {
			const uint32_t n = 300, n_cpus = cpu_counts[i];
			struct fixture f;

			make(&f, size, n, n_cpus, false);
			assert_int_equal(f.percpu.stride, (size + 7) / 8 * 8);
			assert_int_equal((uintptr_t)f.percpu.base % REGION_PAGE, 0);
			if (n_cpus > 1)
				assert_int_equal(f.percpu.area % REGION_PAGE, 0);
			assert_true(f.percpu.area >= (uint64_t)n * f.percpu.stride);
			for (uint32_t cpu = 0; cpu < n_cpus; cpu++)
				for (uint32_t index = 0; index < n; index += 13)
					assert_ptr_equal(slot(&f, cpu, index),
							 f.percpu.base + cpu * f.percpu.area + index * f.percpu.stride);
			assert_true(slot(&f, n_cpus - 1, n - 1) + f.percpu.stride <=
				    f.region.base + f.region.size - REGION_PAGE);
			region_close(&f.region);
		}
	}
}

static void a_wild_index_is_slot_0(void **unused)
{
	struct fixture f;

	(void)unused;
	make(&f, 12, 10, 3, false);
	assert_ptr_equal(slot(&f, 2, 10), slot(&f, 2, 0));
	assert_ptr_equal(slot(&f, 1, UINT32_MAX), slot(&f, 1, 0));
	region_close(&f.region);
}

static void what_does_not_fit_into_the_address_space_is_refused(void **unused)
{
	struct region_layout layout = { .n_cpus = 4096 };

	(void)unused;
	layout.attr.value_size = 32768;
	assert_false(percpu_layout(&layout, UINT32_MAX, 0));
	layout.n_cpus = 1;
	assert_true(percpu_layout(&layout, UINT32_MAX, 0));
}

static bool is_there(const void *address)
{
	unsigned char page = 0;

	assert_int_equal(mincore((void *)((uintptr_t)address & ~(uintptr_t)(REGION_PAGE - 1)), 1, &page), 0);
	return page & 1;
}

static void prealloc_obtains_that_many_slots_of_each_area(void **unused)
{
	const uint32_t n = 4096, n_cpus = 3, prealloc = 1024; /* of 64 bytes: an area is a granule of region_touch */

	(void)unused;
	if (support_emulated())
		skip();
	for (int shared = 0; shared < 2; shared++) {
		struct fixture f;

		make_part(&f, 64, n, n_cpus, prealloc, shared);
		for (uint32_t cpu = 0; cpu < n_cpus; cpu++) {
			assert_true(is_there(slot(&f, cpu, 0)));
			assert_true(is_there(slot(&f, cpu, prealloc - 1)));
			assert_false(is_there(slot(&f, cpu, prealloc)));
		}
		region_close(&f.region);
	}
}

static void touch_obtains_the_slots_of_all_cpus(void **unused)
{
	const uint32_t n = 4 * 4096, n_cpus = 3;

	(void)unused;
	if (support_emulated())
		skip();
	for (int shared = 0; shared < 2; shared++) {
		struct fixture f;

		make_part(&f, 64, n, n_cpus, 0, shared);
		assert_false(is_there(slot(&f, 0, 0)));
		assert_int_equal(percpu_touch(&f.percpu, 5000, 2), 0);
		for (uint32_t cpu = 0; cpu < n_cpus; cpu++) {
			assert_true(is_there(slot(&f, cpu, 5000)));
			assert_true(is_there(slot(&f, cpu, 5001)));
			assert_false(is_there(slot(&f, cpu, n - 1)));
		}
		region_close(&f.region);
	}
}

static void touch_without_memory_is_ENOMEM(void **unused)
{
	struct fixture f;
	unsigned tried = 0;

	(void)unused;
	make_part(&f, 64, 4096, 3, 0, true);
	for (int error = -ENOMEM; error; tried++) {
		support_fail_nth(tried + 1);
		error = percpu_touch(&f.percpu, 100, 1);
		assert_true(error == 0 || error == -ENOMEM);
	}
	support_fail_nth(0);
	assert_true(tried > 3); /* one refusal an area, at least */
	region_close(&f.region);
}

/* Copies */

static void a_value_comes_back_padding_and_all(void **unused)
{
	static unsigned char in[MAX_CPUS * MAX_SIZE], out[sizeof(in) + 1];

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(cpu_counts); i++) {
		for (uint32_t size = 1; size <= MAX_SIZE; size++) {
			struct fixture f;

			make(&f, size, 5, cpu_counts[i], size & 1);
			fill(&f, CANARY);
			for (size_t b = 0; b < sizeof(in); b++)
				in[b] = (unsigned char)support_random();
			memset(out, CANARY, sizeof(out));
			percpu_store(&f.percpu, 3, in);
			percpu_load(&f.percpu, 3, out);
			assert_memory_equal(out, in, f.percpu.stride * f.percpu.n_cpus);
			assert_int_equal(out[f.percpu.stride * f.percpu.n_cpus], CANARY);
			for (uint32_t cpu = 0; cpu < f.percpu.n_cpus; cpu++) {
				assert_memory_equal(slot(&f, cpu, 3), in + cpu * f.percpu.stride, f.percpu.stride);
				assert_true(all(slot(&f, cpu, 2), CANARY, f.percpu.stride));
				assert_true(all(slot(&f, cpu, 4), CANARY, f.percpu.stride));
			}
			region_close(&f.region);
		}
	}
}

static void store_one_writes_value_size_bytes_of_one_slot(void **unused)
{
	unsigned char in[MAX_SIZE];

	(void)unused;
	memset(in, 0x11, sizeof(in));
	for (uint32_t size = 1; size <= MAX_SIZE; size++) {
		const uint32_t n_cpus = 3, mine = size % n_cpus;
		struct fixture f;

		make(&f, size, 5, n_cpus, false);
		fill(&f, CANARY);
		percpu_store_one(&f.percpu, mine, 3, in);
		for (uint32_t cpu = 0; cpu < n_cpus; cpu++) {
			assert_true(all(slot(&f, cpu, 3), cpu == mine ? 0x11 : CANARY, size));
			assert_true(all(slot(&f, cpu, 3) + size, CANARY, f.percpu.stride - size));
			assert_true(all(slot(&f, cpu, 2), CANARY, f.percpu.stride));
			assert_true(all(slot(&f, cpu, 4), CANARY, f.percpu.stride));
		}
		region_close(&f.region);
	}
}

static void clear_others_writes_value_size_zeros_to_all_slots_but_one(void **unused)
{
	(void)unused;
	for (uint32_t size = 1; size <= MAX_SIZE; size++) {
		const uint32_t n_cpus = 3, mine = size % n_cpus;
		struct fixture f;

		make(&f, size, 5, n_cpus, false);
		fill(&f, CANARY);
		percpu_clear_others(&f.percpu, mine, 3);
		for (uint32_t cpu = 0; cpu < n_cpus; cpu++) {
			assert_true(all(slot(&f, cpu, 3), cpu == mine ? CANARY : 0, size));
			assert_true(all(slot(&f, cpu, 3) + size, CANARY, f.percpu.stride - size));
			assert_true(all(slot(&f, cpu, 2), CANARY, f.percpu.stride));
			assert_true(all(slot(&f, cpu, 4), CANARY, f.percpu.stride));
		}
		region_close(&f.region);
	}
}

/* Additions */

static uint64_t counter(const struct fixture *f, uint32_t cpu, uint32_t index, uint32_t offset)
{
	uint64_t value;

	memcpy(&value, slot(f, cpu, index) + offset, sizeof(value));
	return value;
}

static bool have_sequences(void)
{
	struct fixture f;
	bool have;

	make(&f, 8, 1, possible_cpu_ids(), false);
	have = !f.percpu.atomic;
	region_close(&f.region);
	return have;
}

static void pin(size_t cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
}

static void check_add_on(const struct fixture *f, uint32_t cpu)
{
	const uint32_t mine = cpu % f->percpu.n_cpus;

	fill(f, 0);
	assert_int_equal(percpu_add(&f->percpu, 3, 8, 5), 0);
	assert_int_equal(percpu_add(&f->percpu, 3, 8, 1ull << 40), 0);
	assert_int_equal(percpu_add(&f->percpu, 3, 8, (uint64_t)-6), 0);
	assert_true(counter(f, mine, 3, 8) == (1ull << 40) - 1);
	for (uint32_t c = 0; c < f->percpu.n_cpus; c++)
		for (uint32_t index = 0; index < f->percpu.n; index++)
			for (uint32_t offset = 0; offset < 24; offset += 8)
				if (c != mine || index != 3 || offset != 8)
					assert_true(counter(f, c, index, offset) == 0);
}

static void add_changes_one_counter_of_the_present_cpu(void **unused)
{
	cpu_set_t before;

	(void)unused;
	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cpu_counts); i++) {
		struct fixture f;

		make(&f, 20, 5, cpu_counts[i], i & 1);
		for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
			if (!CPU_ISSET(cpu, &before))
				continue;
			pin(cpu);
			check_add_on(&f, (uint32_t)cpu);
			sched_setaffinity(0, sizeof(before), &before);
		}
		region_close(&f.region);
	}
}

static void adds_are_atomic_where_cpus_share_slots(void **unused)
{
	struct fixture f;

	(void)unused;
	if (!have_sequences())
		skip();
	for (uint32_t n_cpus = 1; n_cpus < possible_cpu_ids() + 2; n_cpus++) {
		make(&f, 8, 1, n_cpus, false);
		assert_int_equal(f.percpu.atomic, n_cpus < possible_cpu_ids());
		region_close(&f.region);
	}
}

/* In a thread of its own, which ends without rseq: glibc offers no way to register it again. */
static void unregister_rseq(void)
{
	uint32_t size = __rseq_size < 32 ? 32 : __rseq_size;

	assert_int_equal(syscall(SYS_rseq, cpu_rseq(), size, RSEQ_UNREGISTER, RSEQ_SIG), 0);
	assert_true((int32_t)cpu_rseq_id() < 0);
}

struct without {
	struct fixture *sequences, *made_here;
	int sequence_error, atomic_error;
};

static void *run_without(void *argument)
{
	struct without *w = argument;

	unregister_rseq();
	w->sequence_error = percpu_add(&w->sequences->percpu, 0, 0, 1);
	make(w->made_here, 8, 1, possible_cpu_ids(), false);
	w->atomic_error = percpu_add(&w->made_here->percpu, 0, 0, 1);
	return NULL;
}

static uint64_t sum(const struct fixture *f)
{
	uint64_t n = 0;

	for (uint32_t cpu = 0; cpu < f->percpu.n_cpus; cpu++)
		n += counter(f, cpu, 0, 0);
	return n;
}

static void a_thread_without_rseq_is_refused_by_sequences_and_makes_atomic_maps(void **unused)
{
	struct fixture sequences, made_there;
	struct without w = { .sequences = &sequences, .made_here = &made_there };
	pthread_t thread;

	(void)unused;
	if (!have_sequences())
		skip();
	make(&sequences, 8, 1, possible_cpu_ids(), false);
	assert_int_equal(pthread_create(&thread, NULL, run_without, &w), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(w.sequence_error, -EOPNOTSUPP);
	assert_true(sum(&sequences) == 0);
	assert_int_equal(w.atomic_error, 0);
	assert_true(made_there.percpu.atomic && !made_there.percpu.restartable);
	assert_int_equal(percpu_add(&made_there.percpu, 0, 0, 1), 0);
	assert_true(sum(&made_there) == 2);
	region_close(&sequences.region);
	region_close(&made_there.region);
}

static int add_in_another_process(void *argument)
{
	const struct fixture *made = argument;
	struct fixture f = { .layout = made->layout };
	struct region_layout found;
	int error;

	if (region_attach(&f.region, made->region.fd, false, &found) || !region_layout_equal(&found, &made->layout))
		return 1;
	percpu_attach(&f.percpu, &f.region, &f.layout, made->percpu.n);
	error = f.percpu.atomic != made->percpu.atomic || f.percpu.restartable != made->percpu.restartable ||
		percpu_add(&f.percpu, 0, 0, 7) != 0;
	region_close(&f.region);
	return error;
}

static void processes_share_slots_and_the_way_of_adding(void **unused)
{
	const uint32_t counts[] = { 1, possible_cpu_ids(), 16 };

	(void)unused;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct fixture f;

		make(&f, 8, 1, counts[i], true);
		assert_int_equal(region_publish(&f.region, NULL), 0);
		assert_int_equal(percpu_add(&f.percpu, 0, 0, 5), 0);
		assert_int_equal(support_in_child(add_in_another_process, &f), 0);
		assert_true(sum(&f) == 12);
		region_close(&f.region);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(areas_are_whole_pages_and_slots_lie_side_by_side),
		cmocka_unit_test(a_wild_index_is_slot_0),
		cmocka_unit_test(what_does_not_fit_into_the_address_space_is_refused),
		cmocka_unit_test(prealloc_obtains_that_many_slots_of_each_area),
		cmocka_unit_test(touch_obtains_the_slots_of_all_cpus),
		cmocka_unit_test(touch_without_memory_is_ENOMEM),
		cmocka_unit_test(a_value_comes_back_padding_and_all),
		cmocka_unit_test(store_one_writes_value_size_bytes_of_one_slot),
		cmocka_unit_test(clear_others_writes_value_size_zeros_to_all_slots_but_one),
		cmocka_unit_test(add_changes_one_counter_of_the_present_cpu),
		cmocka_unit_test(adds_are_atomic_where_cpus_share_slots),
		cmocka_unit_test(a_thread_without_rseq_is_refused_by_sequences_and_makes_atomic_maps),
		cmocka_unit_test(processes_share_slots_and_the_way_of_adding),
	};

	/* Which pages are there is told by the page. qemu-user has no such call. */
	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) != 0)
		print_message("huge pages stay enabled\n");
	support_seed(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
