/*
 * Asks libseccomp for a filter, so that ours can be compared with it. Links to the library itself, whose header need not
 * be installed: what is used of it is declared here.
 *
 * Standard input, a line each: `default ACTION`, `arch TOKEN`, and `rule ACTION NAME [INDEX OPERATOR VALUE VALUE]…`,
 * numbers in decimal. `knows NUMBER…` on the command line asks which call numbers have a name. The filter goes to
 * standard output.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef void *scmp_filter_ctx;
struct scmp_arg_cmp {
  unsigned int arg;
  int op;
  uint64_t datum_a, datum_b;
};
extern scmp_filter_ctx seccomp_init(uint32_t action);
extern int seccomp_arch_add(scmp_filter_ctx, uint32_t token);
extern int seccomp_syscall_resolve_name(const char *name);
extern char *seccomp_syscall_resolve_num_arch(uint32_t token, int number);
extern int seccomp_rule_add_array(scmp_filter_ctx, uint32_t action, int syscall, unsigned count, const struct scmp_arg_cmp *args);
extern int seccomp_export_bpf(scmp_filter_ctx, int fd);

static int rule(scmp_filter_ctx context, char *line) {
  struct scmp_arg_cmp args[6];
  unsigned count = 0;
  char name[128];
  uint32_t action;
  int used;
  if (sscanf(line, "%" SCNu32 " %127s%n", &action, name, &used) < 2) return -EINVAL;
  for (line += used; count < 6; count++, line += used) {
    struct scmp_arg_cmp *arg = &args[count];
    if (sscanf(line, "%u %d %" SCNu64 " %" SCNu64 "%n", &arg->arg, &arg->op, &arg->datum_a, &arg->datum_b, &used) < 4) break;
  }
  int number = seccomp_syscall_resolve_name(name);
  /* As runc: a name that the library does not know is passed over. */
  return number == -1 ? 0 : seccomp_rule_add_array(context, action, number, count, args);
}

int main(int argc, char **argv) {
  if (argc > 2) {
    for (int i = 2; i < argc; i++) {
      char *name = seccomp_syscall_resolve_num_arch((uint32_t)strtoul(argv[1], NULL, 10), atoi(argv[i]));
      if (name) puts(argv[i]);
      free(name);
    }
    return 0;
  }
  scmp_filter_ctx context = NULL;
  for (char line[1024]; fgets(line, sizeof line, stdin);) {
    int result = 0;
    if (strncmp(line, "default ", 8) == 0) context = seccomp_init((uint32_t)strtoul(line + 8, NULL, 10));
    else if (strncmp(line, "arch ", 5) == 0) result = seccomp_arch_add(context, (uint32_t)strtoul(line + 5, NULL, 10));
    else if (strncmp(line, "rule ", 5) == 0) result = rule(context, line + 5);
    if (!context || (result < 0 && result != -EEXIST)) {
      fprintf(stderr, "%s: %s", strerror(-result), line);
      return 1;
    }
  }
  return seccomp_export_bpf(context, 1) < 0;
}
