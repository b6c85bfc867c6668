/* SPDX-License-Identifier: MIT */
/* The search of history.h. A set of operations is a 64-bit mask, the state of the map an array of value ids, 0 = absent. */
#include "history.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>

#define MEMORY_BITS 16
#define BIT(i) (UINT64_C(1) << (i))

struct state {
	uint64_t done;  /* operations that have taken effect */
	uint64_t added; /* those of them that made an entry */
	uint64_t value[HISTORY_KEYS];
};

/* The states from which no order was found: an open-addressed set. Slots with done == 0 are free. */
struct memory {
	struct state seen[1u << MEMORY_BITS];
	unsigned n_used;
};

struct search {
	const struct history *history;
	unsigned word; /* the one that is looked at */
	struct memory *memory;
	bool overflow;
};

static uint64_t state_hash(const struct state *state)
{
	uint64_t h = state->done * 0x9e3779b97f4a7c15ull ^ state->added;

	for (unsigned k = 0; k < HISTORY_KEYS; k++)
		h = (h ^ state->value[k]) * 0xff51afd7ed558ccdull;
	return h >> (64 - MEMORY_BITS);
}

/* Whether the state is new; remembers it. */
static bool remember(struct search *search, const struct state *state)
{
	const unsigned mask = (1u << MEMORY_BITS) - 1;
	struct memory *memory = search->memory;
	unsigned at = (unsigned)state_hash(state);

	for (; memory->seen[at].done; at = (at + 1) & mask)
		if (!memcmp(&memory->seen[at], state, sizeof(*state)))
			return false;
	if (memory->n_used > mask / 2) {
		search->overflow = true;
		return false;
	}
	memory->seen[at] = *state;
	memory->n_used++;
	return true;
}

/* Whether operation i may be told "full" in this state, at an instant in (after, before). */
static bool may_be_full(const struct history *history, const struct state *state, unsigned i, uint64_t after, uint64_t before)
{
	unsigned taken = 0;

	for (unsigned k = 0; k < HISTORY_KEYS; k++)
		taken += state->value[k] != 0;
	for (unsigned j = 0; j < history->n && !history->exact; j++) {
		const struct history_op *op = &history->op[j];
		bool in_hand = op->kind == HISTORY_UPDATE ? !(state->added & BIT(j)) :
							    op->kind == HISTORY_DELETE || op->kind == HISTORY_TAKE;

		if (j != i && in_hand && op->called < before && op->returned > after)
			taken++;
	}
	return taken >= history->max_entries;
}

/* Lets operation i take effect; false if its result isn't the one the map gives now. */
static bool apply(const struct search *search, struct state *state, unsigned i, uint64_t after, uint64_t before)
{
	const struct history *history = search->history;
	const struct history_op *op = &history->op[i];
	uint64_t *value = &state->value[op->key], word = op->value[search->word];
	unsigned live = 0;

	state->done |= BIT(i);
	switch (op->kind) {
	case HISTORY_LOOKUP:
		return *value ? op->result == 0 && word == *value : op->result == -ENOENT;
	case HISTORY_ADD:
		if (!*value)
			return op->result == -ENOENT;
		*value += word;
		return op->result == 0;
	case HISTORY_DELETE:
		if (!*value)
			return op->result == -ENOENT;
		*value = 0;
		return op->result == 0;
	case HISTORY_TAKE:
		if (!*value)
			return op->result == -ENOENT;
		if (op->result || word != *value)
			return false;
		*value = 0;
		return true;
	case HISTORY_UPDATE:
		if (*value && op->flags == BPF_NOEXIST)
			return op->result == -EEXIST;
		if (!*value && op->flags == BPF_EXIST)
			return op->result == -ENOENT;
		if (!*value) {
			if (op->result == -E2BIG)
				return may_be_full(history, state, i, after, before);
			for (unsigned k = 0; k < HISTORY_KEYS; k++)
				live += state->value[k] != 0;
			if (live == history->max_entries)
				return false;
			state->added |= BIT(i);
		}
		if (!(op->kept >> search->word & 1))
			*value = word;
		else if (!*value)
			*value = HISTORY_ZERO;
		return op->result == 0;
	}
	return false;
}

/* Whether operation i is a lookup that may come now: it changes nothing, so if there is an order at all, there is one in which
 * it comes now. */
static bool is_lookup_now(const struct search *search, const struct state *state, unsigned i, uint64_t before)
{
	const struct history_op *op = &search->history->op[i];
	struct state next = *state;

	return op->kind == HISTORY_LOOKUP && !(state->done & BIT(i)) && !op->pending && op->called <= before &&
	       apply(search, &next, i, 0, 0);
}

static bool extend(struct search *search, const struct state *state)
{
	const struct history *history = search->history;
	uint64_t left = 0;            /* operations that must still take effect */
	uint64_t before = UINT64_MAX; /* the first return among those */
	uint64_t latest = 0;          /* the last call among those that have */

	for (unsigned i = 0; i < history->n; i++)
		left |= history->op[i].pending ? 0 : BIT(i) & ~state->done;
	if (!left)
		return true;
	for (unsigned i = 0; i < history->n; i++) {
		const struct history_op *op = &history->op[i];

		if (!(state->done & BIT(i)) && op->returned < before)
			before = op->returned;
		if ((state->done & BIT(i)) && op->called > latest)
			latest = op->called;
	}
	for (unsigned i = 0; i < history->n; i++)
		if (is_lookup_now(search, state, i, before)) {
			struct state next = *state;

			next.done |= BIT(i);
			return remember(search, &next) && extend(search, &next);
		}
	for (unsigned i = 0; i < history->n; i++) {
		const struct history_op *op = &history->op[i];
		struct state next = *state;

		if ((state->done & BIT(i)) || op->called > before)
			continue;
		if (apply(search, &next, i, op->called > latest ? op->called : latest, before) && remember(search, &next) &&
		    extend(search, &next))
			return true;
	}
	return false;
}

static enum history_verdict check_word(const struct history *history, unsigned word)
{
	/* mapped each time: zero pages, of which a check touches few */
	struct memory *memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct search search = { .history = history, .word = word, .memory = memory };
	struct state empty = { 0 };
	bool found;

	if (memory == MAP_FAILED)
		return HISTORY_UNDECIDED;
	found = extend(&search, &empty);
	munmap(memory, sizeof(*memory));
	if (found)
		return HISTORY_OK;
	return search.overflow ? HISTORY_UNDECIDED : HISTORY_WRONG;
}

enum history_verdict history_check(const struct history *history)
{
	enum history_verdict verdict = check_word(history, 0);

	for (unsigned word = 1; word < history->words && verdict == HISTORY_OK; word++)
		verdict = check_word(history, word);
	return verdict;
}

static void print_value(const struct history *history, const struct history_op *op, FILE *out)
{
	unsigned words = history->words ? history->words : 1;

	for (unsigned word = 0; word < words; word++)
		if (op->kind == HISTORY_UPDATE && op->kept >> word & 1)
			fprintf(out, "%s-", word ? "/" : " value ");
		else
			fprintf(out, "%s%" PRIu64, word ? "/" : " value ", op->value[word]);
}

void history_print(const struct history *history, FILE *out)
{
	static const char *const kinds[] = { "lookup", "update", "delete", "lookup_and_delete", "add" };

	fprintf(out, "  history (max_entries %u): [called, returned] thread operation\n", history->max_entries);
	for (unsigned i = 0; i < history->n; i++) {
		const struct history_op *op = &history->op[i];
		bool stores = op->kind == HISTORY_UPDATE || op->kind == HISTORY_ADD;

		fprintf(out, "  [%" PRIu64 ", %" PRIu64 "] t%u %s key %u", op->called, op->returned, op->thread,
			kinds[op->kind], op->key);
		if (stores)
			print_value(history, op, out);
		if (op->kind == HISTORY_UPDATE)
			fprintf(out, "%s", op->flags == BPF_NOEXIST ? " NOEXIST" : op->flags == BPF_EXIST ? " EXIST" : "");
		fprintf(out, op->pending ? " never returned" : " = %d", op->result);
		if (!op->result && !stores && op->kind != HISTORY_DELETE)
			print_value(history, op, out);
		fputc('\n', out);
	}
}
