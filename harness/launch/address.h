/* harness/launch/address.h -- where a host listens, and calling it there.
 *
 * An address is a text "PORT TOKEN ADDRESS...": all addresses of the host, in
 * numbers, since a name may mean another host elsewhere.
 */
#ifndef HAR_LAUNCH_ADDRESS_H
#define HAR_LAUNCH_ADDRESS_H

#include "core/base/status.h"
#include "harness/launch/hosts.h"

#include <stdint.h>

/* Listen on all interfaces; the token is drawn.  Errors: E_FILE.     [local] */
CORE_NODISCARD core_status har_address_listen(int *fd, uint64_t *token,
                                              char address[HAR_ADDRESS_BYTES]);

uint64_t har_address_token(const char *address);

/* Connect to its address number i, counted round; at most a second.  The
 * connection, which does not block, or -1.                           [local] */
int har_address_call(const char *address, int i);

#endif
