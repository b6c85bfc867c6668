/* SPDX-License-Identifier: MIT */
/*
 * A program under supervision: its bpf(2) is answered by its parent, whatever the program is made of.
 *
 * The child puts the filter over itself (filter.c), sends the listener to its parent, and executes the program. All
 * that comes of it has the same filter, so the parent goes on until the listener says that nobody is left, and then ends
 * as the program did. To look into other processes one must be an ancestor of theirs (yama); so children
 * whose parents end become this process's (PR_SET_CHILD_SUBREAPER).
 *
 * Signals for the program are passed on, but those that a terminal sends, as everybody in the foreground gets these. If
 * this process is killed, bpf(2) fails with ENOSYS in what it has left.
 */
#include "seccomp/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "face/registry.h"
#include "seccomp/filter.h"
#include "seccomp/serve.h"

static const int forwarded[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2 };

struct child {
	pid_t pid;
	bool ended;
	int status;
};

/* A message that carries one descriptor. */
union passenger {
	char room[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static bool send_fd(int socket, int fd)
{
	char byte = 0;
	struct iovec data = { &byte, 1 };
	union passenger passenger = { 0 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = &passenger, .msg_controllen = sizeof(passenger)
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(socket, &message, MSG_NOSIGNAL) == 1;
}

/* -1: the other end was closed. */
static int receive_fd(int socket)
{
	char byte;
	struct iovec data = { &byte, 1 };
	union passenger passenger = { 0 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1, .msg_control = &passenger, .msg_controllen = sizeof(passenger)
	};
	const struct cmsghdr *header;
	int fd = -1;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1 && (header = CMSG_FIRSTHDR(&message)) &&
	    header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

static int refuse(int error, int failure)
{
	fprintf(stderr, "usermap-run: --seccomp: %s\n",
		error == -EBUSY	   ? "it is supervised by another program already"
		: error == -EINVAL ? "this needs Linux 5.19"
				   : strerror(-error));
	return failure;
}

/* In the child. What to exit with, unless the program was executed. */
static int become(int (*execute)(char **argv), char **argv, int socket, int failure)
{
	int listener = filter_install();

	if (listener < 0)
		return refuse(listener, failure);
	if (!send_fd(socket, listener))
		return refuse(-errno, failure);
	close(listener);
	return execute(argv);
}

static void reap(struct child *child)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		if (pid == child->pid) {
			child->ended = true;
			child->status = status;
		}
}

static void take_signal(int signals, struct child *child)
{
	struct signalfd_siginfo got;

	if (read(signals, &got, sizeof(got)) != (ssize_t)sizeof(got))
		return;
	if (got.ssi_signo == SIGCHLD)
		reap(child);
	else if (!child->ended && got.ssi_code != SI_KERNEL)
		kill(child->pid, (int)got.ssi_signo);
}

/* Until nobody is left. */
static void attend(int listener, int signals, struct child *child)
{
	struct pollfd wait[] = { { .fd = listener }, { .fd = signals, .events = POLLIN } };

	while (!(wait[0].revents & POLLHUP))
		if (poll(wait, 2, -1) > 0 && wait[1].revents & POLLIN)
			take_signal(signals, child);
	if (!child->ended)
		waitpid(child->pid, &child->status, 0);
}

/* Ends as the child did; returns what to exit with. */
static int repeat(int status)
{
	struct rlimit none = { 0, 0 };
	sigset_t one;

	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	setrlimit(RLIMIT_CORE, &none); /* one is enough */
	signal(WTERMSIG(status), SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, WTERMSIG(status));
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	raise(WTERMSIG(status));
	return 128 + WTERMSIG(status);
}

/* Lets go of the caller's descriptors, which others may wait to see closed. Nothing of the library's is open yet. What goes to
 * standard error is still to be seen. */
static void let_go(int one, int other)
{
	unsigned low = (unsigned)(one < other ? one : other), high = (unsigned)(one < other ? other : one);

	if (low > 3)
		close_range(3, low - 1, 0);
	if (high > low + 1)
		close_range(low + 1, high - 1, 0);
	close_range(high + 1, ~0u, 0);
}

/* Lets go of the rest; takes what will be needed: a descriptor for each map. */
static void settle(void)
{
	struct rlimit limit;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static int attend_child(int socket, int signals, struct child *child, int failure)
{
	int listener = receive_fd(socket), error;

	if (listener < 0) {
		waitpid(child->pid, &child->status, 0); /* it couldn't; it has said why */
		return WIFEXITED(child->status) ? WEXITSTATUS(child->status) : failure;
	}
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	let_go(listener, signals);
	error = serve_start(listener);
	if (error) {
		kill(child->pid, SIGKILL);
		return refuse(error, failure);
	}
	settle();
	attend(listener, signals, child);
	registry_sweep(); /* maps that went with the last of them */
	return repeat(child->status);
}

int supervise(int (*execute)(char **argv), char **argv, int failure)
{
	struct child child = { 0 };
	sigset_t watched, before;
	int sockets[2], signals;

	sigemptyset(&watched);
	sigaddset(&watched, SIGCHLD);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		sigaddset(&watched, forwarded[i]);
	sigprocmask(SIG_BLOCK, &watched, &before);
	signals = signalfd(-1, &watched, SFD_CLOEXEC);
	if (signals < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) || (child.pid = fork()) < 0)
		return refuse(-errno, failure);
	if (child.pid == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		close(sockets[0]);
		_exit(become(execute, argv, sockets[1], failure));
	}
	close(sockets[1]);
	return attend_child(sockets[0], signals, &child, failure);
}
