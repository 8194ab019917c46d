/*
 * See nft.h. One table in a container's network namespace, as `nft` would write it:
 *
 *   table ip tscontainer { chain output { type nat hook output priority -100;
 *     ip daddr ADDRESS ip protocol udp udp dport PORT dnat to ADDRESS:UDP-PORT
 *     ip daddr ADDRESS ip protocol tcp tcp dport PORT dnat to ADDRESS:TCP-PORT } }
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "nft.h"
#include "nft_batch.h"
#include "rtnl.h"

static const char table[] = "tscontainer", chain[] = "output";

static void put_be32(struct rtnl *batch, uint16_t type, uint32_t value) { rtnl_put_u32(batch, type, htonl(value)); }

static void message(struct rtnl *batch, uint16_t type, uint16_t flags) {
  struct nfgenmsg body = {.nfgen_family = NFPROTO_IPV4, .version = NFNETLINK_V0};
  rtnl_request(batch, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), NLM_F_CREATE | NLM_F_ACK | flags, &body, sizeof body, "redirect");
}

/* An expression of a rule; end it with rtnl_end twice, inner place first. */
static size_t expression(struct rtnl *batch, const char *name, size_t *data) {
  size_t element = rtnl_begin(batch, NFTA_LIST_ELEM | NLA_F_NESTED, NULL, 0);
  rtnl_put_text(batch, NFTA_EXPR_NAME, name);
  *data = rtnl_begin(batch, NFTA_EXPR_DATA | NLA_F_NESTED, NULL, 0);
  return element;
}

static void put_value(struct rtnl *batch, uint16_t type, const void *value, size_t size) {
  size_t place = rtnl_begin(batch, type | NLA_F_NESTED, NULL, 0);
  rtnl_put(batch, NFTA_DATA_VALUE, value, size);
  rtnl_end(batch, place);
}

/* These bytes of the packet are these. */
static void compare(struct rtnl *batch, uint32_t base, uint32_t offset, const void *value, size_t size) {
  size_t data, element = expression(batch, "payload", &data);
  put_be32(batch, NFTA_PAYLOAD_DREG, NFT_REG_1);
  put_be32(batch, NFTA_PAYLOAD_BASE, base);
  put_be32(batch, NFTA_PAYLOAD_OFFSET, offset);
  put_be32(batch, NFTA_PAYLOAD_LEN, (uint32_t)size);
  rtnl_end(batch, data);
  rtnl_end(batch, element);
  element = expression(batch, "cmp", &data);
  put_be32(batch, NFTA_CMP_SREG, NFT_REG_1);
  put_be32(batch, NFTA_CMP_OP, NFT_CMP_EQ);
  put_value(batch, NFTA_CMP_DATA, value, size);
  rtnl_end(batch, data);
  rtnl_end(batch, element);
}

static void load(struct rtnl *batch, uint32_t reg, const void *value, size_t size) {
  size_t data, element = expression(batch, "immediate", &data);
  put_be32(batch, NFTA_IMMEDIATE_DREG, reg);
  put_value(batch, NFTA_IMMEDIATE_DATA, value, size);
  rtnl_end(batch, data);
  rtnl_end(batch, element);
}

static void rule(struct rtnl *batch, const struct in_addr *address, uint8_t protocol, uint16_t port, uint16_t to) {
  uint16_t from = htons(port), target = htons(to);
  message(batch, NFT_MSG_NEWRULE, NLM_F_APPEND);
  rtnl_put_text(batch, NFTA_RULE_TABLE, table);
  rtnl_put_text(batch, NFTA_RULE_CHAIN, chain);
  size_t list = rtnl_begin(batch, NFTA_RULE_EXPRESSIONS | NLA_F_NESTED, NULL, 0);
  compare(batch, NFT_PAYLOAD_NETWORK_HEADER, 16, address, sizeof *address);
  compare(batch, NFT_PAYLOAD_NETWORK_HEADER, 9, &protocol, sizeof protocol);
  compare(batch, NFT_PAYLOAD_TRANSPORT_HEADER, 2, &from, sizeof from);
  load(batch, NFT_REG_1, address, sizeof *address);
  load(batch, NFT_REG_2, &target, sizeof target);
  size_t data, element = expression(batch, "nat", &data);
  put_be32(batch, NFTA_NAT_TYPE, NFT_NAT_DNAT);
  put_be32(batch, NFTA_NAT_FAMILY, NFPROTO_IPV4);
  put_be32(batch, NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
  put_be32(batch, NFTA_NAT_REG_PROTO_MIN, NFT_REG_2);
  rtnl_end(batch, data);
  rtnl_end(batch, element);
  rtnl_end(batch, list);
}

int nft_redirect(const struct in_addr *address, uint16_t port, uint16_t udp, uint16_t tcp) {
  struct rtnl batch;
  nft_begin(&batch);
  message(&batch, NFT_MSG_NEWTABLE, 0);
  rtnl_put_text(&batch, NFTA_TABLE_NAME, table);
  message(&batch, NFT_MSG_NEWCHAIN, 0);
  rtnl_put_text(&batch, NFTA_CHAIN_TABLE, table);
  rtnl_put_text(&batch, NFTA_CHAIN_NAME, chain);
  size_t hook = rtnl_begin(&batch, NFTA_CHAIN_HOOK | NLA_F_NESTED, NULL, 0);
  put_be32(&batch, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_OUT);
  put_be32(&batch, NFTA_HOOK_PRIORITY, (uint32_t)-100);
  rtnl_end(&batch, hook);
  rtnl_put_text(&batch, NFTA_CHAIN_TYPE, "nat");
  rule(&batch, address, IPPROTO_UDP, port, udp);
  rule(&batch, address, IPPROTO_TCP, port, tcp);
  return nft_commit(&batch, 4);
}
