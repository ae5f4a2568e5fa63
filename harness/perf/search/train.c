/* harness/perf/search/train.c -- see train.h.
 *
 * Trap: threads ask for memory, each by its own predictor; the first error of
 * any is kept, and its plan does not fit.
 */
#include "harness/perf/search/train.h"

#include "harness/launch/jsonfile.h"

#include <math.h>
#include <omp.h>

core_status har_train_search_make(har_train_search *s)
{
    s->status = CORE_OK;
    for (int i = 0; i < HAR_SEARCH_THREADS; i++)
        s->predictor[i] = NULL;
    for (int i = 0; i < s->n_thread; i++)
        CORE_TRY(har_predictor_make(&s->predictor[i], s->machine));
    return CORE_OK;
}

void har_train_search_free(har_train_search *s)
{
    for (int i = 0; i < HAR_SEARCH_THREADS; i++)
        har_predictor_free(s->predictor[i]);
}

bool har_train_search_allows(const void *self, const par_plan *plan)
{
    (void)self;
    return plan->scope == PAR_SCOPE_STAGE;
}

void har_train_search_memory(void *self, const har_shape *shape,
                             har_figures *out)
{
    har_train_search *s = self;
    har_training_step step;
    par_plan plan;
    har_predict_case what = s->what;
    har_train_case train = s->train;
    har_shape_plan(shape, &plan);
    what.plan = &plan;
    train.what = &what;
    *out = (har_figures){.memory = NAN};
    const core_status status = har_predict_training(
        s->predictor[omp_get_thread_num()], &train, &step);
    if (status != CORE_OK) {
#pragma omp critical(train_search)
        s->status = status;
        return;
    }
    out->memory = step.memory;
    out->latency = step.seconds.value;
    out->tokens_per_s = step.tokens_per_s.value / step.n_gpu;
}

void har_train_search_time(void *self, int thread, const har_shape *shape,
                           har_figures *out)
{
    (void)self;
    (void)thread;
    (void)shape;
    (void)out;
}

static void write_point(FILE *out, const har_search_point *p)
{
    char text[PAR_PLAN_TEXT];
    par_plan plan;
    const int n_gpu = har_shape_world(&p->shape);
    har_shape_plan(&p->shape, &plan);
    par_plan_format(&plan, text);
    fprintf(out, "  %10.3f %12.0f %12.1f %8.2f %5d  %s\n",
            1e3 * p->figures.latency, p->figures.tokens_per_s * n_gpu,
            p->figures.tokens_per_s, p->figures.memory * 1e-9, n_gpu, text);
}

void har_train_search_write(FILE *out, const har_train_search *s,
                            const har_search_case *request,
                            const har_search_result *r)
{
    fprintf(out, "model      %s\nmachine    %s, %s\n", s->what.spec->name,
            s->machine->name, core_types_text(&s->what.types).text);
    fprintf(out,
            "training   %lld rows x %lld tokens; zero %d, recompute %s, "
            "gradients %s\n",
            (long long)s->what.n_b, (long long)s->what.n_t, s->train.zero,
            har_recompute_name(s->train.recompute),
            core_dtype_name(s->train.gradients));
    fprintf(out,
            "plans      %lld on %d to %d GPUs, scope=stage; %lld need more "
            "than a GPU's %.1f GB\n",
            (long long)r->n_plan, request->n_gpu0, request->n_gpu1,
            (long long)r->n_large, request->memory_bytes * 1e-9);
    fputs("front      no other plan has a shorter step and more tokens/s of a "
          "GPU\n     step_ms     tokens/s tokens/s/GPU       GB  GPUs  plan\n",
          out);
    for (int i = 0; i < r->n_front; i++)
        write_point(out, &r->front[i]);
}

core_status har_train_search_json(const char *path, const har_train_search *s,
                                  const har_search_result *r)
{
    json_t *front = json_array();
    for (int i = 0; i < r->n_front; i++) {
        const har_search_point *p = &r->front[i];
        char text[PAR_PLAN_TEXT];
        par_plan plan;
        har_shape_plan(&p->shape, &plan);
        par_plan_format(&plan, text);
        (void)json_array_append_new(
            front, json_pack("{s:s,s:i,s:f,s:f,s:f}", "plan", text, "gpus",
                             har_shape_world(&p->shape), "step_s",
                             p->figures.latency, "tokens_per_s_gpu",
                             p->figures.tokens_per_s, "memory",
                             p->figures.memory));
    }
    return har_json_write(
        path,
        json_pack("{s:i,s:s,s:s,s:I,s:I,s:i,s:s,s:s,s:I,s:I,s:o}", "schema", 1,
                  "model", s->what.spec->name, "machine", s->machine->name,
                  "rows", (json_int_t)s->what.n_b, "tokens_of_a_row",
                  (json_int_t)s->what.n_t, "zero", s->train.zero, "recompute",
                  har_recompute_name(s->train.recompute), "gradients",
                  core_dtype_name(s->train.gradients), "plans",
                  (json_int_t)r->n_plan, "large", (json_int_t)r->n_large,
                  "front", front));
}
