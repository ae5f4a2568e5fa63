/* harness/page/sheet_timeline.c -- what every GPU does when, in one pass.
 *
 * A pass has tens of thousands of operators and the picture some hundred
 * columns, so the time of each kind of work is added up per column; a column
 * takes the colour of what fills most of it, waiting included.  A run of equal
 * columns is one piece of a path: a path per track and kind.  What is under way
 * while its GPU computes or waits (overlap) is a strip at the track's foot.  Trap:
 * sends between stages take no time of their GPU and cannot be seen; waiting for a
 * message is drawn as waiting.
 */
#include "harness/page/sheet_impl.h"

#include "core/base/arena.h"

#include <math.h>

enum {
    LEFT = 66,
    HEAD_H = 24,
    TRACKS = 64,
    SEEN = 70,
    GAP = 6 /* between stages */
};

static const double FOOT = 0.3; /* of a track's height, for what is under way */

/* --- making it --- */

static har__work work_of(const har_span *s)
{
    if (s->kind != CORE_COST_COLLECTIVE)
        return har__is_experts(s->op) ? HAR__EXPERTS : HAR__DENSE;
    if (s->axis == CORE_AXIS_TP)
        return HAR__TO_TENSOR;
    if (s->axis == CORE_AXIS_CP)
        return HAR__TO_CONTEXT;
    return s->axis == CORE_AXIS_PP ? HAR__TO_STAGE : HAR__TO_EXPERTS;
}

static bool waits(const har_span *s)
{
    return !(s->end > s->start) ||
           (s->kind == CORE_COST_COLLECTIVE && s->collective == CORE_RECEIVE);
}

/* Seconds of each kind of work in a column; beside: of what is under way. */
static float *column(const har__timeline *t, bool beside, int track, int bin)
{
    const int64_t at = beside ? t->n_track + track : track;
    return t->busy + (at * HAR__N_BIN + bin) * HAR__N_WORK;
}

static void add_span(void *self, const har_span *s)
{
    har__timeline *t = self;
    if (waits(s))
        return;
    t->n_of_first += s->rank == 0;
    if (s->rank % t->step != 0)
        return;
    const double bin = t->seconds / HAR__N_BIN;
    const int first = (int)(s->start / bin);
    for (int i = first; i < HAR__N_BIN && i * bin < s->end; i++) {
        const double part =
            fmin(s->end, (i + 1) * bin) - fmax(s->start, i * bin);
        column(t, s->goes_on, s->rank / t->step, i)[(int)work_of(s)] +=
            (float)fmax(part, 0);
    }
}

/* Keep an operator of the closer look. */
static void add_close(void *self, const har_span *s)
{
    har__timeline *t = self;
    if (s->rank % t->n_in_stage != 0 || s->rank / t->n_in_stage >= t->n_close ||
        waits(s) || !(s->end > t->close0) || !(s->start < t->close1) ||
        t->is_short)
        return;
    har_span *more = core_grow(t->span, &t->n_room, t->n_span + 1,
                               sizeof *more, "a timeline");
    t->is_short = more == NULL;
    if (t->is_short)
        return;
    t->span = more;
    t->span[t->n_span++] = *s;
}

/* As much of the middle of the pass as has SEEN operators of a GPU. */
static core_status look_closer(har__timeline *t, har_predictor *predictor,
                               const par_plan *plan)
{
    const double share =
        t->n_of_first > SEEN ? SEEN / (double)t->n_of_first : 1;
    t->close0 = t->seconds * (0.5 - share / 2);
    t->close1 = t->seconds * (0.5 + share / 2);
    t->n_close = plan->pp < HAR__MAX_CLOSE ? plan->pp : HAR__MAX_CLOSE;
    CORE_TRY(har_predict_spans(predictor, add_close, t));
    CORE_FAIL_IF(t->is_short, CORE_E_MEMORY, "no memory for a timeline");
    return CORE_OK;
}

core_status har__timeline_make(har__timeline *out, har_predictor *predictor,
                               const par_plan *plan, const har_prediction *p)
{
    void *memory;
    *out = (har__timeline){.n_gpu = p->n_gpu,
                           .step = (p->n_gpu + TRACKS - 1) / TRACKS,
                           .n_in_stage = plan->dp * plan->cp * plan->tp,
                           .seconds = p->latency.value};
    out->n_track = (p->n_gpu + out->step - 1) / out->step;
    const int64_t n = INT64_C(2) * out->n_track * HAR__N_BIN * HAR__N_WORK;
    CORE_TRY(core_alloc(&memory, n, sizeof(float), "a timeline"));
    out->busy = memory;
    for (int64_t i = 0; i < n; i++)
        out->busy[i] = 0;
    CORE_TRY(har_predict_spans(predictor, add_span, out));
    return look_closer(out, predictor, plan);
}

/* --- writing it --- */

/* What fills most of a column: a kind of work, or -1 for waiting; beside: what is
 * under way most of its time, or -1. */
static int winner(const har__timeline *t, bool beside, int track, int bin)
{
    const float *busy = column(t, beside, track, bin);
    double left = t->seconds / HAR__N_BIN, most = 0;
    int best = -1;
    for (int k = 0; k < (int)HAR__N_WORK; k++) {
        left -= (double)busy[k];
        if ((double)busy[k] > most) {
            most = (double)busy[k];
            best = k;
        }
    }
    return left > most ? -1 : best;
}

static double seconds_of(const har__timeline *t, bool beside, int track,
                         int kind)
{
    double sum = 0;
    for (int i = 0; i < HAR__N_BIN; i++)
        sum += (double)column(t, beside, track, i)[kind];
    return sum;
}

static const char *work_text(har__work work)
{
    static const char *const names[HAR__N_WORK] = {
        [HAR__DENSE] = "attention and dense layers",
        [HAR__EXPERTS] = "experts and routing",
        [HAR__TO_TENSOR] = "transfers of the tensor group",
        [HAR__TO_EXPERTS] = "transfers to experts and back",
        [HAR__TO_STAGE] = "sends to the next stage",
        [HAR__TO_CONTEXT] = "transfers of the context group"};
    return names[work];
}

/* Transfers are paler, so that computing is seen to be what is wanted. */
static double strength(har__work work)
{
    return work == HAR__DENSE || work == HAR__EXPERTS ? 1 : 0.55;
}

static void write_path(const har__timeline *t, bool beside, int track, int kind,
                       double y, double h, FILE *out)
{
    bool open = false;
    for (int i = 0; i < HAR__N_BIN;) {
        int end = i;
        while (end < HAR__N_BIN && winner(t, beside, track, end) == kind)
            end++;
        if (end > i) {
            fprintf(out,
                    open ? "M%d %gh%dv%gh-%dz" : "<path d=\"M%d %gh%dv%gh-%dz",
                    LEFT + i, y, end - i, h, end - i);
            open = true;
        }
        i = end > i ? end : i + 1;
    }
    if (!open)
        return;
    const double seconds = seconds_of(t, beside, track, kind);
    fprintf(out,
            "\" fill=\"var(--%s)\" fill-opacity=\"%g\"><title>GPU %d, %s%s: "
            "%.3g ms, %.1f %%</title></path>\n",
            har__work_colour((har__work)kind),
            beside ? 1 : strength((har__work)kind), track * t->step,
            work_text((har__work)kind), beside ? ", under way" : "",
            seconds * 1e3, 100 * seconds / t->seconds);
}

static void write_waiting(int rank, double y, double h, FILE *out)
{
    har_svg_rect(out, LEFT, y, HAR__N_BIN, h, "idle", 0.13);
    har_svg_title(out, "GPU %d waits", rank);
}

static void write_track(const har__timeline *t, int track, double y, double h,
                        FILE *out)
{
    double busy = 0;
    const int every = h >= 13 ? 1 : 4;
    fprintf(out, "<g class=\"track\" data-rank=\"%d\">\n", track * t->step);
    write_waiting(track * t->step, y, h, out);
    for (int k = 0; k < (int)HAR__N_WORK; k++) {
        write_path(t, false, track, k, y, h, out);
        busy += k == HAR__DENSE || k == HAR__EXPERTS
                    ? seconds_of(t, false, track, k)
                    : 0;
    }
    for (int k = 0; k < (int)HAR__N_WORK; k++)
        write_path(t, true, track, k, y + (1 - FOOT) * h, FOOT * h, out);
    if (track % every == 0) {
        har_svg_text(out, LEFT - 8, y + h / 2 + 4, "end dim small", "GPU %d",
                     track * t->step);
        har_svg_text(out, HAR__WIDTH, y + h / 2 + 4, "end dim small",
                     "%.0f %%", 100 * busy / t->seconds);
    }
    fputs("</g>\n", out);
}

/* 1, 2 or 5 times a power of ten, eight or fewer of which fit. */
static double nice_step(double all)
{
    const double power = pow(10, floor(log10(all / 8)));
    const double x = all / 8 / power;
    return power * (x <= 1 ? 1 : x <= 2 ? 2 : x <= 5 ? 5 : 10);
}

/* Times from `from` to `to`, in milliseconds, across the tracks. */
static void write_times(double from, double to, double height, FILE *out)
{
    const double step = nice_step(to - from);
    for (double at = fmax(ceil(from / step), 0) * step; at <= to; at += step) {
        const double x = LEFT + HAR__N_BIN * (at - from) / (to - from);
        fprintf(out,
                "<line class=\"rule\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" "
                "y2=\"%.1f\"/>\n",
                x, x, HEAD_H - 6, height);
        if (x > LEFT + HAR__N_BIN - 44) /* a heading may stand there */
            continue;
        har_svg_text(out, x, 12, x > LEFT + 16 ? "mid dim small" : "dim small",
                     "%.4g ms", at);
    }
}

static void write_whole(const har__timeline *t, FILE *out)
{
    const double pitch = t->n_track <= 16 ? 22 : t->n_track <= 32 ? 18 : 12;
    const int last = (t->n_track - 1) * t->step / t->n_in_stage;
    const double height = HEAD_H + pitch * t->n_track + GAP * last;
    har_svg_open(out, HAR__WIDTH, (int)height + 4, "predicted timeline");
    write_times(0, t->seconds * 1e3, height, out);
    har_svg_text(out, HAR__WIDTH, 12, "end dim small", "computing");
    for (int i = 0; i < t->n_track; i++)
        write_track(t, i,
                    HEAD_H + pitch * i + GAP * (i * t->step / t->n_in_stage),
                    pitch - 3, out);
    har_svg_close(out);
}

/* --- the closer look --- */

static void write_span(const har__timeline *t, const har_span *s, double h,
                       FILE *out)
{
    const bool moves = s->kind == CORE_COST_COLLECTIVE;
    const double scale = HAR__N_BIN / (t->close1 - t->close0);
    const double from = fmax(s->start, t->close0) - t->close0;
    const double to = fmin(s->end, t->close1) - t->close0;
    const double y = HEAD_H + (h + 6) * (s->rank / t->n_in_stage);
    const double share = s->goes_on ? FOOT : 1;
    har_svg_rect(out, LEFT + from * scale, y + (1 - share) * h,
                 fmax((to - from) * scale, 0.4), share * h,
                 har__work_colour(work_of(s)),
                 s->goes_on ? 1 : strength(work_of(s)));
    har_svg_title(out,
                  "GPU %d, %s %s%s, layer %d, micro-batch %d: %.3f to %.3f ms",
                  s->rank, s->op,
                  moves ? core_collective_name(s->collective)
                        : core_cost_kind_name(s->kind),
                  s->goes_on ? " under way" : "", s->layer, s->mb,
                  s->start * 1e3, s->end * 1e3);
}

static void write_close(const har__timeline *t, FILE *out)
{
    enum { H = 26 };
    const int height = HEAD_H + t->n_close * (H + 6);
    har_svg_open(out, HAR__WIDTH, height, "a part of the timeline");
    write_times(t->close0 * 1e3, t->close1 * 1e3, height, out);
    for (int i = 0; i < t->n_close; i++) {
        const double y = HEAD_H + (H + 6.0) * i;
        write_waiting(i * t->n_in_stage, y, H, out);
        har_svg_text(out, LEFT - 8, y + H / 2.0 + 4, "end dim small", "GPU %d",
                     i * t->n_in_stage);
    }
    for (int beside = 0; beside < 2; beside++)
        for (int64_t i = 0; i < t->n_span; i++)
            if (t->span[i].goes_on == (beside > 0))
                write_span(t, &t->span[i], H, out);
    har_svg_close(out);
}

void har__sheet_timeline(const har__sheet *s, FILE *out)
{
    const har__timeline *t = &s->timeline;
    char every[120] = "";
    if (t->step > 1)
        snprintf(every, sizeof every,
                 " Of %d GPUs every %d%s is shown, beginning with GPU 0.",
                 t->n_gpu, t->step,
                 t->step == 2   ? "nd"
                 : t->step == 3 ? "rd"
                                : "th");
    har__section(out, "timeline", "Timeline",
                 "One pass, from an empty pipeline to an empty one: %.4g ms. A "
                 "column shows what fills most of it; grey is waiting for a "
                 "micro-batch or for peers.%s On the right the share of "
                 "computing.%s",
                 t->seconds * 1e3,
                 s->setup->plan.overlap != 0
                     ? " At the foot of a track stands what is under way "
                       "meanwhile."
                     : "",
                 every);
    write_whole(t, out);
    har__key_open(out);
    for (int k = 0; k < (int)HAR__N_WORK; k++)
        if (k != HAR__TO_CONTEXT || s->setup->plan.cp > 1)
            har__key(out, har__work_colour((har__work)k),
                     strength((har__work)k), "%s", work_text((har__work)k));
    har__key(out, "idle", 0.3, "waiting");
    har__key_close(out);
    fputs("<h3>A closer look: the middle of the pass, the first GPU of each "
          "stage</h3>\n",
          out);
    write_close(t, out);
    fputs("</section>\n", out);
}
