/* What a process finds in a container, as text, a line per fact: for comparing two engines line by line. */
#pragma once

/* Every file below a directory, in order. */
int probe_tree(const char *root);
/* The process's own state: capabilities, environment, mounts, devices, limits. */
int probe_view(void);
/* What each system call says to arguments that it cannot accept, and some to arguments that it could. */
int probe_syscalls(void);
/* What is said to opening and making device nodes, and to reading and writing paths of the kernel. */
int probe_access(void);

/* Prints bytes so that they are one word: blanks, backslashes and what is no printable ASCII as \xNN. */
void print_word(const char *bytes, long length);
const char *errno_name(int number);
