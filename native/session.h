/*
 * A running process's standard streams and whoever is connected to them: the loop that the monitor of a container and
 * the parent of an exec share. Output goes to the log first, then to every attached client. A client that does not
 * read holds the process back: the owner for as long as it likes, as a pipe would; others for as long as they said when
 * they attached. Then they get no more output, and are told so.
 */
#ifndef TSC_SESSION_H
#define TSC_SESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "log.h"
#include "loop.h"
#include "wire.h"

struct session;

struct bytes {
  char *data;
  size_t start, end, capacity;
};

struct client {
  struct loop_source source;
  struct session *session;
  struct client *next;
  struct bytes in, out;
  bool owner, wants_output, stopped_reading, finished, gone;
  int64_t patience_ms; /* for how long it may hold the process back; 0: for ever, as a pipe would */
  int64_t full_since;  /* 0: it does not */
};

/* The container's or exec's ends of its streams, made before it is cloned. */
struct stdio {
  int in, out, err; /* for the process; -1 where it has none */
};

struct session {
  struct loop loop;
  struct client *clients;
  struct loop_source out, err, in, process, listener;
  struct bytes in_queue;
  bool in_closing, tty, paused, log_failed;
  struct log *log;
  pid_t pid;
  int pidfd, exit_status; /* exit_status: as from waitpid */
  bool exited;
  void (*owner_gone)(struct session *session);
  void (*process_gone)(struct session *session);
  /* Ops that are none of the session's; whether it was one of the monitor's. */
  bool (*serve)(struct session *session, struct client *client, const struct op *op);
  /* An op of a client's, before the session carries it out. true: it is done with. */
  bool (*on_op)(struct session *session, const struct op *op);
};

/* keep_stdin: give the process a pipe to read from; otherwise it gets /dev/null. */
int session_open(struct session *session, bool keep_stdin, bool tty, struct stdio *process);
/* The connection over which the plan came: the owner. attached: it wants the output. */
int session_own(struct session *session, int connection, bool attached);
/* Serves others on a socket at path. */
int session_listen(struct session *session, const char *path);
/* After the clone: takes the process's pid and, for a tty, the master that it sent. */
int session_watch(struct session *session, pid_t pid, int master);
/* Runs until the process has ended and its output has been read. */
void session_run(struct session *session);
/* Serves the clients for so long, or until *until is set. */
void session_wait(struct session *session, int64_t ms, const bool *until);
/* After session_run: streams for the next process. The clients stay. */
int session_reopen(struct session *session, bool keep_stdin, struct stdio *process);
/* Whether the one who sent the plan still listens. */
bool session_owned(const struct session *session);
/* As many descriptors as there may be: every forwarded connection takes several. Children get back what we were started with. */
void session_raise_limits(void);
void session_restore_limits(void);
/* Sends what is still queued, then closes everything. */
void session_close(struct session *session);

/* From now on facts go to this client alone; NULL: to all. */
void session_tell(struct session *session, struct client *client);
/* The client's descriptor, which is no longer one of the session's. */
int session_release(struct client *client);

#endif
