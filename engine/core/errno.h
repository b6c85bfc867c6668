/* SPDX-License-Identifier: MIT */
#ifndef ENGINE_CORE_ERRNO_H
#define ENGINE_CORE_ERRNO_H

#include <errno.h>

/* The kernel-internal "operation not supported" that bpf(2) lets out; not EOPNOTSUPP (95). */
#ifndef ENOTSUPP
#define ENOTSUPP 524
#endif

#endif
