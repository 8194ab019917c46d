/* A small epoll loop: the monitor and its proxies wait here for everything. One thread, callbacks, no timers but a timeout. */
#ifndef TSC_LOOP_H
#define TSC_LOOP_H

#include <stdint.h>

struct loop_source;
typedef void (*loop_callback)(struct loop_source *source, uint32_t events);

/* Embed it, or point context at what it belongs to. Lives as long as it is in the loop. */
struct loop_source {
  int fd;
  loop_callback callback;
  void *context;
};

struct loop {
  int epoll;
};

int loop_init(struct loop *loop);
/* events: EPOLLIN, EPOLLOUT … 0 keeps the source in, quiet. */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events);
int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events);
/* Takes it out; does not close. A callback of the same round that was already due for another source may still come:
 * free memory only through loop_later. */
void loop_remove(struct loop *loop, struct loop_source *source);
/* Calls release(memory) when the round is over. */
void loop_later(void (*release)(void *), void *memory);
/* Waits once (timeout in ms, -1 for ever) and calls back. Number of events, or -1 with errno. */
int loop_once(struct loop *loop, int timeout);

#endif
