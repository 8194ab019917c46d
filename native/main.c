/*
 * tscontainer-helper: does what Node cannot, and decides nothing.
 *
 * argv[1] is the mode. `launch` stays as a child of one engine and forks the others from its small self (forking Node
 * costs milliseconds); the other modes can also be started directly, with their plan on descriptor 3.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "launch.h"
#include "modes.h"
#include "util.h"

static int run_mode(const char *mode) {
  struct plan plan;
  wire_open(STDOUT_FILENO, false);
  if (plan_read(3, &plan) < 0) {
    fail("plan", "read", mode);
    return 1;
  }
  close(3);
  int code = 2;
  if (strcmp(mode, "layer") == 0) code = layer_main(&plan);
  else if (strcmp(mode, "files") == 0) code = files_main(&plan);
  else if (strcmp(mode, "net") == 0) code = net_main(&plan);
  else if (strcmp(mode, "probe") == 0) code = probe_main(&plan);
  else fprintf(stderr, "tscontainer-helper: unknown mode %s\n", mode);
  plan_free(&plan);
  return code;
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 3 && strcmp(argv[1], "launch") == 0) return launch_main(argv[2]);
  if (argc == 2 && strcmp(argv[1], "init") != 0) return run_mode(argv[1]);
  if (argc >= 3 && strcmp(argv[1], "init") == 0) return init_main(argv + 2);
  fprintf(stderr, "usage: tscontainer-helper MODE   (layer, files, net, probe: plan on descriptor 3)\n"
                  "       tscontainer-helper launch SOCKET\n"
                  "       tscontainer-helper init COMMAND [ARGUMENT…]\n");
  return 2;
}
