/*
 * See proxy.h. A client is an address and port that datagrams came from, together with the address they were sent to. Each
 * has a socket of its own towards the container, and so the container's answers say whom they are for. It is forgotten after a
 * while without traffic; Docker's proxy waits as long.
 */
#define _GNU_SOURCE
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

#include "proxy.h"
#include "util.h"

#define CLIENTS_MAX 2048u
#define BUCKETS 256u
#define SILENCE_MS 90000
#define TICK_S 10
#define TURN 64

struct udp_listener {
  struct loop_source source;
  struct loop *loop;
  union address target;
  bool stopped;
  unsigned clients;
};

struct client {
  struct loop_source source; /* connected to the target */
  struct client *next;
  struct udp_listener *listener;
  union address address;
  /* What the client believes it talks to: an address of this host. */
  union {
    struct in_pktinfo v4;
    struct in6_pktinfo v6;
  } local;
  int64_t heard;
};

static struct client *buckets[BUCKETS];
static unsigned client_count;
static struct loop_source timer = {.fd = -1};
static uint8_t datagram[65535];

static unsigned bucket_of(const union address *address) {
  const uint8_t *at = (const void *)address;
  unsigned hash = 2166136261u;
  for (size_t i = 0; i < address_size(address); i++) hash = (hash ^ at[i]) * 16777619u;
  return hash % BUCKETS;
}

static void forget(struct client **at) {
  struct client *client = *at;
  struct udp_listener *listener = client->listener;
  *at = client->next;
  client_count--;
  loop_remove(listener->loop, &client->source);
  close(client->source.fd);
  client->source.fd = -1;
  loop_later(free, client);
  if (--listener->clients == 0 && listener->stopped) loop_later(free, listener);
}

/* With heard < 0, everybody of a listener. */
static void forget_silent(const struct udp_listener *of, int64_t heard) {
  for (unsigned i = 0; i < BUCKETS; i++)
    for (struct client **at = &buckets[i]; *at;) {
      bool gone = of ? (*at)->listener == of : (*at)->heard < heard;
      if (gone) forget(at);
      else at = &(*at)->next;
    }
}

static void on_timer(struct loop_source *source, uint32_t events) {
  static const struct itimerspec never;
  uint64_t ticks;
  (void)events;
  (void)!read(source->fd, &ticks, sizeof ticks);
  forget_silent(NULL, now_ms() - SILENCE_MS);
  if (client_count == 0) (void)timerfd_settime(timer.fd, 0, &never, NULL);
}

static int wind_up(struct loop *loop) {
  static const struct itimerspec tick = {.it_interval.tv_sec = TICK_S, .it_value.tv_sec = TICK_S};
  if (timer.fd < 0) {
    timer = (struct loop_source){timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), on_timer, NULL};
    if (timer.fd < 0 || loop_add(loop, &timer, EPOLLIN) < 0) return -1;
  }
  return timerfd_settime(timer.fd, 0, &tick, NULL);
}

/* To the client, from the address that it wrote to. */
static void answer(struct client *client, size_t length) {
  struct iovec part = {datagram, length};
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof client->local)] = {0};
  struct msghdr message = {
      .msg_name = &client->address, .msg_namelen = address_size(&client->address), .msg_iov = &part, .msg_iovlen = 1, .msg_control = control};
  bool v4 = client->address.any.sa_family == AF_INET;
  size_t size = v4 ? sizeof client->local.v4 : sizeof client->local.v6;
  message.msg_controllen = CMSG_SPACE(size);
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = v4 ? IPPROTO_IP : IPPROTO_IPV6;
  header->cmsg_type = v4 ? IP_PKTINFO : IPV6_PKTINFO;
  header->cmsg_len = CMSG_LEN(size);
  memcpy(CMSG_DATA(header), &client->local, size);
  (void)sendmsg(client->listener->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void on_target(struct loop_source *source, uint32_t events) {
  struct client *client = source->context;
  (void)events;
  for (int turn = 0; turn < TURN; turn++) {
    ssize_t n = RETRY_EINTR(recv(source->fd, datagram, sizeof datagram, MSG_DONTWAIT));
    /* An error is news of a datagram that did not arrive: the sender of datagrams lives with that. */
    if (n < 0) return;
    client->heard = now_ms();
    if (!client->listener->stopped) answer(client, (size_t)n);
  }
}

static struct client *find(struct udp_listener *listener, const union address *address) {
  for (struct client *each = buckets[bucket_of(address)]; each; each = each->next)
    if (each->listener == listener && memcmp(&each->address, address, address_size(address)) == 0) return each;
  return NULL;
}

static struct client *meet(struct udp_listener *listener, const union address *address) {
  if (client_count == CLIENTS_MAX || (client_count == 0 && wind_up(listener->loop) < 0)) return NULL;
  struct client *client = calloc(1, sizeof *client);
  int fd = client ? socket(listener->target.any.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) : -1;
  if (fd < 0) goto broken;
  client->source = (struct loop_source){fd, on_target, client};
  client->listener = listener;
  client->address = *address;
  if (connect(fd, &listener->target.any, address_size(&listener->target)) < 0 || loop_add(listener->loop, &client->source, EPOLLIN) < 0) goto broken;
  struct client **bucket = &buckets[bucket_of(address)];
  client->next = *bucket;
  *bucket = client;
  client_count++;
  listener->clients++;
  return client;
broken:
  cleanup_closep(&fd);
  free(client);
  return NULL;
}

static void keep_local(struct client *client, struct msghdr *message) {
  for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
    if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      memcpy(&client->local.v4, CMSG_DATA(header), sizeof client->local.v4);
      client->local.v4.ipi_ifindex = 0; /* The way back is the routing table's business. */
    } else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      memcpy(&client->local.v6, CMSG_DATA(header), sizeof client->local.v6);
      if (!IN6_IS_ADDR_LINKLOCAL(&client->local.v6.ipi6_addr)) client->local.v6.ipi6_ifindex = 0;
    }
  }
}

static void on_datagram(struct loop_source *source, uint32_t events) {
  struct udp_listener *listener = source->context;
  (void)events;
  for (int turn = 0; turn < TURN; turn++) {
    union address from;
    memset(&from, 0, sizeof from);
    struct iovec part = {datagram, sizeof datagram};
    _Alignas(struct cmsghdr) char control[256];
    struct msghdr message = {
        .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    ssize_t n = RETRY_EINTR(recvmsg(source->fd, &message, MSG_DONTWAIT));
    if (n < 0) return;
    struct client *client = find(listener, &from);
    if (!client && !(client = meet(listener, &from))) continue;
    client->heard = now_ms();
    keep_local(client, &message);
    (void)send(client->source.fd, datagram, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL);
  }
}

struct udp_listener *udp_serve(struct loop *loop, int fd, const union address *target) {
  static const int on = 1;
  (void)setsockopt(fd, IPPROTO_IP, IP_PKTINFO, &on, sizeof on);
  (void)setsockopt(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof on);
  struct udp_listener *listener = calloc(1, sizeof *listener);
  if (!listener) goto broken;
  *listener = (struct udp_listener){.source = {fd, on_datagram, listener}, .loop = loop, .target = *target};
  if (loop_add(loop, &listener->source, EPOLLIN) == 0) return listener;
broken: {
  int saved = errno;
  close(fd);
  free(listener);
  errno = saved;
  return NULL;
}
}

void udp_stop(struct udp_listener *listener) {
  loop_remove(listener->loop, &listener->source);
  close(listener->source.fd);
  listener->source.fd = -1;
  listener->stopped = true;
  if (listener->clients == 0) loop_later(free, listener);
  else forget_silent(listener, 0);
}
