/* See loop.h. */
#define _GNU_SOURCE
#include "loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "util.h"

struct later {
  struct later *next;
  void (*release)(void *);
  void *memory;
};
static struct later *pending;

int loop_init(struct loop *loop) {
  loop->epoll = epoll_create1(EPOLL_CLOEXEC);
  return loop->epoll < 0 ? -1 : 0;
}

static int control(struct loop *loop, int what, struct loop_source *source, uint32_t events) {
  struct epoll_event event = {.events = events, .data.ptr = source};
  return epoll_ctl(loop->epoll, what, source->fd, &event);
}
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events) {
  return control(loop, EPOLL_CTL_ADD, source, events);
}
int loop_modify(struct loop *loop, struct loop_source *source, uint32_t events) {
  return control(loop, EPOLL_CTL_MOD, source, events);
}
void loop_remove(struct loop *loop, struct loop_source *source) { (void)control(loop, EPOLL_CTL_DEL, source, 0); }

void loop_later(void (*release)(void *), void *memory) {
  struct later *later = malloc(sizeof *later);
  if (!later) return; /* Out of memory: leaking a few bytes is the safe answer. */
  *later = (struct later){pending, release, memory};
  pending = later;
}

int loop_once(struct loop *loop, int timeout) {
  struct epoll_event events[64];
  int n = epoll_wait(loop->epoll, events, countof(events), timeout);
  if (n < 0) return errno == EINTR ? 0 : -1;
  for (int i = 0; i < n; i++) {
    struct loop_source *source = events[i].data.ptr;
    if (source->fd >= 0) source->callback(source, events[i].events);
  }
  while (pending) {
    struct later *later = pending;
    pending = later->next;
    later->release(later->memory);
    free(later);
  }
  return n;
}
