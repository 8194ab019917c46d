/* A connection to a port inside of a container, for whoever is connected to the monitor. */
#ifndef TSC_DIAL_H
#define TSC_DIAL_H

#include "loop.h"
#include "wire.h"

/*
 * dial PORT ADDRESS…
 *
 * Connects from inside of the network namespace to the first address where somebody listens, says so to the client, and from
 * then on the client's connection leads there. Takes the client's descriptor.
 */
void dial(struct loop *loop, int client, int netns, const struct op *op);

#endif
