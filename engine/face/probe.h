/* SPDX-License-Identifier: MIT */
/* BPF_PROG_LOAD for programs that know nothing of this library. See probe.c. */
#ifndef ENGINE_FACE_PROBE_H
#define ENGINE_FACE_PROBE_H

/* A descriptor, if the program is one of those; or -1 and errno. user, size: the caller's attr. */
long probe_load(const void *user, unsigned size);

#endif
