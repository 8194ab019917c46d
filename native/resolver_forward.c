/* See resolver_forward.h. Every question has a socket of its own: its random port is what makes answers hard to forge. */
#define _GNU_SOURCE
#include "resolver_forward.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "dns.h"
#include "util.h"

#define SERVERS_MAX 8u
#define EXCHANGES_MAX 256u
#define PATIENCE_MS 4000 /* Docker's, for each server. */
#define TICK_MS 250
#define PORT 53

struct server {
  bool inside;
  socklen_t size;
  union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
  } address;
};

struct exchange {
  struct loop_source source;
  struct exchange *next;
  struct forward_client client;
  unsigned server;
  int64_t until;
  uint16_t id, client_id;
  bool connecting; /* a stream that is not connected yet */
  size_t question_end, length;
  uint8_t *reply; /* of a stream: its length and what has come of it */
  size_t received;
  uint8_t message[]; /* behind two bytes for its length in a stream */
};

static struct server servers[SERVERS_MAX];
static unsigned server_count, exchange_count;
static struct exchange *exchanges;
static int container = -1;
static struct loop *the_loop;
static struct loop_source timer = {.fd = -1};
static uint8_t datagram[DNS_MESSAGE_MAX];

void forward_clear(void) { server_count = 0; }
void forward_from(int netns) { container = netns; }

int forward_add(const char *from, const char *address) {
  struct server server = {.inside = strcmp(from, "inside") == 0};
  if (server_count == SERVERS_MAX) return 0; /* As resolv.conf(5): more than a few are not asked. */
  if (inet_pton(AF_INET, address, &server.address.v4.sin_addr) == 1) {
    server.address.v4.sin_family = AF_INET;
    server.address.v4.sin_port = htons(PORT);
    server.size = sizeof server.address.v4;
  } else if (inet_pton(AF_INET6, address, &server.address.v6.sin6_addr) == 1) {
    server.address.v6.sin6_family = AF_INET6;
    server.address.v6.sin6_port = htons(PORT);
    server.size = sizeof server.address.v6;
  } else {
    errno = EINVAL;
    return fail("resolver", "parse", address);
  }
  servers[server_count++] = server;
  return 0;
}

/* --- one question --- */

static void hang_up(struct exchange *exchange) {
  if (exchange->source.fd < 0) return;
  loop_remove(the_loop, &exchange->source);
  close(exchange->source.fd);
  exchange->source.fd = -1;
  free(exchange->reply);
  exchange->reply = NULL;
  exchange->received = 0;
}

static void finish(struct exchange *exchange, uint8_t *data, size_t length) {
  struct exchange **at = &exchanges;
  while (*at != exchange) at = &(*at)->next;
  *at = exchange->next;
  exchange_count--;
  if (length >= 2) {
    data[0] = (uint8_t)(exchange->client_id >> 8);
    data[1] = (uint8_t)exchange->client_id;
  }
  exchange->client.reply(exchange->client.context, data, length);
  hang_up(exchange);
  loop_later(free, exchange);
}

static void give_up(struct exchange *exchange) {
  struct dns_question question;
  struct dns_answer answer;
  uint8_t data[DNS_HEADER + DNS_NAME_MAX + 8];
  if (dns_parse(exchange->message + 2, exchange->length, &question) != DNS_OK) return finish(exchange, NULL, 0);
  dns_begin(&answer, data, sizeof data, exchange->message + 2, &question, DNS_FAILURE);
  finish(exchange, data, answer.length);
}

static int ask(struct exchange *exchange);

/* The next server that can be asked at all, or nobody. */
static void ask_next(struct exchange *exchange) {
  hang_up(exchange);
  while (++exchange->server < server_count)
    if (ask(exchange) == 0) return;
  give_up(exchange);
}

static void on_datagram(struct exchange *exchange) {
  ssize_t n = RETRY_EINTR(recv(exchange->source.fd, datagram, sizeof datagram, MSG_DONTWAIT));
  if (n < 0 && errno == EAGAIN) return;
  if (n < 0) return ask_next(exchange); /* Nobody listens there. */
  if (dns_answers(datagram, (size_t)n, exchange->message + 2, exchange->question_end, exchange->id)) finish(exchange, datagram, (size_t)n);
}

static void on_stream(struct exchange *exchange, uint32_t events) {
  if (exchange->connecting) {
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(exchange->source.fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error) return ask_next(exchange);
    if (!(events & EPOLLOUT)) return;
    if (send(exchange->source.fd, exchange->message, exchange->length + 2, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)exchange->length + 2) return ask_next(exchange);
    exchange->connecting = false;
    (void)loop_modify(the_loop, &exchange->source, EPOLLIN);
    return;
  }
  if (!exchange->reply && !(exchange->reply = malloc(2 + DNS_MESSAGE_MAX))) return ask_next(exchange);
  ssize_t n = RETRY_EINTR(recv(exchange->source.fd, exchange->reply + exchange->received, 2 + DNS_MESSAGE_MAX - exchange->received, MSG_DONTWAIT));
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) return ask_next(exchange);
  exchange->received += (size_t)n;
  if (exchange->received < 2) return;
  size_t length = (size_t)exchange->reply[0] << 8 | exchange->reply[1];
  if (exchange->received < 2 + length) return;
  if (!dns_answers(exchange->reply + 2, length, exchange->message + 2, exchange->question_end, exchange->id)) return ask_next(exchange);
  finish(exchange, exchange->reply + 2, length);
}

static void on_server(struct loop_source *source, uint32_t events) {
  struct exchange *exchange = source->context;
  if (exchange->client.stream) on_stream(exchange, events);
  else on_datagram(exchange);
}

static int ask(struct exchange *exchange) {
  const struct server *server = &servers[exchange->server];
  bool stream = exchange->client.stream;
  exchange->source = (struct loop_source){
      netns_socket(server->inside ? container : -1, server->address.any.sa_family, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK), on_server, exchange};
  if (exchange->source.fd < 0) return -1;
  exchange->until = now_ms() + PATIENCE_MS;
  exchange->connecting = stream;
  bool sent = connect(exchange->source.fd, &server->address.any, server->size) == 0 || (stream && errno == EINPROGRESS);
  if (sent && !stream) sent = send(exchange->source.fd, exchange->message + 2, exchange->length, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
  if (sent && loop_add(the_loop, &exchange->source, stream ? EPOLLOUT : EPOLLIN) == 0) return 0;
  close(exchange->source.fd);
  exchange->source.fd = -1;
  return -1;
}

/* --- patience --- */

static void wind_up(void) {
  struct itimerspec tick = {.it_interval.tv_nsec = TICK_MS * 1000 * 1000, .it_value.tv_nsec = TICK_MS * 1000 * 1000}, never = {0};
  (void)timerfd_settime(timer.fd, 0, exchanges ? &tick : &never, NULL);
}

static void on_tick(struct loop_source *source, uint32_t events) {
  uint64_t ticks;
  int64_t now = now_ms();
  (void)events;
  (void)!read(source->fd, &ticks, sizeof ticks);
  for (struct exchange *each = exchanges, *next; each; each = next) {
    next = each->next;
    if (each->until <= now) ask_next(each);
  }
  if (!exchanges) wind_up();
}

static int prepare(struct loop *loop) {
  the_loop = loop;
  if (timer.fd >= 0) return 0;
  timer = (struct loop_source){timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), on_tick, NULL};
  if (timer.fd < 0) return -1;
  return loop_add(loop, &timer, EPOLLIN);
}

int forward(struct loop *loop, const uint8_t *message, size_t length, size_t question_end, const struct forward_client *client) {
  if (server_count == 0 || exchange_count == EXCHANGES_MAX || prepare(loop) < 0) return -1;
  struct exchange *exchange = calloc(1, sizeof *exchange + 2 + length);
  if (!exchange) return -1;
  exchange->source.fd = -1;
  exchange->client = *client;
  exchange->length = length;
  exchange->question_end = question_end;
  exchange->message[0] = (uint8_t)(length >> 8);
  exchange->message[1] = (uint8_t)length;
  memcpy(exchange->message + 2, message, length);
  exchange->client_id = (uint16_t)(message[0] << 8 | message[1]);
  /* Not the client's: two questions under way may have the same. */
  if (getrandom(&exchange->id, sizeof exchange->id, GRND_NONBLOCK) < 0) exchange->id = exchange->client_id;
  exchange->message[2] = (uint8_t)(exchange->id >> 8);
  exchange->message[3] = (uint8_t)exchange->id;
  while (ask(exchange) < 0)
    if (++exchange->server >= server_count) {
      free(exchange);
      return -1;
    }
  exchange->next = exchanges;
  exchanges = exchange;
  if (exchange_count++ == 0) wind_up();
  return 0;
}
