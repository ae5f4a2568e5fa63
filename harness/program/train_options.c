/* harness/program/train_options.c -- see train_options.h. */
#include "harness/program/train_options.h"

#include "harness/words/words.h"

core_status har_train_check(const har_train_words *w)
{
    const char *const name[] = {"zero", "recompute", "gradients"};
    const char *const value[] = {w->zero, w->recompute, w->gradients};
    return w->is_asked ? CORE_OK : har_refuse_without("train", name, value, 3);
}

static const char *word(const char *said, const char *unsaid)
{
    return said != NULL ? said : unsaid;
}

core_status har_train_read(har_train_case *out, const har_train_words *w)
{
    static const char *const zeros[] = {"0", "1", "2", "3"};
    static const char *const types[] = {"f32", "bf16", "f16"};
    static const core_dtype dtypes[] = {CORE_DTYPE_F32, CORE_DTYPE_BF16,
                                        CORE_DTYPE_F16};
    const char *recomputes[HAR_N_RECOMPUTE];
    int zero = 0, recompute = 0, type = 0;
    for (int i = 0; i < HAR_N_RECOMPUTE; i++)
        recomputes[i] = har_recompute_name((har_recompute)i);
    CORE_TRY(har_choose(&zero, "--zero", word(w->zero, zeros[0]), zeros, 4));
    CORE_TRY(har_choose(&recompute, "--recompute", word(w->recompute, recomputes[0]),
                        recomputes, HAR_N_RECOMPUTE));
    CORE_TRY(har_choose(&type, "--gradients", word(w->gradients, types[0]),
                        types, 3));
    *out = (har_train_case){.zero = zero,
                            .recompute = (har_recompute)recompute,
                            .gradients = dtypes[type]};
    return CORE_OK;
}
