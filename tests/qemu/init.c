/* SPDX-License-Identifier: MIT */
/*
 * The first and only system program of the guest that guest.py boots: runs the tests that /tests lists, one after the
 * other, and says on the console how each ended. A line of /tests is a time limit in seconds, a name without blanks, and the
 * command, all separated by single blanks.
 *
 * Results stand in lines of their own, "guest: ok NAME: TIME" or "guest: failed NAME: WHY"; the last one is "guest: over". On
 * x86-64 the guest ends through QEMU's debug exit with a code that nothing else gives; elsewhere it powers off.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <sys/io.h>
#endif

#define EXIT_PORT 0xf4 /* iobase of isa-debug-exit */
#define EXIT_CODE 0x10 /* QEMU's status becomes 2 * this + 1 = 33 */
#define MAX_ARGS  32

static void mount_all(void)
{
	static const struct {
		const char *type, *at;
	} mounts[] = { { "devtmpfs", "/dev" },	{ "proc", "/proc" }, { "sysfs", "/sys" },
		       { "tmpfs", "/dev/shm" }, { "tmpfs", "/tmp" }, { "bpf", "/sys/fs/bpf" } };

	for (size_t i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].at, 0777);
		if (mount(mounts[i].type, mounts[i].at, mounts[i].type, 0, NULL) != 0)
			printf("guest: can't mount %s: %s\n", mounts[i].at, strerror(errno));
	}
}

/* In the child: what PID 1 got from the kernel is no fit environment for a test. */
static void become(char **command)
{
	setsid();
	clearenv();
	setenv("PATH", "/", 1);
	setenv("LD_LIBRARY_PATH", "/lib", 1);
	execv(command[0], command);
	printf("guest: can't run %s: %s\n", command[0], strerror(errno));
	fflush(stdout);
	_exit(127);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Waits for the test until its time is over, and kills what is left of it. Orphans that the tests leave end here, too. */
static bool wait_until(pid_t pid, double deadline, int *status)
{
	sigset_t child;
	pid_t ended;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	while ((ended = waitpid(-1, status, WNOHANG)) != pid && now() < deadline) {
		const struct timespec second = { 1, 0 };

		if (ended <= 0)
			sigtimedwait(&child, NULL, &second);
	}
	kill(-pid, SIGKILL);
	if (ended != pid)
		waitpid(pid, status, 0);
	return ended == pid;
}

static void run(double limit, const char *name, char **command)
{
	double begin = now();
	int status;

	printf("guest: begin %s\n", name);
	fflush(stdout);

	pid_t pid = fork();

	if (pid == 0)
		become(command);

	bool in_time = pid > 0 && wait_until(pid, begin + limit, &status);

	if (pid < 0)
		printf("guest: failed %s: no process\n", name);
	else if (!in_time)
		printf("guest: failed %s: not over after %.0f s\n", name, limit);
	else if (WIFSIGNALED(status))
		printf("guest: failed %s: killed by signal %d\n", name, WTERMSIG(status));
	else if (WEXITSTATUS(status) != 0)
		printf("guest: failed %s: exit status %d\n", name, WEXITSTATUS(status));
	else
		printf("guest: ok %s: %.1f s\n", name, now() - begin);
	fflush(stdout);
}

static void run_all(FILE *list)
{
	char *line = NULL, *args[MAX_ARGS + 1];
	size_t room = 0;

	while (getline(&line, &room, list) > 0) {
		unsigned n = 0;

		for (char *arg = strtok(line, " \n"); arg && n < MAX_ARGS; arg = strtok(NULL, " \n"))
			args[n++] = arg;
		args[n] = NULL;
		if (n >= 3)
			run(strtod(args[0], NULL), args[1], args + 2);
	}
	free(line);
}

int main(void)
{
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	mount_all();

	FILE *list = fopen("/tests", "re");

	if (list)
		run_all(list);
	else
		printf("guest: can't open /tests\n");
	printf("guest: over\n");
	fflush(stdout);
	tcdrain(STDOUT_FILENO); /* else the machine is gone before its last lines are out */
#ifdef __x86_64__
	if (ioperm(EXIT_PORT, 4, 1) == 0)
		outb(EXIT_CODE, EXIT_PORT);
#endif
	reboot(RB_POWER_OFF);
	return 1;
}
