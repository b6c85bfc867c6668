/* SPDX-License-Identifier: MIT */
/* The flow counter on usermap. */
#ifndef TESTS_FACES_FLOW_COUNTER_NATIVE_H
#define TESTS_FACES_FLOW_COUNTER_NATIVE_H

#include <stddef.h>
#include <usermap/usermap.h>

#include "flow_counter.h"

enum native_map { NATIVE_FLOWS, NATIVE_STATS, NATIVE_PROTOCOLS, NATIVE_MAPS };

void native_start(struct usermap *maps[NATIVE_MAPS]);
void native_stop(void);

/* Memory for a packet, where a program's 32-bit pointers reach. */
#define NATIVE_PACKET_ROOM 4096
unsigned char *native_packet(void);

/* Runs count_flow or remove_idle on the packet; what it returns. */
int native_count(const unsigned char *packet, size_t size);
int native_remove(const unsigned char *packet, size_t size);

#endif
