/*
 * See nft.h. The maps are made by lib/network/firewall.ts and named after what they are asked by: ports4, ports6 (protocol and
 * port) and addresses4, addresses6 (address, protocol and port). A part of a key takes a multiple of four bytes.
 */
#define _GNU_SOURCE
#include "nft.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "nft_batch.h"
#include "rtnl.h"
#include "util.h"

static void control(struct rtnl *batch, uint16_t type) {
  struct nfgenmsg body = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)};
  rtnl_request(batch, type, 0, &body, sizeof body, "batch");
}

static void put_value(struct rtnl *batch, uint16_t type, const void *value, size_t size) {
  size_t outer = rtnl_begin(batch, type | NLA_F_NESTED, NULL, 0);
  rtnl_put(batch, NFTA_DATA_VALUE, value, size);
  rtnl_end(batch, outer);
}

static bool any_address(const struct nft_port *port) {
  static const uint8_t zero[16];
  return memcmp(port->host, zero, sizeof zero) == 0;
}

static void put_port(struct rtnl *batch, const char *table, const struct nft_port *port, bool add) {
  struct nfgenmsg body = {.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0};
  uint8_t key[24] = {0}, data[20] = {0};
  size_t size = port->family == AF_INET ? 4 : 16, at = 0;
  uint16_t number = htons(port->port), target = htons(port->target_port);
  char set[16];
  snprintf(set, sizeof set, "%s%d", any_address(port) ? "ports" : "addresses", port->family == AF_INET ? 4 : 6);
  if (!any_address(port)) {
    memcpy(key, port->host, size);
    at = size;
  }
  key[at] = port->protocol;
  memcpy(key + at + 4, &number, sizeof number);
  memcpy(data, port->target, size);
  memcpy(data + size, &target, sizeof target);
  rtnl_request(batch, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | (add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM)), add ? NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK : NLM_F_ACK, &body,
               sizeof body, "element");
  rtnl_put_text(batch, NFTA_SET_ELEM_LIST_TABLE, table);
  rtnl_put_text(batch, NFTA_SET_ELEM_LIST_SET, set);
  size_t list = rtnl_begin(batch, NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, NULL, 0);
  size_t element = rtnl_begin(batch, NFTA_LIST_ELEM | NLA_F_NESTED, NULL, 0);
  put_value(batch, NFTA_SET_ELEM_KEY, key, at + 8);
  if (add) put_value(batch, NFTA_SET_ELEM_DATA, data, size + 4);
  rtnl_end(batch, element);
  rtnl_end(batch, list);
}

/* Waits for the acknowledgement of each element, or for the first refusal of anything. */
static int await(int fd, unsigned count) {
  _Alignas(8) char buffer[4096];
  for (unsigned seen = 0; seen < count;) {
    ssize_t n = RETRY_EINTR(recv(fd, buffer, sizeof buffer, 0));
    if (n < 0) return -1;
    size_t left = (size_t)n;
    for (const struct nlmsghdr *message = (const void *)buffer; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_type != NLMSG_ERROR || message->nlmsg_len < NLMSG_LENGTH(sizeof(struct nlmsgerr))) continue;
      errno = -((const struct nlmsgerr *)NLMSG_DATA(message))->error;
      if (errno) return -1;
      seen++;
    }
  }
  return 0;
}

void nft_begin(struct rtnl *batch) {
  memset(batch, 0, offsetof(struct rtnl, buffer));
  batch->sequence = 1;
  control(batch, NFNL_MSG_BATCH_BEGIN);
}

int nft_commit(struct rtnl *batch, unsigned count) {
  static const struct timeval patience = {.tv_sec = 5};
  static const int on = 1;
  struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
  cleanup_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (fd < 0) return -1;
  (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  (void)setsockopt(fd, 270 /* SOL_NETLINK */, NETLINK_CAP_ACK, &on, sizeof on);
  control(batch, NFNL_MSG_BATCH_END);
  if (batch->overflow) {
    errno = EMSGSIZE;
    return -1;
  }
  if (RETRY_EINTR(sendto(fd, batch->buffer, batch->used, 0, (const struct sockaddr *)&kernel, sizeof kernel)) < 0) return -1;
  return await(fd, count);
}

static int exchange(const char *table, const struct nft_port *ports, unsigned count, bool add) {
  struct rtnl batch;
  nft_begin(&batch);
  for (unsigned i = 0; i < count; i++) put_port(&batch, table, &ports[i], add);
  return nft_commit(&batch, count);
}

int nft_add_ports(const char *table, const struct nft_port *ports, unsigned count) {
  if (exchange(table, ports, count, true) == 0) return 0;
  if (errno != EEXIST && errno != EBUSY) return -1;
  /* Left by one that was killed with its monitor: we listen on that port, so it is nobody else's any more. */
  for (unsigned i = 0; i < count; i++) (void)exchange(table, &ports[i], 1, false);
  return exchange(table, ports, count, true);
}

int nft_delete_ports(const char *table, const struct nft_port *ports, unsigned count) { return exchange(table, ports, count, false); }
