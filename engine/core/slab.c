/* SPDX-License-Identifier: MIT */
#include "core/slab.h"

#include <errno.h>
#include <sched.h>

#include "core/percpu.h"
#include "core/reclaim.h"
#include "core/testpoint.h"

#define CHUNK_MAX   32u
#define CHUNK_BYTES 16384u
#define PATIENCE    65536 /* rounds through all lists before a search that must succeed gives up */

uint32_t slab_chunk(uint32_t object_size)
{
	uint32_t n = CHUNK_BYTES / object_size;

	return n > CHUNK_MAX ? CHUNK_MAX : n ? n : 1;
}

uint64_t slab_objects(uint64_t n, uint64_t budget, uint32_t object_size)
{
	n += 1 + 2 * budget + (uint64_t)RECORDS * SLAB_RECORD_SHARE * slab_chunk(object_size);
	return n < UINT32_MAX ? n : UINT32_MAX;
}

static struct pair *list_of(const struct slab *slab, uint32_t cpu)
{
	return (struct pair *)((unsigned char *)&slab->lines[cpu] + slab->list);
}

/* acquire: the links behind the head are visible to whoever follows them */
static struct pair_value read_pair(const struct pair *p)
{
	struct pair_value v;

	v.first = atomic_load_explicit(&p->first, memory_order_acquire);
	v.second = atomic_load_explicit(&p->second, memory_order_acquire);
	return v; /* torn: then the CAS that uses it fails */
}

/* Relaxed: the CAS of the list's head orders links. */
static uint32_t next_chain(const struct slab *slab, uint32_t head)
{
	return (uint32_t)(atomic_load_explicit(slab_link(slab, head), memory_order_relaxed) >> 32);
}

static void set_next_chain(const struct slab *slab, uint32_t head, uint32_t next)
{
	_Atomic uint64_t *link = slab_link(slab, head);

	atomic_store_explicit(link, (uint64_t)next << 32 | (uint32_t)atomic_load_explicit(link, memory_order_relaxed),
			      memory_order_release); /* release: as in slab_retire */
}

static uint32_t pop_chain(const struct slab *slab, uint32_t cpu)
{
	struct pair *list = list_of(slab, cpu);

	for (;;) {
		struct pair_value old = read_pair(list);
		uint32_t head = (uint32_t)old.second, next;

		if (!head)
			return 0;
		next = next_chain(slab, head);
		TEST_POINT(TP_SLAB);
		/* another may have taken the chain and changed its link: then the version has moved */
		if (pair_cas(list, old, (struct pair_value){ old.first + 1, next }))
			return head;
	}
}

/* Pushes the chains from `first` to `last`, linked already. */
static void push_chains(const struct slab *slab, uint32_t cpu, uint32_t first, uint32_t last)
{
	struct pair *list = list_of(slab, cpu);

	for (;;) {
		struct pair_value old = read_pair(list);

		set_next_chain(slab, last, (uint32_t)old.second);
		TEST_POINT(TP_SLAB);
		if (pair_cas(list, old, (struct pair_value){ old.first + 1, first }))
			return;
	}
}

void slab_spill(struct slab *slab, struct cache *cache, uint32_t cpu)
{
	if (cache->head[1])
		push_chains(slab, cpu, cache->head[1], cache->head[1]);
	cache->head[1] = cache->head[0];
	cache->count[1] = cache->count[0];
	cache->head[0] = 0;
	cache->count[0] = 0;
}

void slab_give_suspect(struct slab *slab, struct cache *cache, uint32_t cpu, uint32_t index)
{
	if (cache->head[1] && cache->count[1] >= slab->chunk) {
		push_chains(slab, cpu, cache->head[1], cache->head[1]);
		cache->head[1] = 0;
	}
	if (!cache->head[1])
		cache->count[1] = 0;
	/* relaxed: as in slab_give */
	atomic_store_explicit(slab_link(slab, index), cache->head[1], memory_order_relaxed);
	cache->head[1] = index;
	cache->count[1]++;
}

/* Of n objects, clears those in the list that some record announces. */
static void strike_announced(const struct slab *slab, uint32_t *objects, unsigned n)
{
	uint32_t used;

	/* against the fence between an announcement and the check that follows it: either it is seen here, or the check
	 * sees that the object was taken out before it came here */
	atomic_thread_fence(memory_order_seq_cst);
	used = atomic_load_explicit(&slab->region->header->records_used, memory_order_relaxed);
	for (uint32_t r = 0; r < used && r < RECORDS; r++) {
		/* acquire: what was stored before the announcement was cleared comes before the object's reuse */
		uint32_t announced = atomic_load_explicit(&slab->hazards[r].announced, memory_order_acquire);
		uint32_t locked = atomic_load_explicit(&slab->hazards[r].lock, memory_order_acquire);

		for (unsigned i = 0; (announced || locked) && i < n; i++)
			if (objects[i] == announced || objects[i] == locked)
				objects[i] = 0;
	}
}

/* Makes the chain that begins at head objects to take, in head[0], and puts what is announced aside, in head[1]. */
static void sift(struct slab *slab, struct cache *cache, uint32_t cpu, uint32_t head)
{
	uint32_t objects[2 * CHUNK_MAX], clear[2 * CHUNK_MAX];
	unsigned n = 0;

	for (; head && n < 2 * CHUNK_MAX; n++) { /* a longer one is no work of ours */
		objects[n] = clear[n] = head;
		head = (uint32_t)atomic_load_explicit(slab_link(slab, head), memory_order_relaxed);
	}
	strike_announced(slab, clear, n);
	cache->head[0] = 0;
	cache->count[0] = 0;
	while (n--) {
		if (!clear[n]) {
			slab_give_suspect(slab, cache, cpu, objects[n]);
			continue;
		}
		atomic_store_explicit(slab_link(slab, clear[n]), cache->head[0], memory_order_relaxed);
		cache->head[0] = clear[n];
		cache->count[0]++;
	}
}

void slab_close_chain(struct slab *slab, struct slab_chain *open)
{
	uint64_t cookie = reclaim_cookie();
	uint32_t i = (uint32_t)(cookie / 2 % SLAB_WAITING);
	struct pair *stack = &slab->waiting[i].stack;

	for (;;) {
		struct pair_value old = read_pair(stack);
		struct pair_value new = { old.first > cookie ? old.first : cookie, open->head };

		set_next_chain(slab, open->head, (uint32_t)old.second);
		TEST_POINT(TP_RETIRE);
		if (pair_cas(stack, old, new))
			break;
	}
	/* relaxed: a count for the budget; one that is added after its chain was detached is dropped at the next
	 * detach */
	atomic_fetch_add_explicit(&slab->waiting[i].count, open->count, memory_order_relaxed);
	open->head = 0;
	open->count = 0;
	reclaim_request();
}

uint64_t slab_waiting(const struct slab *slab)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < SLAB_WAITING; i++)
		sum += atomic_load_explicit(&slab->waiting[i].count, memory_order_relaxed);
	return sum;
}

/* The oldest cookie of what waits, UINT64_MAX if nothing does. */
static uint64_t oldest_cookie(const struct slab *slab)
{
	uint64_t oldest = UINT64_MAX;

	for (unsigned i = 0; i < SLAB_WAITING; i++) {
		struct pair_value v = read_pair(&slab->waiting[i].stack);

		if (v.second && v.first < oldest)
			oldest = v.first;
	}
	return oldest;
}

bool slab_wait(struct slab *slab)
{
	uint64_t oldest = oldest_cookie(slab);

	if (oldest == UINT64_MAX)
		return false;
	atomic_fetch_add_explicit(&slab->grace_waits, 1, memory_order_relaxed);
	reclaim_wait_for(oldest);
	return true;
}

/* All chains of a stack that no reader can see any more; 0 if there is none. */
static uint32_t detach_done(struct slab *slab)
{
	for (unsigned i = 0; i < SLAB_WAITING; i++) {
		struct pair *stack = &slab->waiting[i].stack;
		struct pair_value old = read_pair(stack);

		/* a torn read fails the CAS; otherwise old.first is the cookie of all of them */
		if (!old.second || !reclaim_done(old.first))
			continue;
		if (!pair_cas(stack, old, (struct pair_value){ old.first, 0 }))
			continue;
		atomic_store_explicit(&slab->waiting[i].count, 0, memory_order_relaxed);
		return (uint32_t)old.second;
	}
	return 0;
}

/* Makes a run of chains some CPU's list. Lists are mostly empty when this is called; if none is, the run is walked
 * once. */
static void install(const struct slab *slab, uint32_t cpu, uint32_t first)
{
	uint32_t last = first;

	for (uint32_t i = 0; i < slab->n_cpus; i++) {
		struct pair *list = list_of(slab, (cpu + i) % slab->n_cpus);
		struct pair_value old = read_pair(list);

		TEST_POINT(TP_SLAB);
		if (!old.second && pair_cas(list, old, (struct pair_value){ old.first + 1, first }))
			return;
	}
	for (uint32_t next; (next = next_chain(slab, last)) != 0;)
		last = next;
	push_chains(slab, cpu, first, last);
}

static bool use_chain(const struct slab *slab, struct cache *cache, uint32_t head)
{
	cache->head[0] = head;
	cache->count[0] = head ? slab->chunk : 0;
	return head != 0;
}

static bool reuse_retired(struct slab *slab, struct cache *cache, uint32_t cpu)
{
	uint32_t head = slab->budget ? detach_done(slab) : 0, rest = head ? next_chain(slab, head) : 0;

	if (rest)
		install(slab, cpu, rest);
	return use_chain(slab, cache, head);
}

static bool steal(const struct slab *slab, struct cache *cache, uint32_t cpu)
{
	for (uint32_t i = 1; i < slab->n_cpus; i++)
		if (use_chain(slab, cache, pop_chain(slab, (cpu + i) % slab->n_cpus)))
			return true;
	return false;
}

/* 1: got some, 0: used up, -ENOMEM. */
static int take_fresh(struct slab *slab, struct cache *cache)
{
	/* relaxed: an index nobody else has; its memory is zero or is made so by the kernel */
	uint64_t next = atomic_load_explicit(slab->fresh, memory_order_relaxed), end;

	do {
		if (next >= slab->n)
			return 0;
		end = next + slab->chunk < slab->n ? next + slab->chunk : slab->n;
		if (end > slab->touched &&
		    region_touch(slab->region, (uint64_t)(slab->base - slab->region->base) + next * slab->object_size,
				 (end - next) * slab->object_size))
			return -ENOMEM;
		if (end > slab->touched && slab->percpu && percpu_touch(slab->percpu, next, end - next))
			return -ENOMEM;
		TEST_POINT(TP_SLAB);
	} while (!atomic_compare_exchange_weak_explicit(slab->fresh, &next, end, memory_order_relaxed,
							memory_order_relaxed));
	cache->next = (uint32_t)next;
	cache->end = (uint32_t)end;
	return 1;
}

/* The search among lists, retired and fresh objects, cheapest and warmest first. */
static int search(struct slab *slab, struct cache *cache, uint32_t cpu, bool may_wait)
{
	bool over;
	int got;

	if (use_chain(slab, cache, pop_chain(slab, cpu)) || reuse_retired(slab, cache, cpu))
		return 1;
	over = slab->budget && slab_waiting(slab) > slab->budget;
	if (over && may_wait && oldest_cookie(slab) != UINT64_MAX)
		return -EAGAIN;
	if (atomic_load_explicit(slab->fresh, memory_order_relaxed) >= slab->touched && steal(slab, cache, cpu))
		return 1;
	got = take_fresh(slab, cache);
	if (got > 0 && over)
		atomic_fetch_add_explicit(&slab->over_budget, slab->chunk, memory_order_relaxed);
	if (!got && steal(slab, cache, cpu))
		return 1;
	return got;
}

/* The cache's second chain becomes the first. Whether there is something to take then. */
static bool turn_over(struct slab *slab, struct cache *cache, uint32_t cpu)
{
	uint32_t head = cache->head[1];

	if (!head)
		return false;
	cache->head[1] = 0;
	if (slab->hazards) {
		sift(slab, cache, cpu, head);
	} else {
		cache->head[0] = head;
		cache->count[0] = cache->count[1];
	}
	return cache->head[0] != 0;
}

/* Chains, linked, whose objects can't be reused at present. */
struct aside {
	uint32_t first, last;
};

/* What is left in the second chain is announced, all of it. It must not go back to the list before the search is over:
 * it would be found there again and again, before everything else. */
static void set_aside(struct slab *slab, struct cache *cache, struct aside *aside)
{
	uint32_t head = cache->head[1];

	if (!slab->hazards || !head)
		return;
	set_next_chain(slab, head, aside->first);
	if (!aside->first)
		aside->last = head;
	aside->first = head;
	cache->head[1] = 0;
}

static int refill(struct slab *slab, struct cache *cache, uint32_t cpu, bool may_wait, struct aside *aside)
{
	for (unsigned i = 0; i < PATIENCE; i++) {
		int got;

		set_aside(slab, cache, aside);
		got = search(slab, cache, cpu, may_wait);
		if (got > 0 && slab->hazards && cache->head[0])
			sift(slab, cache, cpu, cache->head[0]);
		if (got < 0 || (got && slab_ready(cache)))
			return got < 0 ? got : 0;
		if (got)
			continue;
		/* Everything is in other hands: what waits comes back by a grace period, what is in flight in a
		 * moment. */
		if (oldest_cookie(slab) != UINT64_MAX)
			return may_wait ? -EAGAIN : -ENOMEM;
		TEST_POINT(TP_WAIT);
		sched_yield();
	}
	return -ENOMEM;
}

int slab_refill(struct slab *slab, struct cache *cache, uint32_t cpu, bool may_wait)
{
	struct aside aside = { 0, 0 };
	int err;

	if (turn_over(slab, cache, cpu))
		return 0;
	err = refill(slab, cache, cpu, may_wait, &aside);
	if (aside.first)
		push_chains(slab, cpu, aside.first, aside.last);
	return err;
}

/* Relaxed throughout: the process has one thread. */
void slab_rebuild(struct slab *slab, uint64_t keep)
{
	uint64_t fresh = atomic_load_explicit(slab->fresh, memory_order_relaxed);
	struct cache cache = { .next = 0 };
	struct slab_chain open = { 0, 0 };

	for (unsigned i = 0; i < SLAB_WAITING; i++) {
		atomic_store_explicit(&slab->waiting[i].stack.second, 0, memory_order_relaxed);
		atomic_store_explicit(&slab->waiting[i].count, 0, memory_order_relaxed);
	}
	for (uint32_t cpu = 0; cpu < slab->n_cpus; cpu++)
		atomic_store_explicit(&list_of(slab, cpu)->second, 0, memory_order_relaxed);
	for (uint32_t i = 1; i < fresh && i < slab->n; i++) {
		if (atomic_load_explicit(&((struct object *)slab_object(slab, i))->owner, memory_order_relaxed) == keep)
			atomic_store_explicit(&((struct object *)slab_object(slab, i))->owner, 0, memory_order_relaxed);
		else if (slab->budget)
			slab_retire(slab, &open, i);
		else
			slab_give(slab, &cache, 0, i);
	}
	if (open.head)
		slab_close_chain(slab, &open);
	for (unsigned i = 0; i < 2; i++)
		if (cache.head[i])
			push_chains(slab, 0, cache.head[i], cache.head[i]);
}
