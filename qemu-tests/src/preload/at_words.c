/* Sends the process a signal when it says certain words, before it does anything else.
 *
 * AT_WORDS are the words, as part of one call to write(2), and AT_SIGNAL is the signal's number. Whoever reads what a process says
 * and sends the signal then comes too late on a machine that is busy. Once only: the words may come again in what is said later.
 *
 * Loaded before the C library (LD_PRELOAD); every call is passed on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t write(int to, const void *bytes, size_t count) {
    static ssize_t (*next)(int, const void *, size_t);
    static int sent;

    if (!next)
        next = (ssize_t (*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    ssize_t written = next(to, bytes, count);

    const char *words = getenv("AT_WORDS"), *signal = getenv("AT_SIGNAL");
    if (to == STDERR_FILENO && words && signal && !sent && memmem(bytes, count, words, strlen(words))) {
        sent = 1;
        raise(atoi(signal));
    }
    return written;
}
