/* SPDX-License-Identifier: MIT */
/*
 * The model in two halves: which element an update gets (lists, down to model_take() and model_give()), and the map
 * that elements are in.
 *
 * A list is an array with its tail at 0. So additions, which are all at the head, append, and scans, which begin at the
 * tail, count up.
 */
#include <errno.h>
#include <string.h>

#include "lru_model.h"
#include "memory.h"

#define NONE	   UINT32_MAX
#define SCANS	   128u /* how many elements a scan of the common lists looks at */
#define TARGET_MAX 128u
#define OWN_SCANS  4u /* without common lists */
#define OWN_TARGET 4u

const char *const lru_event_names[LRU_EVENTS] = {
	[LRU_REFILL] = "refills",
	[LRU_ROTATION] = "rotations",
	[LRU_FREE_MOVED] = "free elements moved to a CPU",
	[LRU_FLUSHED_USED] = "pending to active",
	[LRU_FLUSHED_UNUSED] = "pending to inactive",
	[LRU_ROTATED_KEPT] = "rotation: kept active",
	[LRU_ROTATED_DOWN] = "rotation: active to inactive",
	[LRU_ROTATED_UP] = "rotation: inactive to active",
	[LRU_ROTATED_WRAPPED] = "rotation: wrapped",
	[LRU_ROTATED_ENDED] = "rotation: ended before a full turn",
	[LRU_POINTER_LEFT] = "rotation: the pointed element went",
	[LRU_EVICTED] = "evicted",
	[LRU_SPARED] = "eviction: spared a used one",
	[LRU_FORCED_INACTIVE] = "eviction: forced, inactive",
	[LRU_FORCED_ACTIVE] = "eviction: forced, active",
	[LRU_STOLE_FREE] = "stole a free one",
	[LRU_STOLE_UNUSED] = "stole an unused pending one",
	[LRU_STOLE_USED] = "stole a used pending one",
	[LRU_GAVE_TO_OWNER] = "gave back to another CPU",
	[LRU_GAVE_TO_COMMON] = "gave back to the common list",
	[LRU_EVICTED_OWN_KEY] = "update evicted its own key",
	[LRU_FAILED_AND_EVICTED] = "update failed and evicted",
	[LRU_REPLACED] = "replaced",
	[LRU_STORED_IN_PLACE] = "stored in place",
};

const char *const lru_lie_names[LRU_LIES] = {
	[LRU_HONEST] = "no lie",
	[LRU_TARGET_128] = "the target is always 128",
	[LRU_NO_ROTATION] = "lists aren't rotated",
	[LRU_ROTATE_ACTIVE_ALWAYS] = "active is always rotated",
	[LRU_POINTER_TO_TAIL] = "rotations begin at the tail",
	[LRU_POINTER_BACK] = "a lost pointer goes to the tail's side",
	[LRU_COPIES_MARK] = "commands' lookups are hits",
	[LRU_WALKS_MARK] = "programs' walks are hits",
	[LRU_HITS_LOST] = "programs' lookups are no hits",
	[LRU_OTHER_CPU_NO_HIT] = "lookups of another slot are no hits",
	[LRU_REPLACED_UNUSED] = "updates are no hits",
	[LRU_INSERTED_USED] = "inserts are hits",
	[LRU_LOOKUP_FIRST] = "the key is looked up first",
	[LRU_EXIST_TAKES] = "EXIST takes on per-CPU maps",
	[LRU_GIVE_TO_SELF] = "elements go back to the giver",
	[LRU_STEAL_FROM_SELF] = "stealing begins at home",
	[LRU_NO_STEALING] = "nothing is stolen",
	[LRU_FLUSH_NEWEST_FIRST] = "pending goes newest first",
	[LRU_FORCE_ALL] = "forced evictions aren't single",
	[LRU_NO_COMMON_TARGET_1] = "own lists evict one",
	[LRU_NO_COMMON_LAZY] = "own lists are rotated when empty",
	[LRU_MOVE_TO_HEAD] = "stores in place move the entry",
	[LRU_STAY_IN_PLACE] = "replacements don't move the entry",
};

struct list {
	uint32_t *at;
	uint32_t n;
};

/* The lists that all CPUs have in common, or without common lists each CPU. */
struct lists {
	struct list active, inactive, free;
	uint32_t pointer; /* where the next rotation of inactive begins; NONE: between head and tail */
};

/* A CPU's, beside common ones. */
struct local {
	struct list free, pending;
	uint32_t next_steal;
};

struct element {
	struct list *list; /* that it's on */
	bool used;
	uint32_t cpu;
	uint32_t key;  /* NONE: in no entry */
	uint32_t next; /* in its bucket; the latest is first */
	uint64_t *value;
};

struct lru_model {
	struct lru_shape shape;
	enum lru_lie lie;
	uint32_t n, slots, target, scans;
	struct element *elements;
	uint32_t *of_key; /* the element, or NONE */
	uint32_t *bucket, buckets;
	struct lists *lists; /* one, or one for each CPU */
	struct local *local;
	uint64_t events[LRU_EVENTS];
};

/* -- lists -- */

static uint32_t place_of(const struct list *list, uint32_t element)
{
	uint32_t i = 0;

	while (list->at[i] != element)
		i++;
	return i;
}

static struct lists *lists_of(struct lru_model *m, uint32_t cpu)
{
	return &m->lists[m->shape.no_common ? cpu : 0];
}

/* What is behind the element, toward the head. */
static uint32_t headward(const struct list *list, uint32_t element)
{
	uint32_t i = place_of(list, element) + 1;

	return i < list->n ? list->at[i] : NONE;
}

static uint32_t tailward(const struct list *list, uint32_t element)
{
	uint32_t i = place_of(list, element);

	return i ? list->at[i - 1] : NONE;
}

static void leave(struct lru_model *m, uint32_t element)
{
	struct element *e = &m->elements[element];
	struct lists *lists = lists_of(m, e->cpu);
	struct list *list = e->list;
	uint32_t i;

	if (lists->pointer == element) {
		lists->pointer = m->lie == LRU_POINTER_BACK ? tailward(list, element) : headward(list, element);
		m->events[LRU_POINTER_LEFT]++;
	}
	i = place_of(list, element);
	memmove(&list->at[i], &list->at[i + 1], (list->n - i - 1) * sizeof(list->at[0]));
	list->n--;
	e->list = NULL;
}

/* To the head of a list; being used is forgotten. */
static void move(struct lru_model *m, uint32_t element, struct list *to)
{
	leave(m, element);
	to->at[to->n++] = element;
	m->elements[element].list = to;
	m->elements[element].used = false;
}

/* What refers to the element in its bucket. */
static uint32_t *link_to(struct lru_model *m, uint32_t element)
{
	uint32_t *link = &m->bucket[lru_model_bucket(m, m->elements[element].key)];

	while (*link != element)
		link = &m->elements[*link].next;
	return link;
}

static void unpublish(struct lru_model *m, uint32_t element)
{
	struct element *e = &m->elements[element];

	*link_to(m, element) = e->next;
	m->of_key[e->key] = NONE;
	e->key = NONE;
}

static void evict(struct lru_model *m, uint32_t element)
{
	unpublish(m, element);
	m->events[LRU_EVICTED]++;
}

/* Pending elements become the common lists'. */
static void flush(struct lru_model *m, struct local *local)
{
	struct lists *lists = &m->lists[0];

	while (local->pending.n) {
		uint32_t oldest = local->pending.at[m->lie == LRU_FLUSH_NEWEST_FIRST ? local->pending.n - 1 : 0];
		bool used = m->elements[oldest].used;

		move(m, oldest, used ? &lists->active : &lists->inactive);
		m->events[used ? LRU_FLUSHED_USED : LRU_FLUSHED_UNUSED]++;
	}
}

static void rotate_active(struct lru_model *m, struct lists *lists)
{
	uint32_t steps = lists->active.n < m->scans ? lists->active.n : m->scans;

	while (steps--) {
		uint32_t last = lists->active.at[0];
		bool used = m->elements[last].used;

		move(m, last, used ? &lists->active : &lists->inactive);
		m->events[used ? LRU_ROTATED_KEPT : LRU_ROTATED_DOWN]++;
	}
}

static void rotate_inactive(struct lru_model *m, struct lists *lists)
{
	struct list *inactive = &lists->inactive;
	uint32_t steps = inactive->n < m->scans ? inactive->n : m->scans;
	uint32_t at = m->lie == LRU_POINTER_TO_TAIL ? NONE : lists->pointer;

	m->events[LRU_ROTATED_ENDED] += steps < inactive->n;
	if (!steps)
		return;
	while (steps--) {
		uint32_t element = at == NONE ? inactive->at[0] : at;

		at = headward(inactive, element);
		m->events[LRU_ROTATED_WRAPPED] += at == NONE && steps;
		if (m->elements[element].used) {
			move(m, element, &lists->active);
			m->events[LRU_ROTATED_UP]++;
		}
	}
	lists->pointer = at;
}

static void rotate(struct lru_model *m, struct lists *lists)
{
	m->events[LRU_ROTATION]++;
	if (m->lie == LRU_NO_ROTATION)
		return;
	if (lists->inactive.n < lists->active.n || m->lie == LRU_ROTATE_ACTIVE_ALWAYS)
		rotate_active(m, lists);
	rotate_inactive(m, lists);
}

/* What has not been used lately goes, up to `want`. If all was, one goes. */
static void make_room(struct lru_model *m, struct lists *lists, struct list *to, uint32_t want)
{
	struct list *inactive = &lists->inactive, *from;
	uint32_t gone = 0;

	for (uint32_t looked = 0; inactive->n && looked < m->scans && gone < want; looked++) {
		uint32_t last = inactive->at[0];

		if (m->elements[last].used) {
			move(m, last, &lists->active);
			m->events[LRU_SPARED]++;
			continue;
		}
		evict(m, last);
		move(m, last, to);
		gone++;
	}
	if (gone)
		return;
	if (m->lie != LRU_FORCE_ALL)
		want = 1;
	from = inactive->n ? inactive : &lists->active;
	while (from->n && want--) {
		m->events[from == inactive ? LRU_FORCED_INACTIVE : LRU_FORCED_ACTIVE]++;
		evict(m, from->at[0]);
		move(m, from->at[0], to);
	}
}

static uint32_t head_of(const struct list *list)
{
	return list->n ? list->at[list->n - 1] : NONE;
}

static void refill(struct lru_model *m, struct local *local)
{
	struct lists *common = &m->lists[0];
	uint32_t got = 0;

	m->events[LRU_REFILL]++;
	flush(m, local);
	rotate(m, common);
	for (; common->free.n && got < m->target; got++) {
		move(m, head_of(&common->free), &local->free);
		m->events[LRU_FREE_MOVED]++;
	}
	if (got < m->target)
		make_room(m, common, &local->free, m->target - got);
}

/* The oldest pending element, if possible one that isn't used. */
static uint32_t pick_pending(struct lru_model *m, struct local *from)
{
	uint32_t i = 0;

	if (!from->pending.n)
		return NONE;
	while (i < from->pending.n && m->elements[from->pending.at[i]].used)
		i++;
	m->events[i < from->pending.n ? LRU_STOLE_UNUSED : LRU_STOLE_USED]++;
	return from->pending.at[i < from->pending.n ? i : 0];
}

static uint32_t steal(struct lru_model *m, uint32_t cpu)
{
	struct local *thief = &m->local[cpu];
	uint32_t begin = m->lie == LRU_STEAL_FROM_SELF ? cpu : thief->next_steal, victim = begin, element;

	do {
		struct local *from = &m->local[victim];

		element = head_of(&from->free);
		if (element != NONE) {
			m->events[LRU_STOLE_FREE]++;
		} else {
			element = pick_pending(m, from);
			if (element != NONE)
				evict(m, element);
		}
		victim = (victim + 1) % m->shape.cpus;
	} while (element == NONE && victim != begin);
	thief->next_steal = victim;
	return element;
}

static uint32_t take_common(struct lru_model *m, uint32_t cpu)
{
	struct local *local = &m->local[cpu];
	uint32_t element;

	if (!local->free.n)
		refill(m, local);
	element = head_of(&local->free);
	if (element == NONE && m->lie != LRU_NO_STEALING)
		element = steal(m, cpu);
	if (element == NONE)
		return NONE;
	move(m, element, &local->pending);
	m->elements[element].cpu = cpu;
	return element;
}

static uint32_t take_own(struct lru_model *m, uint32_t cpu)
{
	struct lists *own = lists_of(m, cpu);
	uint32_t element;

	if (m->lie != LRU_NO_COMMON_LAZY || !own->free.n)
		rotate(m, own);
	if (!own->free.n) {
		m->events[LRU_REFILL]++;
		make_room(m, own, &own->free, m->target);
	}
	element = head_of(&own->free);
	if (element != NONE)
		move(m, element, &own->inactive);
	return element;
}

static uint32_t model_take(struct lru_model *m, uint32_t cpu)
{
	return m->shape.no_common ? take_own(m, cpu) : take_common(m, cpu);
}

static void model_give(struct lru_model *m, uint32_t cpu, uint32_t element)
{
	struct element *e = &m->elements[element];

	if (m->shape.no_common) {
		move(m, element, &lists_of(m, e->cpu)->free);
	} else if (e->list == &m->local[e->cpu].pending) {
		m->events[LRU_GAVE_TO_OWNER] += e->cpu != cpu;
		move(m, element, &m->local[m->lie == LRU_GIVE_TO_SELF ? cpu : e->cpu].free);
	} else {
		m->events[LRU_GAVE_TO_COMMON]++;
		move(m, element, &m->lists[0].free);
	}
}

/* -- the map -- */

static void publish(struct lru_model *m, uint32_t element, uint32_t key)
{
	uint32_t *first = &m->bucket[lru_model_bucket(m, key)];

	m->elements[element].key = key;
	m->elements[element].next = *first;
	*first = element;
	m->of_key[key] = element;
}

/* An update by command has a value for each slot, one by a program only for its CPU's. */
static void store(struct lru_model *m, uint32_t element, uint32_t cpu, bool program, const uint64_t *value, bool insert)
{
	uint64_t *to = m->elements[element].value;

	if (!program || !m->shape.percpu) {
		memcpy(to, value, m->slots * sizeof(to[0]));
		return;
	}
	if (insert)
		memset(to, 0, m->slots * sizeof(to[0]));
	to[cpu] = value[0];
}

static void replace(struct lru_model *m, uint32_t cpu, uint32_t old, uint32_t new, uint32_t key)
{
	if (m->lie == LRU_STAY_IN_PLACE) {
		*link_to(m, old) = new;
		m->elements[new].next = m->elements[old].next;
		m->elements[new].key = key;
		m->elements[old].key = NONE;
		m->of_key[key] = new;
	} else {
		unpublish(m, old);
		publish(m, new, key);
	}
	m->elements[new].used = m->lie != LRU_REPLACED_UNUSED;
	model_give(m, cpu, old);
	m->events[LRU_REPLACED]++;
}

static void keep(struct lru_model *m, uint32_t old, uint32_t key)
{
	m->elements[old].used |= m->lie != LRU_REPLACED_UNUSED;
	if (m->lie == LRU_MOVE_TO_HEAD) {
		unpublish(m, old);
		publish(m, old, key);
	}
	m->events[LRU_STORED_IN_PLACE]++;
}

static int check_flags(uint64_t flags, uint32_t old)
{
	return flags == 1 && old != NONE ? -EEXIST : flags == 2 && old == NONE ? -ENOENT : 0;
}

int lru_model_update(struct lru_model *m, uint32_t cpu, bool program, uint32_t key, const uint64_t *value,
		     uint64_t flags)
{
	bool takes = flags != 2 || !m->shape.percpu || m->lie == LRU_EXIST_TAKES;
	uint32_t old = m->of_key[key], element = NONE;
	uint64_t evicted = m->events[LRU_EVICTED];
	int error;

	if (flags > 2)
		return -EINVAL;
	if (m->lie == LRU_LOOKUP_FIRST && check_flags(flags, old))
		return check_flags(flags, old);
	if (takes) {
		element = model_take(m, cpu);
		if (element == NONE)
			return -ENOMEM;
	}
	m->events[LRU_EVICTED_OWN_KEY] += old != NONE && m->of_key[key] == NONE;
	old = m->of_key[key];
	error = check_flags(flags, old);
	if (error) {
		m->events[LRU_FAILED_AND_EVICTED] += m->events[LRU_EVICTED] != evicted;
	} else if (old == NONE) {
		publish(m, element, key);
		m->elements[element].used = m->lie == LRU_INSERTED_USED;
		store(m, element, cpu, program, value, true);
		return 0;
	} else if (m->shape.percpu) {
		store(m, old, cpu, program, value, false);
		keep(m, old, key);
	} else {
		store(m, element, cpu, program, value, false);
		replace(m, cpu, old, element, key);
		return 0;
	}
	if (element != NONE)
		model_give(m, cpu, element);
	return error;
}

int lru_model_lookup(struct lru_model *m, uint32_t key, uint64_t *value)
{
	uint32_t element = m->of_key[key];

	if (element == NONE)
		return -ENOENT;
	m->elements[element].used |= m->lie == LRU_COPIES_MARK;
	memcpy(value, m->elements[element].value, m->slots * sizeof(value[0]));
	return 0;
}

int lru_model_lookup_slot(struct lru_model *m, uint32_t cpu, uint32_t slot, uint32_t key, uint64_t *value)
{
	bool own = !m->shape.percpu || slot == cpu;
	uint32_t element = m->of_key[key];

	if (element == NONE || slot >= m->slots)
		return -ENOENT;
	m->elements[element].used |= m->lie != (own ? LRU_HITS_LOST : LRU_OTHER_CPU_NO_HIT);
	*value = m->elements[element].value[slot];
	return 0;
}

int lru_model_delete(struct lru_model *m, uint32_t cpu, uint32_t key)
{
	uint32_t element = m->of_key[key];

	if (element == NONE)
		return -ENOENT;
	unpublish(m, element);
	model_give(m, cpu, element);
	return 0;
}

void lru_model_walked(struct lru_model *m, uint32_t key)
{
	if (m->lie == LRU_WALKS_MARK)
		m->elements[m->of_key[key]].used = true;
}

const uint64_t *lru_model_value(const struct lru_model *m, uint32_t key)
{
	uint32_t element = m->of_key[key];

	return element == NONE ? NULL : m->elements[element].value;
}

static uint32_t rotated(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

/* Of a key of 4 bytes, by Bob Jenkins' lookup3 with seed 0. */
uint32_t lru_model_bucket(const struct lru_model *m, uint32_t key)
{
	uint32_t b = 0xdeadbeef + 4, c = b, a = b + key;

	c = (c ^ b) - rotated(b, 14);
	a = (a ^ c) - rotated(c, 11);
	b = (b ^ a) - rotated(a, 25);
	c = (c ^ b) - rotated(b, 16);
	a = (a ^ c) - rotated(c, 4);
	b = (b ^ a) - rotated(a, 14);
	c = (c ^ b) - rotated(b, 24);
	return c & (m->buckets - 1);
}

uint32_t lru_model_walk(const struct lru_model *m, uint32_t *keys, uint32_t room)
{
	uint32_t n = 0;

	for (uint32_t bucket = 0; bucket < m->buckets; bucket++)
		for (uint32_t at = m->bucket[bucket]; at != NONE; at = m->elements[at].next, n++)
			if (n < room)
				keys[n] = m->elements[at].key;
	return n;
}

uint32_t lru_model_max_entries(const struct lru_model *m)
{
	return m->n;
}

uint32_t lru_model_buckets(const struct lru_model *m)
{
	return m->buckets;
}

uint64_t lru_model_events(const struct lru_model *m, enum lru_event event)
{
	return m->events[event];
}

static void new_list(struct list *list, uint32_t n)
{
	list->at = need_memory(n * sizeof(list->at[0]));
	list->n = 0;
}

static void new_lists(struct lru_model *m)
{
	m->lists = need_memory(m->shape.cpus * sizeof(m->lists[0]));
	m->local = need_memory(m->shape.cpus * sizeof(m->local[0]));
	for (uint32_t cpu = 0; cpu < m->shape.cpus; cpu++) {
		new_list(&m->lists[cpu].active, m->n);
		new_list(&m->lists[cpu].inactive, m->n);
		new_list(&m->lists[cpu].free, m->n);
		m->lists[cpu].pointer = NONE;
		new_list(&m->local[cpu].free, m->n);
		new_list(&m->local[cpu].pending, m->n);
		m->local[cpu].next_steal = cpu;
	}
}

struct lru_model *lru_model_new(const struct lru_shape *shape, enum lru_lie lie)
{
	struct lru_model *m = need_memory(sizeof(*m));
	uint32_t share;

	m->shape = *shape;
	m->lie = lie;
	m->n = shape->max_entries;
	if (shape->no_common)
		m->n = (m->n + shape->cpus - 1) / shape->cpus * shape->cpus;
	share = m->n / shape->cpus;
	for (m->buckets = 1; m->buckets < m->n; m->buckets *= 2)
		;
	m->bucket = need_memory(m->buckets * sizeof(m->bucket[0]));
	memset(m->bucket, 0xff, m->buckets * sizeof(m->bucket[0]));
	m->slots = shape->percpu ? shape->cpus : 1;
	m->scans = shape->no_common ? OWN_SCANS : SCANS;
	m->target = share / 2 < 1 ? 1 : share / 2 > TARGET_MAX ? TARGET_MAX : share / 2;
	if (shape->no_common)
		m->target = lie == LRU_NO_COMMON_TARGET_1 ? 1 : OWN_TARGET;
	else if (lie == LRU_TARGET_128)
		m->target = TARGET_MAX;
	new_lists(m);
	m->of_key = need_memory(shape->keys * sizeof(m->of_key[0]));
	memset(m->of_key, 0xff, shape->keys * sizeof(m->of_key[0]));
	m->elements = need_memory(m->n * sizeof(m->elements[0]));
	for (uint32_t i = 0; i < m->n; i++) {
		struct element *e = &m->elements[i];
		struct list *list;

		e->cpu = shape->no_common ? i / share : 0;
		list = &lists_of(m, e->cpu)->free;
		e->list = list;
		list->at[list->n++] = i;
		e->key = NONE;
		e->value = need_memory(m->slots * sizeof(e->value[0]));
	}
	return m;
}

void lru_model_free(struct lru_model *m)
{
	for (uint32_t cpu = 0; cpu < m->shape.cpus; cpu++) {
		free(m->lists[cpu].active.at);
		free(m->lists[cpu].inactive.at);
		free(m->lists[cpu].free.at);
		free(m->local[cpu].free.at);
		free(m->local[cpu].pending.at);
	}
	for (uint32_t i = 0; i < m->n; i++)
		free(m->elements[i].value);
	free(m->lists);
	free(m->local);
	free(m->of_key);
	free(m->bucket);
	free(m->elements);
	free(m);
}
