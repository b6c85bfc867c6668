/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's LRU maps hold after each operation: a model, written from the rules alone, as simple and as slow as
 * may be. Lists are arrays, moves are memmove(), nothing is concurrent, and nothing is shared
 * with the engine. Keys are numbers below a bound; values are 64-bit numbers, one for each slot.
 *
 * The rules can be bent, one at a time, for tests of the comparison: what is compared must notice each.
 */
#ifndef TESTS_SEMANTICS_LRU_MODEL_H
#define TESTS_SEMANTICS_LRU_MODEL_H

#include <stdbool.h>
#include <stdint.h>

/* What can happen in an LRU. A run that has met them all has seen the whole algorithm. */
enum lru_event {
	LRU_REFILL, /* without common lists: a CPU had nothing free */
	LRU_ROTATION,
	LRU_FREE_MOVED,	     /* a refill got an element from the common free list */
	LRU_FLUSHED_USED,    /* from pending to active */
	LRU_FLUSHED_UNUSED,  /* from pending to inactive */
	LRU_ROTATED_KEPT,    /* a rotation left a used element active */
	LRU_ROTATED_DOWN,    /* from active to inactive */
	LRU_ROTATED_UP,	     /* from inactive to active */
	LRU_ROTATED_WRAPPED, /* the walk through inactive came to its head and went on at its tail */
	LRU_ROTATED_ENDED,   /* and stopped before a full turn */
	LRU_POINTER_LEFT,    /* the element where the next rotation begins went */
	LRU_EVICTED,
	LRU_SPARED,	     /* an eviction found a used element */
	LRU_FORCED_INACTIVE, /* an eviction found only used ones, and took the last inactive */
	LRU_FORCED_ACTIVE,   /* the last active */
	LRU_STOLE_FREE,
	LRU_STOLE_UNUSED,
	LRU_STOLE_USED,
	LRU_GAVE_TO_OWNER, /* a pending element went back to another CPU than the one that gave it */
	LRU_GAVE_TO_COMMON,
	LRU_EVICTED_OWN_KEY, /* an update evicted the entry that it was about */
	LRU_FAILED_AND_EVICTED,
	LRU_REPLACED,
	LRU_STORED_IN_PLACE,
	LRU_EVENTS
};

extern const char *const lru_event_names[LRU_EVENTS];

/* Ways to be wrong. */
enum lru_lie {
	LRU_HONEST,
	LRU_TARGET_128, /* the refill target of Linux 6.1 */
	LRU_NO_ROTATION,
	LRU_ROTATE_ACTIVE_ALWAYS, /* not only when it is the longer list */
	LRU_POINTER_TO_TAIL,	  /* the rotation begins at the tail each time */
	LRU_POINTER_BACK,     /* a pointed element that goes leaves the pointer to its neighbour at the tail's side */
	LRU_COPIES_MARK,      /* a command's lookup is a hit */
	LRU_WALKS_MARK,	      /* so is being seen by a walk of a program */
	LRU_HITS_LOST,	      /* a lookup of a program is none */
	LRU_OTHER_CPU_NO_HIT, /* nor that of another CPU's slot */
	LRU_REPLACED_UNUSED,  /* an update of an existing entry is none */
	LRU_INSERTED_USED,
	LRU_LOOKUP_FIRST,    /* an update looks its key up before it takes an element */
	LRU_EXIST_TAKES,     /* BPF_EXIST takes an element on per-CPU maps, too */
	LRU_GIVE_TO_SELF,    /* pending elements go back to the CPU that gives, not to their owner */
	LRU_STEAL_FROM_SELF, /* stealing begins at the thief's own CPU each time */
	LRU_NO_STEALING,
	LRU_FLUSH_NEWEST_FIRST,
	LRU_FORCE_ALL,		/* when all are used, as many are evicted as are wanted */
	LRU_NO_COMMON_TARGET_1, /* one is evicted, not four */
	LRU_NO_COMMON_LAZY,	/* lists are rotated only when nothing is free */
	LRU_MOVE_TO_HEAD,	/* an update in place moves the entry to the head of its bucket */
	LRU_STAY_IN_PLACE,	/* an update that replaces doesn't */
	LRU_LIES
};

extern const char *const lru_lie_names[LRU_LIES];

struct lru_shape {
	uint32_t max_entries; /* as asked for */
	uint32_t cpus;
	uint32_t keys; /* are below this */
	bool percpu;   /* values have a slot for each CPU */
	bool no_common;
};

struct lru_model;

struct lru_model *lru_model_new(const struct lru_shape *shape, enum lru_lie lie);
void lru_model_free(struct lru_model *model);
uint32_t lru_model_max_entries(const struct lru_model *model); /* rounded */
uint32_t lru_model_buckets(const struct lru_model *model);
uint64_t lru_model_events(const struct lru_model *model, enum lru_event event);

/*
 * Operations by a CPU. They return what the kernel does: 0 or -errno. `program`: not a command. Values: all slots; a
 * program's update has one, for its CPU.
 */
int lru_model_update(struct lru_model *model, uint32_t cpu, bool program, uint32_t key, const uint64_t *value,
		     uint64_t flags);
int lru_model_lookup(struct lru_model *model, uint32_t key, uint64_t *value); /* a command's */
/* A program's, of one slot; there is only slot 0 unless values are per CPU. */
int lru_model_lookup_slot(struct lru_model *model, uint32_t cpu, uint32_t slot, uint32_t key, uint64_t *value);
int lru_model_delete(struct lru_model *model, uint32_t cpu, uint32_t key);
/* Entries in walk order with BPF_F_ZERO_SEED; at most `room` keys. Returns how many there are. */
uint32_t lru_model_walk(const struct lru_model *model, uint32_t *keys, uint32_t room);
/* A walk of a program came by. */
void lru_model_walked(struct lru_model *model, uint32_t key);
const uint64_t *lru_model_value(const struct lru_model *model, uint32_t key); /* NULL: absent. Not a lookup */
uint32_t lru_model_bucket(const struct lru_model *model, uint32_t key);

#endif
