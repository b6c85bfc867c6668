/* SPDX-License-Identifier: MIT */
/* What a command answered, byte for byte: the result, and everything that it wrote or might have written. */
#ifndef TESTS_SEMANTICS_IMAGE_H
#define TESTS_SEMANTICS_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IMAGE_SECTIONS 16

struct image {
	int code; /* what the command returned, or -errno; a new descriptor counts as 0 */
	unsigned char *bytes;
	size_t length;
	size_t room;
	struct {
		const char *name;
		size_t start;
	} section[IMAGE_SECTIONS]; /* for reports; a full table takes no more */
	unsigned sections;
};

void image_reset(struct image *image);
void image_section(struct image *image, const char *name);
void image_add(struct image *image, const void *bytes, size_t size); /* exits when memory is out */
void image_free(struct image *image);
bool image_equal(const struct image *a, const struct image *b);
/* A fingerprint of the whole answer, for transcripts. */
uint32_t image_hash(const struct image *image);

#endif
