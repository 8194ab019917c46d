/* See process.h. */
#define _GNU_SOURCE
#include "process.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "launch.h"
#include "rootfs.h"
#include "util.h"

/* --- cgroups --- */

int cgroup_open(const struct plan *plan, int *fds, size_t size) {
  size_t count = 0;
  for (size_t i = 0; i < plan->count; i++) {
    if (!op_is(&plan->ops[i], "cg-join")) continue;
    for (unsigned k = 1; k < plan->ops[i].count && count < size; k++) {
      fds[count] = open(op_text(&plan->ops[i], k), O_WRONLY | O_CLOEXEC);
      if (fds[count] < 0) return fail("cgroup", "open", op_text(&plan->ops[i], k));
      count++;
    }
  }
  return (int)count;
}

int cgroup_join(const int *fds, size_t count) {
  for (size_t i = 0; i < count; i++) {
    if (RETRY_EINTR(write(fds[i], "0", 1)) != 1) return fail("cgroup", "write", "tasks");
    close(fds[i]);
  }
  return 0;
}

/* --- from outside --- */

int process_namespaces(const struct plan *plan) {
  static const struct {
    const char *name;
    int flag;
  } kinds[] = {{"mnt", CLONE_NEWNS}, {"pid", CLONE_NEWPID},   {"net", CLONE_NEWNET},      {"ipc", CLONE_NEWIPC},
               {"uts", CLONE_NEWUTS}, {"user", CLONE_NEWUSER}, {"cgroup", CLONE_NEWCGROUP}};
  int flags = 0;
  const struct op *op = plan_find(plan, "namespaces");
  for (unsigned i = 1; op && i < op->count; i++)
    for (size_t k = 0; k < countof(kinds); k++)
      if (strcmp(op_text(op, i), kinds[k].name) == 0) flags |= kinds[k].flag;
  return flags;
}

long long process_start_time(pid_t pid) {
  char path[64], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  if (read_file(AT_FDCWD, path, text, sizeof text) < 0) return -1;
  /* The name is in parentheses and may hold anything: count from the last one. Field 22 is the 20th behind it. */
  char *p = strrchr(text, ')');
  for (int field = 2; p && field < 22; field++) p = strchr(p + 1, ' ');
  return p ? atoll(p + 1) : -1;
}

int process_await_exec(int sync) {
  char line[8192];
  size_t used = 0;
  for (ssize_t n; used < sizeof line - 1 && (n = RETRY_EINTR(read(sync, line + used, sizeof line - 1 - used))) > 0;) used += (size_t)n;
  if (used == 0) return 0;
  line[used] = 0;
  /* {"fact":"error","stage":…} and a newline: its body is passed on as it is. */
  char *end = strchr(line, '\n'), *body = strstr(line, "\"stage\"");
  if (end) *end = 0;
  size_t length = body ? strlen(body) : 0;
  if (length > 0 && body[length - 1] == '}') fact_json("error", "%.*s", (int)(length - 1), body);
  else fact("error", "stage", "exec", "syscall", "exec", "errno", "EPROTO", "path", line, NULL);
  return -1;
}

/* --- standard streams --- */

static int send_fd(int sync, int fd) {
  char byte = 'm';
  struct iovec data = {&byte, 1};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  memset(&control, 0, sizeof control);
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return RETRY_EINTR(sendmsg(sync, &message, 0)) == 1 ? 0 : -1;
}

int process_master(int sync) {
  char byte;
  struct iovec data = {&byte, 1};
  union {
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int))];
  } control;
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
  if (RETRY_EINTR(recvmsg(sync, &message, MSG_CMSG_CLOEXEC)) != 1) return -1;
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  if (byte != 'm' || !header || header->cmsg_type != SCM_RIGHTS) return -1;
  int fd;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return fd;
}

static int open_pty(const struct plan *plan, struct stdio *stdio, int sync) {
  cleanup_close int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (master < 0) return fail("tty", "open", "/dev/pts/ptmx");
  int unlock = 0;
  if (ioctl(master, TIOCSPTLCK, &unlock) < 0) return fail("tty", "ioctl", "TIOCSPTLCK");
  /* TIOCGPTPEER, not a path: whatever the image put under /dev/pts does not matter. */
  int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) return fail("tty", "ioctl", "TIOCGPTPEER");
  const struct op *size = plan_find(plan, "tty");
  struct winsize window = {.ws_row = (unsigned short)op_number(size, 1, 24), .ws_col = (unsigned short)op_number(size, 2, 80)};
  (void)ioctl(slave, TIOCSWINSZ, &window);
  if (send_fd(sync, master) < 0) return fail("tty", "sendmsg", "");
  stdio->in = slave;
  stdio->out = fcntl(slave, F_DUPFD_CLOEXEC, 3);
  stdio->err = fcntl(slave, F_DUPFD_CLOEXEC, 3);
  return 0;
}

int process_console(void) {
  /* By descriptor: whatever a mount over /dev brought along is not followed. */
  cleanup_close int target = open("/dev/console", O_RDONLY | O_CREAT | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK | O_CLOEXEC, 0600);
  char path[64];
  if (target < 0) return fail("tty", "open", "/dev/console");
  snprintf(path, sizeof path, "/proc/self/fd/%d", target);
  return mount("/proc/self/fd/0", path, NULL, MS_BIND, NULL) < 0 ? fail("tty", "mount", "/dev/console") : 0;
}

int process_stdio(const struct plan *plan, struct stdio *stdio, bool tty, int sync) {
  if (setsid() < 0 && errno != EPERM) return fail("stdio", "setsid", "");
  if (tty && open_pty(plan, stdio, sync) < 0) return -1;
  if (stdio->in < 0) stdio->in = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (stdio->in < 0) return fail("stdio", "open", "/dev/null");
  const struct op *user = plan_find(plan, "user");
  uid_t uid = user ? (uid_t)op_number(user, 1, 0) : 0;
  int fds[] = {stdio->in, stdio->out, stdio->err};
  for (int i = 0; i < 3; i++) {
    /* So that the user can open /dev/stdout again; not for /dev/null, which belongs to everybody. */
    struct stat st;
    if (uid != 0 && fstat(fds[i], &st) == 0 && !(S_ISCHR(st.st_mode) && !tty)) (void)!fchown(fds[i], uid, (gid_t)-1);
  }
  /* The three may sit on each other's numbers: lift them above first. */
  for (int i = 0; i < 3; i++) {
    fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 10);
    if (fds[i] < 0) return fail("stdio", "fcntl", "");
  }
  for (int i = 0; i < 3; i++)
    if (dup2(fds[i], i) < 0) return fail("stdio", "dup2", "");
  if (tty && ioctl(0, TIOCSCTTY, 0) < 0) return fail("tty", "ioctl", "TIOCSCTTY");
  return 0;
}

/* --- who it is and what it may do --- */

static int apparmor_exec = -1;

int process_prepare(const struct plan *plan) {
  const struct op *score = plan_find(plan, "oom-score-adj"), *profile = plan_find(plan, "apparmor");
  if (score && write_file(AT_FDCWD, "/proc/self/oom_score_adj", op_text(score, 1), score->fields[1].length) < 0)
    return fail("limit", "oomScoreAdj", op_text(score, 1));
  if (!profile) return 0;
  /* The container's own /proc could be anything (CVE-2019-16884). Since Linux 5.8 each module has a directory. */
  apparmor_exec = open("/proc/self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC);
  if (apparmor_exec < 0 && errno == ENOENT) apparmor_exec = open("/proc/self/attr/exec", O_WRONLY | O_CLOEXEC);
  return apparmor_exec < 0 ? fail("apparmor", "open", "/proc/self/attr/exec") : 0;
}

static int change_profile(const struct plan *plan) {
  const struct op *op = plan_find(plan, "apparmor");
  char text[4096];
  if (!op) return 0;
  int length = snprintf(text, sizeof text, "exec %s", op_text(op, 1));
  if (length >= (int)sizeof text) errno = ENAMETOOLONG;
  if (length >= (int)sizeof text || write(apparmor_exec, text, (size_t)length) != length) return fail("apparmor", "write", op_text(op, 1));
  return 0;
}

/* Raising a hard limit takes CAP_SYS_RESOURCE. Without it, as much as there is to be had: TypeScript has said so before. */
static int limit_at_most(unsigned resource, struct rlimit wanted) {
  struct rlimit now;
  if (getrlimit(resource, &now) < 0) return -1;
  if (wanted.rlim_max > now.rlim_max) wanted.rlim_max = now.rlim_max;
  if (wanted.rlim_cur > wanted.rlim_max) wanted.rlim_cur = wanted.rlim_max;
  return setrlimit(resource, &wanted);
}

static int apply_limits(const struct plan *plan) {
  for (size_t i = 0; i < plan->count; i++) {
    const struct op *op = &plan->ops[i];
    if (!op_is(op, "rlimit")) continue;
    struct rlimit limit = {(rlim_t)op_number(op, 2, -1), (rlim_t)op_number(op, 3, -1)};
    unsigned resource = (unsigned)op_number(op, 1, 0);
    if (setrlimit(resource, &limit) == 0 || (errno == EPERM && limit_at_most(resource, limit) == 0)) continue;
    return fail("limit", op_text(op, 4), op_text(op, 2));
  }
  return 0;
}

static int drop_bounding(uint64_t keep) {
  for (int cap = 0; cap < 64; cap++) {
    if (keep >> cap & 1) continue;
    if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
      if (errno == EINVAL) break; /* The kernel's last capability. */
      return fail("capabilities", "prctl", "PR_CAPBSET_DROP");
    }
  }
  return 0;
}

static int set_capabilities(uint64_t permitted, uint64_t effective, uint64_t inheritable) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2] = {
      {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
      {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
  };
  return syscall(SYS_capset, &header, data) < 0 ? fail("capabilities", "capset", "") : 0;
}

static int set_ambient(uint64_t ambient) {
  (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  for (int cap = 0; cap < 64; cap++)
    if (ambient >> cap & 1 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0) return fail("capabilities", "prctl", "PR_CAP_AMBIENT_RAISE");
  return 0;
}

static int load_seccomp(const struct op *op) {
  if (!op) return 0;
  struct sock_fprog program = {.len = (unsigned short)(op->fields[1].length / sizeof(struct sock_filter))};
  /* The plan's bytes have no alignment. */
  cleanup_free void *copy = malloc(op->fields[1].length);
  if (!copy) return fail("seccomp", "malloc", "");
  memcpy(copy, op->fields[1].text, op->fields[1].length);
  program.filter = copy;
  if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (unsigned)op_number(op, 2, 0), &program) < 0) return fail("seccomp", "seccomp", "");
  return 0;
}

static int switch_user(const struct op *user) {
  if (!user) return 0;
  gid_t groups[1024];
  size_t count = 0;
  for (unsigned i = 3; i < user->count && count < countof(groups); i++) groups[count++] = (gid_t)op_number(user, i, 0);
  gid_t gid = (gid_t)op_number(user, 2, 0);
  uid_t uid = (uid_t)op_number(user, 1, 0);
  /* A user namespace without subordinate ids has setgroups denied; there is nothing to drop either. */
  if (setgroups(count, groups) < 0 && !(errno == EPERM && count == 0)) return fail("user", "setgroups", "");
  if (setresgid(gid, gid, gid) < 0) return fail("user", "setresgid", op_text(user, 2));
  if (setresuid(uid, uid, uid) < 0) return fail("user", "setresuid", op_text(user, 1));
  return 0;
}

static uint64_t mask(const struct op *op, unsigned i) { return op ? strtoull(op_text(op, i), NULL, 10) : 0; }

static int become(const struct plan *plan) {
  const struct op *caps = plan_find(plan, "caps"), *seccomp = plan_find(plan, "seccomp");
  bool no_new_privileges = plan_find(plan, "no-new-privileges") != NULL;
  /* Loading a filter takes CAP_SYS_ADMIN or no_new_privs. Without the latter it must come before the capabilities go,
   * with it as late as possible, so that the filter need not allow what happens in between. */
  if (no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return fail("no-new-privileges", "prctl", "");
  if (!no_new_privileges && load_seccomp(seccomp) < 0) return -1;
  if (caps && drop_bounding(mask(caps, 1)) < 0) return -1;
  if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0) return fail("user", "prctl", "PR_SET_KEEPCAPS");
  if (switch_user(plan_find(plan, "user")) < 0) return -1;
  if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0) return fail("user", "prctl", "PR_SET_KEEPCAPS");
  if (caps && (set_capabilities(mask(caps, 2), mask(caps, 3), mask(caps, 4)) < 0 || set_ambient(mask(caps, 5)) < 0)) return -1;
  return no_new_privileges ? load_seccomp(seccomp) : 0;
}

/* --- exec --- */

static int enter_directory(const struct plan *plan) {
  const struct op *cwd = plan_find(plan, "cwd");
  const char *path = cwd ? op_text(cwd, 1) : "/";
  cleanup_close int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return fail("cwd", "open", "/");
  if (chdir(path) < 0) {
    if (errno != ENOENT || !cwd || op_number(cwd, 2, 0) == 0) return fail("cwd", "chdir", path);
    if (make_directories(root, path, 0755) < 0) return fail("cwd", "mkdir", path);
    if (chdir(path) < 0) return fail("cwd", "chdir", path);
  }
  /* CVE-2024-21626: a working directory outside of the root, reached through a leaked descriptor, has no path. */
  char where[4096];
  if (!getcwd(where, sizeof where) || where[0] != '/') {
    errno = EXDEV;
    return fail("cwd", "getcwd", path);
  }
  return 0;
}

static const char *search_path(char *const *env) {
  for (; *env; env++)
    if (strncmp(*env, "PATH=", 5) == 0) return *env + 5;
  return "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

/* As Go's exec.LookPath, which is what Docker's users see: executable files only, EACCES is remembered. */
static int execute(char **argv, char **env) {
  const char *name = argv[0];
  if (*name == 0) errno = ENOENT;
  else if (strchr(name, '/')) execve(name, argv, env);
  else {
    int result = ENOENT;
    char path[4096];
    for (const char *part = search_path(env); *part;) {
      size_t length = strcspn(part, ":");
      int n = length ? snprintf(path, sizeof path, "%.*s/%s", (int)length, part, name) : snprintf(path, sizeof path, "./%s", name);
      part += length + (part[length] == ':');
      struct stat st;
      if (n >= (int)sizeof path || stat(path, &st) < 0 || S_ISDIR(st.st_mode)) continue;
      execve(path, argv, env);
      if (errno == EACCES) result = EACCES;
      else if (errno != ENOENT && errno != ENOTDIR) {
        result = errno;
        break;
      }
      else if (errno == ENOENT) result = EACCES == result ? result : ENOENT;
    }
    errno = result;
  }
  return fail("exec", "execve", name);
}

static void reset_signals(void) {
  struct sigaction standard = {.sa_handler = SIG_DFL};
  for (int i = 1; i < 65; i++) (void)sigaction(i, &standard, NULL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Everything of ours is close-on-exec already; this is the belt to those braces. */
static void close_on_exec(void) {
#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4
#endif
  if (syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC) == 0) return;
  for (int fd = 3; fd < 1024; fd++) (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static char **collect(const struct plan *plan, const char *name) {
  size_t count = 0;
  for (size_t i = 0; i < plan->count; i++)
    if (op_is(&plan->ops[i], name)) count += plan->ops[i].count - 1u;
  char **list = calloc(count + 1, sizeof *list);
  if (!list) return NULL;
  count = 0;
  for (size_t i = 0; i < plan->count; i++)
    if (op_is(&plan->ops[i], name))
      for (unsigned k = 1; k < plan->ops[i].count; k++) list[count++] = (char *)op_text(&plan->ops[i], k);
  return list;
}

int process_exec(const struct plan *plan, pid_t monitor) {
  char **argv = collect(plan, "argv"), **env = collect(plan, "env");
  if (!argv || !env || !argv[0]) {
    errno = EINVAL;
    return fail("exec", "execve", "");
  }
  const struct op *mask_op = plan_find(plan, "umask");
  umask(mask_op ? (mode_t)op_number(mask_op, 1, 022) : 022);
  close_on_exec();
  if (enter_directory(plan) < 0 || apply_limits(plan) < 0 || change_profile(plan) < 0 || become(plan) < 0) return -1;
  bool init = plan_find(plan, "init") != NULL;
  reset_signals();
  /* After the last change of credentials, which clears it. Should the monitor be killed, so are we. */
  if (monitor > 0) (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (init) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    pid_t child = fork();
    if (child < 0) return fail("init", "fork", "");
    if (child > 0) {
      /* The standard streams stay open for nobody but the command, and so does the wire: its closing tells of success. */
      (void)syscall(SYS_close_range, 0, ~0u, 0);
      _exit(init_wait(child));
    }
    (void)setpgid(0, 0);
    (void)tcsetpgrp(0, getpid());
    reset_signals();
  }
  return execute(argv, env);
}
