/* The last steps of a process on its way into a container: who it is, what it may do, and exec. */
#ifndef TSC_PROCESS_H
#define TSC_PROCESS_H

#include "session.h"
#include "wire.h"

/*
 * Opens the container's pty (from its own devpts, mounted by now) or takes the pipes, becomes a session leader with
 * them as its standard streams. For a pty the master is sent over sync. 0, or -1 after fail().
 */
int process_stdio(const struct plan *plan, struct stdio *stdio, bool tty, int sync);
/* Puts the pty, by now the standard input, on /dev/console as well: for a container's first process. 0, or -1 after fail(). */
int process_console(void);
/*
 * What is said in the host's /proc, so before that is out of sight: oom-score-adj; and apparmor, whose file is kept open
 * for process_exec. 0, or -1 after fail().
 */
int process_prepare(const struct plan *plan);
/*
 * cwd, limits, groups and user, capabilities, seccomp, in the order in which each can still be done; then exec.
 * Returns only when that failed, after fail(): stage "exec" when it was the command itself.
 */
int process_exec(const struct plan *plan, pid_t monitor);
/* Waits for the exec: sync closes without a word when it worked; else the failure is passed on as ours. 0 or -1. */
int process_await_exec(int sync);
/* When the process began, in clock ticks since boot: with its pid, its name for good. -1 when there is none. */
long long process_start_time(pid_t pid);
/* Receives the master that process_stdio sent. */
int process_master(int sync);
/* The CLONE_NEW… flags of the "namespaces" op: those to make, or those of another process to enter. */
int process_namespaces(const struct plan *plan);
/* Writes "0" to cgroup files that were opened before, so that the caller joins them. */
int cgroup_join(const int *fds, size_t count);
/* Opens the files of all "cg-join" ops. Their number, or -1 after fail(). */
int cgroup_open(const struct plan *plan, int *fds, size_t size);

#endif
