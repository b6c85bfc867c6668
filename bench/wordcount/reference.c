/* SPDX-License-Identifier: MIT */
/* The independent count, with hsearch(3). */
#include "reference.h"

#include <ctype.h>
#include <err.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

static void add(struct reference *reference, char *word, size_t limit)
{
	struct reference_word *entry = &reference->words[reference->n];
	ENTRY *found;

	reference->total++;
	found = hsearch((ENTRY){ .key = word }, FIND);
	if (found) {
		((struct reference_word *)found->data)->count++;
		return;
	}
	if (reference->n == limit)
		errx(EXIT_FAILURE, "more than %zu different words", limit);
	strcpy(entry->word, word);
	entry->count = 1;
	if (!hsearch((ENTRY){ .key = entry->word, .data = entry }, ENTER))
		err(EXIT_FAILURE, "hsearch");
	reference->n++;
}

void reference_count(struct reference *reference, const char *text, size_t limit)
{
	*reference = (struct reference){ .words = calloc(limit, sizeof(*reference->words)) };
	/* Room to spare keeps its probe sequences short. */
	if (!reference->words || !hcreate(limit * 2))
		err(EXIT_FAILURE, "the independent count");
	while (*text) {
		char word[WORD_SIZE];
		size_t length = 0;

		for (; isalpha((unsigned char)*text); text++)
			if (length + 1 < sizeof(word))
				word[length++] = (char)tolower((unsigned char)*text);
		word[length] = 0;
		if (length)
			add(reference, word, limit);
		else
			text++;
	}
}

unsigned long long reference_find(const char *word)
{
	ENTRY *found = hsearch((ENTRY){ .key = (char *)(size_t)word }, FIND);

	return found ? ((struct reference_word *)found->data)->count : 0;
}
