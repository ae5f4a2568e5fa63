/* tests/support/grad_room.h -- room for all gradients of a small model. */
#ifndef GRAD_ROOM_H
#define GRAD_ROOM_H

#include "ref/gradients.h"

typedef struct grad_room {
    const core_spec *spec;
    int64_t n_token;
    core_grad *grad; /* [n] taps in order, then weights                       */
    double **at;     /* [n]                                                   */
    int64_t n;
} grad_room;

grad_room grad_room_make(const core_spec *spec, int64_t n_token);
void grad_room_free(grad_room *room);
/* Of a grad_room, for ref_gradients.                                         */
ref_grad_room grad_room_ref(grad_room *room);
/* The elements of gradient i.                                                */
int64_t grad_room_size(const grad_room *room, int64_t i);

#endif
