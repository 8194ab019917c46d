/*
 * Mode `nsenter`: runs one more process in a container that runs already, and is its parent outside.
 *
 * Parent: the launcher, which it does not need. It dies when its process has ended and everything was said; when its
 * connection closes first, it kills the process.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "exec_record.h"
#include "launch.h"
#include "process.h"
#include "session.h"
#include "util.h"

#define CGROUPS_MAX 32

/* target PID START_TIME: pinned by a pidfd first and compared then, so a reused pid is never entered. */
static int open_target(const struct op *op) {
  pid_t pid = (pid_t)op_number(op, 1, 0);
  int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (pidfd < 0) return fail("target", "pidfd_open", op_text(op, 1));
  if (process_start_time(pid) != op_number(op, 2, -2)) {
    close(pidfd);
    errno = ESRCH;
    return fail("target", "pidfd_open", op_text(op, 1));
  }
  return pidfd;
}

static _Noreturn void child_main(const struct plan *plan, struct stdio *stdio, bool tty, int target, const int *cgroups, size_t count, int sync) {
  wire_open(sync, false);
  signal(SIGPIPE, SIG_DFL);
  /* CVE-2016-9962: nobody inside may trace us between our entering and the exec. */
  (void)prctl(PR_SET_DUMPABLE, 0);
  bool user_namespace = process_namespaces(plan) & CLONE_NEWUSER;
  if (cgroup_join(cgroups, count) == 0 && process_prepare(plan) == 0) {
    if (setns(target, process_namespaces(plan)) < 0) fail("namespaces", "setns", "");
    else if (user_namespace && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)) fail("user-namespace", "setresuid", "0");
    else if (process_stdio(plan, stdio, tty, sync) == 0) process_exec(plan, 1);
  }
  _exit(127);
}

static void owner_gone(struct session *session) {
  if (session->pid > 0) (void)syscall(SYS_pidfd_send_signal, session->pidfd, SIGKILL, NULL, 0);
}

static int start(struct session *session, const struct plan *plan, struct stdio *stdio) {
  int cgroups[CGROUPS_MAX], sync[2], master = -1;
  const struct op *target_op = plan_find(plan, "target");
  if (!target_op) {
    errno = EINVAL;
    return fail("target", "plan", "");
  }
  cleanup_close int target = open_target(target_op);
  if (target < 0) return -1;
  int count = cgroup_open(plan, cgroups, countof(cgroups));
  if (count < 0) return -1;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sync) < 0) return fail("exec", "socketpair", "");
  /* Only children move into a pid namespace: so we may, and stay outside ourselves. */
  if (plan_find(plan, "pid-namespace") && setns(target, CLONE_NEWPID) < 0) return fail("namespaces", "setns", "pid");
  pid_t child = fork();
  if (child < 0) return fail("exec", "fork", "");
  if (child == 0) {
    close(sync[0]);
    child_main(plan, stdio, session->tty, target, cgroups, (size_t)count, sync[1]);
  }
  session->pid = child;
  close(sync[1]);
  for (int i = 0; i < count; i++) close(cgroups[i]);
  cleanup_closep(&stdio->in);
  cleanup_closep(&stdio->out);
  cleanup_closep(&stdio->err);
  if (session->tty) master = process_master(sync[0]);
  int result = process_await_exec(sync[0]);
  close(sync[0]);
  if (result == 0) result = session_watch(session, child, master);
  if (result < 0) {
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  }
  return result;
}

/* One pipe for both: the order in which the process writes is the order in which it is read. */
static int merge_outputs(struct session *session, struct stdio *stdio) {
  cleanup_closep(&session->err.fd);
  session->err.fd = -1;
  cleanup_closep(&stdio->err);
  stdio->err = fcntl(stdio->out, F_DUPFD_CLOEXEC, 3);
  return stdio->err < 0 ? fail("stdio", "fcntl", "") : 0;
}

/* A container's processes end with its first one. With a pid namespace of its own the kernel sees to that; else we do. */
static struct loop_source target_source;

static void on_target(struct loop_source *source, uint32_t events) {
  (void)events;
  struct session *session = source->context;
  loop_remove(&session->loop, source);
  owner_gone(session);
}

static int watch_target(struct session *session, const struct plan *plan) {
  int fd = open_target(plan_find(plan, "target"));
  if (fd < 0) {
    owner_gone(session); /* It ended meanwhile. */
    return 0;
  }
  target_source = (struct loop_source){fd, on_target, session};
  return loop_add(&session->loop, &target_source, EPOLLIN) < 0 ? fail("exec", "epoll_ctl", "target") : 0;
}

/* Others can join by a socket while it runs, and read how it goes. */
static int announce(struct session *session, const struct plan *plan) {
  const struct op *record = plan_find(plan, "exec-record");
  char body[256], socket[4096];
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  snprintf(body, sizeof body, ",\"pid\":%d,\"startTime\":%lld,\"monitor\":%d,\"monitorStartTime\":%lld,\"startedAtMs\":%lld.%06ld", session->pid,
           process_start_time(session->pid), getpid(), process_start_time(getpid()), (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000, now.tv_nsec % 1000000);
  if (record) {
    snprintf(socket, sizeof socket, "%s.sock", op_text(record, 1));
    if (session_listen(session, socket) < 0) return -1;
    exec_record_write(record, body);
  }
  fact_json("started", "%s", body + 1);
  return 0;
}

static void finish(struct session *session, const struct plan *plan, int64_t begun) {
  const struct op *record = plan_find(plan, "exec-record");
  int status = session->exit_status;
  char body[256], socket[4096];
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  snprintf(body, sizeof body, ",\"exitCode\":%d,\"signal\":%d,\"oomKilled\":false,\"durationMs\":%lld,\"finishedAtMs\":%lld.%06ld",
           WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0, (long long)(now_ms() - begun),
           (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000, now.tv_nsec % 1000000);
  if (record) {
    snprintf(socket, sizeof socket, "%s.sock", op_text(record, 1));
    (void)unlink(socket);
    exec_record_write(record, body);
  }
  fact_json("exit", "%s", body + 1);
}

int nsenter_main(const struct plan *plan, int connection) {
  static struct session session;
  struct stdio stdio;
  prctl(PR_SET_NAME, "tsc-exec");
  if (session_open(&session, plan_find(plan, "keep-stdin") != NULL, plan_find(plan, "tty") != NULL, &stdio) < 0) return 1;
  if (plan_find(plan, "merged") && !session.tty && merge_outputs(&session, &stdio) < 0) return 1;
  int64_t begun = now_ms();
  if (start(&session, plan, &stdio) < 0) return 1;
  session.owner_gone = owner_gone;
  if (announce(&session, plan) < 0 || watch_target(&session, plan) < 0 || session_own(&session, connection, plan_find(plan, "unattached") == NULL) < 0) {
    owner_gone(&session);
    return 1;
  }
  session_run(&session);
  finish(&session, plan, begun);
  session_close(&session);
  return 0;
}
