/* SPDX-License-Identifier: MIT */
/*
 * usermap-run [--seccomp] PROGRAM ARGUMENT…: runs a program whose bpf(2) is this library.
 *
 * It puts the preload library into LD_PRELOAD, which the dynamic linker reads and which children inherit, and executes
 * the program. It says so when that can't work: a statically linked program has no dynamic linker, one of another word
 * size can't load the library, and for one that gains privileges the linker ignores LD_PRELOAD. The program runs all the
 * same, on the kernel's maps.
 *
 * With --seccomp nothing is loaded into the program: it is supervised (seccomp/), and may be of any make.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "seccomp/supervise.h"

#define LIBRARY	    "libusermap-preload.so"
#define NAME	    "usermap-run"
#define SCRIPT_NEST 4 /* interpreters that are scripts themselves; the kernel's limit */

/* What a shell exits with. */
#define NOT_EXECUTED 126
#define NOT_FOUND    127

static const char usage[] = "Usage: " NAME " [--seccomp] PROGRAM [ARGUMENT]...\n"
			    "Runs PROGRAM with the BPF maps of usermap in the place of the kernel's.\n"
			    "\n"
			    "  --seccomp             for programs that no library can be loaded into, such as\n"
			    "                        statically linked ones; slower\n"
			    "\n"
			    "  USERMAP_CHECK_FDS=1   ask the kernel about each descriptor: for programs that close\n"
			    "                        descriptors by ways that the library doesn't see\n";

/* Copies the file's first bytes. How many there are, or -1. */
static ssize_t read_head(const char *path, char *head, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, head, size);

	if (fd >= 0)
		close(fd);
	return n;
}

static bool has_interpreter(const char *path, const Elf64_Ehdr *elf)
{
	bool found = false;
	Elf64_Phdr segment;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	for (unsigned i = 0; fd >= 0 && i < elf->e_phnum && !found; i++)
		found = pread(fd, &segment, sizeof(segment), (off_t)(elf->e_phoff + i * (Elf64_Off)elf->e_phentsize)) ==
				(ssize_t)sizeof(segment) &&
			segment.p_type == PT_INTERP;
	if (fd >= 0)
		close(fd);
	return found;
}

static bool gains_privileges(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return false;
	return (st.st_mode & S_ISUID && st.st_uid != getuid()) ||
	       ((st.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) && st.st_gid != getgid()) ||
	       (getuid() != 0 && getxattr(path, "security.capability", NULL, 0) > 0);
}

/* Why the dynamic linker won't load the library into this program; NULL if it will, as far as one can see. For a script
 * that's a question about its interpreter, whose path is written to it. */
static const char *obstacle(const char *path, char head[PATH_MAX], int nest)
{
	const Elf64_Ehdr *elf = (const Elf64_Ehdr *)head;
	ssize_t n = read_head(path, head, PATH_MAX - 1);

	if (n < 0)
		return NULL;
	head[n] = 0;
	if (n > 2 && head[0] == '#' && head[1] == '!' && nest < SCRIPT_NEST) {
		char interpreter[PATH_MAX];
		const char *begin = head + 2 + strspn(head + 2, " \t");

		snprintf(interpreter, sizeof(interpreter), "%.*s", (int)strcspn(begin, " \t\n"), begin);
		return obstacle(interpreter, head, nest + 1);
	}
	if (n < (ssize_t)sizeof(*elf) || memcmp(elf->e_ident, ELFMAG, SELFMAG) != 0)
		return NULL;
	if (elf->e_ident[EI_CLASS] != ELFCLASS64)
		return "a program of another word size";
	if (!has_interpreter(path, elf))
		return "statically linked, which takes --seccomp";
	return gains_privileges(path) ? "a program that gains privileges (set-user-ID or the like)" : NULL;
}

/* Where execvp() would find the program; or 0. */
static bool find_program(const char *name, char path[PATH_MAX])
{
	const char *directories = getenv("PATH");

	if (strchr(name, '/'))
		return snprintf(path, PATH_MAX, "%s", name) < PATH_MAX;
	for (const char *at = directories ? directories : "/bin:/usr/bin"; at; at = strchr(at, ':')) {
		struct stat st;

		at += *at == ':';
		snprintf(path, PATH_MAX, "%.*s%s%s", (int)strcspn(at, ":"), at, *at && *at != ':' ? "/" : "", name);
		if (access(path, X_OK) == 0 && stat(path, &st) == 0 && S_ISREG(st.st_mode))
			return true;
	}
	return false;
}

/* The library: in the directory of this program, or where the two are installed. */
static bool find_library(char path[PATH_MAX])
{
	char self[PATH_MAX], found[PATH_MAX + 128];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n <= 0)
		return false;
	self[n] = 0;
	*strrchr(self, '/') = 0;
	snprintf(found, sizeof(found), "%s/" LIBRARY, self);
	if (access(found, R_OK))
		snprintf(found, sizeof(found), "%s/" USERMAP_LIBDIR_FROM_BIN "/" LIBRARY, self);
	return realpath(found, path) != NULL;
}

static bool preload(const char *library)
{
	const char *others = getenv("LD_PRELOAD");
	char *value;

	if (strpbrk(library, " :")) {
		fprintf(stderr, NAME ": %s: LD_PRELOAD can't have a path with a blank or a colon\n", library);
		return false;
	}
	if (asprintf(&value, "%s%s%s", library, others && *others ? ":" : "", others ? others : "") < 0 ||
	    setenv("LD_PRELOAD", value, 1)) {
		fprintf(stderr, NAME ": no memory\n");
		return false;
	}
	free(value);
	return true;
}

static int execute(char **argv)
{
	execvp(argv[0], argv);
	fprintf(stderr, NAME ": %s: %s\n", argv[0], strerror(errno));
	return errno == ENOENT ? NOT_FOUND : NOT_EXECUTED;
}

static int run_preloaded(char **argv)
{
	char path[PATH_MAX], library[PATH_MAX], head[PATH_MAX] __attribute__((aligned(8)));
	const char *why;

	if (!find_library(library)) {
		fprintf(stderr, NAME ": " LIBRARY " is not where it was installed\n");
		return NOT_EXECUTED;
	}
	if (!preload(library))
		return NOT_EXECUTED;
	why = find_program(argv[0], path) ? obstacle(path, head, 0) : NULL;
	if (why)
		fprintf(stderr, NAME ": warning: %s is %s; it will use the kernel's maps\n", argv[0], why);
	return execute(argv);
}

int main(int argc, char **argv)
{
	bool supervised = argc > 1 && strcmp(argv[1], "--seccomp") == 0;

	if (supervised)
		argv++, argc--;
	if (argc > 1 && strcmp(argv[1], "--") == 0)
		argv++, argc--;
	else if (argc > 1 && strcmp(argv[1], "--help") == 0)
		return fputs(usage, stdout) < 0;
	else if (argc > 1 && strcmp(argv[1], "--version") == 0)
		return printf(NAME " " USERMAP_VERSION "\n") < 0;
	else if (argc > 1 && argv[1][0] == '-')
		argc = 0;
	if (argc < 2) {
		fputs(usage, stderr);
		return NOT_EXECUTED;
	}
	return supervised ? supervise(execute, argv + 1, NOT_EXECUTED) : run_preloaded(argv + 1);
}
