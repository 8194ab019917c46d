/*
 * Mode `unshare`: the monitor of one container.
 *
 * Parent: the launcher, which it does not need. It makes the cgroups, clones the container's first process into new
 * namespaces, hands it its id maps and network devices, and waits for its exec. Then it holds the standard streams,
 * writes the log, serves whoever connects, forwards published ports and, in the end, records how it went and takes away
 * what the kernel does not. It dies with the container; a container with `lifetime process` dies with its owner's
 * connection, which the kernel closes however the owner ended.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>

#include "device.h"
#include "freezer.h"
#include "health.h"
#include "journal.h"
#include "launch.h"
#include "log.h"
#include "modes.h"
#include "monitor_net.h"
#include "process.h"
#include "restart.h"
#include "rootfs.h"
#include "session.h"
#include "util.h"

#define CGROUPS_MAX 32

struct monitor {
  struct session session;
  const struct plan *plan;
  struct stdio stdio;
  int cgroups[CGROUPS_MAX];
  size_t cgroup_count;
  struct timespec started;
  long long oom_kills; /* of its former runs */
  struct restart restart;
  struct health *health;
  bool kept; /* what is to be done at its end is not */
};

/* --- cgroups --- */

static int make_cgroups(const struct plan *plan) {
  for (size_t i = 0; i < plan->count; i++) {
    const struct op *op = &plan->ops[i];
    if (op_is(op, "cg-mkdir")) {
      if (mkdir(op_text(op, 1), 0755) < 0 && errno != EEXIST) return fail("cgroup", "mkdir", op_text(op, 1));
    } else if (op_is(op, "cg-write")) {
      /* The third field is the user's option, so that a refusal names what was asked for. */
      if (write_file(AT_FDCWD, op_text(op, 1), op_text(op, 2), op->fields[2].length) < 0) return fail("limit", op_text(op, 3), op_text(op, 2));
    } else if (op_is(op, "cg-devices")) {
      if (device_attach(op) < 0) return -1;
    }
  }
  return 0;
}

/* cg-kill FILE, on version 2, or cg-kill PROCS PIDS_MAX: whatever is left in the container. With a pid namespace of its
 * own the kernel does that; without, this does. */
static void kill_cgroup(const struct plan *plan) {
  const struct op *op = plan_find(plan, "cg-kill");
  char text[16384], most[32] = "";
  if (!op) return;
  if (op->count == 2) {
    (void)write_file(AT_FDCWD, op_text(op, 1), "1", 1);
    return;
  }
  /* Nothing forks away from us then. Put back below: it may be started again. */
  if (*op_text(op, 2)) {
    if (read_file(AT_FDCWD, op_text(op, 2), most, sizeof most) < 0) *most = 0;
    (void)write_file(AT_FDCWD, op_text(op, 2), "0", 1);
  }
  for (int64_t until = now_ms() + 2000; now_ms() < until; usleep(1000)) {
    /* One whole page of them at a time; the next round has the rest. */
    ssize_t n = read_file(AT_FDCWD, op_text(op, 1), text, sizeof text);
    if (n <= 0) break;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
      *end = 0;
      pid_t pid = (pid_t)atoi(line);
      if (pid > 0) (void)kill(pid, SIGKILL);
    }
  }
  if (*most) (void)write_file(AT_FDCWD, op_text(op, 2), most, strlen(most));
}

static void process_gone(struct session *session) { kill_cgroup(((struct monitor *)session)->plan); }

static void remove_cgroups(const struct plan *plan) {
  for (size_t i = 0; i < plan->count; i++) {
    if (!op_is(&plan->ops[i], "cg-rmdir")) continue;
    for (unsigned k = 1; k < plan->ops[i].count; k++)
      /* What was killed a moment ago may not be off the books yet. What stays is swept when an engine opens. */
      for (int attempt = 0; rmdir(op_text(&plan->ops[i], k)) < 0 && errno == EBUSY && attempt < 50; attempt++) usleep(1000);
  }
}

/* How many processes of the container were killed for want of memory. The counter is the kernel's. */
static long long oom_kills(const struct plan *plan) {
  const struct op *op = plan_find(plan, "cg-oom");
  char text[1024], key[64];
  if (!op || read_file(AT_FDCWD, op_text(op, 1), text, sizeof text) < 0) return 0;
  snprintf(key, sizeof key, "%s ", op_text(op, 2));
  for (char *line = text; line; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, key, strlen(key)) == 0) return atoll(line + strlen(key));
  }
  return 0;
}

/* --- the container's side of the clone --- */

/* ns-join KIND PATH [PID START_TIME]: an existing namespace instead of a new one, and whose it has to be. A pid namespace is joined by the monitor, since only
 * children move into it; the others by the child, since the monitor's proxies must listen where the host's are. */
static int join_namespaces(const struct plan *plan, bool pid) {
  for (size_t i = 0; i < plan->count; i++) {
    if (!op_is(&plan->ops[i], "ns-join") || (strcmp(op_text(&plan->ops[i], 1), "pid") == 0) != pid) continue;
    cleanup_close int fd = open(op_text(&plan->ops[i], 2), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail("namespaces", "open", op_text(&plan->ops[i], 2));
    /* It began when it should have, and we have it open: so it was that process, and not one with its pid. */
    if (plan->ops[i].count > 4 && process_start_time((pid_t)op_number(&plan->ops[i], 3, 0)) != op_number(&plan->ops[i], 4, -2)) {
      errno = ESRCH;
      return fail("namespaces", "open", op_text(&plan->ops[i], 2));
    }
    if (setns(fd, 0) < 0) return fail("namespaces", "setns", op_text(&plan->ops[i], 2));
  }
  return 0;
}

static int child_setup(struct monitor *monitor, int sync) {
  const struct plan *plan = monitor->plan;
  struct rootfs root = {.fd = -1};
  char go;
  bool networked = false;
  if (cgroup_join(monitor->cgroups, monitor->cgroup_count) < 0 || process_prepare(plan) < 0 || join_namespaces(plan, false) < 0) return -1;
  if (plan_find(plan, "user-namespace")) {
    /* The maps are written by the monitor; until then we are nobody. */
    if (read_all(sync, &go, 1) < 0) return fail("user-namespace", "read", "");
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) return fail("user-namespace", "setresuid", "0");
  }
  if (plan_find(plan, "cgroup-namespace") && unshare(CLONE_NEWCGROUP) < 0) return fail("namespaces", "unshare", "cgroup");
  if (rootfs_early(&root, plan) < 0) return -1;
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return fail("namespaces", "mount", "/");
  for (size_t i = 0; i < plan->count; i++) {
    const struct op *op = &plan->ops[i];
    bool known = false;
    if (rootfs_op(&root, op, &known) < 0) return -1;
    if (known) continue;
    if (op_is(op, "hostname")) {
      if (sethostname(op_text(op, 1), op->fields[1].length) < 0) return fail("hostname", "sethostname", op_text(op, 1));
    } else if (op_is(op, "domainname")) {
      if (setdomainname(op_text(op, 1), op->fields[1].length) < 0) return fail("hostname", "setdomainname", op_text(op, 1));
    } else if (strncmp(op->fields[0].text, "net-in-", 7) == 0) {
      /* The first one waits until the monitor has put the device here; what was mounted meanwhile cost no time. */
      if (!networked && read_all(sync, &go, 1) < 0) return fail("network", "read", "");
      networked = true;
      if (net_inside_op(op) < 0) return -1;
    } else if (op_is(op, "sysctl")) {
      if (write_file(AT_FDCWD, op_text(op, 1), op_text(op, 2), op->fields[2].length) < 0) return fail("sysctl", op_text(op, 3), op_text(op, 2));
    }
  }
  return 0;
}

static _Noreturn void child_main(struct monitor *monitor, int sync) {
  bool tty = monitor->session.tty;
  session_restore_limits();
  wire_open(sync, false);
  signal(SIGPIPE, SIG_DFL);
  if (child_setup(monitor, sync) == 0 && process_stdio(monitor->plan, &monitor->stdio, tty, sync) == 0 && (!tty || process_console() == 0))
    process_exec(monitor->plan, getppid() == 0 ? 1 : getppid());
  _exit(127);
}

/* --- the monitor's side --- */

/* user-namespace SETGROUPS UID_MAP GID_MAP: written here, by whoever may. */
static int write_maps(const struct plan *plan, pid_t child) {
  const struct op *op = plan_find(plan, "user-namespace");
  char path[64];
  static const char *const names[] = {"setgroups", "uid_map", "gid_map"};
  for (unsigned i = 0; op && i < countof(names); i++) {
    if (*op_text(op, i + 1) == 0) continue;
    snprintf(path, sizeof path, "/proc/%d/%s", child, names[i]);
    if (write_file(AT_FDCWD, path, op_text(op, i + 1), op->fields[i + 1].length) < 0) return fail("user-namespace", "write", names[i]);
  }
  return 0;
}

static int host_side(struct monitor *monitor, pid_t child, int sync) {
  const struct plan *plan = monitor->plan;
  if (plan_find(plan, "user-namespace")) {
    if (write_maps(plan, child) < 0 || write_all(sync, "u", 1) < 0) return -1;
  }
  bool networked = false;
  for (size_t i = 0; i < plan->count; i++) {
    if (strncmp(plan->ops[i].fields[0].text, "net-in-", 7) == 0) networked = true;
  }
  if (monitor_net_start(&monitor->session, plan, child) < 0) return -1;
  /* A child that has failed meanwhile says why by itself. */
  if (networked) (void)!send(sync, "n", 1, MSG_NOSIGNAL);
  return 0;
}

/* Small files whose readers must never see half of them. */
static void write_whole(const char *path, const char *text) {
  char temporary[4096];
  snprintf(temporary, sizeof temporary, "%s.tmp", path);
  int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return;
  bool whole = write_all(fd, text, strlen(text)) == 0;
  close(fd);
  if (whole) (void)rename(temporary, path);
}

static double ms_of(struct timespec t) { return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6; }

/* Where the kernel says whether it stands still, for whoever wants to know: ,"freezer":PATH,"frozen":LINE */
static void print_freezer(const struct plan *plan, char *out, size_t size) {
  const struct op *op = plan_find(plan, "cg-freezer");
  char path[2048], line[128];
  *out = 0;
  if (!op) return;
  size_t a = json_escape(path, sizeof path, op_text(op, 4), op->fields[4].length), b = json_escape(line, sizeof line, op_text(op, 5), op->fields[5].length);
  if (a < sizeof path && b < sizeof line) snprintf(out, size, ",\"freezer\":\"%.*s\",\"frozen\":\"%.*s\"", (int)a, path, (int)b, line);
}

/* What readers find in the run directory: a process, or that there will be one again. */
static void write_running(const struct plan *plan, const char *body) {
  const struct op *run = plan_find(plan, "run-dir");
  char path[4096], text[3600];
  if (!run) return;
  snprintf(path, sizeof path, "%s/running", op_text(run, 1));
  snprintf(text, sizeof text, "{%s}\n", body);
  write_whole(path, text);
}

static int announce(struct monitor *monitor, bool again) {
  const struct op *run = plan_find(monitor->plan, "run-dir");
  char body[3500], path[4096], freezer[2400];
  clock_gettime(CLOCK_REALTIME, &monitor->started);
  print_freezer(monitor->plan, freezer, sizeof freezer);
  snprintf(body, sizeof body, "\"pid\":%d,\"startTime\":%lld,\"monitor\":%d,\"monitorStartTime\":%lld,\"startedAtMs\":%.6f,\"restarts\":%u%s", monitor->session.pid,
           process_start_time(monitor->session.pid), getpid(), process_start_time(getpid()), ms_of(monitor->started), monitor->restart.count, freezer);
  if (run) {
    snprintf(path, sizeof path, "%s/monitor.sock", op_text(run, 1));
    if (!again && session_listen(&monitor->session, path) < 0) return -1;
    write_running(monitor->plan, body);
  }
  /* By us, so that a short life's start is never written after its end. */
  journal_event(monitor->plan, "container:start", ",\"pid\":%d", monitor->session.pid);
  fact_json("started", "%s,\"journaled\":%s", body, plan_find(monitor->plan, "journal") ? "true" : "false");
  health_begin(monitor->health);
  return 0;
}

static void remove_run_dir(const struct plan *plan) {
  const struct op *run = plan_find(plan, "run-dir");
  static const char *const names[] = {"monitor.sock", "running", "network.json"};
  char path[4096];
  if (!run) return;
  for (size_t i = 0; i < countof(names); i++) {
    snprintf(path, sizeof path, "%s/%s", op_text(run, 1), names[i]);
    (void)unlink(path);
  }
  (void)rmdir(op_text(run, 1));
}

/* As an event has it: {"exitCode":0,"oomKilled":false,…} */
static void journal_exit(const struct monitor *monitor, bool oom, double duration, int64_t delay) {
  int status = monitor->session.exit_status, number = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  char how[64], again[48] = "";
  const char *name = number > 0 && number < 32 ? sigabbrev_np(number) : NULL;
  if (number == 0) snprintf(how, sizeof how, "\"exitCode\":%d", WEXITSTATUS(status));
  else if (name) snprintf(how, sizeof how, "\"signal\":\"SIG%s\"", name);
  else if (number == 34) snprintf(how, sizeof how, "\"signal\":\"SIGRTMIN\"");
  else snprintf(how, sizeof how, number > 34 ? "\"signal\":\"SIGRTMIN+%d\"" : "\"signal\":\"SIG%d\"", number > 34 ? number - 34 : number);
  if (delay >= 0) snprintf(again, sizeof again, ",\"restartInMs\":%lld", (long long)delay);
  if (oom) journal_event(monitor->plan, "container:oom", "%s", "");
  journal_event(monitor->plan, "container:exit", ",\"status\":{%s,\"oomKilled\":%s,\"durationMs\":%.3f}%s", how, oom ? "true" : "false", duration, again);
}

/*
 * The record first, so that a kill in what follows loses nothing; the news last, so that whoever hears of the end finds
 * nothing left of it and may start again. How long until it is started again, or -1.
 */
static int64_t finish(struct monitor *monitor) {
  const struct op *file = plan_find(monitor->plan, "exit-file");
  struct timespec now;
  char body[512], text[600];
  int status = monitor->session.exit_status;
  health_end(monitor->health);
  clock_gettime(CLOCK_REALTIME, &now);
  double duration = ms_of(now) - ms_of(monitor->started);
  long long kills = oom_kills(monitor->plan);
  bool oom = kills > monitor->oom_kills;
  monitor->oom_kills = kills;
  unsigned restarts = monitor->restart.count;
  int64_t delay = restart_delay(&monitor->restart, status, (int64_t)duration);
  snprintf(body, sizeof body, "\"exitCode\":%d,\"signal\":%d,\"oomKilled\":%s,\"startedAtMs\":%.6f,\"finishedAtMs\":%.6f,\"durationMs\":%.3f,\"restarts\":%u",
           WIFEXITED(status) ? WEXITSTATUS(status) : -1, WIFSIGNALED(status) ? WTERMSIG(status) : 0, oom ? "true" : "false", ms_of(monitor->started),
           ms_of(now), duration, delay >= 0 ? monitor->restart.count : restarts);
  snprintf(text, sizeof text, "{%s}\n", body);
  if (file) write_whole(op_text(file, 1), text);
  if (delay >= 0) {
    snprintf(text, sizeof text, "\"monitor\":%d,\"monitorStartTime\":%lld,\"restarting\":true,\"restarts\":%u", getpid(), process_start_time(getpid()),
             monitor->restart.count);
    write_running(monitor->plan, text);
  }
  if (delay < 0) {
    monitor_net_end();
    remove_cgroups(monitor->plan);
    remove_run_dir(monitor->plan);
  }
  journal_exit(monitor, oom, duration, delay);
  bool journaled = plan_find(monitor->plan, "journal") != NULL;
  if (delay >= 0) fact_json("exit", "%s,\"journaled\":%s,\"restartInMs\":%lld", body, journaled ? "true" : "false", (long long)delay);
  else fact_json("exit", "%s,\"journaled\":%s", body, journaled ? "true" : "false");
  return delay;
}

static void owner_gone(struct session *session) {
  struct monitor *monitor = (struct monitor *)session; /* Its first member. */
  monitor->restart.stopped = true;
  if (session->pid > 0) (void)syscall(SYS_pidfd_send_signal, session->pidfd, SIGKILL, NULL, 0);
  freezer_thaw(monitor->plan);
}

/* kill, as Docker has it: what ends the container ends its restarts, and thaws it, or the signal would have to wait. */
static bool on_op(struct session *session, const struct op *op) {
  struct monitor *monitor = (struct monitor *)session;
  if (op_is(op, "restart")) restart_change(&monitor->restart, op);
  else if (op_is(op, "keep")) monitor->kept = true;
  else if (op_is(op, "describe")) journal_describe(op_text(op, 1), op->count > 1 ? op->fields[1].length : 0);
  else if (op_is(op, "kill")) {
    int number = (int)op_number(op, 1, SIGKILL);
    if (!session->exited && syscall(SYS_pidfd_send_signal, session->pidfd, number, NULL, 0) < 0 && errno != ESRCH) fail("kill", "pidfd_send_signal", "");
    if (op_number(op, 2, 0) == 0 && !restart_ends(&monitor->restart, number)) return true;
    monitor->restart.stopped = true;
    freezer_thaw(monitor->plan);
  } else return false;
  return true;
}

static int start_log(struct monitor *monitor) {
  const struct op *op = plan_find(monitor->plan, "log");
  if (!op) return 0;
  monitor->session.log = log_new(op);
  return monitor->session.log ? 0 : fail("log", "malloc", op_text(op, 1));
}

/* Ours for as long as we live, so that no second monitor of the same container gets to where it would disturb the first. What a
 * killed one has left is in the way of nothing but the socket. */
static int claim_run_dir(const char *path) {
  char socket_path[4096];
  if (mkdir(path, 0700) < 0 && errno != EEXIST) return fail("monitor", "mkdir", path);
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail("monitor", "open", path);
  if (flock(fd, LOCK_EX | LOCK_NB) < 0) return fail("monitor", "flock", path);
  snprintf(socket_path, sizeof socket_path, "%s/monitor.sock", path);
  (void)unlink(socket_path);
  return 0;
}

/* Its upper directory is this container's for as long as we live: whoever works on the files of one that is stopped holds
 * the same lock, and we wait until that is done. */
static int hold_upper(const struct plan *plan) {
  const struct op *root = plan_find(plan, "root-overlay");
  if (!root || !*op_text(root, 3)) return 0;
  int fd = open(op_text(root, 3), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail("root", "open", op_text(root, 3));
  if (RETRY_EINTR(flock(fd, LOCK_EX)) < 0) return fail("root", "flock", op_text(root, 3));
  if (strstr(op_text(root, 5), "volatile")) rootfs_forget_volatile(op_text(root, 4));
  return 0;
}

/* What is there once, however often the container is started. Its cgroups stay, too, with the limits that were changed meanwhile. */
static int prepare(struct monitor *monitor) {
  const struct plan *plan = monitor->plan;
  const struct op *run = plan_find(plan, "run-dir");
  restart_open(&monitor->restart, plan);
  if (run && claim_run_dir(op_text(run, 1)) < 0) _exit(1);
  if (hold_upper(plan) < 0 || make_cgroups(plan) < 0 || start_log(monitor) < 0 || monitor_net_prepare(&monitor->session, plan) < 0) return -1;
  monitor->health = health_new(&monitor->session, plan, &monitor->restart);
  return monitor->health || errno == 0 ? 0 : -1;
}

/* Everything up to the running container. */
static int start(struct monitor *monitor, bool again) {
  const struct plan *plan = monitor->plan;
  int sync[2], master = -1;
  int count = cgroup_open(plan, monitor->cgroups, countof(monitor->cgroups));
  if (count < 0) return -1;
  monitor->cgroup_count = (size_t)count;
  if (join_namespaces(plan, true) < 0) return -1;
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sync) < 0) return fail("monitor", "socketpair", "");
  int flags = process_namespaces(plan);
  /* A network namespace belongs to the user namespace that it was made in: one made in advance will not do for another. */
  bool spare = flags & CLONE_NEWNET && !(flags & CLONE_NEWUSER) && launch_enter_spare_network() == 0;
  pid_t child = (pid_t)syscall(SYS_clone, (flags & ~(spare ? CLONE_NEWNET : 0)) | SIGCHLD, 0, 0, 0, 0);
  int cloned = errno;
  if (spare && child != 0 && launch_leave_spare_network() < 0) {
    fail("namespaces", "setns", "net");
    if (child > 0) kill(child, SIGKILL);
    return -1;
  }
  errno = cloned;
  if (child < 0) return fail("namespaces", "clone", "");
  if (child == 0) {
    close(sync[0]);
    child_main(monitor, sync[1]);
  }
  monitor->session.pid = child;
  close(sync[1]);
  launch_drop_spare_network();
  session_raise_limits();
  for (size_t i = 0; i < monitor->cgroup_count; i++) close(monitor->cgroups[i]);
  cleanup_closep(&monitor->stdio.in);
  cleanup_closep(&monitor->stdio.out);
  cleanup_closep(&monitor->stdio.err);
  int result = host_side(monitor, child, sync[0]);
  if (result == 0 && monitor->session.tty) master = process_master(sync[0]);
  if (result < 0) kill(child, SIGKILL);
  /* Also when our side failed: it may have done so because the child had, and then the child knows why. */
  if (process_await_exec(sync[0]) < 0) result = -1;
  close(sync[0]);
  if (result == 0) result = session_watch(&monitor->session, child, master);
  if (result == 0) result = announce(monitor, again);
  if (result < 0) {
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
  }
  return result;
}

/* It is not going to be started again after all: what was left of it for that goes, and whoever waits hears of it. */
static void give_up(struct monitor *monitor) {
  monitor_net_end();
  remove_cgroups(monitor->plan);
  remove_run_dir(monitor->plan);
  fact("over", NULL);
}

/* Until it has ended for good. */
static void run(struct monitor *monitor) {
  for (;;) {
    session_run(&monitor->session);
    int64_t delay = finish(monitor);
    if (delay < 0) return;
    session_wait(&monitor->session, delay, &monitor->restart.stopped);
    if (monitor->restart.stopped) return give_up(monitor);
    monitor_net_stop();
    restart_clear(monitor->plan);
    bool keep_stdin = plan_find(monitor->plan, "keep-stdin") != NULL;
    if (session_reopen(&monitor->session, keep_stdin, &monitor->stdio) < 0 || start(monitor, true) < 0) return give_up(monitor);
  }
}

/* at-end PROGRAM ARGUMENT…: what is to be done about a container that has ended, when nobody is there to do it. */
static int at_end(const struct plan *plan) {
  const struct op *op = plan_find(plan, "at-end");
  if (!op) return 0;
  char **argv = calloc(op->count, sizeof *argv), *env[] = {NULL};
  for (unsigned i = 1; argv && i < op->count; i++) argv[i - 1] = (char *)op_text(op, i);
  if (argv && argv[0]) execve(argv[0], argv, env);
  free(argv);
  return 1;
}

int unshare_main(const struct plan *plan, int connection) {
  static struct monitor monitor; /* Static: it is large, and there is one. */
  const struct op *attach = plan_find(plan, "attach");
  const struct op *lifetime = plan_find(plan, "lifetime");
  monitor.plan = plan;
  prctl(PR_SET_NAME, "tsc-monitor");
  if (session_open(&monitor.session, plan_find(plan, "keep-stdin") != NULL, plan_find(plan, "tty") != NULL, &monitor.stdio) < 0) return 1;
  int result = prepare(&monitor) < 0 ? -1 : start(&monitor, false);
  if (result < 0) {
    kill_cgroup(plan);
    monitor_net_end();
    remove_cgroups(plan);
    remove_run_dir(plan);
    return 1;
  }
  if (lifetime && strcmp(op_text(lifetime, 1), "process") == 0) monitor.session.owner_gone = owner_gone;
  if (plan_find(plan, "cg-kill")) monitor.session.process_gone = process_gone;
  monitor.session.on_op = on_op;
  if (session_own(&monitor.session, connection, attach != NULL) < 0) return 1;
  run(&monitor);
  bool owned = session_owned(&monitor.session);
  session_close(&monitor.session);
  return owned || monitor.kept ? 0 : at_end(plan);
}
