/* SPDX-License-Identifier: MIT */
/* Raw BTF of any size, right or wrong, put together type by type. */
#ifndef TESTS_SEMANTICS_BTF_BUILD_H
#define TESTS_SEMANTICS_BTF_BUILD_H

#include <stddef.h>
#include <stdint.h>

struct btf_bytes {
	unsigned char *data;
	size_t size;
	size_t room;
};

struct btf_build {
	struct btf_bytes types;
	struct btf_bytes strings;
	uint32_t n; /* types there are: the id of the last */
};

void bytes_add(struct btf_bytes *bytes, const void *data, size_t size);
void bytes_free(struct btf_bytes *bytes);

/* The offset of a string; "" and NULL have 0. */
uint32_t build_string(struct btf_build *build, const char *string);
/* Adds a type, returns its id; its further words follow. */
uint32_t build_type(struct btf_build *build, const char *name, uint32_t kind, uint32_t vlen, uint32_t size_or_type);
void build_flag(struct btf_build *build); /* sets the kind flag of the type added last, before its words */
void build_word(struct btf_build *build, uint32_t word);

/* Types of several words. */
uint32_t build_int(struct btf_build *build, const char *name, uint32_t size);
uint32_t build_array(struct btf_build *build, uint32_t of, uint32_t index, uint32_t n);
void build_member(struct btf_build *build, const char *name, uint32_t type, uint32_t bits);

/* Writes header, types and strings to *raw, which it empties first. */
void build_finish(const struct btf_build *build, struct btf_bytes *raw);
void build_free(struct btf_build *build);

#endif
