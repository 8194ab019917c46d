/* Modes that only the launcher starts, and init. See the top of each file. */
#ifndef TSC_LAUNCH_H
#define TSC_LAUNCH_H

#include "wire.h"

int launch_main(const char *socket_path);
/* Moves this process into the network namespace that the launcher made in advance, and back. -1 when there is none. */
int launch_enter_spare_network(void);
int launch_leave_spare_network(void);
/* It is somebody's now; the next one needs another. */
void launch_drop_spare_network(void);
/* They own the connection from here on and end the process's work when they return (the exit code). */
int unshare_main(const struct plan *plan, int connection);
int nsenter_main(const struct plan *plan, int connection);
int logs_main(const struct plan *plan, int connection);
/* PID 1: forwards signals, reaps, and exits as the command did. */
int init_main(char **command);
/* The same from inside: waits for child as PID 1 does and returns its exit code (128 + signal). */
int init_wait(int child);

#endif
