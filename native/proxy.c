/*
 * The monitor's TCP proxy: what comes in on a published port goes to the container and back, by splice(2), so no byte is
 * copied through this process. It lives in the monitor's loop, in the host's network namespace, and ends with the monitor.
 *
 * A connection is two sockets and two streams. A stream holds a pipe only while bytes are in it; pipes are lent from a
 * small pool, so an idle connection costs two descriptors. A stream reads only when its pipe is empty: what the reader
 * does not take stays with the writer (back-pressure).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "proxy.h"
#include "util.h"

#define PIPE_SIZE (1024 * 1024)
#define POOL_SIZE 16u
/* Per event and direction, so that one fast connection does not starve the others. */
#define TURN (4 * PIPE_SIZE)
#define CONNECTIONS_MAX 8192u

struct listener {
  struct loop_source source;
  struct loop *loop;
  struct listener *next;
  union address target;
};

struct side {
  struct loop_source source;
  uint32_t events; /* what it waits for now */
  bool watched;    /* whether it is in the loop */
};

/* One direction. */
struct stream {
  int pipe[2]; /* -1 while nothing is held */
  size_t held;
  bool ended; /* the source has said all it will say */
  bool shut;  /* and the sink has been told */
};

struct connection {
  struct connection *next, *previous;
  struct loop *loop;
  struct side client, target;
  struct stream up, down; /* client to target, target to client */
  bool connecting;
  bool dead;
};

/* The static lists: what this process listens on and forwards, and what they share. */
static struct listener *listeners;
static struct connection *connections;
static struct {
  int pipes[POOL_SIZE][2];
  unsigned pipe_count;
  unsigned count; /* of connections */
  unsigned limit;
  struct loop_source timer; /* wakes listeners that had to pause */
  bool paused;
} shared = {.timer = {.fd = -1}};

/* ── pipes ────────────────────────────────────────────────────────────────── */

static int borrow_pipe(struct stream *stream) {
  if (shared.pipe_count > 0) {
    memcpy(stream->pipe, shared.pipes[--shared.pipe_count], sizeof stream->pipe);
    return 0;
  }
  if (pipe2(stream->pipe, O_CLOEXEC | O_NONBLOCK) < 0) {
    stream->pipe[0] = stream->pipe[1] = -1;
    return -1;
  }
  /* Over the user's quota for pipes the default size serves as well. */
  (void)fcntl(stream->pipe[1], F_SETPIPE_SZ, PIPE_SIZE);
  return 0;
}

static void close_pipe(struct stream *stream) {
  cleanup_closep(&stream->pipe[0]);
  cleanup_closep(&stream->pipe[1]);
  stream->pipe[0] = stream->pipe[1] = -1;
}

/* Back into the pool when it is empty and there is room, else closed. */
static void return_pipe(struct stream *stream) {
  if (stream->pipe[0] < 0) return;
  if (stream->held > 0 || shared.pipe_count == POOL_SIZE) {
    close_pipe(stream);
    return;
  }
  memcpy(shared.pipes[shared.pipe_count++], stream->pipe, sizeof stream->pipe);
  stream->pipe[0] = stream->pipe[1] = -1;
}

/* ── pausing ──────────────────────────────────────────────────────────────── */

static void resume_listeners(void) {
  if (!shared.paused) return;
  shared.paused = false;
  for (struct listener *each = listeners; each; each = each->next) (void)loop_modify(each->loop, &each->source, EPOLLIN);
}

/* No descriptors or too many connections: clients wait in the backlog for a moment, and the loop does not spin. */
static void pause_listeners(void) {
  struct itimerspec moment = {.it_value.tv_nsec = 50 * 1000 * 1000};
  if (shared.paused || timerfd_settime(shared.timer.fd, 0, &moment, NULL) < 0) return;
  shared.paused = true;
  for (struct listener *each = listeners; each; each = each->next) (void)loop_modify(each->loop, &each->source, 0);
}

static void on_timer(struct loop_source *source, uint32_t events) {
  uint64_t expirations;
  (void)events;
  if (RETRY_EINTR(read(source->fd, &expirations, sizeof expirations)) > 0) resume_listeners();
}

static int prepare_shared(struct loop *loop) {
  if (shared.timer.fd >= 0) return 0;
  int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (fd < 0) return -1;
  shared.timer = (struct loop_source){.fd = fd, .callback = on_timer};
  if (loop_add(loop, &shared.timer, EPOLLIN) < 0) {
    cleanup_closep(&shared.timer.fd);
    shared.timer.fd = -1;
    return -1;
  }
  /* Busy both ways a connection has six descriptors; leave some for the monitor's own work. */
  struct rlimit limit;
  rlim_t files = getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 1024 : limit.rlim_cur;
  rlim_t most = files > 64 + 6 ? (files - 64) / 6 : 1;
  shared.limit = most < CONNECTIONS_MAX ? (unsigned)most : CONNECTIONS_MAX;
  return 0;
}

/* ── connections ──────────────────────────────────────────────────────────── */

static void close_side(struct connection *connection, struct side *side, bool reset) {
  static const struct linger now = {.l_onoff = 1, .l_linger = 0};
  if (side->source.fd < 0) return;
  if (side->watched) loop_remove(connection->loop, &side->source);
  if (reset) (void)setsockopt(side->source.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(side->source.fd);
  side->source.fd = -1;
}

/* Ends it. With reset both sides learn that it broke; without, that all was said. */
static void finish(struct connection *connection, bool reset) {
  if (connection->dead) return;
  connection->dead = true;
  close_side(connection, &connection->client, reset);
  close_side(connection, &connection->target, reset);
  return_pipe(&connection->up);
  return_pipe(&connection->down);
  if (connection->next) connection->next->previous = connection->previous;
  if (connection->previous) connection->previous->next = connection->next;
  else connections = connection->next;
  shared.count--;
  resume_listeners();
  loop_later(free, connection);
}

enum progress { BLOCKED, MORE, BROKEN };

static bool again(void) { return errno == EAGAIN || errno == EINTR; }

/* Fills the empty pipe from the source. BLOCKED when the source has nothing to say now, or nothing any more. */
static enum progress fill(struct stream *stream, int from) {
  if (stream->ended) return BLOCKED;
  if (stream->pipe[0] < 0 && borrow_pipe(stream) < 0) return BROKEN;
  ssize_t n = splice(from, NULL, stream->pipe[1], NULL, PIPE_SIZE, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
  if (n < 0) return again() ? BLOCKED : BROKEN;
  stream->ended = n == 0;
  stream->held = (size_t)n;
  return n > 0 ? MORE : BLOCKED;
}

static enum progress drain(struct stream *stream, int to) {
  while (stream->held > 0) {
    ssize_t n = splice(stream->pipe[0], NULL, to, NULL, stream->held, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n < 0) return again() ? BLOCKED : BROKEN;
    stream->held -= (size_t)n;
  }
  return MORE;
}

/* Moves what can be moved without waiting, one turn at most. */
static bool pump(struct stream *stream, int from, int to) {
  enum progress progress = drain(stream, to);
  for (size_t moved = 0, last = PIPE_SIZE; progress == MORE && last == PIPE_SIZE && moved < TURN; moved += last) {
    progress = fill(stream, from);
    last = stream->held;
    /* Less than asked for: the source is empty now, and need not be asked again to know it. */
    if (progress == MORE) progress = drain(stream, to);
  }
  if (stream->held == 0) return_pipe(stream);
  if (progress == BROKEN) return false;
  if (stream->ended && stream->held == 0 && !stream->shut) {
    stream->shut = true;
    (void)shutdown(to, SHUT_WR);
  }
  return true;
}

/* A side listens for input when its stream's pipe is empty, and for room when the other's is not. */
static bool watch(struct connection *connection, struct side *side, const struct stream *out, const struct stream *in) {
  uint32_t events = (!out->ended && out->held == 0 ? EPOLLIN : 0u) | (in->held > 0 ? EPOLLOUT : 0u);
  if (side->watched && side->events == events) return true;
  int result = 0;
  if (side->watched) result = loop_modify(connection->loop, &side->source, events);
  /* Taken out because it had hung up and there was nothing to do about it: back only for a reason. */
  else if (events) result = loop_add(connection->loop, &side->source, events);
  side->watched = side->watched || events;
  side->events = events;
  return result == 0;
}

static void forward(struct connection *connection) {
  int client = connection->client.source.fd, target = connection->target.source.fd;
  bool up = pump(&connection->up, client, target);
  /* Also when the other direction broke: an answer given before it did is still delivered, as far as it can be. */
  bool down = pump(&connection->down, target, client);
  if (!up || !down) {
    finish(connection, true);
    return;
  }
  if (connection->up.shut && connection->down.shut) {
    finish(connection, false);
    return;
  }
  if (!watch(connection, &connection->client, &connection->up, &connection->down) ||
      !watch(connection, &connection->target, &connection->down, &connection->up))
    finish(connection, true);
}

static void on_side(struct loop_source *source, uint32_t events) {
  struct connection *connection = source->context;
  struct side *side = source == &connection->client.source ? &connection->client : &connection->target;
  if (connection->dead) return;
  if (connection->connecting) {
    int error = 0;
    socklen_t size = sizeof error;
    if (side == &connection->client || getsockopt(source->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0 || error) {
      finish(connection, true);
      return;
    }
    connection->connecting = false;
  } else if ((events & EPOLLHUP) && !(events & EPOLLERR) && side->events == 0) {
    /* A hang-up is reported for ever; the other side decides when there is something to do. */
    loop_remove(connection->loop, source);
    side->watched = false;
    return;
  }
  forward(connection);
  /* What could still be said has been. The error stays until somebody reads it, and perhaps nobody is about to. */
  if (events & EPOLLERR) finish(connection, true);
}

/* Takes both, also when it fails. */
static struct connection *new_connection(struct loop *loop, int client, int target) {
  struct connection *connection = calloc(1, sizeof *connection);
  if (!connection) {
    struct side sides[] = {{.source.fd = client}, {.source.fd = target}};
    for (size_t i = 0; i < countof(sides); i++) close_side(NULL, &sides[i], true);
    errno = ENOMEM;
    return NULL;
  }
  *connection = (struct connection){.next = connections,
                                    .loop = loop,
                                    .client.source = {client, on_side, connection},
                                    .target.source = {target, on_side, connection},
                                    .up.pipe = {-1, -1},
                                    .down.pipe = {-1, -1}};
  if (connections) connections->previous = connection;
  connections = connection;
  shared.count++;
  return connection;
}

int proxy_join(struct loop *loop, int client, int target) {
  if (prepare_shared(loop) < 0) {
    close(client);
    close(target);
    return -1;
  }
  struct connection *connection = new_connection(loop, client, target);
  if (!connection) return -1;
  forward(connection);
  return 0;
}

/* Takes the client over, also when it fails. */
static int connect_target(struct listener *listener, int client) {
  static const int on = 1;
  int target = socket(listener->target.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (target < 0) {
    struct side side = {.source.fd = client};
    int saved = errno;
    close_side(NULL, &side, true);
    errno = saved;
    return -1;
  }
  (void)setsockopt(target, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct connection *connection = new_connection(listener->loop, client, target);
  if (!connection) return -1;
  if (connect(target, &listener->target.any, address_size(&listener->target)) == 0) {
    forward(connection);
    return 0;
  }
  if (errno != EINPROGRESS) {
    finish(connection, true);
    return 0;
  }
  connection->connecting = true;
  connection->target.events = EPOLLOUT;
  /* The client is in the loop without events: only its death is of interest now. */
  if (loop_add(connection->loop, &connection->target.source, EPOLLOUT) == 0) connection->target.watched = true;
  if (loop_add(connection->loop, &connection->client.source, 0) == 0) connection->client.watched = true;
  if (!connection->target.watched || !connection->client.watched) finish(connection, true);
  return 0;
}

static bool exhausted(void) { return errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM; }

static void on_listener(struct loop_source *source, uint32_t events) {
  struct listener *listener = source->context;
  (void)events;
  for (int turn = 0; turn < 16; turn++) {
    if (shared.count >= shared.limit) {
      pause_listeners();
      return;
    }
    int client = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) {
      if (exhausted()) pause_listeners();
      /* Anything else concerns a client that has gone already. */
      return;
    }
    if (connect_target(listener, client) < 0 && exhausted()) {
      pause_listeners();
      return;
    }
  }
}

/* ── listening ────────────────────────────────────────────────────────────── */

struct listener *proxy_serve(struct loop *loop, int fd, const union address *target) {
  struct listener *listener = prepare_shared(loop) < 0 ? NULL : calloc(1, sizeof *listener);
  if (!listener) goto broken;
  *listener = (struct listener){.source = {fd, on_listener, listener}, .loop = loop, .next = listeners, .target = *target};
  if (loop_add(loop, &listener->source, EPOLLIN) < 0) goto broken;
  listeners = listener;
  return listener;
broken: {
  int saved = errno;
  close(fd);
  free(listener);
  errno = saved;
  return NULL;
}
}

void proxy_stop(struct listener *listener) {
  struct listener **at = &listeners;
  while (*at && *at != listener) at = &(*at)->next;
  if (*at) *at = listener->next;
  loop_remove(listener->loop, &listener->source);
  close(listener->source.fd);
  listener->source.fd = -1;
  loop_later(free, listener);
}
