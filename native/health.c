/*
 * See health.h. A check is a child of the monitor that enters the container as an exec does. It has a cgroup of its own
 * below the container's, where there is a freezer, so that one that hangs is killed with all that it started.
 */
#define _GNU_SOURCE
#include "health.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <sys/epoll.h>
#include <time.h>

#include "freezer.h"
#include "journal.h"
#include "process.h"
#include "util.h"

#define KEPT 5
#define OUTPUT_MAX 4096
#define CGROUPS_MAX 32
#define UNKNOWN "{\"stage\":\"exec\",\"errno\":\"EPROTO\",\"path\":\"\"}"

enum status { STARTING, HEALTHY, UNHEALTHY };
static const char *const names[] = {"starting", "healthy", "unhealthy"};

struct result {
  double start, end; /* milliseconds since 1970 */
  int code;
  bool timed_out, truncated;
  size_t length;
  char *output, *failure; /* failure: the error fact of a check that could not be started */
};

struct health {
  struct session *session;
  const struct plan *plan; /* the container's */
  struct plan probe;       /* the process that is run */
  struct restart *restart;
  const char *action, *group, *file;
  int64_t interval, timeout, period, start_interval, grace;
  long long retries;
  int stop_signal;
  struct loop_source timer, output, sync, process;
  enum { IDLE, WAITING, CHECKING, ENDING } phase;
  pid_t pid;
  int64_t began; /* the container, monotonic */
  enum status status;
  long long streak;
  struct result now, log[KEPT];
  size_t logged;
  char buffer[OUTPUT_MAX], failure[2048];
  size_t failed;
};

static double wall_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void set_timer(struct health *health, int64_t ms) {
  struct itimerspec spec = {.it_value = {ms / 1000, ms % 1000 * 1000000}};
  if (ms <= 0) spec.it_value.tv_nsec = 1;
  (void)timerfd_settime(health->timer.fd, 0, &spec, NULL);
}

static void drop(struct health *health, struct loop_source *source) {
  if (source->fd < 0) return;
  loop_remove(&health->session->loop, source);
  close(source->fd);
  source->fd = -1;
}

/* --- what is known --- */

static void print_result(FILE *out, const struct result *result) {
  size_t room = result->length * 6 + 1;
  cleanup_free char *text = malloc(room);
  if (!text) return;
  size_t length = json_escape(text, room, result->output ? result->output : "", result->length);
  fprintf(out, "{\"start\":%.3f,\"end\":%.3f,\"exitCode\":%d,\"output\":\"%.*s%s\"", result->start, result->end, result->code, (int)length, text,
          result->truncated ? "..." : "");
  if (result->timed_out) fputs(",\"timedOut\":true", out);
  if (result->failure) fprintf(out, ",\"failure\":%s", result->failure);
  fputc('}', out);
}

/* Aside, then renamed: its readers never see half of it. */
static void record(struct health *health) {
  char path[4096];
  snprintf(path, sizeof path, "%s.tmp", health->file);
  FILE *out = fopen(path, "we");
  if (!out) return;
  fprintf(out, "{\"status\":\"%s\",\"failingStreak\":%lld,\"log\":[", names[health->status], health->streak);
  for (size_t i = 0; i < health->logged; i++) {
    if (i > 0) fputc(',', out);
    print_result(out, &health->log[i]);
  }
  fputs("]}\n", out);
  if (fclose(out) == 0) (void)rename(path, health->file);
}

static void tell(struct health *health) {
  fact_json("health", "\"health\":\"%s\",\"journaled\":%s", names[health->status], plan_find(health->plan, "journal") ? "true" : "false");
  journal_event(health->plan, "container:health", ",\"health\":\"%s\"", names[health->status]);
}

static void keep(struct health *health) {
  struct result *result = &health->now;
  if (health->logged == KEPT) {
    free(health->log[0].output);
    free(health->log[0].failure);
    memmove(health->log, health->log + 1, (KEPT - 1) * sizeof *result);
    health->logged--;
  }
  result->output = result->length > 0 ? malloc(result->length) : NULL;
  if (result->output) memcpy(result->output, health->buffer, result->length);
  else result->length = 0;
  result->failure = health->failed > 0 ? strndup(health->failure, health->failed) : NULL;
  health->log[health->logged++] = *result;
}

/* --- what becomes of it --- */

static void signal_container(struct health *health, int number) {
  (void)syscall(SYS_pidfd_send_signal, health->session->pidfd, number, NULL, 0);
}

/* As Podman's --health-on-failure. Its end is seen by the session, as any other. */
static void act(struct health *health) {
  if (strcmp(health->action, "kill") == 0) signal_container(health, SIGKILL);
  else if (strcmp(health->action, "none") != 0) {
    if (strcmp(health->action, "restart") == 0) health->restart->forced = true;
    else health->restart->stopped = true;
    health->phase = ENDING;
    signal_container(health, health->stop_signal);
    set_timer(health, health->grace);
  }
}

static void wait_for_next(struct health *health) {
  bool early = health->status == STARTING && now_ms() - health->began < health->period;
  health->phase = WAITING;
  set_timer(health, early ? health->start_interval : health->interval);
}

static void judge(struct health *health) {
  enum status before = health->status;
  keep(health);
  if (health->now.code == 0) {
    health->streak = 0;
    health->status = HEALTHY;
  } else if (health->status != STARTING || now_ms() - health->began - (int64_t)(health->now.end - health->now.start) >= health->period) {
    if (++health->streak >= health->retries) health->status = UNHEALTHY;
  }
  record(health);
  wait_for_next(health);
  if (health->status == before) return;
  tell(health);
  if (health->status == UNHEALTHY) act(health);
}

/* --- one check --- */

static void read_output(struct health *health) {
  char rest[4096];
  while (health->output.fd >= 0) {
    struct result *result = &health->now;
    size_t room = sizeof health->buffer - result->length;
    ssize_t n = RETRY_EINTR(read(health->output.fd, room > 0 ? health->buffer + result->length : rest, room > 0 ? room : sizeof rest));
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return drop(health, &health->output);
    if (room > 0) result->length += (size_t)n;
    else result->truncated = true;
  }
}

/* Everything that the check has started: nothing else is in that group. */
static void kill_check(struct health *health) {
  char path[4096], text[8192];
  (void)kill(-health->pid, SIGKILL);
  (void)kill(health->pid, SIGKILL);
  if (!*health->group) return;
  snprintf(path, sizeof path, "%s/cgroup.procs", health->group);
  /* Until a look finds nobody whom the last look had not found: who is killed cannot fork any more. */
  for (int round = 0; round < 100; round++) {
    ssize_t n = read_file(AT_FDCWD, path, text, sizeof text);
    if (n <= 0) return;
    for (char *line = text, *end; (end = strchr(line, '\n')); line = end + 1) {
      pid_t pid = (pid_t)atoi(line);
      if (pid > 0) (void)kill(pid, SIGKILL);
    }
    usleep(1000);
  }
}

static void finish_check(struct health *health, int status) {
  read_output(health);
  drop(health, &health->output);
  drop(health, &health->process);
  drop(health, &health->sync);
  health->pid = 0;
  health->now.end = wall_ms();
  /* Its words are written on as they are: they have to be whole. */
  if (health->failed > 0 && health->failure[health->failed - 1] != '}') {
    health->failed = sizeof UNKNOWN - 1;
    memcpy(health->failure, UNKNOWN, sizeof UNKNOWN - 1);
  }
  if (health->failed > 0 || health->now.timed_out) health->now.code = -1;
  else health->now.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (*health->group) (void)rmdir(health->group);
  judge(health);
}

static void on_output(struct loop_source *source, uint32_t events) {
  (void)events;
  read_output(source->context);
}

/* Closes without a word when the check was executed. */
static void on_sync(struct loop_source *source, uint32_t events) {
  (void)events;
  struct health *health = source->context;
  ssize_t n = RETRY_EINTR(recv(source->fd, health->failure + health->failed, sizeof health->failure - health->failed, MSG_DONTWAIT));
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) return drop(health, source);
  health->failed += (size_t)n;
  char *end = memchr(health->failure, '\n', health->failed);
  if (end) health->failed = (size_t)(end - health->failure);
}

static void on_process(struct loop_source *source, uint32_t events) {
  (void)events;
  struct health *health = source->context;
  int status;
  if (waitpid(health->pid, &status, WNOHANG) != health->pid) return;
  if (health->sync.fd >= 0) on_sync(&health->sync, EPOLLIN);
  finish_check(health, status);
}

static _Noreturn void child_main(struct health *health, int out, int sync) {
  int cgroups[CGROUPS_MAX], flags = process_namespaces(&health->probe);
  char path[4096];
  struct stdio stdio = {-1, out, fcntl(out, F_DUPFD_CLOEXEC, 3)};
  wire_open(sync, false);
  signal(SIGPIPE, SIG_DFL);
  /* CVE-2016-9962: nobody inside may trace us between our entering and the exec. */
  (void)prctl(PR_SET_DUMPABLE, 0);
  int count = cgroup_open(&health->probe, cgroups, countof(cgroups));
  if (count < 0 || cgroup_join(cgroups, (size_t)count) < 0) _exit(127);
  if (*health->group) {
    snprintf(path, sizeof path, "%s/cgroup.procs", health->group);
    (void)write_file(AT_FDCWD, path, "0", 1);
  }
  session_restore_limits();
  if (process_prepare(&health->probe) < 0) _exit(127);
  if (setns(health->session->pidfd, flags & ~CLONE_NEWPID) < 0) fail("namespaces", "setns", "");
  else if (flags & CLONE_NEWUSER && (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)) fail("user-namespace", "setresuid", "0");
  else if (process_stdio(&health->probe, &stdio, false, sync) == 0) process_exec(&health->probe, 1);
  _exit(127);
}

/* Only children move into a pid namespace, so we may; and back, for whatever we start next. */
static pid_t fork_inside(struct health *health) {
  bool inside = process_namespaces(&health->probe) & CLONE_NEWPID;
  cleanup_close int ours = inside ? open("/proc/self/ns/pid_for_children", O_RDONLY | O_CLOEXEC) : -1;
  if (inside && (ours < 0 || setns(health->session->pidfd, CLONE_NEWPID) < 0)) return -1;
  pid_t pid = fork();
  int saved = errno;
  if (inside && pid != 0) (void)setns(ours, CLONE_NEWPID);
  errno = saved;
  return pid;
}

static int watch(struct health *health, struct loop_source *source, int fd, loop_callback callback) {
  *source = (struct loop_source){fd, callback, health};
  return fd < 0 ? -1 : loop_add(&health->session->loop, source, EPOLLIN);
}

static void start_check(struct health *health) {
  int out[2], sync[2];
  memset(&health->now, 0, sizeof health->now);
  health->failed = 0;
  health->now.start = wall_ms();
  if (pipe2(out, O_CLOEXEC) < 0) return wait_for_next(health);
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sync) < 0) {
    close(out[0]), close(out[1]);
    return wait_for_next(health);
  }
  (void)fcntl(out[0], F_SETFL, O_NONBLOCK);
  if (*health->group) (void)mkdir(health->group, 0755);
  pid_t pid = fork_inside(health);
  if (pid == 0) {
    close(sync[0]);
    child_main(health, out[1], sync[1]);
  }
  close(out[1]);
  close(sync[1]);
  health->pid = pid;
  if (pid < 0) {
    close(out[0]), close(sync[0]);
    return wait_for_next(health);
  }
  health->phase = CHECKING;
  set_timer(health, health->timeout);
  (void)watch(health, &health->output, out[0], on_output);
  (void)watch(health, &health->sync, sync[0], on_sync);
  (void)watch(health, &health->process, (int)syscall(SYS_pidfd_open, pid, 0), on_process);
}

static void on_timer(struct loop_source *source, uint32_t events) {
  (void)events;
  struct health *health = source->context;
  uint64_t times;
  if (RETRY_EINTR(read(source->fd, &times, sizeof times)) < 0) return;
  if (health->phase == ENDING) {
    freezer_thaw(health->plan);
    return signal_container(health, SIGKILL);
  }
  /* What stands still is neither well nor ill. */
  bool frozen = freezer_frozen(health->plan);
  if (health->phase == WAITING) {
    if (frozen) wait_for_next(health);
    else start_check(health);
  } else if (health->phase == CHECKING) {
    if (frozen) return set_timer(health, health->timeout);
    health->now.timed_out = true;
    kill_check(health);
  }
}

/* --- its life --- */

/* health FILE GROUP INTERVAL TIMEOUT PERIOD START_INTERVAL RETRIES ACTION STOP_SIGNAL GRACE PLAN, all times in milliseconds. */
struct health *health_new(struct session *session, const struct plan *plan, struct restart *restart) {
  const struct op *op = plan_find(plan, "health");
  errno = 0;
  if (!op) return NULL;
  struct health *health = calloc(1, sizeof *health);
  size_t length = op->count > 11 ? op->fields[11].length : 0;
  char *body = malloc(length ? length : 1);
  if (!health || !body) {
    fail("health", "malloc", "");
    goto broken;
  }
  memcpy(body, op_text(op, 11), length);
  health->session = session;
  health->plan = plan;
  health->restart = restart;
  health->file = op_text(op, 1);
  health->group = op_text(op, 2);
  health->interval = op_number(op, 3, 30000);
  health->timeout = op_number(op, 4, 30000);
  health->period = op_number(op, 5, 0);
  health->start_interval = op_number(op, 6, 5000);
  health->retries = op_number(op, 7, 3);
  health->action = op_text(op, 8);
  health->stop_signal = (int)op_number(op, 9, SIGTERM);
  health->grace = op_number(op, 10, 10000);
  health->timer.fd = health->output.fd = health->sync.fd = health->process.fd = -1;
  int parsed = plan_parse(body, length, &health->probe);
  body = NULL; /* It is the plan's. */
  if (parsed < 0) {
    fail("health", "plan", "");
    goto broken;
  }
  if (watch(health, &health->timer, timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), on_timer) < 0) {
    fail("health", "timerfd_create", "");
    goto broken;
  }
  return health;
broken:
  if (errno == 0) errno = EIO;
  free(body);
  free(health);
  return NULL;
}

void health_begin(struct health *health) {
  if (!health) return;
  health->began = now_ms();
  health->status = STARTING;
  health->streak = 0;
  record(health);
  wait_for_next(health);
}

void health_end(struct health *health) {
  if (!health) return;
  health->phase = IDLE;
  struct itimerspec never = {0};
  (void)timerfd_settime(health->timer.fd, 0, &never, NULL);
  if (health->pid > 0) {
    kill_check(health);
    while (waitpid(health->pid, NULL, 0) < 0 && errno == EINTR) continue;
    drop(health, &health->output);
    drop(health, &health->process);
    drop(health, &health->sync);
    health->pid = 0;
  }
  /* What was killed a moment ago may not be off the books yet. */
  for (int attempt = 0; *health->group && rmdir(health->group) < 0 && errno == EBUSY && attempt < 50; attempt++) usleep(1000);
}
