/* What each mode and each part of the helper offers to the others. */
#ifndef TSC_MODES_H
#define TSC_MODES_H

#include <stdbool.h>
#include <sys/types.h>

#include "loop.h"
#include "wire.h"

/* Modes. Each returns the process's exit code. The plan came on descriptor 3, facts go to descriptor 1 as lines. */
int layer_main(const struct plan *plan) __attribute__((weak)); /* layer.c: stdin is a tar stream, or stdout is one */
int files_main(const struct plan *plan) __attribute__((weak)); /* files.c: facts go to descriptor 4 */
int net_main(const struct plan *plan) __attribute__((weak)); /* net.c: all ops in order */
int probe_main(const struct plan *plan) __attribute__((weak)); /* probe.c: tries what this host allows */

/* Parts used by the monitor (unshare). Each carries out one op; 0, or -1 after fail(). */
int net_host_op(const struct op *op, pid_t container) __attribute__((weak));        /* "net-host-…" ops, in the host's network namespace */
int net_inside_op(const struct op *op) __attribute__((weak));                       /* "net-in-…" ops, in the container's */

#endif
