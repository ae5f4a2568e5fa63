/* core/base/status.c -- the error line of a thread.
 *
 * The buffer is fixed and thread-local, so recording an error cannot fail and
 * needs no cleaning up.  The first line wins: what the outermost function
 * thinks of a failure is worth less than what the innermost one saw.  Trap: a
 * name in it may hold line ends, and what a terminal obeys.
 */
#include "core/base/status.h"

#include "core/base/printable.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__FAST_MATH__)
#error "fast-math changes results: build without it"
#endif

enum { MESSAGE_BYTES = 1024 };

static _Thread_local char message[MESSAGE_BYTES];

/* Behind what is recorded: texts of a message come from files and arguments. */
static void append(size_t used, const char *fmt, va_list args)
{
    char text[MESSAGE_BYTES];
    vsnprintf(text, sizeof text, fmt, args);
    core_printable(message + used, sizeof message - used, text);
}

int core_status_exit_code(core_status status)
{
    switch (status) {
#define CASE(name, value, exit_code, text)                                     \
    case CORE_##name:                                                          \
        return exit_code;
        CORE_STATUS_LIST(CASE)
#undef CASE
    }
    return 5;
}

core_status core_status_of_errno(int why)
{
    if (why == ENOMEM || why == EMFILE || why == ENFILE || why == EAGAIN)
        return CORE_E_MEMORY;
    return why == ENOSPC || why == EDQUOT || why == EFBIG ? CORE_E_SPACE
                                                          : CORE_E_FILE;
}

const char *core_status_name(core_status status)
{
    switch (status) {
#define CASE(name, value, exit_code, text)                                     \
    case CORE_##name:                                                          \
        return #name;
        CORE_STATUS_LIST(CASE)
#undef CASE
    }
    return "unknown";
}

const char *core_message(void) { return message; }

void core_message_clear(void) { message[0] = '\0'; }

core_status core_fail(core_status status, const char *fmt, ...)
{
    if (message[0] == '\0') {
        va_list args;
        va_start(args, fmt);
        append(0, fmt, args);
        va_end(args);
    }
    return status;
}

core_status core_fail_context(core_status status, const char *fmt, ...)
{
    static const char link[] = ", while ";
    const size_t used = strlen(message);
    if (used + sizeof link < sizeof message) {
        memcpy(message + used, link, sizeof link);
        va_list args;
        va_start(args, fmt);
        append(used + sizeof link - 1, fmt, args);
        va_end(args);
    }
    return status;
}

_Noreturn void core_assert_failed(const char *condition, const char *file,
                                  int line)
{
    fprintf(stderr, "moeparity: internal error: %s:%d: %s does not hold\n",
            file, line, condition);
    abort();
}
