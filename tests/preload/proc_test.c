/* SPDX-License-Identifier: MIT */
/*
 * What /proc says of descriptors; the programs and commands that aren't about maps; errno.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "../faces/child.h"
#include "client.h"

extern ssize_t __readlink_chk(const char *path, char *buffer, size_t size, size_t room);
extern int __open_2(const char *path, int flags), __openat64_2(int at, const char *path, int flags);

static bool preloaded(void)
{
	return getenv("LD_PRELOAD");
}

/* fdinfo, read in each way that libc has. */

static int by_open(const char *path)
{
	return open(path, O_RDONLY);
}

static int by_open64(const char *path)
{
	return open64(path, O_RDONLY);
}

static int by_openat(const char *path)
{
	return openat(AT_FDCWD, path, O_RDONLY);
}

static int by_open_2(const char *path)
{
	return __open_2(path, O_RDONLY);
}

static int by_openat64_2(const char *path)
{
	return __openat64_2(AT_FDCWD, path, O_RDONLY);
}

static int by_fopen(const char *path)
{
	FILE *file = fopen(path, "r");

	return file ? fileno(file) : -1;
}

static int by_fopen64(const char *path)
{
	FILE *file = fopen64(path, "re");

	return file ? fileno(file) : -1;
}

static int (*const opens[])(const char *) = {
	by_open, by_open64, by_openat, by_open_2, by_openat64_2, by_fopen, by_fopen64,
};

/* The file's lines; memlock, ino, mnt_id and ids, which can't be foretold, without their values. */
static void read_lines(int fd, char *text, size_t size)
{
	char whole[2048], *rest = whole;
	ssize_t n = read(fd, whole, sizeof(whole) - 1);

	assert_true(n > 0);
	whole[n] = 0;
	text[0] = 0;
	for (char *line = strtok_r(whole, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		size_t key = strcspn(line, ":");
		static const char *const values[] = { "memlock", "ino", "mnt_id", "map_id", "btf_id" };

		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
			if (strlen(values[i]) == key && strncmp(line, values[i], key) == 0) {
				assert_true(line[key + 2] >= '0' && line[key + 2] <= '9');
				line[key + 2] = 0;
			}
		assert_true(strlen(text) + strlen(line) + 2 < size);
		strcat(strcat(text, line), "\n");
	}
}

#define COMMON "mnt_id:\t\nino:\t\n"
#define MAP                                                                                                       \
	COMMON "map_type:\t1\nkey_size:\t4\nvalue_size:\t8\nmax_entries:\t16\nmap_flags:\t0x1\nmap_extra:\t0x0\n" \
	       "memlock:\t\nmap_id:\t\nfrozen:\t"

static void assert_says(int fd, const char *wanted)
{
	char text[2048];

	assert_true(fd >= 0);
	read_lines(fd, text, sizeof(text));
	assert_string_equal(text, wanted);
}

static void fdinfo_of_a_map(void **state)
{
	int fd = make_with(ABI_F_NO_PREALLOC | ABI_F_RDONLY);
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	for (size_t i = 0; i < sizeof(opens) / sizeof(opens[0]); i++)
		assert_says(opens[i](path), "pos:\t0\nflags:\t02000000\n" MAP "0\n");
	snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", getpid(), fd);
	assert_says(by_open(path), "pos:\t0\nflags:\t02000000\n" MAP "0\n");
	snprintf(path, sizeof(path), "/proc/thread-self/fdinfo/%d", fd);
	assert_says(by_open(path), "pos:\t0\nflags:\t02000000\n" MAP "0\n");
	snprintf(path, sizeof(path), "/proc/self/task/%d/fdinfo/%d", getpid(), fd);
	assert_says(by_open(path), "pos:\t0\nflags:\t02000000\n" MAP "0\n");
	close(fd);
	assert_int_equal(by_open(path), -1);
	assert_int_equal(errno, ENOENT);
}

static void fdinfo_tells_of_freezing(void **state)
{
	int fd = make_with(ABI_F_NO_PREALLOC);
	union abi_attr attr = { .freeze_fd = (uint32_t)fd };
	char path[64];

	(void)state;
	assert_int_equal(call(ABI_MAP_FREEZE, &attr), 0);
	assert_int_equal(fcntl(fd, F_SETFD, 0), 0);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	assert_says(by_open(path), "pos:\t0\nflags:\t02\n" MAP "1\n");
	close(fd);
}

static void fdinfo_of_another_process(void **state)
{
	int fd = make_with(ABI_F_NO_PREALLOC), status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		char path[64];

		close(fd);
		snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", getppid(), fd);
		assert_says(by_open(path), "pos:\t0\nflags:\t02000002\n" MAP "0\n");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	close(fd);
}

static void fdinfo_of_other_files(void **state)
{
	int ends[2], fd = memfd_create("no map", 0);
	char path[64];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", ends[0]);
	assert_says(by_open(path), "pos:\t0\nflags:\t00\n" COMMON);
	assert_int_equal(lseek(fd, 77, SEEK_SET), 77);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	assert_says(by_fopen(path), "pos:\t77\nflags:\t0100002\n" COMMON);
	close(fd);
	close(ends[0]);
	close(ends[1]);
}

/* Links. */

static void assert_link(int fd, const char *wanted)
{
	char path[64], text[64] = { 0 };

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_int_equal(readlink(path, text, sizeof(text)), strlen(wanted));
	assert_string_equal(text, wanted);
	memset(text, 0, sizeof(text));
	assert_int_equal(readlinkat(AT_FDCWD, path, text, 12), 12);
	assert_memory_equal(text, wanted, 12);
	assert_int_equal(text[12], 0);
	memset(text, 0, sizeof(text));
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	assert_int_equal(__readlink_chk(path, text, 63, sizeof(text)), strlen(wanted));
	assert_string_equal(text, wanted);
}

static int load_btf(void)
{
	static const struct {
		uint16_t magic;
		uint8_t version, flags;
		uint32_t header, type_off, type_len, str_off, str_len;
		uint32_t type[4];
		char strings[5];
	} btf = { 0xeb9f, 1, 0, 24, 0, 16, 16, 5, { 1, 1 << 24, 4, 1 << 24 | 32 }, "\0int" };
	union abi_attr attr = { .btf = { .btf = (uintptr_t)&btf, .size = 45 } };

	return (int)call(ABI_BTF_LOAD, &attr);
}

static int load_program(uint32_t type, const struct bpf_insn *insns, uint32_t n, const char *name, unsigned size)
{
	union bpf_attr attr = {
		.prog_type = type, .insn_cnt = n, .insns = (uintptr_t)insns, .license = (uintptr_t) "GPL"
	};
	long result;

	strcpy(attr.prog_name, name);
	result = syscall(__NR_bpf, BPF_PROG_LOAD, &attr, size);
	return (int)(result < 0 ? -errno : result);
}

static const struct bpf_insn nothing[] = {
	{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
	{ .code = BPF_JMP | BPF_EXIT },
};

static void links_are_the_kernel_s(void **state)
{
	int map = make(1), btf = load_btf(), file = open("/dev/null", O_RDONLY);
	int program = load_program(BPF_PROG_TYPE_SOCKET_FILTER, nothing, 2, "", 144);
	char path[64], text[64] = { 0 };

	(void)state;
	assert_link(map, "anon_inode:bpf-map");
	assert_link(btf, "anon_inode:btf");
	assert_link(program, "anon_inode:bpf-prog");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	assert_int_equal(readlink(path, text, sizeof(text)), 9);
	assert_string_equal(text, "/dev/null");
	assert_int_equal(readlink("/proc/self/fd/", text, sizeof(text)), -1);
	assert_int_equal(errno, EINVAL);
	assert_int_equal(readlink("/proc/self/fd/777", text, sizeof(text)), -1);
	assert_int_equal(errno, ENOENT);
	close(program);
	close(btf);
	close(map);
	close(file);
}

/* Only descriptors that the program has are listed as maps, not the library's own. */
static void a_program_has_as_many_maps_as_it_made(void **state)
{
	int fds[2] = { make(1), make(2) }, found = 0;
	DIR *all = opendir("/proc/self/fd");

	(void)state;
	for (struct dirent *entry; (entry = readdir(all));) {
		char path[300], text[128] = { 0 };

		snprintf(path, sizeof(path), "/proc/self/fd/%s", entry->d_name);
		if (readlink(path, text, sizeof(text) - 1) > 0)
			found += strcmp(text, "anon_inode:bpf-map") == 0;
	}
	closedir(all);
	assert_int_equal(found, 2);
	close(fds[0]);
	close(fds[1]);
}

static void a_map_s_file_system_has_no_name(void **state)
{
	struct statfs info;
	int fd = make(1);

	(void)state;
	assert_int_equal(fstatfs(fd, &info), 0);
	assert_int_equal(info.f_type, 0x09041934);
	close(fd);
}

/* Programs. */

static void probes_load(void **state)
{
	const struct bpf_insn accounting[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = 160 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union abi_attr array = { .create = {
					 .map_type = ABI_ARRAY, .key_size = 4, .value_size = 32, .max_entries = 1 } };
	int map = (int)call(ABI_MAP_CREATE, &array);
	const struct bpf_insn global[] = {
		{ .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_VALUE, .imm = map },
		{ .imm = 16 },
		{ .code = BPF_ST | BPF_MEM | BPF_DW, .dst_reg = 1, .imm = 42 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int loaded[] = {
		load_program(BPF_PROG_TYPE_SOCKET_FILTER, nothing, 2, "", 144),
		load_program(BPF_PROG_TYPE_SOCKET_FILTER, nothing, 2, "libbpf_nametest", 64),
		load_program(BPF_PROG_TYPE_SOCKET_FILTER, accounting, 2, "", 116),
		load_program(BPF_PROG_TYPE_SOCKET_FILTER, global, 5, "", 116),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(loaded) / sizeof(loaded[0]); i++) {
		assert_true(loaded[i] >= 0);
		assert_int_equal(fcntl(loaded[i], F_GETFD), FD_CLOEXEC);
		assert_int_equal(get(loaded[i]), -EINVAL);
		assert_int_equal(close(loaded[i]), 0);
	}
	close(map);
	/* the map of a probe must be one */
	assert_true(load_program(BPF_PROG_TYPE_SOCKET_FILTER, global, 5, "", 116) < 0);
	assert_int_equal(load_program(BPF_PROG_TYPE_SOCKET_FILTER, NULL, 2, "", 116), -EFAULT);
}

static void no_other_program_loads(void **state)
{
	const struct bpf_insn one[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	const struct bpf_insn longer[] = { nothing[0], nothing[0], nothing[1] };
	struct bpf_insn many[6] = { 0 };

	(void)state;
	if (!preloaded())
		skip();
	assert_int_equal(load_program(BPF_PROG_TYPE_SOCKET_FILTER, one, 2, "", 144), -EINVAL);
	assert_int_equal(load_program(BPF_PROG_TYPE_SOCKET_FILTER, longer, 3, "", 144), -EINVAL);
	assert_int_equal(load_program(BPF_PROG_TYPE_SOCKET_FILTER, longer, 0, "", 144), -EINVAL);
	assert_int_equal(load_program(BPF_PROG_TYPE_SOCKET_FILTER, many, 6, "", 144), -EINVAL);
	assert_int_equal(load_program(BPF_PROG_TYPE_XDP, nothing, 2, "", 144), -EINVAL);
	assert_int_equal(load_program(BPF_PROG_TYPE_TRACEPOINT, nothing, 2, "", 144), -EINVAL);
}

/* Commands that the engine doesn't have never get to the kernel: there a descriptor means something else. */
static void other_commands_are_EINVAL(void **state)
{
	int map = make(1), program = load_program(BPF_PROG_TYPE_SOCKET_FILTER, nothing, 2, "", 144);

	(void)state;
	if (!preloaded())
		skip();
	static const int commands[] = { BPF_PROG_ATTACH,
					BPF_PROG_DETACH,
					BPF_PROG_TEST_RUN,
					BPF_PROG_GET_NEXT_ID,
					BPF_PROG_GET_FD_BY_ID,
					BPF_PROG_QUERY,
					BPF_RAW_TRACEPOINT_OPEN,
					BPF_TASK_FD_QUERY,
					BPF_LINK_CREATE,
					BPF_LINK_GET_NEXT_ID,
					BPF_ENABLE_STATS,
					BPF_ITER_CREATE,
					BPF_PROG_BIND_MAP,
					40,
					9999,
					-1 };

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		union abi_attr attr = { 0 };

		assert_int_equal(call(commands[i], &attr), -EINVAL);
		attr.elem.map_fd = (uint32_t)program;
		assert_int_equal(call(commands[i], &attr), -EINVAL);
	}
	close(program);
	close(map);
}

/* Calls that go well leave errno alone. */
static void success_leaves_errno_alone(void **state)
{
	char path[64], text[64], name[] = "/dev/shm/usermap-errno-XXXXXX";
	struct statfs info;
	int fd, other;

	(void)state;
	errno = ENOTTY;
	fd = make(1);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(get(fd), 1);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	assert_true(readlink(path, text, sizeof(text)) > 0);
	assert_int_equal(errno, ENOTTY);
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	other = open(path, O_RDONLY);
	assert_true(other >= 0);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(fstatfs(fd, &info), 0);
	assert_int_equal(statfs("/", &info), 0);
	assert_int_equal(errno, ENOTTY);
	assert_int_equal(dup2(other, fd), fd);
	assert_int_equal(close(fd), 0);
	assert_int_equal(close(other), 0);
	assert_int_equal(errno, ENOTTY);
	other = mkstemp(name);
	errno = ENOTTY;
	assert_int_equal(access(name, F_OK), 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(errno, ENOTTY);
	close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fdinfo_of_a_map),
		cmocka_unit_test(fdinfo_tells_of_freezing),
		cmocka_unit_test(fdinfo_of_another_process),
		cmocka_unit_test(fdinfo_of_other_files),
		cmocka_unit_test(links_are_the_kernel_s),
		cmocka_unit_test(a_program_has_as_many_maps_as_it_made),
		cmocka_unit_test(a_map_s_file_system_has_no_name),
		cmocka_unit_test(probes_load),
		cmocka_unit_test(no_other_program_loads),
		cmocka_unit_test(other_commands_are_EINVAL),
		cmocka_unit_test(success_leaves_errno_alone),
	};

	skip_without_maps();
	return cmocka_run_group_tests_name("proc", tests, NULL, NULL);
}
