/* SPDX-License-Identifier: MIT */
/* Answers to the system calls of supervised programs. See serve.c. */
#ifndef ENGINE_SECCOMP_SERVE_H
#define ENGINE_SECCOMP_SERVE_H

/* Begins to answer, in threads of their own, what comes from the listener. 0 or -errno: none could be made. */
int serve_start(int listener);

#endif
