/*
 * See layer_decode.h. The decoder is a child of the layer process and dies with it. It reads hostile bytes, so it has
 * nothing: no capabilities, no new privileges, and, when it is our own inflate, no calls but read, write and exit.
 */
#define _GNU_SOURCE
#include "layer_decode.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "layer_inflate.h"
#include "util.h"

#define PIPE_SIZE (1 << 20)
#define NOBODY 65534

int drop_capabilities(uint64_t keep) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2], now[2];
  if (syscall(SYS_capget, &header, now) < 0) return -1;
  for (int i = 0; i < 2; i++) {
    uint32_t wanted = (uint32_t)(keep >> (32 * i));
    data[i] = (struct __user_cap_data_struct){.effective = wanted & now[i].permitted, .permitted = wanted & now[i].permitted};
  }
  /* The bounding set only matters to an exec, of which there is none, and no_new_privs covers it. */
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return -1;
  return (int)syscall(SYS_capset, &header, data);
}

static void inflate_child(int out) {
  close(STDOUT_FILENO); /* The wire: not this process's to write to. */
  if (drop_capabilities(0) < 0) _exit(INFLATE_READ);
  /* A kernel without seccomp refuses; the process is still without privileges then. */
  (void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT, 0, 0, 0);
  /* exit_group, which _exit calls, is not among the four calls that are allowed now. */
  syscall(SYS_exit, inflate_gzip(STDIN_FILENO, out));
}

static void exec_child(const struct op *op, int out) {
  char *arguments[16];
  unsigned count = 0;
  for (unsigned i = 2; i < op->count && count + 1 < countof(arguments); i++) arguments[count++] = (char *)op_text(op, i);
  arguments[count] = NULL;
  int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
  if (count == 0 || null < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0) _exit(127);
  /* Root's files are root's even without capabilities. In a user namespace that has no such id, root is nobody anyway. */
  if (setgroups(0, NULL) == 0 && setresgid(NOBODY, NOBODY, NOBODY) == 0) (void)!setresuid(NOBODY, NOBODY, NOBODY);
  if (drop_capabilities(0) < 0) _exit(127);
  signal(SIGPIPE, SIG_DFL);
  char *environment[] = {NULL};
  execve(arguments[0], arguments, environment);
  _exit(127);
}

int decode_start(struct decoder *decoder, const struct op *op) {
  int ends[2];
  decoder->builtin = strcmp(op_text(op, 1), "gzip") == 0;
  if (!decoder->builtin && strcmp(op_text(op, 1), "exec") != 0) {
    errno = EINVAL;
    return fail("layer-plan", "plan", "decode");
  }
  if (pipe2(ends, O_CLOEXEC) < 0) return fail("layer-decode", "pipe2", "");
  /* Fewer switches between the two; refused above the user's limit, which is no matter. */
  (void)fcntl(ends[1], F_SETPIPE_SZ, PIPE_SIZE);
  pid_t parent = getpid();
  decoder->pid = fork();
  if (decoder->pid < 0) return fail("layer-decode", "fork", "");
  if (decoder->pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    close(ends[0]);
    if (getppid() != parent) _exit(127);
    if (decoder->builtin) inflate_child(ends[1]);
    else exec_child(op, ends[1]);
    _exit(127);
  }
  close(ends[1]);
  /* Only the decoder holds the input: when this process fails, its writer hears of it as soon as the decoder does. */
  close(STDIN_FILENO);
  return ends[0];
}

const char *decode_finish(void *context) {
  struct decoder *decoder = context;
  int status;
  if (decoder->pid < 0) return NULL;
  pid_t ended = (pid_t)RETRY_EINTR(waitpid(decoder->pid, &status, 0));
  decoder->pid = -1;
  if (ended < 0) return "the decompressor was lost";
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return NULL;
  if (decoder->builtin) return inflate_reason(WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) return "the decompressor could not be started";
  return "the decompressor says that it is corrupt or ends early";
}
