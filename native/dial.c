/* See dial.h. */
#define _GNU_SOURCE
#include "dial.h"

#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "address.h"
#include "netns.h"
#include "proxy.h"
#include "util.h"

#define ADDRESSES_MAX 16u

struct call {
  struct loop_source target, client; /* client: only its death is of interest */
  struct loop *loop;
  int netns;
  unsigned at, count;
  union address addresses[ADDRESSES_MAX];
};

/* Facts for one client, while it has no conversation any more. */
static void tell(void *context, const char *frame, size_t length) { (void)!send(*(int *)context, frame, length, MSG_NOSIGNAL | MSG_DONTWAIT); }

static void part(struct call *call) {
  struct loop_source *sources[] = {&call->target, &call->client};
  for (size_t i = 0; i < countof(sources); i++) {
    if (sources[i]->fd < 0) continue;
    loop_remove(call->loop, sources[i]);
    close(sources[i]->fd);
    sources[i]->fd = -1;
  }
  loop_later(free, call);
}

static void refuse(struct call *call) {
  struct wire_sink before = wire_swap((struct wire_sink){tell, &call->client.fd});
  fail("dial", "connect", "");
  (void)wire_swap(before);
  part(call);
}

static void succeed(struct call *call) {
  int client = call->client.fd, target = call->target.fd;
  loop_remove(call->loop, &call->client);
  loop_remove(call->loop, &call->target);
  call->client.fd = call->target.fd = -1;
  struct wire_sink before = wire_swap((struct wire_sink){tell, &client});
  fact("connected", NULL);
  (void)wire_swap(before);
  (void)proxy_join(call->loop, client, target);
  loop_later(free, call);
}

static void try_next(struct call *call);

static void on_target(struct loop_source *source, uint32_t events) {
  struct call *call = source->context;
  int error = 0;
  socklen_t size = sizeof error;
  (void)events;
  if (getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) error = errno;
  if (error == 0) return succeed(call);
  loop_remove(call->loop, source);
  close(source->fd);
  source->fd = -1;
  errno = error;
  try_next(call);
}

static void on_client(struct loop_source *source, uint32_t events) {
  if (events & (EPOLLHUP | EPOLLERR | EPOLLRDHUP)) part(source->context);
}

/* errno tells why the last one failed. */
static void try_next(struct call *call) {
  static const int on = 1;
  while (call->at < call->count) {
    const union address *address = &call->addresses[call->at++];
    int fd = netns_socket(call->netns, address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK);
    if (fd < 0) continue;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    call->target.fd = fd;
    bool begun = connect(fd, &address->any, address_size(address)) == 0 || errno == EINPROGRESS;
    if (begun && loop_add(call->loop, &call->target, EPOLLOUT) == 0) return;
    int saved = errno;
    close(fd);
    call->target.fd = -1;
    errno = saved;
  }
  refuse(call);
}

void dial(struct loop *loop, int client, int netns, const struct op *op) {
  struct call *call = calloc(1, sizeof *call);
  if (!call) {
    close(client);
    return;
  }
  call->loop = loop;
  call->netns = netns;
  call->target = (struct loop_source){-1, on_target, call};
  call->client = (struct loop_source){client, on_client, call};
  for (unsigned i = 2; i < op->count && call->count < ADDRESSES_MAX; i++) {
    const char *text = op_text(op, i);
    if (address_parse(text, strlen(text), (unsigned)op_number(op, 1, 0), &call->addresses[call->count]) == 0) call->count++;
  }
  if (loop_add(loop, &call->client, EPOLLRDHUP) < 0) return part(call);
  errno = EADDRNOTAVAIL;
  try_next(call);
}
