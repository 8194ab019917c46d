/* Elements of nftables maps, by netlink: what `nft add element` does, without the program. */
#ifndef TSC_NFT_H
#define TSC_NFT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* A published port: what is asked for at host (all zero: any address) and port goes to target. Both of one family. */
struct nft_port {
  int family;
  uint8_t protocol;
  uint8_t host[16];
  uint16_t port;
  uint8_t target[16];
  uint16_t target_port;
};

/* Adds or deletes ports of a table of family inet, all or none. 0, or -1 with errno: ENOENT when there is no such table. */
int nft_add_ports(const char *table, const struct nft_port *ports, unsigned count);
int nft_delete_ports(const char *table, const struct nft_port *ports, unsigned count);

/* In the network namespace where this is called, port of the address leads to these two, whoever else listens on it. 0, or -1 with errno. */
int nft_redirect(const struct in_addr *address, uint16_t port, uint16_t udp, uint16_t tcp);

#endif
