/* See publish.h. */
#define _GNU_SOURCE
#include "publish.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "address.h"
#include "modes.h"
#include "nft.h"
#include "proxy.h"
#include "util.h"

#define RANDOM_TRIES 16
#define TABLE_NAME_MAX 64

/* One address and port of the host. */
struct publication {
  struct publication *next;
  bool udp;
  unsigned host_port, target_port;
  struct listener *listener;
  struct udp_listener *datagrams;
  char table[TABLE_NAME_MAX]; /* "" when the kernel does not know of it */
  struct nft_port port;
};

/* What is asked for. */
struct wish {
  bool udp;
  const char *hosts, *ports, *table;
  unsigned first, last, target_port;
  union address target, target6; /* of target6 the family is 0 when there is none */
};

/* At most IPv4 and IPv6 of one published port. */
struct binding {
  union address address[2];
  int fd[2];
  unsigned count;
};

static struct publication *publications;

/* --- holding ports --- */

/* A bound socket, listening if it is one that listens, or -1 with errno and the call that failed. The port that the kernel
 * chose is put into the address. */
static int hold(union address *address, bool udp_port, const char **call) {
  static const int on = 1;
  *call = "socket";
  cleanup_close int fd = socket(address->any.sa_family, (udp_port ? SOCK_DGRAM : SOCK_STREAM) | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  /* Not when the kernel chooses: it would then also choose a port that somebody has bound and not yet listens on. */
  if (!udp_port && address_port(address) != 0) (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address->any.sa_family == AF_INET6) (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (!udp_port) {
    /* Accepted sockets inherit both. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
  }
  *call = "bind";
  if (bind(fd, &address->any, address_size(address)) < 0) return -1;
  *call = "listen";
  if (!udp_port && listen(fd, SOMAXCONN) < 0) return -1;
  socklen_t size = sizeof *address;
  *call = "getsockname";
  if (getsockname(fd, &address->any, &size) < 0) return -1;
  int result = fd;
  fd = -1;
  return result;
}

static void close_all(int *fds, unsigned count) {
  int saved = errno;
  for (unsigned i = 0; i < count; i++) close(fds[i]);
  errno = saved;
}

/* This machine has no IPv6: then a port on all addresses is one on all that there are. */
static bool no_such_family(int error) { return error == EAFNOSUPPORT || error == EADDRNOTAVAIL; }

/* Holds every address of the list with one port. -1 with errno, binding->count naming the address that failed. */
static int bind_all(const struct wish *wish, unsigned port, struct binding *binding, const char **call) {
  binding->count = 0;
  for (const char *at = wish->hosts; binding->count < countof(binding->fd);) {
    size_t length = strcspn(at, ",");
    union address *address = &binding->address[binding->count];
    *call = "parse";
    errno = EINVAL;
    int fd = address_parse(at, length, port, address) < 0 ? -1 : hold(address, wish->udp, call);
    if (fd >= 0) {
      binding->fd[binding->count++] = fd;
      port = address_port(address);
    } else if (binding->count == 0 || !no_such_family(errno)) {
      close_all(binding->fd, binding->count);
      return -1;
    }
    if (at[length] == 0) break;
    at += length + 1;
  }
  return 0;
}

/* The first port of the range that is free on all addresses; 0 is whichever the kernel likes. */
static int bind_range(const struct wish *wish, struct binding *binding, const char **call) {
  int tries = wish->first == 0 ? RANDOM_TRIES : (int)(wish->last - wish->first) + 1;
  for (int i = 0; i < tries; i++) {
    if (bind_all(wish, wish->first == 0 ? 0 : wish->first + (unsigned)i, binding, call) == 0) return 0;
    if (errno != EADDRINUSE) return -1;
  }
  return -1;
}

/* --- publishing --- */

/* The kernel's own way from other machines. What does not work is left to the socket: slower, but it works. */
static bool publish_in_kernel(struct publication *publication, const struct wish *wish, const union address *host, const union address *target) {
  size_t size;
  if (!wish->table[0] || strlen(wish->table) >= TABLE_NAME_MAX || host->any.sa_family != target->any.sa_family) return false;
  const uint8_t *bytes = address_bytes(host, &size);
  if (size == 4 ? bytes[0] == 127 : IN6_IS_ADDR_LOOPBACK(&host->v6.sin6_addr)) return false;
  publication->port = (struct nft_port){.family = host->any.sa_family,
                                        .protocol = wish->udp ? IPPROTO_UDP : IPPROTO_TCP,
                                        .port = (uint16_t)publication->host_port,
                                        .target_port = (uint16_t)publication->target_port};
  memcpy(publication->port.host, bytes, size);
  memcpy(publication->port.target, address_bytes(target, NULL), size);
  if (nft_add_ports(wish->table, &publication->port, 1) < 0) return false;
  strcpy(publication->table, wish->table);
  return true;
}

/* Takes the descriptor, also when it fails. */
static int serve(struct loop *loop, const struct wish *wish, int fd, const union address *host) {
  const union address *target = host->any.sa_family == AF_INET6 && wish->target6.any.sa_family ? &wish->target6 : &wish->target;
  struct publication *publication = calloc(1, sizeof *publication);
  if (!publication) {
    close(fd);
    errno = ENOMEM;
    return -1;
  }
  publication->udp = wish->udp;
  publication->host_port = address_port(host);
  publication->target_port = wish->target_port;
  if (wish->udp) publication->datagrams = udp_serve(loop, fd, target);
  else publication->listener = proxy_serve(loop, fd, target);
  if (!publication->datagrams && !publication->listener) {
    free(publication);
    return -1;
  }
  bool kernel = publish_in_kernel(publication, wish, host, target);
  publication->next = publications;
  publications = publication;
  char text[INET6_ADDRSTRLEN] = "";
  address_show(host, text, sizeof text);
  fact_json("listening", "\"hostIp\":\"%s\",\"hostPort\":%u,\"targetPort\":%u,\"protocol\":\"%s\",\"kernel\":%s", text, publication->host_port,
            publication->target_port, wish->udp ? "udp" : "tcp", kernel ? "true" : "false");
  return 0;
}

/* The address that failed, as people write it: 127.0.0.1:80, [::1]:80. */
static void describe(const union address *address, const struct wish *wish, char *out, size_t size) {
  int saved = errno;
  char host[INET6_ADDRSTRLEN] = "";
  if (address->any.sa_family == AF_INET || address->any.sa_family == AF_INET6) {
    address_show(address, host, sizeof host);
    snprintf(out, size, address->any.sa_family == AF_INET ? "%s:%u" : "[%s]:%u", host, address_port(address));
  } else {
    snprintf(out, size, "%.80s:%.16s", wish->hosts, wish->ports);
  }
  errno = saved;
}

static int parse_range(const char *text, unsigned *first, unsigned *last) {
  int end = 0, more = 0;
  if (sscanf(text, "%5u%n-%5u%n", first, &end, last, &more) == 2) end = more;
  else *last = *first;
  return end > 0 && text[end] == 0 && *first <= *last && *last <= 65535 ? 0 : -1;
}

int publish(struct loop *loop, const struct op *op) {
  char about[128];
  const char *protocol = op_text(op, 1), *target = op_text(op, 4), *target6 = op_text(op, 7), *call = "parse";
  long long target_port = op_number(op, 5, 0);
  struct wish wish = {.udp = strcmp(protocol, "udp") == 0, .hosts = op_text(op, 2), .ports = op_text(op, 3), .table = op_text(op, 6)};
  struct binding binding = {.count = 0};
  snprintf(about, sizeof about, "%.80s:%.16s", wish.hosts, wish.ports);
  if (!wish.udp && strcmp(protocol, "tcp") != 0) {
    errno = EPROTONOSUPPORT;
    return fail("publish", "socket", protocol);
  }
  errno = EINVAL;
  wish.target_port = (unsigned)target_port;
  if (target_port < 1 || target_port > 65535 || address_parse(target, strlen(target), wish.target_port, &wish.target) < 0) return fail("publish", "parse", target);
  if (*target6 && address_parse(target6, strlen(target6), wish.target_port, &wish.target6) < 0) return fail("publish", "parse", target6);
  if (parse_range(wish.ports, &wish.first, &wish.last) < 0) return fail("publish", "parse", about);
  if (bind_range(&wish, &binding, &call) < 0) {
    describe(&binding.address[binding.count], &wish, about, sizeof about);
    return fail("publish", call, about);
  }
  for (unsigned i = 0; i < binding.count; i++)
    if (serve(loop, &wish, binding.fd[i], &binding.address[i]) < 0) {
      close_all(binding.fd + i + 1, binding.count - i - 1);
      return fail("publish", "epoll_ctl", about);
    }
  return 0;
}

/* --- the end of it --- */

static void withdraw(struct publication *publication) {
  if (publication->table[0]) (void)nft_delete_ports(publication->table, &publication->port, 1);
}

unsigned unpublish(const struct op *op) {
  bool is_udp = strcmp(op_text(op, 1), "udp") == 0;
  unsigned count = 0, target = (unsigned)op_number(op, 2, 0), host = (unsigned)op_number(op, 3, 0);
  for (struct publication **at = &publications; *at;) {
    struct publication *each = *at;
    if (each->udp != is_udp || each->target_port != target || (host && each->host_port != host)) {
      at = &each->next;
      continue;
    }
    *at = each->next;
    withdraw(each);
    if (each->listener) proxy_stop(each->listener);
    if (each->datagrams) udp_stop(each->datagrams);
    free(each);
    count++;
  }
  return count;
}

void publish_end(void) {
  for (struct publication *each = publications; each; each = each->next) withdraw(each);
}
