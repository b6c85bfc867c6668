/* SPDX-License-Identifier: MIT */
/* Commands and answers in words. */
#ifndef TESTS_SEMANTICS_REPORT_H
#define TESTS_SEMANTICS_REPORT_H

#include "side.h"

void report_command(const struct command *command);
const char *report_code(int code, char buffer[32]);
/* Where two answers differ. */
void report_difference(const struct side *left, const struct side *right);

#endif
