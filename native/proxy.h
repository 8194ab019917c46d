/* Connections that this process forwards: see proxy.c and proxy_udp.c. */
#ifndef TSC_PROXY_H
#define TSC_PROXY_H

#include "address.h"
#include "loop.h"

struct listener;
struct udp_listener;

/* Accepts on a listening socket, and forwards each connection to the target. Takes the descriptor; NULL with errno when it fails. */
struct listener *proxy_serve(struct loop *loop, int fd, const union address *target);
/* Accepts no more; what is being forwarded goes on. */
void proxy_stop(struct listener *listener);
/* Forwards between two connected sockets from now on. Takes both, also when it fails. */
int proxy_join(struct loop *loop, int client, int target);

/* The same for datagrams: whoever sends is remembered while there is traffic, so that answers find their way back. */
struct udp_listener *udp_serve(struct loop *loop, int fd, const union address *target);
void udp_stop(struct udp_listener *listener);

#endif
