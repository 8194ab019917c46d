/* See address.h. */
#define _GNU_SOURCE
#include "address.h"

#include <arpa/inet.h>
#include <string.h>

int address_parse(const char *text, size_t length, unsigned port, union address *address) {
  char copy[INET6_ADDRSTRLEN];
  if (length >= sizeof copy) return -1;
  memcpy(copy, text, length);
  copy[length] = 0;
  memset(address, 0, sizeof *address);
  if (inet_pton(AF_INET, copy, &address->v4.sin_addr) == 1) {
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = htons((uint16_t)port);
    return 0;
  }
  if (inet_pton(AF_INET6, copy, &address->v6.sin6_addr) != 1) return -1;
  address->v6.sin6_family = AF_INET6;
  address->v6.sin6_port = htons((uint16_t)port);
  return 0;
}

unsigned address_port(const union address *address) {
  return ntohs(address->any.sa_family == AF_INET ? address->v4.sin_port : address->v6.sin6_port);
}

socklen_t address_size(const union address *address) {
  return address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

void address_show(const union address *address, char *out, size_t size) {
  inet_ntop(address->any.sa_family, address_bytes(address, NULL), out, (socklen_t)size);
}

const void *address_bytes(const union address *address, size_t *length) {
  bool v4 = address->any.sa_family == AF_INET;
  if (length) *length = v4 ? sizeof address->v4.sin_addr : sizeof address->v6.sin6_addr;
  return v4 ? (const void *)&address->v4.sin_addr : (const void *)&address->v6.sin6_addr;
}
