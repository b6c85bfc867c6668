/* SPDX-License-Identifier: MIT */
/* The filter that hands a program's bpf(2) to its supervisor. See filter.c. */
#ifndef ENGINE_SECCOMP_FILTER_H
#define ENGINE_SECCOMP_FILTER_H

/* Puts the filter over the calling thread and all that come of it. The descriptor at which they are listened to, or
 * -errno: -EBUSY: they already have a listener. */
int filter_install(void);

#endif
