/* The monitor's part in a container's network: at its start, while it runs, and at its end. */
#ifndef TSC_MONITOR_NET_H
#define TSC_MONITOR_NET_H

#include "session.h"
#include "wire.h"

/* Holds the published ports. Before the clone, so that a port that is taken costs nothing. */
int monitor_net_prepare(struct session *session, const struct plan *plan);
/* Devices and the resolver, once the child has its network namespace. 0, or -1 after fail(). */
int monitor_net_start(struct session *session, const struct plan *plan, pid_t child);
/* Between two runs of the same container: lets go of the namespace that is gone. Ports and names stay. */
void monitor_net_stop(void);
/* Takes away what outlives a process: elements of nftables, names and addresses. */
void monitor_net_end(void);

#endif
