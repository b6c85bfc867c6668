/* SPDX-License-Identifier: MIT */
/*
 * The workers: each takes a request, runs it on the command face for its caller (face/caller.h), and answers.
 *
 * A new descriptor is put among the caller's by the call that answers (ADDFD with FLAG_SEND), so that there is none
 * without an answer. Its description is shared with this process for a moment; then it's the caller's alone, and the map
 * lives as long as any other (face/mapfile.c).
 *
 * mmap of a map's descriptor is the caller's to make, as its memory is: the call is refused or let through. The caller could
 * change its mind about the descriptor in between; it's its own map that it would then have mapped against the
 * rules. The mapping gets the description that it must have (face/mapping.c), in the place of the descriptor's.
 *
 * A caller can be killed at any time. What had begun is then done to the end, and the answer finds nobody.
 */
#include "seccomp/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <usermap/bpf.h>

#include "face/caller.h"
#include "face/fd.h"
#include "face/mapping.h"
#include "face/probe.h"
#include "seccomp/target.h"

/* Newer than most headers: the caller goes on where its worker ran, which saves waiting for another processor. */
#define SET_FLAGS    _IOW('!', 4, uint64_t)
#define SYNC_WAKE_UP 1u

#define WORKERS_MAX 64
#define ATTEMPTS    3

struct request {
	struct caller caller; /* the first: waits() gets no more */
	int listener;
	struct seccomp_notif notif;
};

static bool waits(const struct caller *who)
{
	const struct request *request = (const struct request *)who;

	return ioctl(request->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &request->notif.id) == 0;
}

static void *pointer(uint64_t value)
{
	return (void *)(uintptr_t)value;
}

/* result: what the call gives, errors as -errno. */
static void answer(const struct request *request, long result)
{
	struct seccomp_notif_resp response = { .id = request->notif.id };

	if (result < 0)
		response.error = (int)result;
	else
		response.val = result;
	ioctl(request->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static void let_through(const struct request *request)
{
	struct seccomp_notif_resp response = { .id = request->notif.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

	ioctl(request->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static bool gives_descriptor(int cmd)
{
	switch (cmd) {
	case BPF_MAP_CREATE:
	case BPF_PROG_LOAD:
	case BPF_OBJ_GET:
	case BPF_MAP_GET_FD_BY_ID:
	case BPF_BTF_LOAD:
	case BPF_BTF_GET_FD_BY_ID:
		return true;
	default:
		return false;
	}
}

static void answer_descriptor(const struct request *request, int fd)
{
	struct seccomp_notif_addfd add = {
		.id = request->notif.id,
		.flags = SECCOMP_ADDFD_FLAG_SEND,
		.srcfd = (__u32)fd,
		.newfd_flags = O_CLOEXEC,
	};
	int error = ioctl(request->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 ? errno : 0;

	close(fd);
	if (!error)
		return;
	fd_collect(); /* a map that was made for nobody */
	answer(request, -error);
}

/* Runs a step for the caller, again if this process had no descriptor to spare for one of the caller's: then the step
 * took that for closed, and did nothing. */
static long for_caller(struct request *request, struct targets *targets, long (*step)(struct request *request))
{
	struct caller *who = &request->caller;
	long result;

	for (int i = 0; i < ATTEMPTS; i++) {
		who->pidfd = target_pidfd(targets, who->tid);
		if (!waits(who)) /* its number may not have been its own any more when it was looked up */
			return -ESRCH;
		caller_begin(who);
		result = step(request);
		caller_end();
		if (!who->no_descriptor)
			return result;
		fd_make_room();
	}
	return -EMFILE;
}

static long run_bpf(struct request *request)
{
	const __u64 *args = request->notif.data.args;
	int cmd = (int)args[0];
	long result = cmd == BPF_PROG_LOAD ? probe_load(pointer(args[1]), (unsigned)args[2])
					   : usermap_bpf(cmd, pointer(args[1]), (unsigned)args[2]);

	return result < 0 ? -errno : result;
}

/* Lets the descriptor that is to be mapped have a fresh description. 0 or -errno. Another thread of the caller that closes
 * it just now would find it there: a program that maps a descriptor and closes it at once doesn't know what it maps. */
static int replace(const struct request *request, int fd, int fresh)
{
	struct seccomp_notif_addfd add = {
		.id = request->notif.id,
		.flags = SECCOMP_ADDFD_FLAG_SETFD,
		.srcfd = (__u32)fresh,
		.newfd = (__u32)fd,
		.newfd_flags = target_closes_on_exec(request->caller.tid, fd) ? O_CLOEXEC : 0,
	};

	return ioctl(request->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 ? -errno : 0;
}

static long run_mmap(struct request *request)
{
	const __u64 *args = request->notif.data.args;
	struct mapping m = { pointer(args[0]), args[1], (int)args[2], (int)args[3], (off_t)args[5] };
	int fresh, fd = (int)args[4], error = mapping_prepare(fd, &m, &fresh);

	if (!error)
		error = replace(request, fd, fresh);
	if (fresh >= 0)
		close(fresh);
	return error == -EBADF ? 0 : error;
}

static void serve(struct request *request, struct targets *targets)
{
	bool is_bpf = request->notif.data.nr == SYS_bpf;
	long result = for_caller(request, targets, is_bpf ? run_bpf : run_mmap);

	if (result < 0)
		answer(request, result);
	else if (!is_bpf)
		let_through(request);
	else if (gives_descriptor((int)request->notif.data.args[0]))
		answer_descriptor(request, (int)result);
	else
		answer(request, result);
}

static void *work(void *listener)
{
	struct targets targets = { 0 };
	struct request request;

	for (;;) {
		request = (struct request){ .listener = (int)(intptr_t)listener, .caller.waits = waits };
		if (ioctl(request.listener, SECCOMP_IOCTL_NOTIF_RECV, &request.notif) == 0) {
			request.caller.tid = (pid_t)request.notif.pid;
			serve(&request, &targets);
		} else if (errno != EINTR) {
			/* the caller was killed; or there are no callers left, and there never will be */
			struct pollfd more = { .fd = request.listener, .events = POLLIN };

			if (poll(&more, 1, -1) > 0 && more.revents & POLLHUP)
				return NULL;
		}
	}
}

int serve_start(int listener)
{
	cpu_set_t cpus;
	int workers = sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : CPU_COUNT(&cpus), error = 0, started = 0;
	sigset_t all, before;
	pthread_t thread;

	ioctl(listener, SET_FLAGS, SYNC_WAKE_UP); /* an older kernel is slower */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (; started < workers && started < WORKERS_MAX && !error; started += !error)
		error = -pthread_create(&thread, NULL, work, (void *)(intptr_t)listener);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started ? 0 : error;
}
