/*
 * See resolver.h.
 *
 * Who is on a network is looked up for every question: a name is a directory, an address in it a symbolic link. So a
 * member that joins or leaves is seen at once, nothing is read that does not answer, and there is nothing to keep.
 */
#define _GNU_SOURCE
#include "resolver.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "dns.h"
#include "nft.h"
#include "resolver_forward.h"
#include "util.h"

#define NETWORKS_MAX 32u
#define ADDRESSES_MAX 256u
#define NETWORK_NAME_MAX 128u
#define TCP_CLIENTS_MAX 64u
#define PORT 53

struct network {
  int directory;
  char name[NETWORK_NAME_MAX];
};
struct found {
  unsigned count;
  struct {
    int family;
    uint8_t bytes[16];
  } address[ADDRESSES_MAX];
};

static struct network networks[NETWORKS_MAX];
static unsigned network_count;
static char listen_at[INET_ADDRSTRLEN];
static struct loop *the_loop;
static struct loop_source udp = {.fd = -1}, tcp = {.fd = -1};
static uint8_t incoming[DNS_MESSAGE_MAX], outgoing[DNS_MESSAGE_MAX];
static unsigned turn, tcp_clients;

/* --- what is known --- */

static void clear(void) {
  while (network_count > 0) close(networks[--network_count].directory);
  forward_clear();
}

static int add_network(const char *path, const char *name) {
  if (network_count == NETWORKS_MAX || strlen(name) >= NETWORK_NAME_MAX) {
    errno = E2BIG;
    return fail("resolver", "network", name);
  }
  int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return fail("resolver", "open", path);
  struct network *network = &networks[network_count++];
  network->directory = fd;
  strcpy(network->name, name);
  for (char *c = network->name; *c; c++)
    if (*c >= 'A' && *c <= 'Z') *c = (char)(*c | 0x20);
  return 0;
}

bool resolver_op(const struct op *op, int *result) {
  *result = 0;
  if (op_is(op, "resolver-listen")) snprintf(listen_at, sizeof listen_at, "%s", op_text(op, 1));
  else if (op_is(op, "resolver-network")) *result = add_network(op_text(op, 1), op_text(op, 2));
  else if (op_is(op, "resolver-server")) *result = forward_add(op_text(op, 1), op_text(op, 2));
  else if (op_is(op, "resolver-clear")) clear();
  else return false;
  return true;
}

/* --- looking up --- */

/* A name of one network, without the network's: one path component, which dns_parse left only plain characters in. */
static void find_in(const struct network *network, const char *name, struct found *found) {
  char path[DNS_NAME_MAX + 8];
  if (name[0] == 0 || name[0] == '.') return;
  snprintf(path, sizeof path, "names/%s", name);
  int fd = openat(network->directory, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  DIR *directory = fdopendir(fd);
  if (!directory) {
    close(fd);
    return;
  }
  for (struct dirent *entry; found->count < ADDRESSES_MAX && (entry = readdir(directory));) {
    int family = strchr(entry->d_name, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(family, entry->d_name, found->address[found->count].bytes) == 1) found->address[found->count++].family = family;
  }
  closedir(directory);
}

/* The first network that knows the name answers; a name may carry the name of a network behind a dot. */
static void find(const char *name, struct found *found) {
  found->count = 0;
  for (unsigned i = 0; i < network_count && found->count == 0; i++) {
    find_in(&networks[i], name, found);
    size_t length = strlen(name), suffix = strlen(networks[i].name);
    if (found->count > 0 || length <= suffix + 1 || name[length - suffix - 1] != '.' || strcmp(name + length - suffix, networks[i].name) != 0) continue;
    char first[DNS_NAME_MAX + 1];
    snprintf(first, sizeof first, "%.*s", (int)(length - suffix - 1), name);
    find_in(&networks[i], first, found);
  }
}

/* The text of an address's link is process/container/nonce/name. */
static bool find_name(const char *address, char *out, size_t size) {
  for (unsigned i = 0; i < network_count; i++) {
    char path[DNS_NAME_MAX + NETWORK_NAME_MAX + 16], text[512];
    snprintf(path, sizeof path, "addresses/%s", address);
    ssize_t n = readlinkat(networks[i].directory, path, text, sizeof text - 1);
    if (n <= 0) continue;
    text[n] = 0;
    const char *name = strrchr(text, '/');
    if (!name || name[1] == 0) continue;
    return snprintf(out, size, "%s.%s", name + 1, networks[i].name) < (int)size;
  }
  return false;
}

/* --- answering --- */

/* The length of the answer in outgoing; 0 when somebody else has to answer; -1 when nobody has to. */
static ssize_t answer(const uint8_t *message, size_t length, struct dns_question *question, size_t limit) {
  struct dns_answer answer;
  struct found found;
  char text[DNS_NAME_MAX + NETWORK_NAME_MAX];
  int code = dns_parse(message, length, question);
  if (code < 0) return -1;
  if (limit == 0) limit = question->limit;
  dns_begin(&answer, outgoing, limit < sizeof outgoing ? limit : sizeof outgoing, message, question, code);
  if (code != DNS_OK) return (ssize_t)answer.length;
  if (question->type == DNS_PTR && dns_reverse(question->name, text, sizeof text)) {
    if (!find_name(text, text, sizeof text)) return 0;
    (void)dns_add_name(&answer, text);
    return (ssize_t)answer.length;
  }
  find(question->name, &found);
  if (found.count == 0) return 0;
  /* Each in turn is the first. Of another kind than was asked for: the name is there, such an address is not. */
  turn++;
  for (unsigned i = 0; i < found.count; i++) {
    unsigned at = (i + turn) % found.count;
    uint16_t type = found.address[at].family == AF_INET ? DNS_A : DNS_AAAA;
    if (type == question->type && !dns_add_address(&answer, type, found.address[at].bytes)) break;
  }
  return (ssize_t)answer.length;
}

static ssize_t refuse(const uint8_t *message, const struct dns_question *question) {
  struct dns_answer answer;
  dns_begin(&answer, outgoing, sizeof outgoing, message, question, DNS_FAILURE);
  return (ssize_t)answer.length;
}

/* --- UDP --- */

static void udp_reply(void *client, const uint8_t *data, size_t length) {
  (void)sendto(udp.fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL, client, sizeof(struct sockaddr_in));
}

static void on_udp(struct loop_source *source, uint32_t events) {
  (void)events;
  for (int round = 0; round < 64; round++) {
    struct sockaddr_in client;
    socklen_t size = sizeof client;
    struct dns_question question;
    ssize_t n = RETRY_EINTR(recvfrom(source->fd, incoming, sizeof incoming, MSG_DONTWAIT, (struct sockaddr *)&client, &size));
    if (n < 0) return;
    ssize_t length = answer(incoming, (size_t)n, &question, 0);
    if (length == 0) {
      struct forward_client asker = {.reply = udp_reply, .context_size = sizeof client, .stream = false};
      memcpy(asker.context, &client, sizeof client);
      if (forward(the_loop, incoming, (size_t)n, question.end, &asker) < 0) length = refuse(incoming, &question);
    }
    if (length > 0) udp_reply(&client, outgoing, (size_t)length);
  }
}

/* --- TCP --- */

struct tcp_client {
  struct loop_source source;
  unsigned waiting; /* for answers of others */
  bool gone;
  size_t used;
  uint8_t data[2 + 2048]; /* Questions are small. */
};

static void tcp_release(struct tcp_client *client) {
  if (client->gone && client->waiting == 0) loop_later(free, client);
}

static void tcp_drop(struct tcp_client *client) {
  if (client->gone) return;
  client->gone = true;
  tcp_clients--;
  loop_remove(the_loop, &client->source);
  close(client->source.fd);
  client->source.fd = -1;
  tcp_release(client);
}

static void tcp_send(struct tcp_client *client, const uint8_t *data, size_t length) {
  uint8_t head[2] = {(uint8_t)(length >> 8), (uint8_t)length};
  struct iovec parts[] = {{head, 2}, {(void *)(uintptr_t)data, length}};
  struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
  /* One that does not read its answers need not get them. */
  if (!client->gone && sendmsg(client->source.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)length + 2) tcp_drop(client);
}

static void tcp_reply(void *context, const uint8_t *data, size_t length) {
  struct tcp_client *client;
  memcpy(&client, context, sizeof client);
  client->waiting--;
  if (length > 0) tcp_send(client, data, length);
  tcp_release(client);
}

static void tcp_question(struct tcp_client *client, const uint8_t *message, size_t size) {
  struct dns_question question;
  ssize_t length = answer(message, size, &question, DNS_MESSAGE_MAX);
  if (length == 0) {
    struct forward_client asker = {.reply = tcp_reply, .context_size = sizeof client, .stream = true};
    memcpy(asker.context, &client, sizeof client);
    client->waiting++;
    if (forward(the_loop, message, size, question.end, &asker) == 0) return;
    client->waiting--;
    length = refuse(message, &question);
  }
  if (length > 0) tcp_send(client, outgoing, (size_t)length);
}

static void on_tcp_client(struct loop_source *source, uint32_t events) {
  struct tcp_client *client = source->context;
  (void)events;
  if (client->gone) return;
  ssize_t n = RETRY_EINTR(recv(source->fd, client->data + client->used, sizeof client->data - client->used, MSG_DONTWAIT));
  if (n < 0 && errno == EAGAIN) return;
  if (n <= 0) return tcp_drop(client);
  client->used += (size_t)n;
  size_t at = 0;
  while (!client->gone && client->used - at >= 2) {
    size_t length = (size_t)client->data[at] << 8 | client->data[at + 1];
    if (length > sizeof client->data - 2) return tcp_drop(client);
    if (client->used - at < 2 + length) break;
    tcp_question(client, client->data + at + 2, length);
    at += 2 + length;
  }
  if (client->gone) return;
  memmove(client->data, client->data + at, client->used - at);
  client->used -= at;
}

static void on_tcp(struct loop_source *source, uint32_t events) {
  (void)events;
  int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  struct tcp_client *client = tcp_clients < TCP_CLIENTS_MAX ? calloc(1, sizeof *client) : NULL;
  if (!client) {
    close(fd);
    return;
  }
  static const int room = 256 * 1024;
  (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
  client->source = (struct loop_source){fd, on_tcp_client, client};
  if (loop_add(the_loop, &client->source, EPOLLIN) < 0) {
    close(fd);
    free(client);
    return;
  }
  tcp_clients++;
}

/* --- starting --- */

static int open_listener(struct loop_source *source, int type, struct sockaddr_in *address) {
  static const int on = 1;
  socklen_t size = sizeof *address;
  source->fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (source->fd < 0) return fail("resolver", "socket", listen_at);
  (void)setsockopt(source->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (bind(source->fd, (const struct sockaddr *)address, sizeof *address) < 0) return fail("resolver", "bind", listen_at);
  if (type == SOCK_STREAM && listen(source->fd, 64) < 0) return fail("resolver", "listen", listen_at);
  if (getsockname(source->fd, (struct sockaddr *)address, &size) < 0) return fail("resolver", "getsockname", listen_at);
  return 0;
}

/* The container's first process does it, too, but may not have yet: an address that nobody has cannot be one's own. */
static int raise_loopback(void) {
  struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
  cleanup_close int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0 ? fail("resolver", "ioctl", "lo") : 0;
}

/*
 * A name server inside wants port 53 of all addresses for itself. So we listen on other ports, and a rule of the container's own
 * nftables leads there; without nftables on the port itself, and then it is taken.
 */
static int listen_all(struct in_addr address) {
  struct sockaddr_in datagrams = {.sin_family = AF_INET, .sin_addr = address}, streams = datagrams;
  if (open_listener(&udp, SOCK_DGRAM, &datagrams) < 0 || open_listener(&tcp, SOCK_STREAM, &streams) < 0) return -1;
  if (nft_redirect(&address, PORT, ntohs(datagrams.sin_port), ntohs(streams.sin_port)) == 0) return 0;
  close(udp.fd);
  close(tcp.fd);
  datagrams.sin_port = streams.sin_port = htons(PORT);
  return open_listener(&udp, SOCK_DGRAM, &datagrams) < 0 ? -1 : open_listener(&tcp, SOCK_STREAM, &streams);
}

void resolver_stop(void) {
  struct loop_source *sources[] = {&udp, &tcp};
  for (size_t i = 0; i < countof(sources); i++) {
    if (sources[i]->fd < 0) continue;
    loop_remove(the_loop, sources[i]);
    close(sources[i]->fd);
    sources[i]->fd = -1;
  }
  listen_at[0] = 0;
  clear();
}

int resolver_start(struct loop *loop, int netns) {
  struct in_addr address;
  if (!listen_at[0] || udp.fd >= 0) return 0;
  if (inet_pton(AF_INET, listen_at, &address) != 1) {
    errno = EINVAL;
    return fail("resolver", "parse", listen_at);
  }
  the_loop = loop;
  forward_from(netns);
  if (getrandom(&turn, sizeof turn, GRND_NONBLOCK) < 0) turn = 0;
  udp.callback = on_udp;
  tcp.callback = on_tcp;
  if (netns >= 0 && netns_enter(netns) < 0) return fail("resolver", "setns", listen_at);
  int result = netns >= 0 ? raise_loopback() : 0;
  if (result == 0) result = listen_all(address);
  if (netns >= 0) netns_leave();
  if (result < 0) return -1;
  if (loop_add(loop, &udp, EPOLLIN) < 0 || loop_add(loop, &tcp, EPOLLIN) < 0) return fail("resolver", "epoll_ctl", listen_at);
  return 0;
}
