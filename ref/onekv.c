/* ref/onekv.c -- one vector per token for the keys and values of all heads.
 *
 * The query comes from a short vector, and each of its heads is divided by its
 * own root mean square.  Key and value are one projection, normed with a
 * weight, rotated, and then the same.  Traps: the rotated elements are the LAST
 * of a head; the value is rotated, too, so what attention gives is turned back
 * by the query's own position (attention.c).
 */
#include "ref/ref_impl.h"

#include <string.h>

static void norm(ref__run *run, int layer, core_tap_kind kind, double *x,
                 int64_t n_head, int64_t n_dh, core_weight_kind weight)
{
    const ref__norm norm = {.x = x,
                            .ld_x = n_head * n_dh,
                            .y = x,
                            .n_part = n_head,
                            .n = n_dh,
                            .weight = weight,
                            .eps = run->spec->norm_eps};
    ref__rmsnorm(run, layer, kind, &norm);
}

static void make_heads(ref__run *run, int layer, const ref__heads *heads)
{
    const core_heads *size = &heads->size;
    const int64_t n_h = size->n_h, n_dh = size->n_dh;
    const int64_t first = n_dh - size->n_rot;
    ref__short_query(run, layer, run->spec->norm_eps, heads->q_a, heads->q);
    const ref__rows xn = ref__measure(run, run->xn, run->n, run->spec->n_d);
    ref__linear(run, &xn, CORE_W_K, layer, CORE_TAP_K, heads->k);
    norm(run, layer, CORE_TAP_Q_NORM, heads->q, n_h, n_dh, CORE_W_NONE);
    norm(run, layer, CORE_TAP_K_NORM, heads->k, 1, n_dh, CORE_W_K_NORM);
    ref__rope(run, layer, CORE_TAP_Q_ROPE, heads->q, n_h, n_dh, first);
    ref__rope(run, layer, CORE_TAP_K_ROPE, heads->k, 1, n_dh, first);
    memcpy(heads->v, heads->k, (size_t)(run->n * n_dh) * sizeof *heads->v);
}

void ref__onekv(ref__run *run, int layer, const ref__heads *heads, bool dry)
{
    if (!dry)
        make_heads(run, layer, heads);
    if (heads->digest != NULL)
        ref__digests(run, layer, false, heads->size.n_dh, heads->digest, dry);
}
