/* parallel/grad/sums.c -- products on the way back, and the sums that make them
 * whole.
 *
 * Exactness of a sum over n ranks: if n times the magnitude of my own terms
 * fits on every rank, the sum of all does, because the largest of them is
 * somebody's own.  Magnitudes of a product are at most the norms of its rows
 * and columns.
 */
#include "parallel/grad/grad_impl.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *room(par__back *b, enum par__grad_buffer which, int64_t n)
{
    static const uint64_t nan_bits = UINT64_C(0x7ff8dead7ff8dead);
    const size_t bytes = ((size_t)n + 1) * sizeof(double);
    if (b->buffer[which].bytes < bytes) {
        free(b->buffer[which].at);
        b->buffer[which].at = malloc(bytes);
        b->buffer[which].bytes = bytes;
        if (b->buffer[which].at == NULL)
            par_abort(b->comm, CORE_E_MEMORY,
                      "rank %d: no memory for %zu bytes of gradients",
                      b->comm->rank, bytes);
    }
    unsigned char *at = b->buffer[which].at;
    for (int64_t i = 0; i < n; i++)
        memcpy(at + (size_t)i * sizeof nan_bits, &nan_bits, sizeof nan_bits);
    return at;
}

double *par__g_room(par__back *b, enum par__grad_buffer buffer, int64_t n)
{
    return room(b, buffer, n);
}

double *par__g_zeros(par__back *b, enum par__grad_buffer buffer, int64_t n)
{
    double *at = room(b, buffer, n);
    for (int64_t i = 0; i < n; i++)
        at[i] = 0.0;
    return at;
}

int64_t *par__g_words(par__back *b, enum par__grad_buffer buffer, int64_t n)
{
    return room(b, buffer, n);
}

par__param *par__param_of(const par__back *b, core_weight_kind kind, int layer,
                          int expert)
{
    const core_weight id = {kind, layer, expert};
    const int at = b->params.at[core_weight_index(b->spec, id)];
    return at < 0 ? NULL : &b->params.all[at];
}

double par__g_column_norm(const double *x, int64_t n_row, int64_t n_col)
{
    double largest = 0.0;
    for (int64_t c = 0; c < n_col; c++) {
        double sum = 0.0;
        for (int64_t i = 0; i < n_row; i++)
            sum += x[i * n_col + c] * x[i * n_col + c];
        largest = sum >= largest || isnan(sum) ? sum : largest;
    }
    return sqrt(largest);
}

void par__terms_add(par__terms *terms, double magnitude, double step)
{
    terms->magnitude += magnitude;
    if (terms->step == 0.0 || step < terms->step)
        terms->step = step;
}

void par__g_store(par__back *b, const par__terms *terms, int n_part,
                  core_grad of, double *x, int64_t n)
{
    char name[CORE_GRAD_NAME_BYTES];
    const double magnitude = n_part * terms->magnitude;
    core_grad_store(CORE_EXACT, x, n);
    if (!b->stats->exact || terms->step == 0.0 ||
        core_product_is_exact(magnitude, 1.0, terms->step, 1.0))
        return;
    b->stats->exact = false;
    snprintf(b->stats->not_exact, sizeof b->stats->not_exact,
             "%s: %.1f bits, 53 allowed", core_grad_name(of, name),
             log2(magnitude / terms->step));
}

void par__g_input(par__terms *terms, const par__param *p, const double *dy,
                  int64_t n, double *dx)
{
    if (n == 0 || p->n_row == 0 || p->n_col == 0)
        return;
    par__terms_add(terms,
                   core_max_row_norm(dy, n, p->n_row, p->n_row) * p->norm,
                   CORE_STEP_GRAD * p->step);
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)n,
                (blasint)p->n_col, (blasint)p->n_row, 1.0, dy,
                (blasint)p->n_row, p->w, (blasint)p->n_col, 1.0, dx,
                (blasint)p->n_col);
}

static void bias(par__back *b, const par__param *p, const double *dy, int64_t n)
{
    const core_weight_kind kind = core_weight_bias(p->id.kind);
    const core_weight id = {kind, p->id.layer, p->id.expert};
    if (kind == CORE_W_NONE || !core_weight_exists(b->spec, id))
        return;
    par__param *to = par__param_of(b, kind, id.layer, id.expert);
    for (int64_t i = 0; i < n; i++)
        for (int64_t c = 0; c < p->n_row; c++)
            to->g[c] += dy[i * p->n_row + c];
    par__terms_add(&to->terms,
                   par__g_column_norm(dy, n, p->n_row) * sqrt((double)n),
                   CORE_STEP_GRAD);
}

void par__g_weight(par__back *b, par__param *p, const double *dy,
                   const double *x, int64_t n)
{
    if (n == 0 || p->n_row == 0)
        return;
    bias(b, p, dy, n);
    if (p->n_col == 0)
        return;
    par__terms_add(&p->terms,
                   par__g_column_norm(dy, n, p->n_row) *
                       par__g_column_norm(x, n, p->n_col),
                   CORE_STEP_GRAD * CORE_STEP_ACT);
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (blasint)p->n_row,
                (blasint)p->n_col, (blasint)n, 1.0, dy, (blasint)p->n_row, x,
                (blasint)p->n_col, 1.0, p->g, (blasint)p->n_col);
}

void par__g_all_reduce(par__back *b, const par_group *group, par_grad_axis axis,
                       double *x, int64_t n)
{
    const int64_t before = b->comm->n_bytes[PAR_ALL_REDUCE];
    par_all_reduce(b->comm, group, x, n, PAR_SUM, CORE_EXACT);
    par__g_count(b, axis, par__g_transfer(b, CORE_ALL_REDUCE, group, n, n),
                 b->comm->n_bytes[PAR_ALL_REDUCE] - before);
}
