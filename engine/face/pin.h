/* SPDX-License-Identifier: MIT */
/*
 * Paths of pinned maps. See pin_path.c for where a path leads, and pin.c for what is done there.
 */
#ifndef ENGINE_FACE_PIN_H
#define ENGINE_FACE_PIN_H

#include <limits.h>
#include <stdbool.h>

/* Where a path leads: `name` in the directory `dir`. */
struct pin_path {
	char dir[PATH_MAX];	 /* absolute, without symbolic links, "." and ".."; "" is the root */
	char name[NAME_MAX + 1]; /* "": the path ends in ".", ".." or is the root: it means `dir` itself */
	bool slash;		 /* there is a slash behind the name */
};

enum pin_kind { PIN_NOTHING, PIN_DIRECTORY, PIN_LINK, PIN_OTHER };

/* Resolves a path as the kernel would: relative ones begin at the directory behind the descriptor `at`, or AT_FDCWD;
 * follow: a symbolic link at the end as well. 0; or -errno of a part that isn't there or no directory. */
int pin_resolve(int at, const char *path, bool follow, struct pin_path *to);

/* Whether `dir` (as in struct pin_path) can have pins. */
bool pin_can_be_in(const char *dir);

/* What there is of that name: among the pins (PIN_OTHER: a pinned map), and on the disk (*error: why nothing). */
enum pin_kind pin_kind_in_tree(const struct pin_path *path);
enum pin_kind pin_kind_on_disk(const struct pin_path *path, int *error);

/* The path in the tree of pins; false: it's too long. */
bool pin_tree_path(char to[PATH_MAX], const struct pin_path *path);

/* Makes the tree's directories down to `dir`. 0; -EPERM: there is no registry; or mkdir(2)'s error. */
int pin_make_directories(const char *dir);

/* For calls of the C library on paths (all are about paths as a program gives them). */

/* Whether the path names a directory that can have pins: for statfs(2), a bpffs. */
bool pin_directory(const char *path);

/* What to use in the place of the path: where it leads in the tree of pins if it's in /sys/fs/bpf, or if the tree has
 * something there; else the path itself. A symbolic link at its end isn't followed. */
const char *pin_translate(const char *path, char buffer[PATH_MAX]);

/* Where the tree of pins begins: the rest of a path in it is the path that is meant. false: there is no registry. */
bool pin_mirror_root(char buffer[PATH_MAX]);

/* unlink(2) of a translated path. The map goes with its last pin, if it has no descriptor. */
int pin_unlink(const char *translated);

#endif
