/* SPDX-License-Identifier: MIT */
/*
 * The handler of SIGSEGV and SIGBUS: mends the copies of usercopy.c, and passes on everything else. See fault.c.
 */
#ifndef ENGINE_FACE_FAULT_H
#define ENGINE_FACE_FAULT_H

#include <signal.h>
#include <stdbool.h>

/* Puts the handler before the ones that the program has. Once; later calls do nothing. */
void fault_install(void);

/* Whether a fault of this thread would come to the handler now. Asks the kernel. */
bool fault_handler_in_effect(void);

/* sigaction() for a program that shall not notice the handler: what it installs is what faults are passed on to. For
 * all signals. */
int fault_sigaction(int sig, const struct sigaction *act, struct sigaction *old);

#endif
