/* parallel/grad/reduce.c -- weights' gradients, summed over all who have one.
 *
 * Each rank has added up what its own tokens, or the rows that came to its
 * experts, gave.  What is missing: the slices of the tensor group, for a
 * router; the other replicas, for everything that is no expert; for an expert
 * all other holders of its columns, and nobody else; for a tied table the other
 * end.  Then a gradient is whole, is stored and shown, by each of them.
 */
#include "parallel/grad/grad_impl.h"

static const par_group *replicas_of(const par__back *b, const par__param *p)
{
    if (core_weight_scope_of(p->id.kind) != CORE_SCOPE_EXPERT)
        return &b->groups.dp;
    return &b->groups.expert[b->layout->experts->slot[p->id.expert]];
}

static void sum(par__back *b, const par_group *group, par__param *p,
                int *n_part)
{
    par__g_all_reduce(b, group, PAR_GRAD_WEIGHTS, p->g, p->n_row * p->n_col);
    *n_part *= group->n;
}

static void reduce(par__back *b, par__param *p)
{
    const par_group *replicas = replicas_of(b, p), *ends = &b->groups.ends;
    const bool is_tied = p->id.kind == CORE_W_EMBED && b->spec->tied;
    char name[CORE_NAME_BYTES];
    int n_part = 1, n_copy = replicas->n, i_copy = replicas->me;
    b->at = p->id.layer;
    par_at(b->comm, core_weight_name(p->id, name), b->tick);
    if (p->is_partial)
        sum(b, &b->layout->tp_group, p, &n_part);
    sum(b, replicas, p, &n_part);
    if (is_tied) {
        sum(b, ends, p, &n_part);
        i_copy = ends->me * n_copy + i_copy;
        n_copy *= ends->n;
    }
    par__g_store(b, &p->terms, n_part, core_grad_of_weight(p->id), p->g,
                 p->n_row * p->n_col);
    par__g_show_weight(b, p, n_copy, i_copy);
}

void par__g_reduce(par__back *b)
{
    b->mb = -1;
    for (int64_t i = 0; i < b->params.n; i++)
        reduce(b, &b->params.all[i]);
}
