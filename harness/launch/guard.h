/* harness/launch/guard.h -- work in a folder that must not survive it.
 *
 * The work runs in a child process, so that the folder can be removed however
 * it ends: by a signal to us, by a crash, by the kernel for want of memory.
 */
#ifndef HAR_GUARD_H
#define HAR_GUARD_H

#include "core/base/status.h"

/* Run work(self) in a child, then remove `folder` if it is (still) there: work
 * keeps what it has renamed.  Must be called before this process has made a
 * thread.  Returns the exit code: the work's own, with its message on stderr;
 * 128 + signal if SIGINT, SIGTERM or SIGHUP came; 4 or 5, with a line, if the
 * child was killed.                                                  [local] */
int har_guard(const char *folder, core_status (*work)(void *self), void *self);

#endif
