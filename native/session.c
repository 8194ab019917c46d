/* See session.h. */
#define _GNU_SOURCE
#include "session.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "util.h"

#define CHUNK (64u * 1024u)
#define HIGH_WATER (1u << 20)   /* queued for one client, or for stdin: stop reading the other side */
#define FRAME_MAX (4u << 20)
#define LINGER_MS 5000          /* for clients to hang up, once all was said */
#define DRAIN_MS 200            /* output that comes after the process's end, from what it left running */

static char chunk[FRAME_HEADER + CHUNK];

/* --- queues --- */

static int bytes_reserve(struct bytes *b, size_t more) {
  if (b->start > 0 && b->start == b->end) b->start = b->end = 0;
  if (b->capacity - b->end >= more) return 0;
  if (b->start > 0) {
    memmove(b->data, b->data + b->start, b->end - b->start);
    b->end -= b->start;
    b->start = 0;
    if (b->capacity - b->end >= more) return 0;
  }
  size_t capacity = b->capacity ? b->capacity : 4096;
  while (capacity - b->end < more) capacity *= 2;
  char *data = realloc(b->data, capacity);
  if (!data) return -1;
  b->data = data;
  b->capacity = capacity;
  return 0;
}

static int bytes_add(struct bytes *b, const char *data, size_t length) {
  if (bytes_reserve(b, length) < 0) return -1;
  memcpy(b->data + b->end, data, length);
  b->end += length;
  return 0;
}

static size_t bytes_length(const struct bytes *b) { return b->end - b->start; }

static void bytes_free(struct bytes *b) {
  free(b->data);
  memset(b, 0, sizeof *b);
}

/* Writes as much as goes. false when the other side is gone for good. */
static bool bytes_flush(struct bytes *b, int fd) {
  while (bytes_length(b) > 0) {
    ssize_t n = RETRY_EINTR(write(fd, b->data + b->start, bytes_length(b)));
    if (n < 0) return errno == EAGAIN;
    b->start += (size_t)n;
  }
  if (b->capacity > CHUNK * 2) bytes_free(b); /* An idle monitor keeps its promise of a small footprint. */
  return true;
}

/* --- clients --- */

static void client_interest(struct client *client) {
  uint32_t events = client->stopped_reading ? 0 : EPOLLIN | EPOLLRDHUP;
  if (bytes_length(&client->out) > 0) events |= EPOLLOUT;
  (void)loop_modify(&client->session->loop, &client->source, events);
}

static void streams_pause(struct session *session) {
  bool paused = false;
  for (struct client *c = session->clients; c; c = c->next)
    if (c->wants_output && !c->gone && bytes_length(&c->out) > HIGH_WATER) {
      paused = true;
      if (c->full_since == 0) c->full_since = now_ms();
    } else {
      c->full_since = 0;
    }
  if (paused == session->paused) return;
  session->paused = paused;
  struct loop_source *outputs[] = {&session->out, &session->err};
  for (size_t i = 0; i < countof(outputs); i++)
    if (outputs[i]->fd >= 0) (void)loop_modify(&session->loop, outputs[i], paused ? 0 : EPOLLIN);
}

static void client_release(void *memory) {
  struct client *client = memory;
  bytes_free(&client->in);
  bytes_free(&client->out);
  free(client);
}

static void client_drop(struct client *client) {
  if (client->gone) return;
  close(session_release(client));
}

int session_release(struct client *client) {
  struct session *session = client->session;
  int fd = client->source.fd;
  client->gone = true;
  for (struct client **p = &session->clients; *p; p = &(*p)->next)
    if (*p == client) {
      *p = client->next;
      break;
    }
  loop_remove(&session->loop, &client->source);
  client->source.fd = -1;
  loop_later(client_release, client);
  streams_pause(session);
  if (client->owner && !session->exited) session->owner_gone(session);
  return fd;
}

static void client_send(struct client *client, const char *data, size_t length) {
  if (client->gone) return;
  if (bytes_length(&client->out) == 0) {
    ssize_t n = RETRY_EINTR(send(client->source.fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT));
    if (n < 0 && errno != EAGAIN) return; /* Its hang-up is an event of its own. */
    if (n > 0) data += n, length -= (size_t)n;
    if (length == 0) return;
  }
  if (bytes_add(&client->out, data, length) < 0) return client_drop(client);
  client_interest(client);
  streams_pause(client->session);
}

/* One that has tried everybody's patience gets no more; what it was sent before it can still read. Milliseconds until
 * the next one has, or -1. */
static int clients_patience(struct session *session) {
  int64_t now = now_ms(), next = -1;
  static const char behind[] = "\0\21\0\0\0{\"fact\":\"behind\"}";
  for (struct client *c = session->clients, *following; session->paused && c; c = following) {
    following = c->next;
    if (c->full_since == 0 || c->patience_ms == 0) continue;
    int64_t left = c->full_since + c->patience_ms - now;
    if (left > 0) {
      if (next < 0 || left < next) next = left;
      continue;
    }
    c->wants_output = false;
    client_send(c, behind, sizeof behind - 1);
    streams_pause(session);
  }
  return (int)next;
}

static void broadcast(void *context, const char *frame, size_t length) {
  struct session *session = context;
  for (struct client *c = session->clients, *next; c; c = next) {
    next = c->next;
    client_send(c, frame, length);
  }
}

static void to_one(void *context, const char *frame, size_t length) { client_send(context, frame, length); }

void session_tell(struct session *session, struct client *client) {
  if (client) wire_divert(to_one, client);
  else wire_divert(broadcast, session);
}

/* --- stdin --- */

static void stdin_close(struct session *session) {
  if (session->in.fd < 0 || session->tty) return;
  loop_remove(&session->loop, &session->in);
  close(session->in.fd);
  session->in.fd = -1;
  bytes_free(&session->in_queue);
}

static void stdin_flush(struct session *session) {
  if (session->in.fd < 0) return;
  bool was_full = bytes_length(&session->in_queue) > HIGH_WATER;
  if (!bytes_flush(&session->in_queue, session->in.fd)) return stdin_close(session);
  bool waiting = bytes_length(&session->in_queue) > 0;
  if (!waiting && session->in_closing) return stdin_close(session);
  if (!session->tty) (void)loop_modify(&session->loop, &session->in, waiting ? EPOLLOUT : 0);
  else (void)loop_modify(&session->loop, &session->out, EPOLLIN | (waiting ? EPOLLOUT : 0));
  if (was_full && bytes_length(&session->in_queue) <= HIGH_WATER)
    for (struct client *c = session->clients; c; c = c->next)
      if (c->stopped_reading) {
        c->stopped_reading = false;
        client_interest(c);
      }
}

static void on_stdin(struct loop_source *source, uint32_t events) {
  struct session *session = source->context;
  if (events & (EPOLLERR | EPOLLHUP)) return stdin_close(session);
  stdin_flush(session);
}

static void stdin_add(struct client *client, const char *data, size_t length) {
  struct session *session = client->session;
  if (session->in.fd < 0 || session->in_closing) return;
  if (length == 0) session->in_closing = !session->tty;
  else if (bytes_add(&session->in_queue, data, length) < 0) return;
  stdin_flush(session);
  if (bytes_length(&session->in_queue) > HIGH_WATER && !client->stopped_reading) {
    client->stopped_reading = true;
    client_interest(client);
  }
}

/* --- what clients ask for --- */

static void client_frame_to(struct client *client, unsigned type, const char *data, size_t length) {
  char head[FRAME_HEADER] = {(char)type, (char)length, (char)(length >> 8), (char)(length >> 16), (char)(length >> 24)};
  client_send(client, head, sizeof head);
  client_send(client, data, length);
}

/* attach PATIENCE REPLAY. With REPLAY it is told where in the log what comes now begins; a line that is not over is in none
 * yet, so its beginning comes first. */
static void client_attach(struct client *client, const struct op *op) {
  struct session *session = client->session;
  client->patience_ms = op_number(op, 1, 0);
  client->wants_output = true;
  if (op_number(op, 2, 0) == 0) return;
  uint64_t identity = 0, offset = 0;
  char text[128];
  if (session->log) log_position(session->log, &identity, &offset);
  int n = snprintf(text, sizeof text, "{\"fact\":\"attached\",\"identity\":\"%llu\",\"offset\":\"%llu\"}", (unsigned long long)identity, (unsigned long long)offset);
  client_frame_to(client, WIRE_FACT, text, (size_t)n);
  for (int stream = 0; session->log && stream < 2; stream++) {
    size_t length;
    const char *held = log_held(session->log, stream, &length);
    if (length > 0) client_frame_to(client, stream ? WIRE_STDERR : WIRE_STDOUT, held, length);
  }
}

static void client_op(struct client *client, const struct op *op) {
  struct session *session = client->session;
  if (session->on_op(session, op)) return;
  if (op_is(op, "kill")) {
    int number = (int)op_number(op, 1, SIGKILL);
    if (!session->exited && syscall(SYS_pidfd_send_signal, session->pidfd, number, NULL, 0) < 0 && errno != ESRCH) fail("kill", "pidfd_send_signal", "");
  } else if (op_is(op, "resize") && session->tty) {
    struct winsize size = {.ws_row = (unsigned short)op_number(op, 1, 24), .ws_col = (unsigned short)op_number(op, 2, 80)};
    (void)ioctl(session->out.fd, TIOCSWINSZ, &size);
  } else if (op_is(op, "attach")) {
    client_attach(client, op);
  } else if (op_is(op, "detach")) {
    client->wants_output = false;
  } else if (op_is(op, "disown")) {
    client->owner = false;
  } else if (session->serve) {
    (void)session->serve(session, client, op);
  }
}

static void client_frame(struct client *client, unsigned type, const char *data, size_t length) {
  if (type == WIRE_STDIN) return stdin_add(client, data, length);
  if (type != WIRE_OP) return;
  struct plan plan;
  char *copy = malloc(length ? length : 1);
  if (!copy) return;
  memcpy(copy, data, length);
  if (plan_parse(copy, length, &plan) < 0) {
    client_drop(client);
    return;
  }
  for (size_t i = 0; i < plan.count && !client->gone; i++) client_op(client, &plan.ops[i]);
  plan_free(&plan);
}

static void client_frames(struct client *client) {
  struct bytes *in = &client->in;
  while (!client->gone && bytes_length(in) >= FRAME_HEADER) {
    const unsigned char *head = (const unsigned char *)in->data + in->start;
    uint32_t length = (uint32_t)head[1] | (uint32_t)head[2] << 8 | (uint32_t)head[3] << 16 | (uint32_t)head[4] << 24;
    if (length > FRAME_MAX) return client_drop(client);
    if (bytes_length(in) < FRAME_HEADER + length) return;
    in->start += FRAME_HEADER + length;
    client_frame(client, head[0], (const char *)head + FRAME_HEADER, length);
  }
}

static void on_client(struct loop_source *source, uint32_t events) {
  struct client *client = source->context;
  if (client->gone) return;
  if (events & EPOLLOUT) {
    if (!bytes_flush(&client->out, source->fd)) return client_drop(client);
    client_interest(client);
    streams_pause(client->session);
  }
  if (events & EPOLLIN) {
    if (bytes_reserve(&client->in, CHUNK) < 0) return client_drop(client);
    ssize_t n = RETRY_EINTR(recv(source->fd, client->in.data + client->in.end, client->in.capacity - client->in.end, MSG_DONTWAIT));
    if (n == 0 || (n < 0 && errno != EAGAIN)) return client_drop(client);
    if (n > 0) client->in.end += (size_t)n;
    client_frames(client);
    if (!client->gone && bytes_length(&client->in) == 0) bytes_free(&client->in);
  } else if (events & (EPOLLHUP | EPOLLERR)) {
    client_drop(client);
  }
}

static struct client *client_add(struct session *session, int fd) {
  struct client *client = calloc(1, sizeof *client);
  if (!client) return NULL;
  (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  client->session = session;
  client->source = (struct loop_source){fd, on_client, client};
  if (loop_add(&session->loop, &client->source, EPOLLIN | EPOLLRDHUP) < 0) {
    free(client);
    return NULL;
  }
  client->next = session->clients;
  session->clients = client;
  return client;
}

static void on_listener(struct loop_source *source, uint32_t events) {
  (void)events;
  struct session *session = source->context;
  int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  struct ucred peer;
  socklen_t size = sizeof peer;
  bool ours = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && (peer.uid == geteuid() || peer.uid == 0);
  if (!ours || !client_add(session, fd)) close(fd);
}

/* --- the process's output --- */

static void stream_close(struct session *session, struct loop_source *source) {
  if (source->fd < 0) return;
  loop_remove(&session->loop, source);
  if (session->log) (void)log_finish(session->log, source == &session->err);
  close(source->fd);
  source->fd = -1;
  if (session->tty) session->in.fd = -1;
}

static void on_output(struct loop_source *source, uint32_t events) {
  struct session *session = source->context;
  int stream = source == &session->err;
  if (session->tty && events & EPOLLOUT) stdin_flush(session);
  if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
  for (int rounds = 0; rounds < 16 && !session->paused; rounds++) {
    ssize_t n = RETRY_EINTR(read(source->fd, chunk + FRAME_HEADER, CHUNK));
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return stream_close(session, source); /* 0, or EIO: the last one holding the pty has gone */
    if (session->log && log_append(session->log, stream, chunk + FRAME_HEADER, (size_t)n) < 0 && !session->log_failed) {
      session->log_failed = true; /* Said once. What does not fit on the disk is lost; what comes later may fit again. */
      fail("log", "write", "");
    }
    chunk[0] = stream ? WIRE_STDERR : WIRE_STDOUT;
    for (int i = 0; i < 4; i++) chunk[1 + i] = (char)((size_t)n >> (8 * i));
    for (struct client *c = session->clients, *next; c; c = next) {
      next = c->next;
      if (c->wants_output) client_send(c, chunk, FRAME_HEADER + (size_t)n);
    }
    if ((size_t)n < CHUNK / 16) return;
  }
}

/* How a process ended that is a zombie still, as from waitpid; -1 when it is none. */
static int zombie_status(pid_t pid) {
  char path[64], text[2048];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  if (read_file(AT_FDCWD, path, text, sizeof text) < 0) return -1;
  /* The state is field 3, the first behind the name in parentheses; the exit code is the last one. */
  char *state = strrchr(text, ')'), *last = strrchr(text, ' ');
  if (!state || !last || strlen(state) < 3 || (state[2] != 'Z' && state[2] != 'X')) return -1;
  return atoi(last + 1);
}

static void on_process(struct loop_source *source, uint32_t events) {
  (void)events;
  struct session *session = source->context;
  /* A zombie that somebody traces is told to that one first, and to us when it lets go, if it ever does. */
  if (waitpid(session->pid, &session->exit_status, WNOHANG) != session->pid && (session->exit_status = zombie_status(session->pid)) < 0) return;
  session->exited = true;
  session->process_gone(session);
  loop_remove(&session->loop, source);
}

/* --- life --- */

static int pipe_pair(int *ours, int *theirs, bool we_read) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return fail("stdio", "pipe2", "");
  *ours = ends[we_read ? 0 : 1];
  *theirs = ends[we_read ? 1 : 0];
  (void)fcntl(*ours, F_SETFL, O_NONBLOCK);
  return 0;
}

static void nothing(struct session *session) { (void)session; }
static bool no_op(struct session *session, const struct op *op) {
  (void)session, (void)op;
  return false;
}

static int open_streams(struct session *session, bool keep_stdin, struct stdio *process) {
  *process = (struct stdio){-1, -1, -1};
  if (session->tty) return 0;
  if (keep_stdin && pipe_pair(&session->in.fd, &process->in, false) < 0) return -1;
  if (pipe_pair(&session->out.fd, &process->out, true) < 0) return -1;
  return pipe_pair(&session->err.fd, &process->err, true);
}

int session_open(struct session *session, bool keep_stdin, bool tty, struct stdio *process) {
  memset(session, 0, sizeof *session);
  session->out = (struct loop_source){-1, on_output, session};
  session->err = (struct loop_source){-1, on_output, session};
  session->in = (struct loop_source){-1, on_stdin, session};
  session->process = (struct loop_source){-1, on_process, session};
  session->listener = (struct loop_source){-1, on_listener, session};
  session->pidfd = -1;
  session->tty = tty;
  session->owner_gone = session->process_gone = nothing;
  session->on_op = no_op;
  if (loop_init(&session->loop) < 0) return fail("monitor", "epoll_create1", "");
  return open_streams(session, keep_stdin, process);
}

int session_reopen(struct session *session, bool keep_stdin, struct stdio *process) {
  stdin_close(session);
  bytes_free(&session->in_queue);
  cleanup_closep(&session->pidfd);
  session->pidfd = session->process.fd = -1;
  session->in_closing = session->exited = false;
  session->pid = 0;
  for (struct client *c = session->clients; c; c = c->next)
    if (c->stopped_reading) {
      c->stopped_reading = false;
      client_interest(c);
    }
  return open_streams(session, keep_stdin, process);
}

bool session_owned(const struct session *session) {
  for (struct client *c = session->clients; c; c = c->next)
    if (c->owner && !c->gone) return true;
  return false;
}

static struct rlimit original_limit = {RLIM_INFINITY, 0};

void session_raise_limits(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  if (original_limit.rlim_max == 0) original_limit = limit;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

void session_restore_limits(void) {
  if (original_limit.rlim_max != 0) (void)setrlimit(RLIMIT_NOFILE, &original_limit);
}

int session_own(struct session *session, int connection, bool attached) {
  struct client *client = client_add(session, connection);
  if (!client) return fail("monitor", "epoll_ctl", "connection");
  client->owner = true;
  client->wants_output = attached;
  wire_divert(broadcast, session);
  return 0;
}

int session_listen(struct session *session, const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return fail("monitor", "bind", path);
  }
  strcpy(address.sun_path, path);
  session->listener.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (session->listener.fd < 0) return fail("monitor", "socket", path);
  if (bind(session->listener.fd, (struct sockaddr *)&address, sizeof address) < 0) return fail("monitor", "bind", path);
  if (listen(session->listener.fd, 16) < 0) return fail("monitor", "listen", path);
  return loop_add(&session->loop, &session->listener, EPOLLIN);
}

int session_watch(struct session *session, pid_t pid, int master) {
  session->pid = pid;
  session->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
  if (session->pidfd < 0) return fail("monitor", "pidfd_open", "");
  session->process.fd = session->pidfd;
  if (session->tty) {
    (void)fcntl(master, F_SETFL, O_NONBLOCK);
    session->out.fd = session->in.fd = master;
  }
  if (loop_add(&session->loop, &session->process, EPOLLIN) < 0) return fail("monitor", "epoll_ctl", "process");
  if (session->out.fd >= 0 && loop_add(&session->loop, &session->out, EPOLLIN) < 0) return fail("monitor", "epoll_ctl", "stdout");
  if (session->err.fd >= 0 && loop_add(&session->loop, &session->err, EPOLLIN) < 0) return fail("monitor", "epoll_ctl", "stderr");
  if (session->in.fd >= 0 && !session->tty && loop_add(&session->loop, &session->in, 0) < 0) return fail("monitor", "epoll_ctl", "stdin");
  return 0;
}

void session_run(struct session *session) {
  int64_t until = 0;
  while (!session->exited || session->out.fd >= 0 || session->err.fd >= 0) {
    int timeout = -1;
    if (session->exited && !session->paused) {
      /* What the process left behind may hold its pipes for ever (exec, host pid namespace): wait a moment, no more. */
      if (until == 0) until = now_ms() + DRAIN_MS;
      timeout = (int)(until - now_ms());
      if (timeout <= 0) break;
    }
    int patience = clients_patience(session);
    if (patience >= 0 && (timeout < 0 || patience < timeout)) timeout = patience;
    if (loop_once(&session->loop, timeout) < 0) break;
  }
  stream_close(session, &session->out);
  stream_close(session, &session->err);
}

void session_wait(struct session *session, int64_t ms, const bool *until) {
  for (int64_t end = now_ms() + ms, left; !*until && (left = end - now_ms()) > 0;)
    if (loop_once(&session->loop, (int)left) < 0) break;
}

/* All was said. The other side hangs up then, and we after it: it may just be writing (the end of its stdin), and one
 * whose write breaks does not read any more what it was told before. */
static void client_finish(struct client *client) {
  client->finished = true;
  client->stopped_reading = false;
  client_interest(client);
  (void)shutdown(client->source.fd, SHUT_WR);
}

void session_close(struct session *session) {
  /* A client that has not read everything yet is owed it, for as long as it stays. The clients' connections are closed
   * before all else: that is what they wait for. The rest goes with the process. */
  int64_t until = 0;
  while (session->clients) {
    bool owed = false;
    for (struct client *c = session->clients; c; c = c->next) {
      if (c->finished) continue;
      if (bytes_length(&c->out) == 0) client_finish(c);
      else owed = true;
    }
    if (!owed && until == 0) until = now_ms() + LINGER_MS;
    int timeout = owed ? -1 : (int)(until - now_ms());
    if (!owed && timeout <= 0) break;
    if (loop_once(&session->loop, timeout) < 0) break;
  }
  log_free(session->log);
}
