/*
 * rtnetlink by hand: requests are collected in a batch, sent by one call, and every one of them is acknowledged.
 * A batch is bound to the network namespace in which it was opened.
 */
#ifndef TSC_RTNL_H
#define TSC_RTNL_H

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTNL_SIZE 4096u
#define RTNL_REQUESTS 16u

struct rtnl {
  int fd;
  uint32_t sequence; /* of the first request of the batch */
  unsigned count;
  bool overflow;
  size_t used;
  size_t message; /* where the request under construction begins */
  const char *about[RTNL_REQUESTS]; /* for error messages: what each request is about */
  char complaint[160]; /* what the kernel said of the one that failed */
  _Alignas(8) char buffer[RTNL_SIZE];
};

/* 0, or -1 with errno. */
int rtnl_open(struct rtnl *rtnl);
void rtnl_close(struct rtnl *rtnl);

/* Begins a request with its fixed body; attributes are added until the next one begins. */
void rtnl_request(struct rtnl *rtnl, uint16_t type, uint16_t flags, const void *body, size_t size, const char *about);
void rtnl_put(struct rtnl *rtnl, uint16_t type, const void *data, size_t size);
void rtnl_put_text(struct rtnl *rtnl, uint16_t type, const char *text);
void rtnl_put_u32(struct rtnl *rtnl, uint16_t type, uint32_t value);
/* A nested attribute, optionally with a body before its own attributes. Returns its place for rtnl_end. */
size_t rtnl_begin(struct rtnl *rtnl, uint16_t type, const void *body, size_t size);
void rtnl_end(struct rtnl *rtnl, size_t place);

/*
 * Sends the batch and waits for all its acknowledgements; the batch is empty afterwards. The kernel carries out later requests
 * also when an earlier one failed. 0, or -1 after fail(stage, …) for the first failure. `accept` is an errno that counts as success, or 0.
 */
int rtnl_send(struct rtnl *rtnl, const char *stage, int accept);

/* Asks for everything of one kind and calls back with each answer. A callback that returns non-zero ends the asking. 0 or -1 with errno. */
typedef int (*rtnl_visit)(const struct nlmsghdr *message, void *context);
int rtnl_dump(struct rtnl *rtnl, uint16_t type, uint8_t family, rtnl_visit visit, void *context);

/* An attribute in a message whose fixed body has that size, or NULL. */
const struct nlattr *rtnl_find(const struct nlmsghdr *message, size_t body, uint16_t type);
/* The same inside a nested attribute. */
const struct nlattr *rtnl_find_in(const struct nlattr *nest, uint16_t type);
static inline const void *rtnl_data(const struct nlattr *attribute) { return (const char *)attribute + NLA_HDRLEN; }
static inline size_t rtnl_length(const struct nlattr *attribute) { return attribute->nla_len - NLA_HDRLEN; }

/* The index of a device, or 0. */
unsigned rtnl_index(const struct rtnl *rtnl, const char *name);

#endif
