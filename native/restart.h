/* When a container is started again after it has ended: Docker's policies and its back-off. */
#ifndef TSC_RESTART_H
#define TSC_RESTART_H

#include <stdbool.h>
#include <stdint.h>

#include "wire.h"

struct restart {
  enum { RESTART_NEVER, RESTART_ALWAYS, RESTART_ON_FAILURE } policy;
  long long most;  /* on failure: so often; 0 for no limit */
  int stop_signal; /* what stops it for good, besides SIGKILL; 0: whatever it is sent */
  bool stopped;    /* somebody wants it to end */
  bool forced;     /* once, whatever the policy says: its health check asks for it */
  unsigned count;
  int64_t delay;
};

/* The ops "restart NAME MOST" and "stop-signal NUMBER" of the plan. */
void restart_open(struct restart *restart, const struct plan *plan);
/* "restart NAME MOST", as a client sends it while the container runs. */
void restart_change(struct restart *restart, const struct op *op);
/* Whether a signal ends it for good, as Docker sees it. */
bool restart_ends(const struct restart *restart, int number);
/* After it has ended: milliseconds until it is to be started again, -1 for never. */
int64_t restart_delay(struct restart *restart, int status, int64_t ran_ms);
/* Before it is started again: what its last run has left that a start would stumble over. */
void restart_clear(const struct plan *plan);

#endif
