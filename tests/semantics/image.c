/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "image.h"
#include "memory.h"

void image_reset(struct image *image)
{
	image->code = 0;
	image->length = 0;
	image->sections = 0;
}

void image_section(struct image *image, const char *name)
{
	if (image->sections == IMAGE_SECTIONS)
		return;
	image->section[image->sections].name = name;
	image->section[image->sections++].start = image->length;
}

void image_add(struct image *image, const void *bytes, size_t size)
{
	if (size == 0)
		return;
	if (image->room - image->length < size) {
		image->room = 2 * (image->length + size);
		image->bytes = more_memory(image->bytes, image->room);
	}
	memcpy(image->bytes + image->length, bytes, size);
	image->length += size;
}

void image_free(struct image *image)
{
	free(image->bytes);
	*image = (struct image){ 0 };
}

bool image_equal(const struct image *a, const struct image *b)
{
	return a->code == b->code && a->length == b->length &&
	       (a->length == 0 || memcmp(a->bytes, b->bytes, a->length) == 0);
}

uint32_t image_hash(const struct image *image)
{
	return (uint32_t)XXH3_64bits(image->bytes, image->length);
}
