/* SPDX-License-Identifier: MIT */
/* The rare steps of writes, out of line. See hash.c. */
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/reclaim.h"
#include "map/hash_write.h"

#define PATIENCE_YIELDS 200
#define PATIENCE_NAP_NS 20000

static void let_others_run(unsigned round)
{
	const struct timespec nap = { .tv_nsec = PATIENCE_NAP_NS };

	TEST_POINT(TP_WAIT);
	if (round < PATIENCE_YIELDS)
		sched_yield();
	else
		syscall(SYS_nanosleep, &nap, NULL); /* not the library's: that one is a cancellation point */
}

void hash_let_others_run(unsigned *patience)
{
	let_others_run(HASH_PATIENCE - *patience);
	--*patience;
}

int hash_commit_delete_node(struct hash *h, struct writer *w, struct line *line, struct hash_place *place,
			    struct hash_kind kind)
{
	struct overflow_writer ow = hash_overflow_writer(h, w, kind);
	struct overflow_change change;
	int err = overflow_build(&ow, line, place->w, place->depth, place->slot, 0, 0, &change);

	if (err)
		return err;
	if (!hash_commit(w, line, place, line_with_overflow(line_bump(place->w), change.root), true, kind)) {
		overflow_undo(&ow, &change);
		return -ESTALE;
	}
	overflow_committed(&ow, &change);
	return 0;
}

/* Asked now and then, when naps have begun. */
static bool is_dead(const struct hash *h, uint32_t record, unsigned round)
{
	return round > PATIENCE_YIELDS && round % 32 == 0 && writer_is_dead(&h->writers, record);
}

static bool is_among(uint32_t element, const uint32_t *elements, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (elements[i] == element)
			return true;
	return false;
}

#ifdef USERMAP_TEST_POINTS
unsigned hash_settle_patience = HASH_PATIENCE;
#else
enum { hash_settle_patience = 100000 }; /* seconds: the storing thread may just be waiting for a CPU */
#endif

/*
 * A thread that is stopped for longer than the patience while it stores, or was killed there, is given up: what it
 * stores is then lost with the element. Nobody else may reuse the element meanwhile (at once), or it waits for the
 * section (grace). So an element is waited for in vain once.
 */
void hash_settle(struct hash *h, const struct writer *w, const uint32_t *elements, uint32_t n)
{
	unsigned round = 0;
	uint32_t used;

	/* against the fence, or on maps with grace periods the compiler barrier, of hash_announce: either the
	 * announcement is seen here, or its maker sees that the line has moved */
	if (!h->elements.budget || syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0))
		atomic_thread_fence(memory_order_seq_cst);
	used = atomic_load_explicit(&h->header->records_used, memory_order_relaxed);
	for (uint32_t i = 0; i < used && i < RECORDS; i++) {
		_Atomic uint32_t *announced = &h->writers.records[i].announced;
		/* acquire: pairs with hash_announce_end; the stores are visible */
		uint32_t element = atomic_load_explicit(announced, memory_order_acquire);

		while (element && i != w->index && round < hash_settle_patience && is_among(element, elements, n) &&
		       !is_dead(h, i, round)) {
			let_others_run(round++);
			element = atomic_load_explicit(announced, memory_order_acquire);
		}
	}
}

static uint64_t stamp_of(const struct hash *h, uint32_t index)
{
	/* valid only if the line doesn't move, which the commit checks */
	return object_stamp(slab_object(&h->elements, index));
}

uint64_t hash_largest_stamp(const struct hash *h, const struct hash_target *t, line_word w)
{
	unsigned bucket = t->bucket % LINE_BUCKETS;
	uint64_t largest = 0, stamp;
	uint32_t at = line_overflow(w);

	for (uint32_t slots = line_bucket_slots(w.second, bucket); slots; slots &= slots - 1) {
		stamp = stamp_of(h, atomic_load_explicit(&t->line->index[__builtin_ctz(slots)], memory_order_acquire));
		largest = stamp > largest ? stamp : largest;
	}
	for (uint32_t hops = 0; at && hops < h->chain_max && !line_moved(t->line, w); hops++) {
		const struct node *node = node_at(&h->nodes, at);

		for (uint32_t slots = line_bucket_slots(node_tags(node), bucket); slots; slots &= slots - 1) {
			stamp = stamp_of(h, node_index(node, (unsigned)__builtin_ctz(slots)));
			largest = stamp > largest ? stamp : largest;
		}
		at = node_next(node);
	}
	return largest;
}

/* Not while the thread holds a value's lock: readers wait for that inside their sections. */
static bool may_wait(const struct slab *slab, const struct writer *w)
{
	return slab->budget && !thread_in_section() && !reclaim_busy() && !hash_holds_lock(w);
}

int hash_supply(struct hash *h, struct writer *w)
{
	for (;;) {
		int err = slab_refill(&h->elements, &w->record->elements, w->cpu, may_wait(&h->elements, w));

		if (err != -EAGAIN)
			return err;
		writer_end(w);
		slab_wait(&h->elements);
		writer_enter(w);
	}
}

bool hash_wait_for_nodes(struct hash *h, struct writer *w)
{
	bool waited;

	if (!may_wait(&h->nodes, w))
		return false;
	writer_end(w);
	waited = slab_wait(&h->nodes);
	writer_enter(w);
	return waited;
}

void hash_drain(struct hash *h, struct writer *w)
{
	uint32_t none = DRAIN_NONE;

	/* acquire: pairs with the release below */
	if (!h->in_place || atomic_load_explicit(&h->draining, memory_order_acquire) == DRAIN_DONE)
		return;
	/* never back from done; relaxed: writer_drain has the barrier */
	atomic_compare_exchange_strong_explicit(&h->draining, &none, DRAIN_UNDER_WAY, memory_order_relaxed,
						memory_order_relaxed);
	writer_end(w);
	writer_drain(&h->writers);
	writer_enter(w);
	/* release: whoever sees it done knows that no store in place is under way */
	atomic_store_explicit(&h->draining, DRAIN_DONE, memory_order_release);
}
