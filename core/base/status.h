/* core/base/status.h -- how a function says that it failed.
 *
 * Every function that can fail returns a core_status.  The first function
 * that knows what went wrong records one line of text with CORE_FAIL; its
 * callers pass the status on with CORE_TRY and may append where they were with
 * CORE_TRY_CTX, but never replace the text.  Text rules: one line, lower case,
 * no full stop, the name of the thing, what was expected and what was found.
 */
#ifndef CORE_STATUS_H
#define CORE_STATUS_H

#include <stdbool.h>

/* name, pinned value, exit code of the program, what it means */
#define CORE_STATUS_LIST(X)                                                    \
    X(OK, 0, 0, "ok")                                                          \
    X(E_DIFFERS, 10, 1, "the two sides differ")                                \
    X(E_UNPROVEN, 11, 6, "agreement proves less than was asked")              \
    X(E_USAGE, 20, 2, "wrong command line")                                    \
    X(E_PLAN, 21, 2, "the plan is not legal for this model")                   \
    X(E_FILE, 30, 3, "a file cannot be read or written")                       \
    X(E_FORMAT, 31, 3, "a file's content is malformed")                        \
    X(E_SPEC, 32, 3, "a model description is wrong or not supported")          \
    X(E_WEIGHTS, 33, 3, "a checkpoint does not fit its description")           \
    X(E_INPUT, 34, 3, "an input does not fit the model")                       \
    X(E_MEMORY, 40, 4, "not enough memory")                                    \
    X(E_SPACE, 41, 4, "not enough room for a file")                            \
    X(E_EXACT, 42, 4, "a sum does not fit the 53 bits that exact mode has")    \
    X(E_PROGRAM, 43, 4, "another program is missing or fails")                 \
    X(E_PEER, 50, 5, "another rank died, hangs or does something else")        \
    X(E_INTERNAL, 51, 5, "internal error")

typedef enum core_status {
#define CORE_STATUS_ENUM(name, value, exit_code, text) CORE_##name = value,
    CORE_STATUS_LIST(CORE_STATUS_ENUM)
#undef CORE_STATUS_ENUM
} core_status;

#if defined(__GNUC__)
#define CORE_NODISCARD __attribute__((warn_unused_result))
#define CORE_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))
#else
#define CORE_NODISCARD
#define CORE_PRINTF(fmt, first)
#endif

/* The process exit code (0..6) that a status ends with.              [local] */
int core_status_exit_code(core_status status);

/* What an errno of opening, writing or starting something comes to: E_MEMORY if
 * the system gives no more memory, descriptors or processes, E_SPACE if a disk
 * is full, else E_FILE.                                              [local] */
core_status core_status_of_errno(int why);

/* The enumerator's name without its prefix, e.g. "E_PLAN".           [local] */
const char *core_status_name(core_status status);

/* The recorded line of this thread, fit to be shown (printable.h); "" if none.
 * Valid until the next core_fail or core_message_clear of this thread. [local] */
const char *core_message(void);

/* Forget the recorded line: on entry of a top-level command.         [local] */
void core_message_clear(void);

/* Record a line (if none is recorded yet) and return status.  Use CORE_FAIL. */
core_status core_fail(core_status status, const char *fmt, ...)
    CORE_PRINTF(2, 3);

/* Append ", while ..." to the recorded line and return status.               */
core_status core_fail_context(core_status status, const char *fmt, ...)
    CORE_PRINTF(2, 3);

/* Print the condition and the place, then abort: for programmer errors only,
 * never for input.                                                           */
_Noreturn void core_assert_failed(const char *condition, const char *file,
                                  int line);

#define CORE_FAIL(status, ...) return core_fail(status, __VA_ARGS__)

#define CORE_FAIL_IF(condition, status, ...)                                   \
    do {                                                                       \
        if (condition)                                                         \
            return core_fail(status, __VA_ARGS__);                             \
    } while (0)

#define CORE_TRY(expression)                                                   \
    do {                                                                       \
        const core_status core_try_status = (expression);                      \
        if (core_try_status != CORE_OK)                                        \
            return core_try_status;                                            \
    } while (0)

#define CORE_TRY_CTX(expression, ...)                                          \
    do {                                                                       \
        const core_status core_try_status = (expression);                      \
        if (core_try_status != CORE_OK)                                        \
            return core_fail_context(core_try_status, __VA_ARGS__);            \
    } while (0)

#define core_assert(condition)                                                 \
    ((condition) ? (void)0 : core_assert_failed(#condition, __FILE__, __LINE__))

#if defined(CORE_ANALYSED)
/* What scripts/analyse cannot see from outside: a failure is never CORE_OK. */
#define core_fail(status, ...) (core_fail(status, __VA_ARGS__), (status))
#endif

#endif
