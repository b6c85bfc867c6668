/* SPDX-License-Identifier: MIT */
/*
 * BPF_OBJ_PIN and BPF_OBJ_GET: each check, which of two comes first, where paths lead, what a pin keeps. The kernel's rows
 * run in a bpffs; the engine's in a directory of a tmpfs, and in /sys/fs/bpf, whose directories are the registry's alone.
 *
 * As root the program has a mount namespace of its own; otherwise only the engine's rows run, beside what else the user has
 * pinned.
 */
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "rows.h"

/* Where a side's pins are. */
static char kernel_root[64], engine_root[64];
/* The directories of the engine's root: real, or those of the registry. */
static char engine_disk[PATH_MAX];
static char plain[64]; /* a directory of some other filesystem */

static const char *root_of(abi_bpf bpf)
{
	return bpf == kernel_bpf ? kernel_root : engine_root;
}

static const char *disk_of(abi_bpf bpf)
{
	return bpf == kernel_bpf ? kernel_root : engine_disk;
}

/* "@" is the root; "!" in front a plain directory, "%" the directory of symbolic links to the root's. */
static void expand(abi_bpf bpf, char *to, const char *path)
{
	if (*path == '@')
		sprintf(to, "%s%s", root_of(bpf), path + 1);
	else if (*path == '%')
		sprintf(to, "%s/links-%s%s", plain, bpf == kernel_bpf ? "kernel" : "engine", path + 1);
	else if (*path == '!')
		sprintf(to, "%s%s", plain, path + 1);
	else
		strcpy(to, path);
}

static int make_map(abi_bpf bpf, uint32_t flags)
{
	union abi_attr attr = {
		.create = { .map_type = ABI_HASH, .key_size = 4, .value_size = 4, .max_entries = 4, .map_flags = flags }
	};
	long fd = call(bpf, ABI_MAP_CREATE, &attr, sizeof(attr));

	assert_true(fd >= 0);
	return (int)fd;
}

static long obj(abi_bpf bpf, int cmd, const char *path, int fd, uint32_t flags)
{
	char whole[2 * PATH_MAX];
	union abi_attr attr = { .obj = { .bpf_fd = (uint32_t)fd, .file_flags = flags } };

	expand(bpf, whole, path);
	attr.obj.pathname = address(whole);
	return call(bpf, cmd, &attr, sizeof(attr));
}

static long pin(abi_bpf bpf, int fd, const char *path)
{
	return obj(bpf, ABI_OBJ_PIN, path, fd, 0);
}

static long get_pin(abi_bpf bpf, const char *path, uint32_t flags)
{
	return obj(bpf, ABI_OBJ_GET, path, 0, flags);
}

/* The entry of a pin, for the calls of the C library: what the preload library would do. */
static const char *entry(abi_bpf bpf, const char *name)
{
	static char path[2 * PATH_MAX];

	if (bpf == kernel_bpf) {
		sprintf(path, "%s%s", kernel_root, name + 1);
		return path;
	}
	sprintf(path, "/dev/shm/usermap-bpf-map-4-%u/pin%s%s", geteuid(), engine_root, name + 1);
	return path;
}

static long element(abi_bpf bpf, int cmd, int fd, uint32_t key, uint32_t *value)
{
	union abi_attr attr = { .elem = { .map_fd = (uint32_t)fd, .key = address(&key), .value = address(value) } };

	return call(bpf, cmd, &attr, sizeof(attr));
}

static long put(abi_bpf bpf, int fd, uint32_t key, uint32_t value)
{
	return element(bpf, ABI_MAP_UPDATE_ELEM, fd, key, &value);
}

static long get(abi_bpf bpf, int fd, uint32_t key)
{
	uint32_t value = 0;
	long error = element(bpf, ABI_MAP_LOOKUP_ELEM, fd, key, &value);

	return error ? error : value;
}

static uint32_t id_of(abi_bpf bpf, int fd)
{
	uint32_t info[ABI_MAP_INFO_SIZE / 4] = { 0 };
	union abi_attr attr = { .info = { .bpf_fd = (uint32_t)fd, .info_len = sizeof(info), .info = address(info) } };

	assert_int_equal(call(bpf, ABI_OBJ_GET_INFO_BY_FD, &attr, sizeof(attr)), 0);
	return info[1];
}

/* One call. The root has the pin x, and the directory dir with the pin in. */

enum what { MAP, READ_ONLY, CLOSED, MINUS_ONE, FILE_FD, NONE };
enum at { AT_PATH, AT_NULL, AT_NOWHERE };

struct pin_row {
	const char *name;
	int expected; /* 0, or -errno */
	int cmd;
	const char *path;
	enum what what; /* bpf_fd */
	uint32_t flags;
	enum at at;
	int path_fd; /* 1: the root; 2: AT_FDCWD, with the root the working directory; else itself */
	uint32_t tail;
};

#define PIN(...) .cmd = ABI_OBJ_PIN, .path = __VA_ARGS__
#define GET(...) .cmd = ABI_OBJ_GET, .what = NONE, .path = __VA_ARGS__

#pragma GCC diagnostic ignored "-Woverride-init"
#ifdef __clang__
#pragma clang diagnostic ignored "-Winitializer-overrides"
#endif

static const struct pin_row pin_rows[] = {
	{ "pin", 0, PIN("@/new") },
	{ "pin_of_a_read_only_descriptor", 0, PIN("@/new"), .what = READ_ONLY },
	{ "pin_in_a_directory", 0, PIN("@/dir/new") },
	{ "pin_existing_name_is_EEXIST", -EEXIST, PIN("@/x") },
	{ "pin_over_a_directory_is_EEXIST", -EEXIST, PIN("@/dir") },
	{ "pin_over_a_directory_with_slash_is_EEXIST", -EEXIST, PIN("@/dir/") },
	{ "pin_at_the_root_is_EEXIST", -EEXIST, PIN("@") },
	{ "pin_at_the_root_with_slash_is_EEXIST", -EEXIST, PIN("@/") },
	{ "pin_at_slash_is_EEXIST", -EEXIST, PIN("/") },
	{ "pin_at_dot_is_EEXIST", -EEXIST, PIN("@/.") },
	{ "pin_at_dot_dot_is_EEXIST", -EEXIST, PIN("@/dir/..") },
	{ "pin_with_slash_behind_is_ENOENT", -ENOENT, PIN("@/new/") },
	{ "pin_existing_name_with_slash_is_EEXIST", -EEXIST, PIN("@/x/") },
	{ "pin_below_a_pin_is_ENOTDIR", -ENOTDIR, PIN("@/x/new") },
	{ "pin_below_a_pin_with_dot_is_ENOTDIR", -ENOTDIR, PIN("@/x/n.ew") },
	{ "pin_name_with_dot_is_EPERM", -EPERM, PIN("@/n.ew") },
	{ "pin_hidden_name_is_EPERM", -EPERM, PIN("@/.new") },
	{ "pin_name_of_255_characters", 0, PIN("@/{255}") },
	{ "pin_name_of_256_characters_is_ENAMETOOLONG", -ENAMETOOLONG, PIN("@/{256}") },
	{ "pin_missing_directory_is_ENOENT", -ENOENT, PIN("@/no/new") },
	{ "pin_missing_directory_of_256_characters", -ENAMETOOLONG, PIN("@/{256}/new") },
	{ "pin_empty_path_is_ENOENT", -ENOENT, PIN("") },
	{ "pin_path_of_4095_characters", 0, PIN("[4095]@/new") },
	{ "pin_path_of_4096_characters_is_ENAMETOOLONG", -ENAMETOOLONG, PIN("[4096]@/new") },
	{ "pin_path_of_4097_characters_is_ENAMETOOLONG", -ENAMETOOLONG, PIN("[4097]@/new") },
	{ "pin_path_NULL_is_EFAULT", -EFAULT, PIN(""), .at = AT_NULL },
	{ "pin_path_nowhere_is_EFAULT", -EFAULT, PIN(""), .at = AT_NOWHERE },
	{ "pin_elsewhere_is_EPERM", -EPERM, PIN("!/new") },
	{ "pin_elsewhere_with_dot_is_EPERM", -EPERM, PIN("!/n.ew") },
	{ "pin_elsewhere_missing_directory_is_ENOENT", -ENOENT, PIN("!/no/new") },
	{ "pin_elsewhere_existing_file_is_EEXIST", -EEXIST, PIN("!/file") },
	{ "pin_elsewhere_below_a_file_is_ENOTDIR", -ENOTDIR, PIN("!/file/new") },
	{ "pin_by_dots", 0, PIN("@/./dir/../new") },
	{ "pin_by_dots_of_a_missing_directory_is_ENOENT", -ENOENT, PIN("@/no/../new") },
	{ "pin_by_dots_of_a_pin_is_ENOTDIR", -ENOTDIR, PIN("@/x/../new") },
	{ "pin_by_slashes", 0, PIN("@///dir//new") },
	{ "pin_above_the_root_directory", 0, PIN("/../..@/new") },

	{ "pin_through_a_link", 0, PIN("%/root/new") },
	{ "pin_through_a_link_to_a_directory", 0, PIN("%/dir/new") },
	{ "pin_through_a_relative_link", 0, PIN("%/relative/new") },
	{ "pin_over_a_link_is_EEXIST", -EEXIST, PIN("%/x") },
	{ "pin_over_a_dangling_link_is_EEXIST", -EEXIST, PIN("%/dangling") },
	{ "pin_through_a_dangling_link_is_ENOENT", -ENOENT, PIN("%/dangling/new") },
	{ "pin_through_a_link_to_a_pin_is_ENOTDIR", -ENOTDIR, PIN("%/x/new") },
	{ "pin_through_a_loop_is_ELOOP", -ELOOP, PIN("%/loop/new") },

	{ "pin_closed_fd_is_EINVAL", -EINVAL, PIN("@/new"), .what = CLOSED },
	{ "pin_fd_minus_one_is_EINVAL", -EINVAL, PIN("@/new"), .what = MINUS_ONE },
	{ "pin_fd_of_a_file_is_EINVAL", -EINVAL, PIN("@/new"), .what = FILE_FD },
	{ "pin_bad_fd_beats_the_path", -EINVAL, PIN(""), .what = CLOSED, .at = AT_NOWHERE },
	{ "pin_flags_are_EINVAL", -EINVAL, PIN("@/new"), .flags = ABI_F_RDONLY },
	{ "pin_flags_beat_the_fd", -EINVAL, PIN("@/new"), .what = CLOSED, .flags = 1 },
	{ "pin_tail_is_EINVAL", -EINVAL, PIN("@/new"), .tail = 1 },
	{ "pin_path_fd_without_flag_is_EINVAL", -EINVAL, PIN("@/new"), .path_fd = 1 },
	{ "pin_relative_to_path_fd", 0, PIN("new"), .path_fd = 1, .flags = ABI_F_PATH_FD },
	{ "pin_relative_to_path_fd_in_a_directory", 0, PIN("dir/new"), .path_fd = 1, .flags = ABI_F_PATH_FD },
	{ "pin_empty_path_with_path_fd_is_ENOENT", -ENOENT, PIN(""), .path_fd = 1, .flags = ABI_F_PATH_FD },
	{ "pin_relative_to_AT_FDCWD", 0, PIN("new"), .path_fd = 2, .flags = ABI_F_PATH_FD },
	{ "pin_relative_to_a_closed_fd_is_EBADF", -EBADF, PIN("new"), .path_fd = 1000000, .flags = ABI_F_PATH_FD },
	{ "pin_relative_to_a_file_is_ENOTDIR", -ENOTDIR, PIN("new"), .path_fd = 3, .flags = ABI_F_PATH_FD },
	{ "pin_absolute_ignores_path_fd", 0, PIN("@/new"), .path_fd = 1000000, .flags = ABI_F_PATH_FD },
	{ "pin_bad_map_beats_path_fd", -EINVAL, PIN("new"), .what = CLOSED, .path_fd = 1000000,
	  .flags = ABI_F_PATH_FD },

	{ "get", 0, GET("@/x") },
	{ "get_read_only", 0, GET("@/x"), .flags = ABI_F_RDONLY },
	{ "get_write_only", 0, GET("@/x"), .flags = ABI_F_WRONLY },
	{ "get_RDONLY_and_WRONLY_is_EINVAL", -EINVAL, GET("@/x"), .flags = ABI_F_RDONLY | ABI_F_WRONLY },
	{ "get_flags_beat_a_missing_pin", -EINVAL, GET("@/no"), .flags = ABI_F_RDONLY | ABI_F_WRONLY },
	{ "get_unknown_flags_are_EINVAL", -EINVAL, GET("@/x"), .flags = 1 },
	{ "get_with_an_fd_is_EINVAL", -EINVAL, GET("@/x"), .what = MAP },
	{ "get_tail_is_EINVAL", -EINVAL, GET("@/x"), .tail = 1 },
	{ "get_path_fd_without_flag_is_EINVAL", -EINVAL, GET("@/x"), .path_fd = 1 },
	{ "get_missing_is_ENOENT", -ENOENT, GET("@/no") },
	{ "get_missing_with_dot_is_EPERM", -EPERM, GET("@/n.o") },
	{ "get_missing_directory_is_ENOENT", -ENOENT, GET("@/no/x") },
	{ "get_directory_is_EACCES", -EACCES, GET("@/dir") },
	{ "get_directory_with_slash_is_EACCES", -EACCES, GET("@/dir/") },
	{ "get_root_is_EACCES", -EACCES, GET("@") },
	{ "get_dot_is_EACCES", -EACCES, GET("@/.") },
	{ "get_with_slash_behind_is_ENOTDIR", -ENOTDIR, GET("@/x/") },
	{ "get_below_a_pin_is_ENOTDIR", -ENOTDIR, GET("@/x/y") },
	{ "get_in_a_directory", 0, GET("@/dir/in") },
	{ "get_by_dots", 0, GET("@/dir/../dir/./in") },
	{ "get_file_is_EACCES", -EACCES, GET("!/file") },
	{ "get_file_with_slash_is_ENOTDIR", -ENOTDIR, GET("!/file/") },
	{ "get_device_is_EACCES", -EACCES, GET("/dev/null") },
	{ "get_elsewhere_missing_is_ENOENT", -ENOENT, GET("!/no") },
	{ "get_empty_path_is_ENOENT", -ENOENT, GET("") },
	{ "get_path_NULL_is_EFAULT", -EFAULT, GET(""), .at = AT_NULL },
	{ "get_path_nowhere_is_EFAULT", -EFAULT, GET(""), .at = AT_NOWHERE },
	{ "get_name_of_256_characters_is_ENAMETOOLONG", -ENAMETOOLONG, GET("@/{256}") },
	{ "get_path_of_4096_characters_is_ENAMETOOLONG", -ENAMETOOLONG, GET("[4096]@/x") },
	{ "get_relative_to_path_fd", 0, GET("x"), .path_fd = 1, .flags = ABI_F_PATH_FD },
	{ "get_relative_to_path_fd_read_only", 0, GET("x"), .path_fd = 1, .flags = ABI_F_PATH_FD | ABI_F_RDONLY },
	{ "get_relative_to_AT_FDCWD", 0, GET("dir/in"), .path_fd = 2, .flags = ABI_F_PATH_FD },
	{ "get_empty_path_with_path_fd_is_ENOENT", -ENOENT, GET(""), .path_fd = 1, .flags = ABI_F_PATH_FD },
	{ "get_relative_to_a_closed_fd_is_EBADF", -EBADF, GET("x"), .path_fd = 1000000, .flags = ABI_F_PATH_FD },
	{ "get_through_a_link", 0, GET("%/root/x") },
	{ "get_a_link", 0, GET("%/x") },
	{ "get_a_link_to_a_directory_is_EACCES", -EACCES, GET("%/dir") },
	{ "get_a_dangling_link_is_ENOENT", -ENOENT, GET("%/dangling") },
	{ "get_a_loop_is_ELOOP", -ELOOP, GET("%/loop") },
};

/* Writes out "{n}", n letters, and "[n]", which fills the path up to n characters by slashes. */
static void spell(abi_bpf bpf, char *to, const char *path)
{
	char rest[2 * PATH_MAX];
	int n, taken;

	if (sscanf(path, "[%d]%n", &n, &taken) == 1) {
		expand(bpf, rest, path + taken);
		memset(to, '/', (size_t)n);
		strcpy(to + n - strlen(rest), rest);
		return;
	}
	if (strncmp(path, "/../..@", 7) == 0) {
		sprintf(to, "/../..%s%s", root_of(bpf), path + 7);
		return;
	}
	expand(bpf, to, path);
	if (strchr(to, '{')) {
		char *brace = strchr(to, '{'), *end = strchr(brace, '}') + 1;

		n = atoi(brace + 1);
		strcpy(rest, end);
		memset(brace, 'n', (size_t)n);
		strcpy(brace + n, rest);
	}
}

static int fd_of(abi_bpf bpf, enum what what)
{
	switch (what) {
	case MAP:
		return make_map(bpf, 0);
	case READ_ONLY:
		return make_map(bpf, ABI_F_RDONLY);
	case FILE_FD:
		return open("/dev/null", O_RDWR);
	case NONE:
		return 0;
	case CLOSED:
		return 1000000;
	default:
		return -1;
	}
}

static void run_pin_row(void **state)
{
	static const char *const made[] = { "@/new", "@/dir/new" };
	const struct row_test *test = *state;
	const struct pin_row *row = test->row;
	char *path = mmap(NULL, 3 * PATH_MAX, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char long_name[2 * PATH_MAX];
	int fd = fd_of(test->bpf, row->what), before = open(".", O_RDONLY | O_DIRECTORY), at = row->path_fd;
	union abi_attr attr = { .obj = { .bpf_fd = (uint32_t)fd, .file_flags = row->flags } };
	long result;

	assert_true(path != MAP_FAILED);
	spell(test->bpf, path, row->path);
	attr.obj.pathname = row->at == AT_NULL ? 0 : address(row->at == AT_PATH ? path : nowhere());
	if (at == 1)
		at = open(disk_of(test->bpf), O_RDONLY | O_DIRECTORY);
	if (at == 2) {
		assert_int_equal(chdir(disk_of(test->bpf)), 0);
		at = AT_FDCWD;
	}
	if (at == 3)
		at = open("/dev/null", O_RDONLY);
	attr.obj.path_fd = at;
	attr.obj.zeros[0] = row->tail;
	result = call(test->bpf, row->cmd, &attr, sizeof(attr));
	assert_int_equal(fchdir(before), 0);
	if (row->cmd == ABI_OBJ_GET && result >= 0) {
		uint32_t mode = row->flags & ABI_F_RDONLY ? O_RDONLY : row->flags & ABI_F_WRONLY ? O_WRONLY : O_RDWR;

		assert_int_equal(fcntl((int)result, F_GETFL) & O_ACCMODE, mode);
		assert_int_equal(fcntl((int)result, F_GETFD), FD_CLOEXEC);
		close((int)result);
		result = 0;
	}
	if (row->cmd == ABI_OBJ_PIN && result == 0) {
		for (size_t i = 0; i < 2; i++)
			unlink(entry(test->bpf, made[i]));
		spell(test->bpf, long_name, "@/{255}");
		unlink(entry(test->bpf, strcat(strcpy(path, "@"), strrchr(long_name, '/'))));
	}
	if (row->what == MAP || row->what == READ_ONLY || row->what == FILE_FD)
		close(fd);
	if (at > 2 && at != row->path_fd)
		close(at);
	close(before);
	assert_int_equal(result, row->expected);
}

/* Rules that take several calls */

static void a_pin_keeps_the_map(abi_bpf bpf)
{
	int fd = make_map(bpf, 0);
	uint32_t id = id_of(bpf, fd);
	union abi_attr attr = { .id = { .id = id } };

	assert_int_equal(put(bpf, fd, 1, 11), 0);
	assert_int_equal(pin(bpf, fd, "@/kept"), 0);
	close(fd);
	for (int i = 0; i < 3; i++)
		close(make_map(bpf, 0)); /* chances to collect */
	fd = (int)call(bpf, ABI_MAP_GET_FD_BY_ID, &attr, sizeof(attr));
	assert_true(fd >= 0);
	close(fd);
	fd = (int)get_pin(bpf, "@/kept", 0);
	assert_true(fd >= 0);
	assert_int_equal(get(bpf, fd, 1), 11);
	assert_int_equal(id_of(bpf, fd), id);
	assert_int_equal(unlink(entry(bpf, "@/kept")), 0);
	assert_int_equal(get_pin(bpf, "@/kept", 0), -ENOENT);
	assert_int_equal(get(bpf, fd, 1), 11);
	close(fd);
	if (bpf != kernel_bpf) { /* the kernel's takes its time */
		attr.id.id = id;
		assert_int_equal(call(bpf, ABI_MAP_GET_FD_BY_ID, &attr, sizeof(attr)), -ENOENT);
	}
}

static void a_map_may_have_several_pins(abi_bpf bpf)
{
	int fd = make_map(bpf, 0);

	assert_int_equal(pin(bpf, fd, "@/one"), 0);
	assert_int_equal(pin(bpf, fd, "@/dir/two"), 0);
	assert_int_equal(put(bpf, fd, 1, 11), 0);
	close(fd);
	assert_int_equal(unlink(entry(bpf, "@/one")), 0);
	fd = (int)get_pin(bpf, "@/dir/two", ABI_F_RDONLY);
	assert_int_equal(get(bpf, fd, 1), 11);
	assert_int_equal(put(bpf, fd, 1, 12), -EPERM);
	assert_int_equal(pin(bpf, fd, "@/one"), 0);
	close(fd);
	fd = (int)get_pin(bpf, "@/one", 0); /* the pin has no access mode of its own */
	assert_int_equal(put(bpf, fd, 1, 12), 0);
	assert_int_equal(get(bpf, fd, 1), 12);
	close(fd);
	assert_int_equal(unlink(entry(bpf, "@/one")), 0);
	assert_int_equal(unlink(entry(bpf, "@/dir/two")), 0);
}

static void a_pin_is_the_lowest_descriptor(abi_bpf bpf)
{
	int lowest = open("/dev/null", O_RDONLY), fd;

	close(lowest);
	for (uint32_t flags = 0; flags <= ABI_F_WRONLY; flags += 8) {
		fd = (int)get_pin(bpf, "@/x", flags);
		assert_int_equal(fd, lowest);
		close(fd);
	}
}

static void a_renamed_pin_is_found(abi_bpf bpf)
{
	int fd = make_map(bpf, 0);
	uint32_t id = id_of(bpf, fd);
	char from[2 * PATH_MAX];

	assert_int_equal(pin(bpf, fd, "@/old"), 0);
	close(fd);
	strcpy(from, entry(bpf, "@/old"));
	assert_int_equal(rename(from, entry(bpf, "@/dir/moved")), 0);
	assert_int_equal(get_pin(bpf, "@/old", 0), -ENOENT);
	fd = (int)get_pin(bpf, "@/dir/moved", 0);
	assert_true(fd >= 0 && id_of(bpf, fd) == id);
	close(fd);
	assert_int_equal(unlink(entry(bpf, "@/dir/moved")), 0);
}

static void btf_cant_be_pinned(abi_bpf bpf)
{
	/* header, an int, "int" */
	static const uint32_t raw[] = { 0x1eb9f, 24, 0, 16, 16, 5, 1, 1u << 24, 4, 32, 0x746e6900, 0 };
	union abi_attr attr = { .btf = { .btf = address(raw), .size = 45 } };
	int fd = (int)call(bpf, ABI_BTF_LOAD, &attr, sizeof(attr));

	assert_true(fd >= 0);
	assert_int_equal(pin(bpf, fd, "@/btf"), -EINVAL);
	close(fd);
}

static const struct act_row acts[] = {
	{ "a_pin_keeps_the_map", a_pin_keeps_the_map },
	{ "a_map_may_have_several_pins", a_map_may_have_several_pins },
	{ "a_pin_is_the_lowest_descriptor", a_pin_is_the_lowest_descriptor },
	{ "a_renamed_pin_is_found", a_renamed_pin_is_found },
	{ "btf_cant_be_pinned", btf_cant_be_pinned },
};

static void make_links(abi_bpf bpf)
{
	static const char *const links[][2] = {
		{ "root", "" },
		{ "x", "/x" },
		{ "dir", "/dir" },
		{ "dangling", "/nothing" },
	};
	char name[3 * PATH_MAX], target[2 * PATH_MAX];

	expand(bpf, name, "%");
	mkdir(name, 0777);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		sprintf(target, "%s%s", root_of(bpf), links[i][1]);
		expand(bpf, name, "%/");
		if (symlink(target, strcat(name, links[i][0])) != 0)
			exit(1);
	}
	expand(bpf, name, "%/loop");
	if (symlink("loop", name) != 0)
		exit(1);
	expand(bpf, name, "%/relative");
	sprintf(target, "../../../..%s/dir", root_of(bpf));
	if (symlink(target, name) != 0)
		exit(1);
}

static void make_tree(abi_bpf bpf)
{
	int fd = make_map(bpf, 0);
	char path[2 * PATH_MAX];

	sprintf(path, "%s/dir", disk_of(bpf));
	mkdir(path, 0755);
	if (pin(bpf, fd, "@/x") || pin(bpf, fd, "@/dir/in"))
		exit(1);
	close(fd);
	make_links(bpf);
}

static void remove_tree(abi_bpf bpf)
{
	static const char *const links[] = { "root", "x", "dir", "dangling", "loop", "relative", "" };
	char path[3 * PATH_MAX];

	unlink(entry(bpf, "@/x"));
	unlink(entry(bpf, "@/dir/in"));
	rmdir(entry(bpf, "@/dir"));
	rmdir(entry(bpf, "@"));
	sprintf(path, "%s/dir", disk_of(bpf));
	rmdir(path);
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		expand(bpf, path, "%/");
		remove(strcat(path, links[i]));
	}
}

/* A mount namespace with a /dev/shm of its own, and a bpffs. Whether we have it. */
static bool own_mounts(void)
{
	char shm[64];

	if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("none", "/dev/shm", "tmpfs", 0, "mode=1777") != 0)
		return false;
	strcpy(shm, "/dev/shm/kernel");
	mkdir(shm, 0755);
	strcpy(kernel_root, shm);
	return mount("none", shm, "bpf", 0, NULL) == 0;
}

/* The rows' tables, with the engine's pins in `root`, whose directories are made below `prefix`. */
static int run_in(const char *group, const char *root, const char *prefix, bool kernel)
{
	const struct row_table tables[] = { ROW_TABLE(pin_rows, run_pin_row), ROW_TABLE(acts, run_act) };
	char path[PATH_MAX];
	int failed;

	strcpy(engine_root, root);
	sprintf(engine_disk, "%s%s", prefix, root);
	strcpy(path, engine_disk);
	for (char *slash = path + strlen(prefix);; *slash = '/') { /* mkdir -p */
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = '\0';
		mkdir(path, 0755);
		if (!slash)
			break;
	}
	make_tree(usermap_bpf);
	if (kernel)
		make_tree(kernel_bpf);
	failed = run_tables(group, tables, sizeof(tables) / sizeof(tables[0]));
	remove_tree(usermap_bpf);
	if (kernel)
		remove_tree(kernel_bpf);
	rmdir(engine_disk);
	return failed;
}

int main(void)
{
	bool mounts = own_mounts();
	const char *why;
	char registry[64], root[64], file[80];
	int failed;

	strcpy(plain, "/var/tmp/usermap-pin-XXXXXX"); /* not a tmpfs, mostly */
	if (!mkdtemp(plain))
		return 77;
	sprintf(file, "%s/file", plain);
	close(open(file, O_CREAT | O_RDWR, 0600));
	close(make_map(usermap_bpf, 0)); /* makes the registry */
	sprintf(registry, "/dev/shm/usermap-bpf-map-4-%u/pin", geteuid());
	mkdir(registry, 0700);
	sprintf(root, "/dev/shm/pins-%d", getpid());
	failed = run_in("pin in a tmpfs", root, "", mounts && kernel_is_oracle(&why));
	sprintf(root, "/sys/fs/bpf/pins%d", getpid());
	failed += run_in("pin in /sys/fs/bpf", root, registry, mounts && kernel_is_oracle(&why));
	unlink(file);
	rmdir(plain);
	return failed != 0;
}
