/* SPDX-License-Identifier: MIT */
/* The live kernel as a side. */
#ifndef TESTS_SEMANTICS_KERNEL_H
#define TESTS_SEMANTICS_KERNEL_H

#include <stdbool.h>

long kernel_bpf(int cmd, void *attr, unsigned size);

/* Whether the live kernel can be the oracle: bpf(2) is permitted, to a privileged caller, and it is Linux 6.18, whose
 * answers are the contract. If not, says why. */
bool kernel_is_oracle(const char **why);

#endif
