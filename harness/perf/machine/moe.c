/* harness/perf/machine/moe.c -- a fused MoE layer on its slowest EP rank.
 *
 * Two grouped products in kernels whose blocks hold rows of one expert: every
 * expert's rows are padded to whole blocks, its weights are read once if it has
 * a row, and not at all if it has none, so that the number of distinct experts
 * decides what few tokens cost.  The kernels of serving systems use blocks of
 * 16 rows up to one token per expert that they hold and of 64 beyond: tokens,
 * not their choices.
 *
 * The power law is that of the published tables: every expert's weight is drawn
 * from p(x) ~ x^-a, here taken at the middles of equal slices of probability,
 * the counts are rounded to whole tokens, what is missing goes to the most
 * popular.  Experts of a rank are then a random sample: the slowest rank has
 * the most popular expert and an even share of the others.
 */
#include "harness/perf/machine/impl.h"

#include "harness/perf/cost/demand.h"

enum {
    SMALL_ROWS = 16,
    LARGE_ROWS = 64,
    BLOCK_COLUMNS = 64,
    TILES_PER_UNIT = 4, /* that hide each other's filling                     */
    N_KERNEL = 12       /* router, sort of the choices, products, activation,
                           sum                                               */
};

/* Whole numbers in the ratios of count, largest first, that add up to total. */
static void round_to(double *count, int n, double total)
{
    double sum = 0, rounded = 0;
    for (int i = 0; i < n; i++)
        sum += count[i];
    for (int i = 0; i < n; i++) {
        count[i] = rint(count[i] / sum * total);
        rounded += count[i];
    }
    for (int i = 0; rounded < total; i = (i + 1) % n, rounded++)
        count[i]++;
    for (int i = n - 1; rounded > total; i = i > 0 ? i - 1 : n - 1)
        if (count[i] > 0) {
            count[i]--;
            rounded--;
        }
}

static void power_law(const har_moe *moe, double *count)
{
    const int n = moe->n_expert;
    const double total = moe->n_token * moe->n_k;
    const bool many = total > n && moe->n_token * 0.8 > 1;
    for (int i = 0; i < n; i++)
        count[i] = har_power_quantile(moe->popularity.exponent, many ? 1 : 0.01,
                                      many ? moe->n_token * 0.8 : 2,
                                      (n - i - 0.5) / n);
    round_to(count, n, total);
    for (int i = 0, spare = moe->n_k; i < n; i++) {
        count[i] = fmin(count[i], moe->n_token);
        if (!many && count[0] > 1 && count[i] < 1 && spare-- > 0)
            count[i] = 1;
    }
}

static void balanced(const har_moe *moe, double *count)
{
    for (int i = 0; i < moe->n_expert; i++)
        count[i] = 1;
    round_to(count, moe->n_expert, moe->n_token * moe->n_k);
}

void har_moe_counts(const har_moe *moe, double *count)
{
    if (moe->popularity.is_power_law)
        power_law(moe, count);
    else
        balanced(moe, count);
}

/* What the slowest rank computes. */
typedef struct share {
    double blocks;   /* of block_rows rows, padding included                  */
    double rows;     /* without padding                                       */
    double distinct; /* experts whose weights are read                        */
    double block_rows;
} share;

/* Rows of the slowest of `ep` ranks that deal the experts at random: the rank
 * of the most popular expert, or the largest of as many sums. */
static double most_rows(const har_moe *moe, const double *count)
{
    const int n = moe->n_expert;
    const double n_local = floor((double)n / moe->ep);
    double sum = 0, square = 0;
    for (int i = 0; i < n; i++) {
        sum += count[i];
        square += count[i] * count[i];
    }
    const double mean = sum / n;
    const double spread = sqrt(fmax(0, square / n - mean * mean) * n_local);
    /* of so many normal draws the largest is about so many sigmas out */
    const double sigmas = 0.56 * pow(log2(moe->ep), 0.8);
    return fmax(count[0] + (n_local - 1) * mean,
                n_local * mean + sigmas * spread);
}

/* Experts of the slowest rank: every how many, in the order of their rows. */
static double stride_of(const har_moe *moe, const double *count)
{
    const int n_local = moe->n_expert / moe->ep;
    if (!moe->popularity.is_power_law || moe->ep == 1)
        return moe->ep;
    const double most = most_rows(moe, count);
    double least = 1, stride = moe->ep;
    for (int round = 0; round < 6; round++) {
        const double middle = (least + stride) / 2;
        double sum = 0;
        for (int i = 0; i < n_local; i++)
            sum += count[(int)(i * middle)];
        if (sum > most)
            least = middle;
        else
            stride = middle;
    }
    return stride;
}

static double reached(const har_moe *moe, const double *count, double stride)
{
    const int n_local = moe->n_expert / moe->ep;
    double none = 1, sum = 0;
    for (int i = 0; i < n_local; i++) {
        none *= 1 - fmin(1, count[(int)(i * stride)] / moe->n_token);
        sum += count[(int)(i * stride)];
    }
    if (!moe->popularity.is_power_law)
        return fmin(moe->n_token, sum);
    return fmax(1, moe->n_token * (1 - none));
}

static double block_rows(double n_token, int n_held)
{
    return n_token <= n_held ? SMALL_ROWS : LARGE_ROWS;
}

static share slowest(const har_moe *moe, const double *count)
{
    const int n_local = moe->n_expert / moe->ep;
    const double stride = stride_of(moe, count);
    const double tokens = reached(moe, count, stride);
    share out = {.block_rows = block_rows(tokens, n_local)};
    for (int i = 0; i < n_local; i++) {
        const double c = count[(int)(i * stride)];
        out.rows += c;
        out.blocks += ceil(c / out.block_rows);
        out.distinct += fmin(1, c);
    }
    const double other = tokens * moe->n_k - out.rows;
    if (moe->runs_all_choices && other > 0) {
        out.rows += other;
        out.blocks += ceil(other / out.block_rows);
    }
    return out;
}

static void add_product(const har_machine *machine, const har_operands *of,
                        const share *s, double n, double k, har__parts *parts)
{
    const double units = machine->n_unit;
    const double peak = har__peak(machine, of->unit) *
                        har__coef(machine, HAR_COEF_COMPUTE) *
                        har__coef(machine, HAR_COEF_MOE) / units;
    const double n_tile = s->blocks * ceil(n / BLOCK_COLUMNS);
    const double waves = fmax(1, n_tile / units);
    const double mma = har__unpacked(
        machine, of, 2 * s->block_rows * BLOCK_COLUMNS * k / peak,
        BLOCK_COLUMNS * k);
    const double feed = (s->block_rows * of->a + BLOCK_COLUMNS * of->b) * k *
                        units / har__feed_bw(machine);
    parts->compute += waves * har__overlap(mma, feed);
    parts->memory += (s->distinct * n * k * of->b +
                      s->rows * (n * of->out + k * of->a)) /
                     har__gather_bw(machine);
    parts->latency +=
        har__seconds(machine, HAR_COEF_FILL) * fmax(1, waves / TILES_PER_UNIT);
}

static har_time one_kernel(const har_machine *machine, const har_operands *of,
                           const share *s, double n, double k)
{
    har__parts parts = {.overhead = har__seconds(machine, HAR_COEF_LAUNCH)};
    add_product(machine, of, s, n, k, &parts);
    return har__together(machine, HAR_MOE, parts);
}

har_time har_time_uneven_product(const har_machine *machine,
                                 const har_operands *of,
                                 const har_uneven *rows, double n_token,
                                 double n, double k)
{
    const double others = (double)rows->n_some - 1;
    const double each = others > 0 ? (rows->all - rows->most) / others : 0;
    share s = {.block_rows = block_rows(n_token, rows->n_group),
               .rows = rows->all};
    s.blocks = ceil(rows->most / s.block_rows) +
               others * ceil(each / s.block_rows);
    s.distinct = fmin(1, rows->most) + others * fmin(1, each);
    return one_kernel(machine, of, &s, n, k);
}

har_time har_time_grouped_gemm(const har_machine *machine, core_dtype dtype,
                               const double *row, int n_group,
                               double n_token, double n, double k)
{
    const har_operands of = har_operands_plain(dtype);
    share s = {.block_rows = block_rows(n_token, n_group)};
    for (int i = 0; i < n_group; i++) {
        s.rows += row[i];
        s.blocks += ceil(row[i] / s.block_rows);
        s.distinct += fmin(1, row[i]);
    }
    return one_kernel(machine, &of, &s, n, k);
}

har_time har_time_moe(const har_machine *machine, core_dtype dtype,
                      const har_moe *moe)
{
    double count[HAR_MAX_EXPERTS];
    har_moe_counts(moe, count);
    const share s = slowest(moe, count);
    const har_operands of = har_operands_plain(dtype);
    har__parts parts = {.overhead =
                            N_KERNEL * har__seconds(machine, HAR_COEF_LAUNCH)};
    add_product(machine, &of, &s, (moe->n_matrix - 1) * moe->n_f, moe->n_d,
                &parts);
    add_product(machine, &of, &s, moe->n_d, moe->n_f, &parts);
    /* the activation, and the sum over the choices of a token */
    parts.latency += (double)core_dtype_bytes(dtype) * s.rows *
                     (moe->n_matrix * moe->n_f + moe->n_d) /
                     har__gather_bw(machine);
    return har__together(machine, HAR_MOE, parts);
}
