/* What each mode and each part of the helper offers to the others. */
#ifndef TSC_MODES_H
#define TSC_MODES_H

#include <stdbool.h>
#include <sys/types.h>

#include "loop.h"
#include "wire.h"

/* Modes. Each returns the process's exit code. The plan came on descriptor 3, facts go to descriptor 1 as lines. */
int layer_main(const struct plan *plan); /* layer.c: stdin is a tar stream, or stdout is one */
int net_main(const struct plan *plan);   /* net.c: all ops in order */

/* Parts used by the monitor (unshare). Each carries out one op; 0, or -1 after fail(). */
int net_host_op(const struct op *op, pid_t container);          /* "net-host-…" ops, in the host's network namespace */
int net_inside_op(const struct op *op);                         /* "net-in-…" ops, in the container's */
int proxy_listen(struct loop *loop, const struct op *op);       /* "proxy" op: listens and, from then on, forwards in the loop */

#endif
