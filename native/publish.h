/* Published ports: a socket of the host for each, which holds the port and forwards, and where there is nftables the kernel's own way. */
#ifndef TSC_PUBLISH_H
#define TSC_PUBLISH_H

#include <stdbool.h>

#include "loop.h"
#include "wire.h"

/*
 * proxy PROTOCOL HOSTS PORTS TARGET TARGET-PORT [TABLE [TARGET6]]
 *
 * HOSTS: addresses of the host, with commas. PORTS: one, first-last for any of these, 0 for any that is free; the same on all
 * HOSTS. TABLE: where the kernel's maps are, "" for none. Tells a `listening` fact for each address. 0, or -1 after fail().
 */
int publish(struct loop *loop, const struct op *op);
/* unpublish PROTOCOL TARGET-PORT [HOST-PORT]: how many addresses are no longer published. */
unsigned unpublish(const struct op *op);
/* Takes the kernel's elements away; sockets go with the process. */
void publish_end(void);

#endif
