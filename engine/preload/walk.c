/* SPDX-License-Identifier: MIT */
/*
 * nftw() over pin directories, which is how bpftool finds the names of maps.
 *
 * The walk goes over the mirrored tree, and the program's function is given the paths as it knows them. On a tmpfs there
 * are also the files that really are there: they are walked first.
 */
#include <limits.h>
#include <string.h>

#include "face/pin.h"
#include "face/registry.h"
#include "preload/ours.h"

#define REGISTRY_NAME (strrchr(REGISTRY_PREFIX, '/'))

/* The walk that this thread is in: nftw() hands nothing of its caller's to the function. */
struct walk {
	__nftw_func_t visit;
	const char *given; /* where the program wants to begin, */
	size_t given_length;
	size_t mirror_length; /* and of where that is in the tree */
};
static __thread struct walk now;

static int visit_mirrored(const char *path, const struct stat *st, int type, struct FTW *at)
{
	char seen[PATH_MAX];
	struct FTW where = { .base = at->base - (int)now.mirror_length + (int)now.given_length, .level = at->level };

	if (snprintf(seen, sizeof(seen), "%s%s", now.given, path + now.mirror_length) >= (int)sizeof(seen))
		return 0; /* the program couldn't use that name either */
	return now.visit(seen, st, type, &where);
}

static int walk_tree(const char *given, const char *mirrored, __nftw_func_t visit, int descriptors, int flags)
{
	struct walk outer = now; /* whose function called us */
	int result;

	now = (struct walk){ visit, given, strlen(given), strlen(mirrored) };
	result = next_nftw(mirrored, visit_mirrored, descriptors, flags);
	now = outer;
	return result;
}

/* The registry lies on a tmpfs itself; what it keeps there isn't the program's. */
static int visit_real(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return strstr(path, REGISTRY_NAME) ? 0 : now.visit(path, st, type, at);
}

static int walk_real(const char *path, __nftw_func_t visit, int descriptors, int flags)
{
	struct walk outer = now;
	int result;

	now = (struct walk){ .visit = visit };
	result = next_nftw(path, visit_real, descriptors, flags);
	now = outer;
	return result;
}

static int our_nftw(const char *path, __nftw_func_t visit, int descriptors, int flags)
{
	char buffer[PATH_MAX];
	const char *found = pin_translate(path, buffer);
	int result;

	if (found != path)
		return walk_tree(path, found, visit, descriptors, flags);
	if (!pin_directory(path) || !pin_mirrored(path, buffer))
		return next_nftw(path, visit, descriptors, flags);
	result = walk_real(path, visit, descriptors, flags);
	return result || access(buffer, F_OK) ? result : walk_tree(path, buffer, visit, descriptors, flags);
}
PUBLISH(nftw, our_nftw);
extern __typeof__(nftw64) nftw64 __attribute__((alias("our_nftw"), visibility("default")));
