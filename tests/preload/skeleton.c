/* SPDX-License-Identifier: MIT */
/*
 * A program that uses libbpf and a skeleton, and knows nothing of this library. It prints all it does; run on the kernel
 * and under usermap-run it prints the same (skeleton.py).
 *
 *   skeleton DIRECTORY [without-lru]     pins its maps in DIRECTORY and leaves them there
 */
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>

#include "skeleton.skel.h"

struct account {
	struct bpf_spin_lock lock;
	__u32 state;
	__u64 in, out;
	char owner[8];
};

static int quiet(enum libbpf_print_level level, const char *format, va_list list)
{
	return level == LIBBPF_DEBUG ? 0 : vprintf(format, list);
}

/* A result: libbpf 1.x gives -errno and sets errno. */
static void say(const char *what, long result)
{
	if (result < 0)
		printf("%s: %ld %s\n", what, result, strerror(errno));
	else
		printf("%s: %ld\n", what, result);
}

static void show_map(const struct bpf_map *map)
{
	struct bpf_map_info info = { 0 };
	__u32 size = sizeof(info);

	say(bpf_map__name(map), bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &size));
	printf("  type %u key %u value %u max %u flags %#x extra %llu name '%s'\n", info.type, info.key_size,
	       info.value_size, info.max_entries, info.map_flags, (unsigned long long)info.map_extra, info.name);
	printf("  id %d btf %d key type %u value type %u size %u\n", info.id > 0, info.btf_id > 0, info.btf_key_type_id,
	       info.btf_value_type_id, size);
}

static void use_accounts(struct bpf_map *map)
{
	struct account account = { .state = 1, .in = 7, .owner = "them" }, found;
	__u32 key, next, order = 0;

	for (key = 1; key <= 3; key++)
		say("update", bpf_map__update_elem(map, &key, sizeof(key), &account, sizeof(account), BPF_NOEXIST));
	account.in = 8;
	say("locked update", bpf_map__update_elem(map, &key, sizeof(key), &account, sizeof(account), BPF_F_LOCK));
	key = 1;
	say("locked update", bpf_map__update_elem(map, &key, sizeof(key), &account, sizeof(account), BPF_F_LOCK));
	say("update again", bpf_map__update_elem(map, &key, sizeof(key), &account, sizeof(account), BPF_NOEXIST));
	say("wrong size", bpf_map__update_elem(map, &key, 8, &account, sizeof(account), 0));
	say("locked lookup", bpf_map__lookup_elem(map, &key, sizeof(key), &found, sizeof(found), BPF_F_LOCK));
	printf("  %u %llu %llu %s\n", found.state, found.in, found.out, found.owner);
	key = 77;
	say("lookup", bpf_map__lookup_elem(map, &key, sizeof(key), &found, sizeof(found), 0));
	for (int error = bpf_map__get_next_key(map, NULL, &next, sizeof(next)); !error;
	     error = bpf_map__get_next_key(map, &next, &next, sizeof(next)))
		order += next;
	printf("keys' sum %u\n", order);
	key = 2;
	say("lookup and delete",
	    bpf_map__lookup_and_delete_elem(map, &key, sizeof(key), &found, sizeof(found), BPF_F_LOCK));
	say("delete", bpf_map__delete_elem(map, &key, sizeof(key), 0));
}

static void use_percpu(struct bpf_map *map, const void *key, size_t size)
{
	int n = libbpf_num_possible_cpus();
	__u64 *values = calloc((size_t)n, 8);

	for (int i = 0; i < n; i++)
		values[i] = 100 + (__u64)i;
	say("update", bpf_map__update_elem(map, key, size, values, (size_t)n * 8, BPF_ANY));
	memset(values, 0, (size_t)n * 8);
	say("lookup", bpf_map__lookup_elem(map, key, size, values, (size_t)n * 8, 0));
	for (int i = 0; i < n; i++)
		printf("  cpu %d: %llu\n", i, values[i]);
	free(values);
}

static void use_batches(struct bpf_map *map)
{
	DECLARE_LIBBPF_OPTS(bpf_map_batch_opts, opts);
	__u32 keys[100], count = 100, total = 0, token;
	__u64 values[100], sum = 0;
	int fd = bpf_map__fd(map), error;

	for (__u32 i = 0; i < 100; i++) {
		keys[i] = i;
		values[i] = i * 3;
	}
	say("update batch", bpf_map_update_batch(fd, keys, values, &count, &opts));
	printf("  %u\n", count);
	for (void *in = NULL;; in = &token) {
		count = 30;
		error = bpf_map_lookup_batch(fd, in, &token, keys, values, &count, &opts);
		for (__u32 i = 0; i < count && (!error || error == -ENOENT); i++)
			sum += values[i];
		total += count;
		if (error)
			break;
	}
	say("lookup batch", error);
	printf("  %u %llu\n", total, sum);
}

/* Global data: in the program's memory and in maps at once. */
static void use_data(struct skeleton *all)
{
	struct {
		__u64 counter;
	} data;
	char value[256];
	__u32 zero = 0;

	printf("limit %u greeting %s counter %llu totals %llu zeros %llu\n", all->rodata->limit,
	       (const char *)all->rodata->greeting, all->data->counter, all->data->totals, all->bss->zeros[2]);
	all->data->counter = 4242;
	all->bss->zeros[1] = 9;
	say(".data", bpf_map_lookup_elem(bpf_map__fd(all->maps.data), &zero, value));
	memcpy(&data, value, sizeof(data));
	printf("  counter %llu\n", data.counter);
	data.counter = 5;
	memcpy(value, &data, sizeof(data));
	say("update", bpf_map_update_elem(bpf_map__fd(all->maps.data), &zero, value, 0));
	printf("  counter %llu\n", all->data->counter);
	say("update of .rodata", bpf_map_update_elem(bpf_map__fd(all->maps.rodata), &zero, value, 0));
	say("freeze of .data", bpf_map_freeze(bpf_map__fd(all->maps.data)));
}

static void use_slots(struct bpf_map *map)
{
	size_t size = 600 * 8;
	__u64 *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0), value = 99;
	__u32 key = 512;

	say("map", memory == MAP_FAILED ? -errno : 0);
	if (memory == MAP_FAILED)
		return;
	say("update", bpf_map__update_elem(map, &key, sizeof(key), &value, sizeof(value), 0));
	printf("  %llu\n", memory[512]);
	memory[599] = 77;
	key = 599;
	say("lookup", bpf_map__lookup_elem(map, &key, sizeof(key), &value, sizeof(value), 0));
	printf("  %llu\n", value);
	say("freeze", bpf_map_freeze(bpf_map__fd(map)));
	munmap(memory, size);
}

/* The BTF that came with the maps, read back by its id. */
static void show_btf(struct bpf_map *map)
{
	struct bpf_map_info info = { 0 };
	__u32 size = sizeof(info);
	const struct btf_type *type;
	struct btf *btf;

	bpf_obj_get_info_by_fd(bpf_map__fd(map), &info, &size);
	btf = btf__load_from_kernel_by_id(info.btf_id);
	say("BTF", btf ? 0 : -errno);
	if (!btf)
		return;
	type = btf__type_by_id(btf, info.btf_value_type_id);
	printf("  %u types, value is %s of %u bytes, %u members\n", btf__type_cnt(btf),
	       btf__name_by_offset(btf, type->name_off), type->size, btf_vlen(type));
	btf__free(btf);
}

static void pin(struct skeleton *all, const char *directory, bool with_lru)
{
	struct bpf_map *map;
	char path[512];

	bpf_object__for_each_map(map, all->obj)
	{
		if (map == all->maps.recent && !with_lru)
			continue;
		/* a bpffs doesn't take the point in the names of global data, and libbpf wants a name then */
		snprintf(path, sizeof(path), "%s/%s", directory, bpf_map__name(map));
		say("pin", bpf_map__pin(map, bpf_map__is_internal(map) ? NULL : path));
	}
	snprintf(path, sizeof(path), "%s/hits", directory);
	say("unpin", bpf_map__unpin(all->maps.hits, NULL));
	say("get", bpf_obj_get(path) >= 0 ? 0 : -errno);
	snprintf(path, sizeof(path), "%s/accounts", directory);
	say("get", bpf_obj_get(path) >= 0 ? 0 : -errno);
}

int main(int argc, char **argv)
{
	struct skeleton *all;
	struct bpf_map *map;
	__u64 key64 = 5;
	__u32 key = 1;

	if (argc < 2)
		return 1;
	setvbuf(stdout, NULL, _IOLBF, 0);
	libbpf_set_print(quiet);
	all = skeleton__open();
	if (!all)
		return 1;
	all->rodata->limit = 77;
	all->data->counter = 2000;
	if (argc > 2)
		bpf_map__set_autocreate(all->maps.recent, false);
	say("load", skeleton__load(all));
	bpf_object__for_each_map(map, all->obj) if (argc == 2 || map != all->maps.recent) show_map(map);
	use_accounts(all->maps.accounts);
	use_percpu(all->maps.hits, &key64, sizeof(key64));
	use_percpu(all->maps.ticks, &key, sizeof(key));
	if (argc == 2)
		use_batches(all->maps.recent);
	use_slots(all->maps.slots);
	use_batches(all->maps.slots);
	use_data(all);
	show_btf(all->maps.accounts);
	pin(all, argv[1], argc == 2);
	skeleton__destroy(all);
	return 0;
}
