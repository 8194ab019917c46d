/* Addresses of sockets, as text and as the kernel has them. */
#ifndef TSC_ADDRESS_H
#define TSC_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

union address {
  struct sockaddr any;
  struct sockaddr_in v4;
  struct sockaddr_in6 v6;
};

/* 0, or -1 when it is no address. */
int address_parse(const char *text, size_t length, unsigned port, union address *address);
unsigned address_port(const union address *address);
socklen_t address_size(const union address *address);
/* Without the port. */
void address_show(const union address *address, char *out, size_t size);
/* Its 4 or 16 bytes. */
const void *address_bytes(const union address *address, size_t *length);

#endif
