/* harness/perf/predict/load_source.c -- see load_source.h.
 *
 * Trap: measured counts belong to one plan's token groups and slices, so they
 * are made anew for every plan that is asked about.
 */
#include "harness/perf/predict/load_source.h"

#include "core/files/text.h"
#include "harness/words/words.h"

#include <stdlib.h>
#include <string.h>

static core_status read_popularity(har_load_source *s, const core_spec *spec,
                                   const char *text, const int64_t *prompt)
{
    const char *path;
    void *shares;
    if (!core_text_after(text, "taps:", &path))
        return har_demand_parse(&s->demand, text, (int)spec->n_e);
    CORE_TRY(har_demand_parse(&s->demand, "uniform", (int)spec->n_e));
    CORE_TRY(har_measured_open(&s->measured, path, spec, prompt));
    CORE_TRY(core_alloc(&shares, spec->n_l * spec->n_e, sizeof(double),
                        "shares of experts"));
    s->by_layer = shares;
    har_measured_shares(&s->measured, s->by_layer);
    s->demand.by_layer = s->by_layer;
    snprintf(s->demand.text, sizeof s->demand.text, "%s", text);
    return CORE_OK;
}

static core_status read_seed(har_load_source *s, const char *routing)
{
    const char *rest;
    int64_t seed = 1;
    s->all_ranks = strcmp(routing, "expected") != 0;
    if (s->all_ranks) {
        CORE_FAIL_IF(!core_text_after(routing, "drawn", &rest) ||
                         (*rest != '\0' && *rest != ':'),
                     CORE_E_USAGE,
                     "--routing: expected drawn, drawn:SEED, expected or "
                     "measured:FILE, found '%s'",
                     routing);
        if (*rest == ':')
            CORE_TRY(har_parse_count(&seed, "--routing", rest + 1));
    }
    s->demand.is_drawn = s->all_ranks;
    s->demand.seed = (uint64_t)seed;
    return CORE_OK;
}

core_status har_load_source_open(har_load_source *s, const core_spec *spec,
                                 const char *routing, const char *popularity,
                                 const int64_t *prompt)
{
    const char *path;
    s->routing = routing;
    s->is_measured = core_text_after(routing, "measured:", &path);
    CORE_FAIL_IF(s->is_measured && popularity != NULL, CORE_E_USAGE,
                 "--popularity: %s has the choices of every token, a "
                 "popularity says nothing more",
                 path);
    if (s->is_measured) {
        s->all_ranks = true;
        return har_measured_open(&s->measured, path, spec, prompt);
    }
    CORE_TRY(read_popularity(
        s, spec, popularity != NULL ? popularity : "uniform", prompt));
    CORE_FAIL_IF(prompt != NULL && s->by_layer == NULL, CORE_E_USAGE,
                 "--prompt: chooses from a file of taps, expected --routing "
                 "measured:FILE or --popularity taps:FILE");
    return read_seed(s, routing);
}

void har_load_source_close(har_load_source *s)
{
    har_measured_close(&s->measured);
    har_load_free(&s->load);
    free(s->by_layer);
    *s = (har_load_source){0};
}

void har_load_source_shares(const har_load_source *s, const core_spec *spec,
                            double *share)
{
    const double n_moe = core_spec_count_moe(spec, 0, (int)spec->n_l);
    for (int64_t e = 0; e < spec->n_e; e++) {
        share[e] = s->by_layer != NULL ? 0 : s->demand.share[e];
        for (int64_t l = 0; s->by_layer != NULL && l < spec->n_l; l++)
            share[e] += s->by_layer[l * spec->n_e + e] / n_moe;
    }
}

core_status har_load_source_apply(har_load_source *s, har_predict_case *what)
{
    what->all_ranks = s->all_ranks;
    what->demand = s->is_measured ? NULL : &s->demand;
    what->load = NULL;
    if (!s->is_measured)
        return CORE_OK;
    har_load_free(&s->load);
    CORE_TRY(har_measured_load(&s->measured, what->plan, what->n_b, what->n_t,
                               &s->load));
    what->load = &s->load;
    what->load_from = core_st_path(s->measured.file);
    return CORE_OK;
}
