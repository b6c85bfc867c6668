/* SPDX-License-Identifier: MIT */
/*
 * The workers: each takes a request when it is its turn (turn.c), runs it on the command face for its caller
 * (face/caller.h), and answers.
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
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <usermap/bpf.h>

#include "face/caller.h"
#include "face/fd.h"
#include "face/mapping.h"
#include "face/probe.h"
#include "seccomp/target.h"
#include "seccomp/turn.h"

/* Newer than most headers: the caller goes on where its worker ran, which saves waiting for another processor. */
#define SET_FLAGS    _IOW('!', 4, uint64_t)
#define SYNC_WAKE_UP 1u

#define WORKERS_MIN 2u /* a request may wait for another */
#define WORKERS_MAX 64u
#define ATTEMPTS    3
#define HABITS	    64u

struct worker {
	unsigned number; /* from 1 on */
	int listener;
	struct targets targets;
	struct caller_habit habits[HABITS]; /* tid 0: none */
};

struct request {
	struct caller caller; /* the first: callbacks get no more */
	struct worker *worker;
	struct seccomp_notif notif;
};

static bool waits(const struct caller *who)
{
	const struct request *request = (const struct request *)who;

	return ioctl(request->worker->listener, SECCOMP_IOCTL_NOTIF_ID_VALID, &request->notif.id) == 0;
}

static int duplicate(const struct caller *who, int fd)
{
	return target_duplicate(&((const struct request *)who)->worker->targets, who->tid, fd);
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
	ioctl(request->worker->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

static void let_through(const struct request *request)
{
	struct seccomp_notif_resp response = { .id = request->notif.id, .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

	ioctl(request->worker->listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
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

/* A command on one element. */
static bool on_element(const struct request *request)
{
	switch (request->notif.data.args[0]) {
	case BPF_MAP_LOOKUP_ELEM:
	case BPF_MAP_UPDATE_ELEM:
	case BPF_MAP_DELETE_ELEM:
	case BPF_MAP_GET_NEXT_KEY:
	case BPF_MAP_LOOKUP_AND_DELETE_ELEM:
		return request->notif.data.nr == SYS_bpf;
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
	int error = ioctl(request->worker->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 ? errno : 0;

	close(fd);
	if (!error)
		return;
	fd_collect(); /* a map that was made for nobody */
	answer(request, -error);
}

/* Runs a step for the caller, again if this process had no descriptor to spare for one of the caller's: then the step
 * took that for closed, and did nothing. */
static long for_caller(struct request *request, long (*step)(struct request *request))
{
	struct caller *who = &request->caller;
	long result;

	for (int i = 0; i < ATTEMPTS; i++) {
		caller_begin(who);
		result = step(request);
		caller_end();
		if (!who->no_descriptor)
			return result;
		fd_make_room();
	}
	return -EMFILE;
}

/* Of commands like the request's, of its caller. */
static struct caller_habit *habit_of(struct request *request)
{
	pid_t tid = request->caller.tid;
	int cmd = (int)request->notif.data.args[0];
	struct caller_habit *habit = &request->worker->habits[((unsigned)tid * 8 + (unsigned)cmd) % HABITS];

	if (habit->tid != tid || habit->cmd != cmd)
		*habit = (struct caller_habit){ .tid = tid, .cmd = cmd };
	return habit;
}

static long run_bpf(struct request *request)
{
	const __u64 *args = request->notif.data.args;
	void *attr = pointer(args[1]);
	unsigned size = (unsigned)args[2];
	int cmd = (int)args[0];
	long result;

	if (on_element(request))
		caller_read_ahead(attr, size, habit_of(request));
	result = cmd == BPF_PROG_LOAD ? probe_load(attr, size) : usermap_bpf(cmd, attr, size);
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

	return ioctl(request->worker->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 ? -errno : 0;
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

static void serve(struct request *request)
{
	int cmd = (int)request->notif.data.args[0];
	bool is_bpf = request->notif.data.nr == SYS_bpf;
	long result;

	request->caller.tid = (pid_t)request->notif.pid;
	request->caller.waits = waits;
	request->caller.duplicate = duplicate;
	request->caller.only_looks = is_bpf && (cmd == BPF_MAP_LOOKUP_ELEM || cmd == BPF_MAP_GET_NEXT_KEY);
	result = for_caller(request, is_bpf ? run_bpf : run_mmap);
	if (result < 0)
		answer(request, result);
	else if (!is_bpf)
		let_through(request);
	else if (gives_descriptor(cmd))
		answer_descriptor(request, (int)result);
	else
		answer(request, result);
}

/* Whether there may be more. */
static bool receive(struct request *request)
{
	struct pollfd more = { .fd = request->worker->listener, .events = POLLIN };

	for (;;) {
		memset(&request->notif, 0, sizeof(request->notif));
		if (ioctl(more.fd, SECCOMP_IOCTL_NOTIF_RECV, &request->notif) == 0)
			return true;
		/* unless by a signal: the caller was killed; or there are no callers left, and there never will be */
		if (errno != EINTR && poll(&more, 1, -1) > 0 && more.revents & POLLHUP)
			return false;
	}
}

static void *work(void *of_worker)
{
	struct worker *me = of_worker;
	struct request request;
	bool wanted, kept;

	request.worker = me;
	for (;;) {
		turn_take(me->number);
		wanted = turn_is_wanted(me->listener);
		if (!receive(&request))
			return NULL;
		kept = turn_received(me->number, (pid_t)request.notif.pid, !wanted && on_element(&request));
		serve(&request);
		if (kept)
			turn_served(me->number);
	}
}

/* How many there should be. */
static unsigned choose_workers(void)
{
	cpu_set_t cpus;
	unsigned n = sched_getaffinity(0, sizeof(cpus), &cpus) ? 0 : (unsigned)CPU_COUNT(&cpus);

	return n < WORKERS_MIN ? WORKERS_MIN : n > WORKERS_MAX ? WORKERS_MAX : n;
}

int serve_start(int listener)
{
	static struct worker workers[WORKERS_MAX];
	unsigned n = choose_workers(), started = 0;
	sigset_t all, before;
	pthread_t thread;
	int error;

	ioctl(listener, SET_FLAGS, SYNC_WAKE_UP); /* an older kernel is slower */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = turn_start_watch();
	for (; started < n && !error; started += !error) {
		workers[started] = (struct worker){ .number = started + 1, .listener = listener };
		error = -pthread_create(&thread, NULL, work, &workers[started]);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started ? 0 : error;
}
