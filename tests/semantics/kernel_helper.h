/* SPDX-License-Identifier: MIT */
/* The live kernel's program face. */
#ifndef TESTS_SEMANTICS_KERNEL_HELPER_H
#define TESTS_SEMANTICS_KERNEL_HELPER_H

#include "helper.h"

extern const struct helper_face kernel_helpers;

#endif
