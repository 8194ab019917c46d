/*
 * The health check of a container, run by its monitor in the monitor's loop: every so often a process inside the container,
 * which tells by its exit code. docs/helper-protocol.md has the ops, docs/lifecycle.md the rules, which are Docker's.
 */
#ifndef TSC_HEALTH_H
#define TSC_HEALTH_H

#include "loop.h"
#include "restart.h"
#include "session.h"
#include "wire.h"

struct health;

/* NULL when the plan has no "health" op, or after fail() with errno set. */
struct health *health_new(struct session *session, const struct plan *plan, struct restart *restart);
/* The container runs: it is starting, and checks begin. */
void health_begin(struct health *health);
/* It has ended: whatever check is under way ends, too. All these take NULL. */
void health_end(struct health *health);

#endif
