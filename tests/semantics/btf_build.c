/* SPDX-License-Identifier: MIT */
#include <linux/btf.h>
#include <stdlib.h>
#include <string.h>

#include "btf_build.h"

void bytes_add(struct btf_bytes *bytes, const void *data, size_t size)
{
	if (bytes->size + size > bytes->room) {
		bytes->room = 2 * (bytes->size + size);
		bytes->data = realloc(bytes->data, bytes->room);
		if (!bytes->data)
			abort();
	}
	memcpy(bytes->data + bytes->size, data, size);
	bytes->size += size;
}

void bytes_free(struct btf_bytes *bytes)
{
	free(bytes->data);
	*bytes = (struct btf_bytes){ 0 };
}

uint32_t build_string(struct btf_build *build, const char *string)
{
	uint32_t at;

	if (!build->strings.size)
		bytes_add(&build->strings, "", 1);
	if (!string || !*string)
		return 0;
	at = (uint32_t)build->strings.size;
	bytes_add(&build->strings, string, strlen(string) + 1);
	return at;
}

void build_word(struct btf_build *build, uint32_t word)
{
	bytes_add(&build->types, &word, sizeof(word));
}

uint32_t build_type(struct btf_build *build, const char *name, uint32_t kind, uint32_t vlen, uint32_t size_or_type)
{
	build_word(build, build_string(build, name));
	build_word(build, kind << 24 | vlen);
	build_word(build, size_or_type);
	return ++build->n;
}

void build_flag(struct btf_build *build)
{
	build->types.data[build->types.size - 5] |= 0x80; /* the info word is the one before the last */
}

uint32_t build_int(struct btf_build *build, const char *name, uint32_t size)
{
	uint32_t id = build_type(build, name, BTF_KIND_INT, 0, size);

	build_word(build, size * 8);
	return id;
}

uint32_t build_array(struct btf_build *build, uint32_t of, uint32_t index, uint32_t n)
{
	uint32_t id = build_type(build, NULL, BTF_KIND_ARRAY, 0, 0);

	build_word(build, of);
	build_word(build, index);
	build_word(build, n);
	return id;
}

void build_member(struct btf_build *build, const char *name, uint32_t type, uint32_t bits)
{
	build_word(build, build_string(build, name));
	build_word(build, type);
	build_word(build, bits);
}

void build_finish(const struct btf_build *build, struct btf_bytes *raw)
{
	struct btf_header header = {
		.magic = BTF_MAGIC,
		.version = BTF_VERSION,
		.hdr_len = sizeof(header),
		.type_len = (uint32_t)build->types.size,
		.str_off = (uint32_t)build->types.size,
		.str_len = (uint32_t)build->strings.size,
	};

	raw->size = 0;
	bytes_add(raw, &header, sizeof(header));
	if (build->types.size)
		bytes_add(raw, build->types.data, build->types.size);
	if (build->strings.size)
		bytes_add(raw, build->strings.data, build->strings.size);
}

void build_free(struct btf_build *build)
{
	bytes_free(&build->types);
	bytes_free(&build->strings);
	build->n = 0;
}
