/* SPDX-License-Identifier: MIT */
/*
 * The independent count: one thread, libc's hash table, libc's idea of a letter, the text in one piece. It shares no
 * code with what it checks.
 */
#ifndef WORDCOUNT_REFERENCE_H
#define WORDCOUNT_REFERENCE_H

#include <stddef.h>

#include "text.h"

struct reference_word {
	char word[WORD_SIZE];
	unsigned long long count;
};

struct reference {
	struct reference_word *words; /* most frequent first */
	size_t n;
	unsigned long long total;
};

/* @limit: the most different words there may be. Once a process: libc's table is a global one. */
void reference_count(struct reference *reference, const char *text, size_t limit);
/* The count of a word, 0 if the text doesn't have it. */
unsigned long long reference_find(const char *word);

#endif
