/* SPDX-License-Identifier: MIT */
/*
 * Reaching the functions behind this library's: looked up by dlsym at the first call. See next.h.
 *
 * No constructor looks them up, as other libraries' constructors may run first. Two threads that come first at the same
 * time find the same.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

static long absent(void)
{
	errno = ENOSYS;
	return -1;
}

static void *find(const char *name, _Atomic(void *) *found)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function)
		function = (void *)absent; /* an older C library */
	/* relaxed: every thread finds the same */
	atomic_store_explicit(found, function, memory_order_relaxed);
	return function;
}

#define NEXT(type, name, parameters, arguments)                                        \
	type next_##name parameters                                                    \
	{                                                                              \
		static _Atomic(void *) found_;                                         \
		/* relaxed: code is there before anybody runs */                       \
		void *function_ = atomic_load_explicit(&found_, memory_order_relaxed); \
                                                                                       \
		if (__builtin_expect(!function_, 0))                                   \
			function_ = find(#name, &found_);                              \
		return ((__typeof__(&name))function_)arguments;                        \
	}                                                                              \
	extern __typeof__(next_##name) __wrap_##name __attribute__((alias("next_" #name), visibility("hidden")));
#define SAME(name, as) \
	extern __typeof__(next_##as) __wrap_##name __attribute__((alias("next_" #as), visibility("hidden")));

/* Programs may still call what is out of use. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include "preload/next.h"
