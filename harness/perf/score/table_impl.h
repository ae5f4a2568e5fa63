/* harness/perf/score/table_impl.h -- private: the formats of tables. */
#ifndef HAR_PERF_TABLE_IMPL_H
#define HAR_PERF_TABLE_IMPL_H

#include "harness/perf/score/table.h"

enum { HAR__MAX_FIELDS = 16 };

typedef struct har__line har__line;

typedef struct har__format {
    const char *source;
    har_kind kind;
    int n_column;
    const char *column[HAR__MAX_FIELDS];
    int time;          /* the column with the time that counts                */
    unsigned measured; /* a bit for each column that is no part of the shape  */
    core_status (*read)(const har__line *line, har_op_shape *out);
    int second;        /* column of a second time, another row; 0: none       */
    double unit;       /* seconds of a time; 0: milliseconds                  */
    bool (*skips)(const har__line *line); /* rows of something else; NULL: none */
} har__format;

struct har__line {
    const char *path;
    int number;
    const har__format *format;
    char *field[HAR__MAX_FIELDS];
    bool is_second; /* the row of the second time                             */
};

/* Columns of table_exchange.c.  Errors: E_FORMAT.                     [local] */
CORE_NODISCARD core_status har__read_quick(const har__line *line,
                                           har_op_shape *out);
CORE_NODISCARD core_status har__read_normal(const har__line *line,
                                            har_op_shape *out);

/* Columns of table_gpt.c.  Errors: E_FORMAT.                   [local] */
CORE_NODISCARD core_status har__read_gpt(const har__line *line,
                                                har_op_shape *out);
bool har__skips_gpt(const har__line *line);

extern const har__format har__format_list[];
extern const int har__n_format;

/* Field i as a number in a range.  Errors: E_FORMAT with the place and the
 * column's name.                                                      [local] */
CORE_NODISCARD core_status har__field_number(const har__line *line, int i,
                                             double least, double most,
                                             double *out);

#endif
