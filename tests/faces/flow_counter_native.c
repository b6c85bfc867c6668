/* SPDX-License-Identifier: MIT */
/* The same source as the kernel's, and the few lines that put it on usermap. */
#include "flow_counter.bpf.c"

#include <stdlib.h>
#include <sys/mman.h>

#include "flow_counter_native.h"

#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif

#define ALIGN_IP 2 /* behind an Ethernet header of 14 bytes; drivers do the same */

static void must(int error)
{
	if (error)
		abort();
}

void native_start(struct usermap *maps[NATIVE_MAPS])
{
	struct usermap_opts locked = {
		.sz = sizeof(locked),
		.map_flags = usermap_bpf_uint(&flows, map_flags),
		.spin_lock = 1,
		.spin_lock_off = offsetof(struct flow, lock),
	};
	struct usermap_opts sparse = { .sz = sizeof(sparse), .map_flags = usermap_bpf_uint(&protocols, map_flags) };

	must(usermap_bpf_create(&flows, &locked));
	must(usermap_bpf_create(&stats, NULL));
	must(usermap_bpf_create(&protocols, &sparse));
	maps[NATIVE_FLOWS] = usermap_bpf_map(&flows);
	maps[NATIVE_STATS] = usermap_bpf_map(&stats);
	maps[NATIVE_PROTOCOLS] = usermap_bpf_map(&protocols);
}

void native_stop(void)
{
	usermap_close(usermap_bpf_map(&flows));
	usermap_close(usermap_bpf_map(&stats));
	usermap_close(usermap_bpf_map(&protocols));
}

unsigned char *native_packet(void)
{
	unsigned char *page = mmap((void *)0x20000000, NATIVE_PACKET_ROOM + ALIGN_IP, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);

	must(page == MAP_FAILED || (unsigned long)page >> 32);
	return page + ALIGN_IP;
}

static struct xdp_md context(const unsigned char *packet, size_t size)
{
	__u32 data = (__u32)(unsigned long)packet;

	return (struct xdp_md){ .data = data, .data_end = data + (__u32)size };
}

int native_count(const unsigned char *packet, size_t size)
{
	struct xdp_md ctx = context(packet, size);

	return usermap_bpf_run(count_flow, &ctx);
}

int native_remove(const unsigned char *packet, size_t size)
{
	struct xdp_md ctx = context(packet, size);

	return usermap_bpf_run(remove_idle, &ctx);
}
