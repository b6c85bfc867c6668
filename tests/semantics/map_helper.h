/* SPDX-License-Identifier: MIT */
/* usermap's program face, of maps behind the command face's descriptors and of the native face's handles. */
#ifndef TESTS_SEMANTICS_MAP_HELPER_H
#define TESTS_SEMANTICS_MAP_HELPER_H

#include "helper.h"

extern const struct helper_face engine_helpers, native_helpers;

#endif
