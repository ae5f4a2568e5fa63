/* core/model/operators/o_groups.h -- an output projection in two steps: groups of
 * heads, each by a matrix of its own, then all of them together.
 */
#ifndef CORE_OPERATORS_O_GROUPS_H
#define CORE_OPERATORS_O_GROUPS_H

typedef struct core_o_groups {
    int64_t n;   /* of heads; 0: one projection of all heads                  */
    int64_t n_r; /* columns that a group gives                                */
} core_o_groups;

#define CORE_O_GROUPS_CHOSEN (s->o_groups.n > 0)
#define CORE_O_GROUPS_HERE (CORE_ATTENTION_HERE && CORE_O_GROUPS_CHOSEN)
#define CORE_O_GROUPS_COLS (s->o_groups.n * s->o_groups.n_r)
/* What the last projection reads.                                            */
#define CORE_O_COLUMNS                                                         \
    (CORE_O_GROUPS_CHOSEN ? CORE_O_GROUPS_COLS : CORE_H * CORE_DV)

#define CORE_O_GROUPS_TAPS(X)                                                  \
    X(O_A, "layers.%d.attn.o_a", TOKEN, ACT, false,                            \
      CORE_O_GROUPS_HERE, CORE_O_GROUPS_COLS, s->o_groups.n,                   \
      "output projection of groups of heads")

/* Rows of group g read the columns of its heads alone.                       */
#define CORE_O_GROUPS_WEIGHTS(X)                                               \
    X(O_A, LAYER, "layers.%d.attn.o_a",                                        \
      CORE_O_GROUPS_HERE, CORE_O_GROUPS_COLS, CORE_H * CORE_DV / s->o_groups.n,\
      MATRIX(1.5), NONE, MATRIX, "model.layers.%d.self_attn.o_a_proj.weight")

#define CORE_O_GROUPS_FIELDS(X)                                                \
    X(O_GROUPS, "o_groups.groups", I64, o_groups.n, true, true,                \
      "groups of heads with an output matrix of their own (0: one "            \
      "projection)")                                                           \
    X(O_GROUPS_RANK, "o_groups.rank", I64, o_groups.n_r,                       \
      CORE_O_GROUPS_CHOSEN, false,                                             \
      "columns that a group gives")

#endif
