/*
 * See monitor_net.h. While the container runs, whoever is connected may change its network: an op `request ID` begins, the
 * ops behind it in the same frame are carried out until one fails, and an `answer` fact says how it went to this client alone:
 *
 *   net-host-…, net-in-…, resolver-…    as at the start; net-in-… in the container's network namespace
 *   proxy, unpublish                    ports
 *   net-leave-clear, net-leave PATH…    what is unlinked at the end
 *   dial PORT ADDRESS…                  instead of an answer the connection becomes one to that port
 */
#define _GNU_SOURCE
#include "monitor_net.h"

#include <stdio.h>
#include <string.h>

#include "dial.h"
#include "modes.h"
#include "netns.h"
#include "publish.h"
#include "resolver.h"
#include "util.h"

#define LEAVE_MAX 256u

static int netns = -1;
static char *leave[LEAVE_MAX];
static unsigned leave_count;
static struct {
  bool open, failed;
  long long id;
} request;

static bool starts(const struct op *op, const char *prefix) { return strncmp(op_text(op, 0), prefix, strlen(prefix)) == 0; }

/* --- what is left at the end --- */

static void clear_leave(void) {
  while (leave_count > 0) free(leave[--leave_count]);
}

static int add_leave(const struct op *op) {
  for (unsigned i = 1; i < op->count; i++) {
    char *path = leave_count < LEAVE_MAX ? strdup(op_text(op, i)) : NULL;
    if (!path) {
      errno = ENOMEM;
      return fail("network", "leave", op_text(op, i));
    }
    leave[leave_count++] = path;
  }
  return 0;
}

void monitor_net_stop(void) {
  resolver_stop();
  cleanup_closep(&netns);
  netns = -1;
  /* The next start says it again. */
  clear_leave();
}

void monitor_net_end(void) {
  publish_end();
  for (unsigned i = 0; i < leave_count; i++) {
    char *slash = strrchr(leave[i], '/');
    if (unlink(leave[i]) < 0 && errno == EISDIR) (void)rmdir(leave[i]);
    /* A name goes with its last address. */
    if (!slash) continue;
    *slash = 0;
    if (strstr(leave[i], "/names/")) (void)rmdir(leave[i]);
  }
  clear_leave();
}

/* --- ops --- */

static int inside(const struct op *op) {
  if (netns_enter(netns) < 0) return fail("network", "setns", op_text(op, 0));
  int result = net_inside_op(op);
  netns_leave();
  return result;
}

/* One that both the start and a request may have. false when it is none of these. */
static bool common_op(struct session *session, const struct op *op, int *result) {
  *result = 0;
  if (op_is(op, "net-leave")) *result = add_leave(op);
  else if (starts(op, "net-host-")) *result = net_host_op(op, session->pid);
  else return resolver_op(op, result);
  return true;
}

static int live_op(struct session *session, const struct op *op) {
  int result = 0;
  if (common_op(session, op, &result)) return result;
  if (starts(op, "net-in-")) return inside(op);
  if (op_is(op, "proxy")) return publish(&session->loop, op);
  if (op_is(op, "net-leave-clear")) return clear_leave(), 0;
  if (op_is(op, "resolver-start")) return resolver_start(&session->loop, netns);
  if (!op_is(op, "unpublish")) {
    errno = ENOSYS;
    return fail("network", "op", op_text(op, 0));
  }
  fact_json("unpublished", "\"count\":%u", unpublish(op));
  return 0;
}

/* Opened while the container's first process is certainly there. */
static int know_netns(pid_t child) {
  if (netns < 0) netns = netns_open(child);
  return netns < 0 ? fail("network", "open", "ns/net") : 0;
}

static bool serve(struct session *session, struct client *client, const struct op *op) {
  if (op_is(op, "dial")) {
    if (know_netns(session->pid) == 0) dial(&session->loop, session_release(client), netns, op);
    return true;
  }
  if (op_is(op, "request")) {
    request.open = true;
    request.id = op_number(op, 1, 0);
    session_tell(session, client);
    request.failed = know_netns(session->pid) < 0;
    session_tell(session, NULL);
    return true;
  }
  if (!request.open) return false;
  session_tell(session, client);
  if (op_is(op, "end")) {
    request.open = false;
    fact_json("answer", "\"id\":%lld,\"ok\":%s", request.id, request.failed ? "false" : "true");
  } else if (!request.failed) {
    request.failed = live_op(session, op) < 0;
  }
  session_tell(session, NULL);
  return true;
}

int monitor_net_prepare(struct session *session, const struct plan *plan) {
  session->serve = serve;
  for (size_t i = 0; i < plan->count; i++)
    if (op_is(&plan->ops[i], "proxy") && publish(&session->loop, &plan->ops[i]) < 0) return -1;
  return 0;
}

int monitor_net_start(struct session *session, const struct plan *plan, pid_t child) {
  bool resolves = plan_find(plan, "resolver-listen") != NULL;
  for (size_t i = 0; i < plan->count; i++) {
    int result;
    if (common_op(session, &plan->ops[i], &result) && result < 0) return -1;
  }
  if (!resolves) return 0;
  return know_netns(child) < 0 ? -1 : resolver_start(&session->loop, netns);
}
