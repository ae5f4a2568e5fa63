/* harness/perf/search/memory.c -- the memory of a shape's fullest GPU.
 *
 * Element for element what a prediction counts: weights, keys and values
 * of all rows of a replica, the buffers of a micro-batch, and of the rows of
 * the largest pair.  Traps: with scope=replica a rank holds its experts of all
 * layers; a kv head needed by two tensor ranks is on both; which of its layers
 * have attention decides the buffers of a stage.
 */
#include "harness/perf/search/impl.h"

#include <omp.h>

typedef struct sizing {
    har_search_memo *memo;
    const har_shape *shape;
    int64_t n_row;      /* of the fullest micro-batch                        */
    double n_expert;    /* of the rank that holds most                       */
    double n_mine;      /* rows of a replica                                  */
    double n_kept;      /* tokens of them whose keys and values are kept      */
    double pair_bytes;  /* buffers of the largest pair                       */
} sizing;

static double size_of(const sizing *z, har__size_kind kind, int i)
{
    const bool by_column = kind == HAR__EXPERT_SIZE || kind == HAR__ROW_SIZE;
    const har__size_key key = {.kind = (int16_t)kind,
                               .sp = (int16_t)z->shape->sp,
                               .i = i,
                               .tp = z->shape->tp,
                               .cp = har_shape_cp(z->shape),
                               .cp_kind = (int)z->shape->cp_kind,
                               .etp = by_column ? z->shape->etp : 1};
    return har__size_of(z->memo, &key);
}

static double work_of(const sizing *z, int stage, bool is_last)
{
    const bool mixed = z->memo->is_mixed;
    const har_shape *shape = z->shape;
    const har__size_key key = {.n_row = z->n_row,
                               .kind = HAR__WORK_SIZE,
                               .sp = (int16_t)shape->sp,
                               .i = is_last,
                               .tp = shape->tp,
                               .cp = har_shape_cp(shape),
                               .cp_kind = (int)shape->cp_kind,
                               .etp = 1,
                               .stage = mixed ? stage : 0,
                               .pp = mixed ? shape->pp : 0,
                               .vpp = mixed ? har_shape_vpp(shape) : 0};
    return har__size_of(z->memo, &key);
}

/* Layers of a class in a stage, in all its chunks. */
static int count_layers(const sizing *z, int class_i, int stage)
{
    const int n_l = (int)z->memo->e->spec->n_l;
    const int n_part = z->shape->pp * har_shape_vpp(z->shape);
    int n = 0;
    for (int part = stage; part < n_part; part += z->shape->pp)
        n += har__count(z->memo, class_i,
                        (int)core_split_first(n_l, n_part, part),
                        (int)core_split_first(n_l, n_part, part + 1));
    return n;
}

/* Bytes of weights, and of all, of a rank of a stage. */
static void add_stage(const sizing *z, int stage, double *weights, double *all)
{
    const har_search_memo *m = z->memo;
    const har_shape *shape = z->shape;
    const int n_l = (int)m->e->spec->n_l;
    const bool is_first = stage == 0, is_last = stage == shape->pp - 1;
    const bool everywhere = shape->scope == PAR_SCOPE_REPLICA;
    double mine = size_of(z, HAR__END_SIZE, is_first + 2 * is_last), kept = 0;
    for (int c = 0; c < m->n_class; c++) {
        const int n = count_layers(z, c, stage);
        const int n_served = everywhere ? har__count(m, c, 0, n_l) : n;
        mine += n * size_of(z, HAR__LAYER_SIZE, c);
        kept += n * (size_of(z, HAR__KV_SIZE, c) * z->n_kept +
                     size_of(z, HAR__STATE_SIZE, c) * z->n_mine);
        if (m->is_moe[c])
            mine += n_served * z->n_expert * size_of(z, HAR__EXPERT_SIZE, c);
    }
    const double sum =
        mine + kept + z->pair_bytes + work_of(z, stage, is_last);
    *weights = mine > *weights ? mine : *weights;
    *all = sum <= *all ? *all : sum; /* NaN stays */
}

static double pair_bytes(const sizing *z)
{
    const har_shape *s = z->shape;
    const core_spec *spec = z->memo->e->spec;
    const bool in_step = s->scope == PAR_SCOPE_REPLICA;
    if (core_spec_count_moe(spec, 0, (int)spec->n_l) == 0)
        return 0;
    const int n_stage = !in_step ? 0 : s->mb < s->pp ? s->mb : s->pp;
    const har__part_key key = har__pair_key(z->memo->e, s, 0, n_stage);
    return har__part_of(z->memo, &key).rows * size_of(z, HAR__ROW_SIZE, 0);
}

void har_quick_memory(void *self, const har_shape *shape, har_figures *out)
{
    const har_quick *e = self;
    const int64_t n_mine =
        core_split_first(e->n_b, (int64_t)shape->dp * shape->mb, shape->mb);
    sizing z = {
        .memo = &e->memo[omp_get_thread_num()],
        .shape = shape,
        .n_row = har__rows_of(e, shape),
        .n_expert = (double)core_split_first(e->spec->n_e, shape->ep, 1),
        .n_mine = (double)n_mine,
        .n_kept = (double)n_mine *
                  (double)(e->n_kv > 0
                               ? e->n_kv
                               : har__tokens_of(har_shape_cp(shape), e->n_t))};
    double weights = 0, all = 0;
    z.pair_bytes = pair_bytes(&z);
    for (int stage = 0; stage < shape->pp; stage++)
        add_stage(&z, stage, &weights, &all);
    out->weight_bytes = weights;
    out->memory = all;
}
