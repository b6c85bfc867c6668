/* SPDX-License-Identifier: MIT */
#include "core/testpoint.h"

#include <stddef.h>

#ifdef USERMAP_TEST_POINTS
void (*usermap_test_point)(enum test_point point) = NULL;
#endif
