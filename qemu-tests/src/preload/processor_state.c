/* Lets user-mode Linux run on processors of which it does not know all registers.
 *
 * Its kernel keeps as much of a process's extended registers (XSAVE) as processors had when it was written, 2,696 bytes. The host
 * gives that part of them, but takes the whole only: with AMX that is 11,008 bytes, and PTRACE_SETREGSET fails with EFAULT
 * (arch/x86/kernel/fpu/regset.c, xstateregs_set). The first process of such a machine ends before its first instruction. So what is
 * kept is put into the whole as it is, and the rest stays as it is: nothing in the machine has ever used it.
 *
 * Loaded before the C library (LD_PRELOAD); every other call is passed on. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Whether the host was found to take the whole only. */
static int whole_only;

long ptrace(enum __ptrace_request request, ...) {
    static long (*next)(enum __ptrace_request, pid_t, void *, void *);
    static unsigned char whole[1 << 16];

    va_list arguments;
    va_start(arguments, request);
    pid_t process = va_arg(arguments, pid_t);
    void *address = va_arg(arguments, void *);
    void *data = va_arg(arguments, void *);
    va_end(arguments);

    if (next == NULL)
        next = dlsym(RTLD_NEXT, "ptrace");
    if (request != PTRACE_SETREGSET || (long)address != NT_X86_XSTATE)
        return next(request, process, address, data);

    const struct iovec *kept = data;
    if (!whole_only && next(request, process, address, data) == 0)
        return 0;
    struct iovec all = {whole, sizeof whole};
    if (next(PTRACE_GETREGSET, process, address, &all) != 0 || kept->iov_len > all.iov_len)
        return -1;
    whole_only = 1;
    memcpy(whole, kept->iov_base, kept->iov_len);
    return next(request, process, address, &all);
}
