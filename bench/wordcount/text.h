/* SPDX-License-Identifier: MIT */
/* The text to count: the files below some paths, read one after another into one buffer, and its words. */
#ifndef WORDCOUNT_TEXT_H
#define WORDCOUNT_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* A word is a run of ASCII letters, in lower case, cut after 31: padded with zeros, and so a C string too. */
#define WORD_SIZE 32

struct text {
	char *bytes; /* `size` of them and a NUL */
	size_t size;
	unsigned files;
};

/* Reads plain text files below @paths until there are @limit bytes. Paths that don't exist are passed over. */
void text_read(struct text *text, char *const *paths, size_t limit);

/*
 * The next word that begins in [*at, end): writes it to @word and moves *at behind it, which may be beyond @end. False
 * if none does. A range that begins inside a word leaves that word to the range before it.
 */
bool text_next_word(const struct text *text, size_t *at, size_t end, char word[WORD_SIZE]);
void text_skip_cut_word(const struct text *text, size_t *at);

#endif
