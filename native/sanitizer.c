/*
 * Only in the build for the sanitizers. Leaks are not looked for: that takes /proc/PID/task and ptrace, which a helper that is
 * confined no longer has, and one that ends with its job has none that matter.
 */
#ifdef __SANITIZE_ADDRESS__
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }
#else
typedef int nothing_to_do; /* A file needs a declaration. */
#endif
