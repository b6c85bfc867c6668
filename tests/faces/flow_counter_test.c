/* SPDX-License-Identifier: MIT */
/*
 * One BPF program's source, compiled for the kernel and for this machine: the same packets give the same verdicts and leave
 * the same maps, on each CPU that the machine has.
 */
#include <errno.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#ifdef FLOW_COUNTER_OBJECT
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "../semantics/kernel.h"
#endif
#include "flow_counter_native.h"
#include "../semantics/rng.h"

static uint64_t seed = 1;

/* An IPv4 packet of a flow; its size. */
static size_t packet_of(unsigned char *to, uint8_t protocol, uint16_t flow, size_t size)
{
	struct ether_header eth = { .ether_type = htons(ETHERTYPE_IP) };
	struct iphdr ip = {
		.version = 4, .ihl = 5, .protocol = protocol, .saddr = htonl(0x0a000000u + flow), .daddr = 1
	};
	uint16_t ports[2] = { htons((uint16_t)(1000 + flow)), htons(80) };

	memset(to, 0, NATIVE_PACKET_ROOM);
	memcpy(to, &eth, sizeof(eth));
	memcpy(to + sizeof(eth), &ip, sizeof(ip));
	memcpy(to + sizeof(eth) + sizeof(ip), ports, sizeof(ports));
	return size;
}

static struct flow_key key_of(uint8_t protocol, uint16_t flow)
{
	return (struct flow_key){ .from = htonl(0x0a000000u + flow),
				  .to = 1,
				  .from_port = (uint16_t)(1000 + flow),
				  .to_port = 80,
				  .protocol = protocol };
}

static struct stat sum_of(struct usermap *stats, __u32 what)
{
	struct usermap_info info = { .sz = sizeof(info) };
	struct stat sum = { 0 }, *slots;

	assert_int_equal(usermap_get_info(stats, &info), 0);
	slots = calloc(info.n_cpus, sizeof(*slots));
	assert_int_equal(usermap_lookup_elem(stats, &what, slots, 0), 0);
	for (unsigned cpu = 0; cpu < info.n_cpus; cpu++) {
		sum.packets += slots[cpu].packets;
		sum.bytes += slots[cpu].bytes;
	}
	free(slots);
	return sum;
}

static void a_flow_may_burst_and_is_counted(void **state)
{
	struct usermap *maps[NATIVE_MAPS];
	struct flow_key key = key_of(IPPROTO_UDP, 7);
	unsigned char *packet = native_packet();
	size_t size = packet_of(packet, IPPROTO_UDP, 7, 100);
	struct flow flow;
	__u64 removed;

	(void)state;
	native_start(maps);
	for (int i = 0; i < BURST + 2; i++)
		assert_int_equal(native_count(packet, size), i < BURST ? XDP_PASS : XDP_DROP);
	assert_int_equal(usermap_lookup_elem(maps[NATIVE_FLOWS], &key, &flow, 0), 0);
	assert_int_equal(flow.packets, BURST + 2);
	assert_int_equal(flow.bytes, 100 * (BURST + 2));
	assert_int_equal(flow.tokens, 0);
	assert_int_equal(flow.lock.val, 0);
	assert_int_equal(sum_of(maps[NATIVE_STATS], STAT_PASSED).packets, BURST);
	assert_int_equal(sum_of(maps[NATIVE_STATS], STAT_DROPPED).bytes, 200);
	assert_int_equal(native_count(packet, 20), XDP_PASS); /* too short for an IP header */
	assert_int_equal(sum_of(maps[NATIVE_STATS], STAT_OTHER).bytes, 20);

	for (uint16_t other = 100; other < 100 + FLOWS - 1; other++)
		assert_int_equal(native_count(packet, packet_of(packet, IPPROTO_TCP, other, 60)), XDP_PASS);
	assert_int_equal(native_count(packet, packet_of(packet, IPPROTO_TCP, 99, 60)), XDP_ABORTED);
	assert_int_equal(sum_of(maps[NATIVE_STATS], STAT_NO_ROOM).packets, 1);
	assert_int_equal(native_remove(packet, 10), 10);
	removed = sum_of(maps[NATIVE_STATS], STAT_REMOVED).packets;
	assert_in_range(removed, 9, 10);
	assert_int_equal(native_remove(packet, 1000), FLOWS - removed);
	assert_int_equal(sum_of(maps[NATIVE_STATS], STAT_REMOVED).packets, FLOWS - 1);
	assert_int_equal(native_remove(packet, 1000), 1); /* the flow that had more than one packet */
	native_stop();
}

enum { THREADS = 6, ROUNDS = 2000 };

static void *send_packets(void *arg)
{
	unsigned char *packet = native_packet();

	(void)arg;
	for (int i = 0; i < ROUNDS; i++)
		native_count(packet, packet_of(packet, IPPROTO_UDP, (uint16_t)(i % 3), 100));
	return NULL;
}

static void flows_are_exact_whatever_threads_run_the_program(void **state)
{
	struct usermap *maps[NATIVE_MAPS];
	pthread_t threads[THREADS];
	uint64_t packets = 0, bytes = 0;

	(void)state;
	native_start(maps);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, send_packets, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (uint16_t i = 0; i < 3; i++) {
		struct flow_key key = key_of(IPPROTO_UDP, i);
		struct flow flow;

		assert_int_equal(usermap_lookup_elem(maps[NATIVE_FLOWS], &key, &flow, 0), 0);
		packets += flow.packets;
		bytes += flow.bytes;
	}
	assert_int_equal(packets, THREADS * ROUNDS);
	assert_int_equal(bytes, THREADS * ROUNDS * 100);
	native_stop();
}

#ifdef FLOW_COUNTER_OBJECT
static void pin(unsigned cpu)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
}

struct kernel_side {
	struct bpf_object *object;
	int count_flow, remove_idle;
	int flows, stats, protocols;
};

static int program(const struct bpf_object *object, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(object, name));
}

static void kernel_start(struct kernel_side *k)
{
	k->object = bpf_object__open_file(FLOW_COUNTER_OBJECT, NULL);
	assert_non_null(k->object);
	assert_int_equal(bpf_object__load(k->object), 0);
	k->count_flow = program(k->object, "count_flow");
	k->remove_idle = program(k->object, "remove_idle");
	k->flows = bpf_object__find_map_fd_by_name(k->object, "flows");
	k->stats = bpf_object__find_map_fd_by_name(k->object, "stats");
	k->protocols = bpf_object__find_map_fd_by_name(k->object, "protocols");
}

static int kernel_run(int program_fd, const unsigned char *packet, size_t size)
{
	unsigned char out[NATIVE_PACKET_ROOM];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = (__u32)size, .data_out = out,
		    .data_size_out = sizeof(out), .repeat = 1);

	assert_int_equal(bpf_prog_test_run_opts(program_fd, &opts), 0);
	return (int)opts.retval;
}

/* The same flows in the same order with the same contents, but for the time of the last filling. */
static void flows_are_equal(const struct kernel_side *k, struct usermap *map)
{
	struct flow_key at, here;
	struct flow kernel, engine;
	int error = bpf_map_get_next_key(k->flows, NULL, &at);

	assert_int_equal(usermap_get_next_key(map, NULL, &here), error);
	while (!error) {
		assert_memory_equal(&at, &here, sizeof(at));
		assert_int_equal(bpf_map_lookup_elem(k->flows, &at, &kernel), 0);
		assert_int_equal(usermap_lookup_elem(map, &at, &engine, 0), 0);
		kernel.filled = engine.filled = 0;
		assert_memory_equal(&kernel, &engine, sizeof(kernel));
		error = bpf_map_get_next_key(k->flows, &at, &at);
		assert_int_equal(usermap_get_next_key(map, &here, &here), error);
	}
	assert_int_equal(error, -ENOENT);
}

/* The same slots, whether there are any or not, of the first n keys. */
static void slots_are_equal(int fd, struct usermap *map, __u32 n)
{
	struct usermap_info info = { .sz = sizeof(info) };
	unsigned char *kernel, *engine;

	assert_int_equal(usermap_get_info(map, &info), 0);
	assert_int_equal(info.n_cpus, libbpf_num_possible_cpus());
	kernel = calloc(2, info.value_bytes);
	engine = kernel + info.value_bytes;
	for (__u32 key = 0; key < n; key++) { /* little-endian: its first byte is the 1-byte key */
		assert_int_equal(usermap_lookup_elem(map, &key, engine, 0), bpf_map_lookup_elem(fd, &key, kernel));
		assert_memory_equal(kernel, engine, info.value_bytes);
	}
	free(kernel);
}

/* libbpf's bpf_map__lookup_elem() and ours take values of the same size. */
static void sizes_are_equal(const struct bpf_map *kernel, struct usermap *map)
{
	unsigned char key[sizeof(struct flow_key)] = { 0 }, *value = calloc(1, NATIVE_PACKET_ROOM);
	size_t key_size = bpf_map__key_size(kernel), taken = 0;

	for (size_t size = 0; size <= NATIVE_PACKET_ROOM; size++) {
		int error = bpf_map__lookup_elem(kernel, key, key_size, value, size, 0);

		assert_int_equal(usermap__lookup_elem(map, key, key_size, value, size, 0), error);
		taken += error != -EINVAL;
	}
	assert_int_equal(taken, 1);
	free(value);
}

static void libbpf_takes_values_of_the_same_sizes(void **state)
{
	struct usermap *maps[NATIVE_MAPS];
	struct kernel_side kernel;
	const char *why;

	(void)state;
	if (!kernel_is_oracle(&why))
		skip();
	kernel_start(&kernel);
	native_start(maps);
	sizes_are_equal(bpf_object__find_map_by_name(kernel.object, "flows"), maps[NATIVE_FLOWS]);
	sizes_are_equal(bpf_object__find_map_by_name(kernel.object, "stats"), maps[NATIVE_STATS]);
	sizes_are_equal(bpf_object__find_map_by_name(kernel.object, "protocols"), maps[NATIVE_PROTOCOLS]);
	native_stop();
	bpf_object__close(kernel.object);
}

static size_t random_packet(struct rng *rng, unsigned char *to)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDP, IPPROTO_ICMP };
	size_t size = 14 + rng_below(rng, rng_below(rng, 3) ? 200 : 30);

	packet_of(to, protocols[rng_below(rng, 4)], (uint16_t)rng_below(rng, 40), size);
	if (rng_below(rng, 10) == 0)
		to[14] = (unsigned char)(0x40 + rng_below(rng, 16)); /* a header of another length */
	if (rng_below(rng, 20) == 0)
		to[13] = 6; /* ARP */
	return size;
}

static void the_program_does_here_what_it_does_in_the_kernel(void **state)
{
	unsigned char *packet = native_packet();
	struct usermap *maps[NATIVE_MAPS];
	struct kernel_side kernel;
	struct rng rng = { seed };
	cpu_set_t all;
	const char *why;

	(void)state;
	if (!kernel_is_oracle(&why)) {
		print_message("the kernel isn't asked: %s\n", why);
		skip();
	}
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	kernel_start(&kernel);
	native_start(maps);
	for (int i = 0; i < 5000; i++) {
		size_t size = random_packet(&rng, packet);
		unsigned cpu;

		do
			cpu = rng_below(&rng, (uint32_t)libbpf_num_possible_cpus());
		while (!CPU_ISSET(cpu, &all));
		pin(cpu);
		if (i % 50 == 49)
			assert_int_equal(native_remove(packet, size), kernel_run(kernel.remove_idle, packet, size));
		else
			assert_int_equal(native_count(packet, size), kernel_run(kernel.count_flow, packet, size));
		if (i % 50 == 48) {
			flows_are_equal(&kernel, maps[NATIVE_FLOWS]);
			slots_are_equal(kernel.stats, maps[NATIVE_STATS], STATS);
			slots_are_equal(kernel.protocols, maps[NATIVE_PROTOCOLS], 256);
		}
	}
	sched_setaffinity(0, sizeof(all), &all);
	native_stop();
	bpf_object__close(kernel.object);
}
#endif

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flow_may_burst_and_is_counted),
		cmocka_unit_test(flows_are_exact_whatever_threads_run_the_program),
#ifdef FLOW_COUNTER_OBJECT
		cmocka_unit_test(the_program_does_here_what_it_does_in_the_kernel),
		cmocka_unit_test(libbpf_takes_values_of_the_same_sizes),
#endif
	};

	if (argc > 1)
		seed = strtoull(argv[1], NULL, 0);
	printf("seed %llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests_name("flow_counter", tests, NULL, NULL);
}
