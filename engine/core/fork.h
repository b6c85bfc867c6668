/* SPDX-License-Identifier: MIT */
/* fork(): what the library does around it, in one place and one order. */
#ifndef ENGINE_CORE_FORK_H
#define ENGINE_CORE_FORK_H

/* Registers the handlers, once. */
void fork_handlers_install(void);

#endif
