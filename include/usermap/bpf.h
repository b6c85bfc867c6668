/* SPDX-License-Identifier: MIT */
/*
 * usermap, command face: bpf(2) for maps, in userspace.
 *
 * usermap_bpf() takes what the syscall takes: a command, a union bpf_attr of any size, its size. It answers as Linux
 * 6.18 does to a privileged caller: same order of checks, same errno, same output bytes (G7).
 */
#ifndef USERMAP_BPF_H
#define USERMAP_BPF_H

#include <sys/types.h>
#include <usermap/usermap.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Executes @cmd. Returns what the syscall returns (BPF_MAP_CREATE: a new descriptor), leaving errno alone, or -1 with errno
 * set.
 *
 * Commands: BPF_MAP_CREATE, BPF_MAP_LOOKUP_ELEM, BPF_MAP_UPDATE_ELEM, BPF_MAP_DELETE_ELEM, BPF_MAP_GET_NEXT_KEY,
 * BPF_MAP_LOOKUP_AND_DELETE_ELEM, BPF_MAP_FREEZE, BPF_MAP_LOOKUP_BATCH, BPF_MAP_LOOKUP_AND_DELETE_BATCH,
 * BPF_MAP_UPDATE_BATCH, BPF_MAP_DELETE_BATCH, BPF_OBJ_PIN, BPF_OBJ_GET, BPF_MAP_GET_NEXT_ID, BPF_MAP_GET_FD_BY_ID,
 * BPF_BTF_GET_NEXT_ID, BPF_BTF_GET_FD_BY_ID, BPF_OBJ_GET_INFO_BY_FD (of maps and BTF), BPF_BTF_LOAD. Any other is EINVAL, as
 * from a kernel without it.
 *
 * BPF_BTF_LOAD gives a descriptor that BPF_MAP_CREATE takes as btf_fd. Malformed BTF is EINVAL, but: ENOTSUPP (524) unknown
 * version, flags or integer encoding; E2BIG more than 16 MiB, a header of a later version, references too deep, two spin
 * locks in a struct, more than 11 special fields; EEXIST types in a cycle, fields that overlap; ELOOP too long a chain of
 * qualifiers, lists that own each other; ENOENT, EFAULT special fields that aren't the real thing. The log, if there is
 * one, says why in words of this library; the kernel's also lists the types.
 *
 * Descriptors are real ones (files in a tmpfs): close, dup, fork, exec and SCM_RIGHTS behave. Maps are shared
 * memory: a forked child works on the same map. Ids and pins are the user's (the effective user id's) on this machine. A
 * map dies with its last descriptor, mapping or pin. Pins can be made in /sys/fs/bpf, in directories made there, and in any
 * directory of a tmpfs or a bpffs; only this user sees them.
 * Bad pointers are EFAULT: a copy that faults is caught by a SIGSEGV/SIGBUS handler, installed at the first call, that
 * passes on every fault that isn't the library's. If the thread has these signals blocked, or the handler was replaced,
 * process_vm_readv/writev are used instead; the library notices either within some 20 microseconds, and not for a page
 * it has just copied from or to. Thread-safe and, like the syscall, usable in a forked child.
 */
USERMAP_API long usermap_bpf(int cmd, void *attr, unsigned size);

/* The handle behind a command-face descriptor: both faces on one map. The handle is a reference of its own: it outlives
 * the descriptor, and the caller ends it with usermap_close(). -EBADF, -EINVAL (not a map), -ENOMEM. */
USERMAP_API int usermap_from_fd(int fd, struct usermap **map);

/* unlink(2) of a pin. The map goes with its last pin, if nobody has a descriptor of it. 0; or -1 with errno: ENOENT, EISDIR,
 * and what a path has. */
USERMAP_API int usermap_bpf_unpin(const char *path);

/*
 * mmap(2) of a map's descriptor: the values of an ARRAY made with BPF_F_MMAPABLE, each at a multiple of its size rounded
 * up to 8. The mapping keeps the map alive. A mapping that was made without PROT_WRITE can't get it by mprotect; while
 * there is one that was made with it, BPF_MAP_FREEZE is EBUSY.
 *
 * Returns MAP_FAILED with errno set: EBADF; EINVAL not a map, not BPF_F_MMAPABLE, MAP_PRIVATE, a descriptor with
 * BPF_F_RDONLY, beyond the values' last page; ENODEV BTF; EACCES writing through a descriptor with BPF_F_RDONLY or to a map
 * with BPF_F_RDONLY_PROG, a descriptor with BPF_F_WRONLY; EPERM PROT_EXEC, writing to a frozen map; ENOTSUPP (524) other
 * types, values with a spin lock; and what mmap(2) and open(2) have.
 */
USERMAP_API void *usermap_bpf_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);

/*
 * Whether every command asks the kernel which map a descriptor names (one lseek, about 100 ns). On by default.
 * Off: descriptors are remembered from BPF_MAP_CREATE and their first use, so a program that closes one and reuses the
 * number for something else must not be run this way. Returns the earlier setting. Process-wide.
 */
USERMAP_API bool usermap_bpf_check_fds(bool on);

#ifdef __cplusplus
}
#endif
#endif
