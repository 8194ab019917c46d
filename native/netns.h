/* Work in another network namespace: this process goes there, and comes back. */
#ifndef TSC_NETNS_H
#define TSC_NETNS_H

#include <sys/types.h>

/* The network namespace of a process, or -1 with errno. */
int netns_open(pid_t pid);
/* Goes there. 0, or -1 with errno; the way back is kept. */
int netns_enter(int netns);
/* Comes back. What cannot go back must not go on: it ends. */
void netns_leave(void);
/* A socket there; netns -1 is here. -1 with errno. */
int netns_socket(int netns, int family, int type);

#endif
