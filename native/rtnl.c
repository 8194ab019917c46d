/* See rtnl.h. */
#define _GNU_SOURCE
#include "rtnl.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "util.h"
#include "wire.h"

#ifndef SOL_NETLINK
#define SOL_NETLINK 270
#endif

int rtnl_open(struct rtnl *rtnl) {
  static const int on = 1;
  memset(rtnl, 0, offsetof(struct rtnl, buffer));
  rtnl->sequence = 1;
  rtnl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (rtnl->fd < 0) return -1;
  /* Both only improve messages: short acknowledgements, and the kernel's own words for what it refused. */
  (void)setsockopt(rtnl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
  (void)setsockopt(rtnl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
  return 0;
}

void rtnl_close(struct rtnl *rtnl) {
  cleanup_closep(&rtnl->fd);
  rtnl->fd = -1;
}

static struct nlmsghdr *current(struct rtnl *rtnl) { return (struct nlmsghdr *)(void *)(rtnl->buffer + rtnl->message); }

/* Room for size bytes, zeroed to the alignment, or NULL once the batch is full. */
static void *reserve(struct rtnl *rtnl, size_t size) {
  size_t whole = NLMSG_ALIGN(size);
  if (rtnl->overflow || whole > RTNL_SIZE - rtnl->used) {
    rtnl->overflow = true;
    return NULL;
  }
  void *room = rtnl->buffer + rtnl->used;
  memset(room, 0, whole);
  rtnl->used += whole;
  return room;
}

static void grow(struct rtnl *rtnl) { current(rtnl)->nlmsg_len = (uint32_t)(rtnl->used - rtnl->message); }

void rtnl_request(struct rtnl *rtnl, uint16_t type, uint16_t flags, const void *body, size_t size, const char *about) {
  if (rtnl->count == RTNL_REQUESTS) rtnl->overflow = true;
  size_t place = rtnl->used;
  struct nlmsghdr *header = reserve(rtnl, NLMSG_HDRLEN + size);
  if (!header) return;
  rtnl->message = place;
  header->nlmsg_type = type;
  header->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
  header->nlmsg_seq = rtnl->sequence + rtnl->count;
  memcpy((char *)header + NLMSG_HDRLEN, body, size);
  grow(rtnl);
  rtnl->about[rtnl->count++] = about;
}

void rtnl_put(struct rtnl *rtnl, uint16_t type, const void *data, size_t size) {
  struct nlattr *attribute = reserve(rtnl, NLA_HDRLEN + size);
  if (!attribute) return;
  attribute->nla_type = type;
  attribute->nla_len = (uint16_t)(NLA_HDRLEN + size);
  if (size > 0) memcpy((char *)attribute + NLA_HDRLEN, data, size);
  grow(rtnl);
}
void rtnl_put_text(struct rtnl *rtnl, uint16_t type, const char *text) { rtnl_put(rtnl, type, text, strlen(text) + 1); }
void rtnl_put_u32(struct rtnl *rtnl, uint16_t type, uint32_t value) { rtnl_put(rtnl, type, &value, sizeof value); }

size_t rtnl_begin(struct rtnl *rtnl, uint16_t type, const void *body, size_t size) {
  size_t place = rtnl->used;
  rtnl_put(rtnl, type, body, size);
  return place;
}
void rtnl_end(struct rtnl *rtnl, size_t place) {
  if (rtnl->overflow) return;
  ((struct nlattr *)(void *)(rtnl->buffer + place))->nla_len = (uint16_t)(rtnl->used - place);
}

static const struct nlattr *find(const char *at, const char *end, uint16_t type) {
  while (end - at >= (ptrdiff_t)NLA_HDRLEN) {
    const struct nlattr *attribute = (const struct nlattr *)(const void *)at;
    if (attribute->nla_len < NLA_HDRLEN || attribute->nla_len > end - at) return NULL;
    if ((attribute->nla_type & NLA_TYPE_MASK) == type) return attribute;
    at += NLA_ALIGN(attribute->nla_len);
  }
  return NULL;
}
const struct nlattr *rtnl_find(const struct nlmsghdr *message, size_t body, uint16_t type) {
  const char *start = (const char *)message;
  return find(start + NLMSG_HDRLEN + NLMSG_ALIGN(body), start + message->nlmsg_len, type);
}
const struct nlattr *rtnl_find_in(const struct nlattr *nest, uint16_t type) {
  return find((const char *)nest + NLA_HDRLEN, (const char *)nest + nest->nla_len, type);
}

/* The kernel's own words, where it had any. */
static void keep_complaint(struct rtnl *rtnl, const struct nlmsghdr *message, const char *about) {
  const struct nlattr *text = NULL;
  if ((message->nlmsg_flags & NLM_F_ACK_TLVS) && (message->nlmsg_flags & NLM_F_CAPPED))
    text = rtnl_find(message, sizeof(struct nlmsgerr), NLMSGERR_ATTR_MSG);
  if (text)
    snprintf(rtnl->complaint, sizeof rtnl->complaint, "%s: %.*s", about, (int)rtnl_length(text), (const char *)rtnl_data(text));
  else
    snprintf(rtnl->complaint, sizeof rtnl->complaint, "%s", about);
}

/* Reads one acknowledgement. 1: it was one (its error in *error), 0: something else, -1: errno. */
static int read_acknowledgement(struct rtnl *rtnl, int *error) {
  _Alignas(8) char buffer[1024];
  ssize_t n = RETRY_EINTR(recv(rtnl->fd, buffer, sizeof buffer, 0));
  if (n < 0) return -1;
  const struct nlmsghdr *message = (const void *)buffer;
  if ((size_t)n < NLMSG_HDRLEN + sizeof(struct nlmsgerr) || message->nlmsg_len > (size_t)n || message->nlmsg_type != NLMSG_ERROR) return 0;
  uint32_t place = message->nlmsg_seq - rtnl->sequence;
  if (place >= rtnl->count) return 0;
  *error = -((const struct nlmsgerr *)(const void *)(buffer + NLMSG_HDRLEN))->error;
  if (*error) keep_complaint(rtnl, message, rtnl->about[place]);
  return 1;
}

static int exchange(struct rtnl *rtnl, int accept) {
  if (rtnl->overflow) {
    errno = EMSGSIZE;
    return -1;
  }
  for (size_t at = 0; at < rtnl->used;) {
    struct nlmsghdr *header = (struct nlmsghdr *)(void *)(rtnl->buffer + at);
    header->nlmsg_flags |= NLM_F_ACK;
    at += NLMSG_ALIGN(header->nlmsg_len);
  }
  if (RETRY_EINTR(send(rtnl->fd, rtnl->buffer, rtnl->used, 0)) < 0) return -1;
  int first = 0;
  char complaint[sizeof rtnl->complaint] = "";
  for (unsigned seen = 0; seen < rtnl->count;) {
    int error = 0;
    int got = read_acknowledgement(rtnl, &error);
    if (got < 0) return -1;
    seen += (unsigned)got;
    if (error && error != accept && !first) {
      first = error;
      memcpy(complaint, rtnl->complaint, sizeof complaint);
    }
  }
  memcpy(rtnl->complaint, complaint, sizeof complaint);
  errno = first;
  return first ? -1 : 0;
}

int rtnl_send(struct rtnl *rtnl, const char *stage, int accept) {
  if (rtnl->count == 0 && !rtnl->overflow) return 0;
  rtnl->complaint[0] = 0;
  int result = exchange(rtnl, accept);
  int saved = errno;
  const char *about = rtnl->complaint[0] ? rtnl->complaint : rtnl->count ? rtnl->about[0] : "";
  rtnl->sequence += rtnl->count;
  rtnl->count = 0;
  rtnl->used = 0;
  rtnl->overflow = false;
  errno = saved;
  return result < 0 ? fail(stage, "netlink", about) : 0;
}

int rtnl_dump(struct rtnl *rtnl, uint16_t type, uint8_t family, rtnl_visit visit, void *context) {
  struct {
    struct nlmsghdr header;
    struct rtgenmsg body;
    char padding[3];
  } request = {.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtgenmsg)),
                          .nlmsg_type = type,
                          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
                          .nlmsg_seq = rtnl->sequence++},
               .body.rtgen_family = family};
  if (RETRY_EINTR(send(rtnl->fd, &request, sizeof request, 0)) < 0) return -1;
  cleanup_free char *buffer = malloc(32768);
  if (!buffer) return -1;
  int stopped = 0;
  for (;;) {
    ssize_t n = RETRY_EINTR(recv(rtnl->fd, buffer, 32768, 0));
    if (n < 0) return -1;
    size_t left = (size_t)n;
    for (const struct nlmsghdr *message = (const void *)buffer; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
      if (message->nlmsg_seq != request.header.nlmsg_seq) continue;
      if (message->nlmsg_type == NLMSG_DONE) return 0;
      if (message->nlmsg_type == NLMSG_ERROR) {
        errno = -((const struct nlmsgerr *)NLMSG_DATA(message))->error;
        return errno ? -1 : 0;
      }
      /* Read to the end also after a stop, so that the socket is clean for the next request. */
      if (!stopped) stopped = visit(message, context);
    }
  }
}

unsigned rtnl_index(const struct rtnl *rtnl, const char *name) {
  struct ifreq request = {0};
  if (strlen(name) >= sizeof request.ifr_name) return 0;
  memcpy(request.ifr_name, name, strlen(name));
  return ioctl(rtnl->fd, SIOCGIFINDEX, &request) < 0 ? 0 : (unsigned)request.ifr_ifindex;
}
