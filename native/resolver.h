/*
 * The resolver at 127.0.0.11 inside of a container: names of the networks that it is on, and for all others the servers
 * of the host. It lives in the monitor's loop; its sockets are in the container's network namespace.
 */
#ifndef TSC_RESOLVER_H
#define TSC_RESOLVER_H

#include <stdbool.h>

#include "loop.h"
#include "wire.h"

/*
 * resolver-listen ADDRESS                 where it listens, on port 53
 * resolver-network DIRECTORY NAME         a network, the one to ask first first: DIRECTORY/names/<name>/<address>, DIRECTORY/addresses/<address>
 * resolver-server host|inside ADDRESS     whom to ask, and from where
 * resolver-clear                          no networks and servers any more
 *
 * Whether it is one of these. -1 in *result after fail().
 */
bool resolver_op(const struct op *op, int *result);
/* Listens where resolver-listen said, in that network namespace (-1: here). Nothing was said, nothing is done. */
int resolver_start(struct loop *loop, int netns);
/* Listens no more, and knows nothing any more. */
void resolver_stop(void);

#endif
