/* See restart.h. The numbers are those of Docker's restart manager. */
#define _GNU_SOURCE
#include "restart.h"

#include <linux/rtnetlink.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "rtnl.h"
#include "util.h"

#define FIRST_MS 100
#define LONGEST_MS 60000
/* One that ran so long is well: the next wait is the first one again. */
#define WELL_MS 10000

void restart_open(struct restart *restart, const struct plan *plan) {
  const struct op *policy = plan_find(plan, "restart"), *stop = plan_find(plan, "stop-signal");
  memset(restart, 0, sizeof *restart);
  if (policy) restart_change(restart, policy);
  if (stop) restart->stop_signal = (int)op_number(stop, 1, 0);
}

void restart_change(struct restart *restart, const struct op *op) {
  const char *name = op_text(op, 1);
  restart->policy = strcmp(name, "on-failure") == 0 ? RESTART_ON_FAILURE : strcmp(name, "no") == 0 || *name == 0 ? RESTART_NEVER : RESTART_ALWAYS;
  restart->most = op_number(op, 2, 0);
}

bool restart_ends(const struct restart *restart, int number) {
  return number == SIGKILL || restart->stop_signal == 0 || restart->stop_signal == number;
}

static bool wanted(const struct restart *restart, int status) {
  if (restart->stopped) return false;
  if (restart->forced || restart->policy == RESTART_ALWAYS) return true;
  if (restart->policy != RESTART_ON_FAILURE || (WIFEXITED(status) && WEXITSTATUS(status) == 0)) return false;
  return restart->most <= 0 || restart->count < restart->most;
}

int64_t restart_delay(struct restart *restart, int status, int64_t ran_ms) {
  if (!wanted(restart, status)) return -1;
  restart->forced = false;
  restart->count++;
  if (ran_ms >= WELL_MS || restart->delay == 0) restart->delay = FIRST_MS;
  else if (restart->delay < LONGEST_MS) restart->delay *= 2;
  if (restart->delay > LONGEST_MS) restart->delay = LONGEST_MS;
  return restart->delay;
}

/* The kernel takes a network namespace down when it finds the time, or keeps it because somebody else is in there. */
static void drop_link(const char *name) {
  struct rtnl rtnl;
  struct ifinfomsg link = {.ifi_family = AF_UNSPEC};
  if (rtnl_open(&rtnl) < 0) return;
  if (rtnl_index(&rtnl, name) != 0) {
    rtnl_request(&rtnl, RTM_DELLINK, 0, &link, sizeof link, name);
    rtnl_put_text(&rtnl, IFLA_IFNAME, name);
    (void)rtnl_send(&rtnl, "net-veth", ENODEV);
  }
  rtnl_close(&rtnl);
}

void restart_clear(const struct plan *plan) {
  char path[4096];
  for (size_t i = 0; i < plan->count; i++) {
    const struct op *op = &plan->ops[i];
    if (op_is(op, "net-host-veth")) drop_link(op_text(op, 1));
    /* What the kernel leaves of a volatile mount, so that nobody mounts it again unawares: it was unmounted in order. */
    if (op_is(op, "root-overlay") && strstr(op_text(op, 5), "volatile")) {
      snprintf(path, sizeof path, "%s/work/incompat/volatile/dirty", op_text(op, 4));
      (void)unlink(path);
      for (int up = 0; up < 2; up++) {
        *strrchr(path, '/') = 0;
        (void)rmdir(path);
      }
    }
  }
}
