#include "tests/support/grad_room.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

int64_t grad_room_size(const grad_room *room, int64_t i)
{
    int64_t n_row, n_col;
    core_grad_shape(room->spec, room->grad[i], room->n_token, &n_row, &n_col);
    return n_row * n_col;
}

grad_room grad_room_make(const core_spec *spec, int64_t n_token)
{
    const int64_t n_tap = core_grad_taps(spec, NULL, 0);
    const int64_t n_weight = core_weight_count(spec);
    core_tap *tap = calloc((size_t)n_tap, sizeof *tap);
    core_weight *weight = calloc((size_t)n_weight, sizeof *weight);
    grad_room room = {spec, n_token, NULL, NULL, n_tap + n_weight};
    room.grad = calloc((size_t)room.n, sizeof *room.grad);
    room.at = calloc((size_t)room.n, sizeof *room.at);
    core_grad_taps(spec, tap, n_tap);
    core_weight_list(spec, weight);
    for (int64_t i = 0; i < room.n; i++) {
        room.grad[i] = i < n_tap ? core_grad_of_tap(tap[i].kind, tap[i].layer)
                                 : core_grad_of_weight(weight[i - n_tap]);
        room.at[i] = calloc((size_t)grad_room_size(&room, i), sizeof(double));
    }
    free(tap);
    free(weight);
    return room;
}

void grad_room_free(grad_room *room)
{
    for (int64_t i = 0; i < room->n; i++)
        free(room->at[i]);
    free(room->at);
    free(room->grad);
}

static double *find(void *self, core_grad grad)
{
    const grad_room *room = self;
    char wanted[CORE_GRAD_NAME_BYTES], name[CORE_GRAD_NAME_BYTES];
    core_grad_name(grad, wanted);
    for (int64_t i = 0; i < room->n; i++)
        if (strcmp(core_grad_name(room->grad[i], name), wanted) == 0)
            return room->at[i];
    ck_abort_msg("no room for %s", wanted);
    return NULL;
}

ref_grad_room grad_room_ref(grad_room *room)
{
    return (ref_grad_room){room, find, NULL};
}
