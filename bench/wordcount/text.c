/* SPDX-License-Identifier: MIT */
/* Reading text files, and cutting text into words: the map's side of the count. */
#include "text.h"

#include <err.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The lower-case letter at @at, 0 if there is no letter. */
static char letter_at(const struct text *text, size_t at)
{
	char lower = (char)(text->bytes[at] | 0x20);

	return lower >= 'a' && lower <= 'z' ? lower : 0;
}

/* Appends the file unless it's binary: has a NUL in it. */
static void read_file(struct text *text, const char *path, size_t size, size_t limit)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return;
	if (size > limit - text->size)
		size = limit - text->size;
	got = read(fd, text->bytes + text->size, size);
	close(fd);
	if (got <= 0 || memchr(text->bytes + text->size, 0, (size_t)got))
		return;
	text->size += (size_t)got;
	text->files++;
	/* A file ends its last word. */
	if (text->size < limit)
		text->bytes[text->size++] = '\n';
	if (text->files % 512 == 0)
		fprintf(stderr, "\r  reading: %zu MB", text->size / 1000000);
}

void text_read(struct text *text, char *const *paths, size_t limit)
{
	FTS *tree = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	FTSENT *entry;

	*text = (struct text){ .bytes = malloc(limit + 1) };
	if (!tree || !text->bytes)
		err(EXIT_FAILURE, "reading text");
	while (text->size < limit && (entry = fts_read(tree)))
		if (entry->fts_info == FTS_F && entry->fts_statp->st_size > 0)
			read_file(text, entry->fts_path, (size_t)entry->fts_statp->st_size, limit);
	fts_close(tree);
	text->bytes[text->size] = 0;
	fprintf(stderr, "\r%20s\r", "");
}

void text_skip_cut_word(const struct text *text, size_t *at)
{
	if (*at == 0 || !letter_at(text, *at - 1))
		return;
	while (letter_at(text, *at))
		++*at;
}

bool text_next_word(const struct text *text, size_t *at, size_t end, char word[WORD_SIZE])
{
	size_t length = 0;
	char c;

	while (*at < end && !letter_at(text, *at))
		++*at;
	if (*at >= end)
		return false;
	memset(word, 0, WORD_SIZE);
	/* The NUL behind the text is no letter. */
	for (; (c = letter_at(text, *at)); ++*at)
		if (length < WORD_SIZE - 1)
			word[length++] = c;
	return true;
}
