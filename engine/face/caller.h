/* SPDX-License-Identifier: MIT */
/*
 * A caller in another process. A supervisor (seccomp/) that answers the bpf(2) of programs runs the same command face as
 * a program that links the library; only pointers, descriptors and relative paths are then another process's. The
 * places that take one from a caller ask here what it is to this process.
 *
 * While `caller` is set, it is whom the thread works for. Pointers are then copied by the kernel (caller_memory.c).
 * Descriptors are duplicated into this process, each once a command, so that all of a command is about the same file.
 *
 * The kernel knows a caller by a number, which is another's once the caller has been killed. So the number must have been
 * the caller's until what was had by it is used: the caller still waits. That is asked after each taking and before each
 * writing; of a command that only looks, before writing alone: nothing comes of what it does for somebody who is gone.
 */
#ifndef ENGINE_FACE_CALLER_H
#define ENGINE_FACE_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define CALLER_TAKES 4	  /* more than any command has: two, and a directory */
#define CALLER_READS 2	  /* a key and a value, besides the attr */
#define CALLER_BYTES 1024 /* that are read ahead */

/* A piece of a caller's memory. */
struct caller_span {
	uintptr_t at;
	size_t size;
};

/* What a caller's commands of one kind have read besides their attrs, for caller_read_ahead() to guess by. */
struct caller_habit {
	pid_t tid;
	int cmd;
	struct {
		struct caller_span span;
		bool twice; /* by two commands, one after the other */
	} reads[CALLER_READS];
};

struct caller {
	pid_t tid;
	bool only_looks; /* the command changes nothing but memory of the caller's */
	/* Whether the thread still waits for its answer: if not, its number may be another's by now. */
	bool (*waits)(const struct caller *caller);
	/* A duplicate of one of the thread's descriptors; or -1, and errno. */
	int (*duplicate)(const struct caller *caller, int fd);
	unsigned n_taken;
	struct {
		int theirs;
		int own;
	} taken[CALLER_TAKES];
	bool no_descriptor; /* one couldn't be taken for want of a number in this process, and was said to be closed */
	/* What has been read ahead, and lies in `bytes`, one span behind the other. The first is the attr's. */
	struct caller_habit *habit; /* NULL: nothing is read ahead */
	struct caller_span attr;
	unsigned n_reads; /* besides it, so far */
	unsigned n_ahead;
	struct caller_span ahead[1 + CALLER_READS];
	unsigned char bytes[CALLER_BYTES];
};

/* Initial-exec: it's looked at by each command. */
extern __thread struct caller *caller __attribute__((tls_model("initial-exec")));

/* Sets and unsets `caller`. The fields up to `duplicate` are set. */
void caller_begin(struct caller *who);
void caller_end(void);

int caller_take_fd(int fd);

/* A descriptor, or AT_FDCWD, as this process has it; -1 if the caller's isn't open. Valid until caller_end(). */
static inline int caller_fd(int fd)
{
	return __builtin_expect(caller == NULL, 1) ? fd : caller_take_fd(fd);
}

/* Reads the attr of a command of the caller's on one element, and by the same system call what it's likely to read next.
 * habit: the caller's, for such commands. */
void caller_read_ahead(const void *attr, size_t size, struct caller_habit *habit);

/* Copies from and to the caller's memory. 0 or -EFAULT. */
int caller_read(void *own, const void *theirs, size_t size);
int caller_write(void *theirs, void *own, size_t size);

#endif
