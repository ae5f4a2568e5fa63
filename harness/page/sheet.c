/* harness/page/sheet.c -- gather, then write, see sheet.h.
 *
 * Everything that can be refused is refused while gathering; only gnuplot can
 * fail after the first byte, and the caller's file is then dropped.
 */
#include "harness/page/sheet_impl.h"

#include <stdlib.h>
#include <string.h>

static void begin(const har_sheet_ask *ask, const char *what)
{
    if (ask->progress != NULL)
        ask->progress(ask->self, what);
}

static core_status read_claims(har__sheet *s, const char *path)
{
    void *claims;
    CORE_TRY(core_alloc(&claims, 1, sizeof(har_claims), path));
    core_status status = har_claims_read(claims, path, &s->setup->overrides);
    if (status == CORE_OK)
        status = har_audit_run(&s->audit, claims);
    if (status != CORE_OK)
        free(claims);
    else
        s->claims = claims;
    return status;
}

/* Choices of a pass, and those that the load has rows for. */
static void count_choices(har__sheet *s)
{
    const core_spec *spec = &s->setup->spec;
    s->n_choice = s->p.n_token * (double)spec->n_k *
                  core_spec_count_moe(spec, 0, (int)spec->n_l);
    s->n_kept = 0;
    for (int64_t i = 0; i < har_load_size(&s->load); i++)
        s->n_kept += (double)s->load.n_row[i];
}

/* The load that was predicted: measured, or drawn again. */
static core_status make_load(har__sheet *s)
{
    const har_setup *setup = s->setup;
    const har_predict_case *what = &setup->what;
    double n_choice, n_kept;
    par_layout lay;
    core_arena arena = core_arena_measure();
    CORE_TRY(par_layout_make(&lay, &arena, &setup->spec, &setup->plan, 0));
    const core_status status = har_load_make(&s->load, &setup->spec, &lay);
    if (status == CORE_OK && what->load != NULL)
        memcpy(s->load.n_row, what->load->n_row,
               (size_t)har_load_size(&s->load) * sizeof *s->load.n_row);
    else if (status == CORE_OK)
        har_demand_load(what->demand, &setup->spec, &lay, what->n_b, what->n_t,
                        NULL, &s->load, &n_choice, &n_kept);
    core_arena_free(&arena);
    if (status == CORE_OK)
        count_choices(s);
    return status;
}

static core_status predict(har__sheet *s, har_predictor *predictor)
{
    enum { CELLS = 64 };
    har_setup *setup = s->ask->setup;
    const int n_gpu = par_plan_world(&setup->plan);
    begin(s->ask, "predicting the plan");
    CORE_TRY(har_load_source_apply(&setup->source, &setup->what));
    har_routing_text(s->routing, &setup->what);
    CORE_TRY(har_predict(predictor, &setup->what, &s->p));
    CORE_TRY(har__timeline_make(&s->timeline, predictor, &setup->plan, &s->p));
    begin(s->ask, "tracing the bytes");
    CORE_TRY(har__modules_make(&s->module, setup));
    CORE_TRY(make_load(s));
    CORE_TRY(har_traffic_make(&s->traffic, &setup->what, &setup->machine,
                              &s->load, (n_gpu + CELLS - 1) / CELLS));
    begin(s->ask, "searching other plans");
    return har__rivals_find(&s->rivals, s->ask, predictor, &s->p);
}

static core_status gather(har__sheet *s)
{
    har_predictor *predictor = NULL;
    par_plan_format(&s->setup->plan, s->plan);
    if (s->ask->verify != NULL)
        CORE_TRY(har__verdicts_read(&s->verdicts, s->ask->verify));
    if (s->ask->claims != NULL)
        CORE_TRY(read_claims(s, s->ask->claims));
    CORE_TRY(har_predictor_make(&predictor, &s->setup->machine));
    const core_status status = predict(s, predictor);
    har_predictor_free(predictor);
    return status;
}

static core_status write_page(const har__sheet *s, FILE *out)
{
    char title[200];
    begin(s->ask, "drawing");
    snprintf(title, sizeof title,
             "%.80s on %d \xc3\x97 %.60s \xc2\xb7 moeparity",
             s->setup->spec.name, s->p.n_gpu, s->setup->machine.name);
    har_page_begin(out, title, har__sheet_style);
    har__sheet_head(s, out);
    har__sheet_figures(s, out);
    har__sheet_modules(s, out);
    har__sheet_verdicts(s, out);
    har__sheet_memory(s, out);
    CORE_TRY(har__sheet_load(s, out));
    har__sheet_traffic(s, out);
    har__sheet_timeline(s, out);
    CORE_TRY(har__sheet_roofline(s, out));
    CORE_TRY(har__sheet_rivals(s, out));
    har__sheet_audit(s, out);
    har__sheet_basis(s, out);
    har_page_end(out, "A prediction is an estimate with an interval; what a "
                      "plan computes is checked by moeparity verify.");
    return CORE_OK;
}

static void drop(har__sheet *s)
{
    free(s->module);
    har_load_free(&s->load);
    har_traffic_free(&s->traffic);
    free(s->timeline.busy);
    free(s->timeline.span);
    if (s->claims != NULL)
        har_audit_free(&s->audit);
    free(s->claims);
    json_decref(s->verdicts);
}

core_status har_sheet_write(FILE *out, const har_sheet_ask *ask)
{
    void *memory;
    CORE_TRY(core_alloc(&memory, 1, sizeof(har__sheet), "a report"));
    har__sheet *s = memory;
    *s = (har__sheet){.ask = ask, .setup = ask->setup};
    core_status status = gather(s);
    if (status == CORE_OK)
        status = write_page(s, out);
    drop(s);
    free(s);
    return status;
}
