/* A worker in C: the network of this project in one file, with nothing but the C library.
 *
 *     gcc -std=c11 -O3 -march=native -o mlp mlp.c -lm
 *
 * It reads a request a line from standard input and answers a line each to the file descriptor that
 * BENCH_REPLY_FD names; docs/protocol.md says what they mean. -std=c11 matters: it keeps a product
 * and a sum two roundings, without which the random numbers are not NumPy's.
 *
 * The file includes itself twice, once for double and once for float: that part, with all of the
 * network in it, stands at the end.
 */
#ifndef REAL
#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <fenv.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { FORWARD, BACKPROP, EPOCH, CALL, TIMER, PHASES };
static const char *const PHASE[PHASES] = {"forward", "backprop", "epoch", "call", "timer"};

#define MOST_LAYERS 64
#define RATE 0.01
#define GRID 601

/* What is wrong with a request; the answer says it. NULL: nothing. */
static const char *trouble;

static int fail(const char *words) {
    if (!trouble) trouble = words;
    return 0;
}

static long long now_ns(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* JSON, as much as requests hold. A value is the place where it begins; NULL is none. */

static const char *blank(const char *p) { return p + strspn(p, " \t\r\n"); }

static const char *end_of(const char *p, int depth) { /* past the value at p; NULL: no JSON */
    if (depth > 8) return NULL;
    if (*p == '"') {
        for (p++; *p && *p != '"'; p++)
            if (*p == '\\' && *++p == 0) return NULL;
        return *p ? p + 1 : NULL;
    }
    if (*p == '{' || *p == '[') {
        char open = *p, close = open == '{' ? '}' : ']';
        p = blank(p + 1);
        if (*p == close) return p + 1;
        for (;; p = blank(p + 1)) {
            if (open == '{') {
                if (*p != '"' || !(p = end_of(p, depth + 1)) || *(p = blank(p)) != ':') return NULL;
                p = blank(p + 1);
            }
            if (!(p = end_of(p, depth + 1))) return NULL;
            if (*(p = blank(p)) == close) return p + 1;
            if (*p != ',') return NULL;
        }
    }
    size_t n = strspn(p, "+-.0123456789abcdefghijklmnopqrstuvwxyzE");
    return n ? p + n : NULL;
}

static const char *member(const char *p, const char *key) { /* of the checked object at p */
    size_t n = strlen(key);
    if (!p || *p != '{') return NULL;
    for (p = blank(p + 1); *p == '"'; p = blank(p + 1)) {
        const char *name = p + 1, *value = blank(blank(end_of(p, 0)) + 1);
        if (!strncmp(name, key, n) && name[n] == '"') return value;
        p = blank(end_of(value, 0));
        if (*p != ',') return NULL;
    }
    return NULL;
}

static int is_text(const char *p, const char *text) {
    size_t n = strlen(text);
    return p && *p == '"' && !strncmp(p + 1, text, n) && p[n + 1] == '"';
}

static char *text_of(const char *p) { /* a copy, escapes undone; the caller frees it */
    if (!p || *p != '"') return NULL;
    char *text = malloc(strlen(p)), *out = text;
    if (!text) return NULL;
    for (p++; *p != '"'; p++) {
        unsigned code = (unsigned char)*p;
        if (*p == '\\' && *++p == 'u') {
            if (sscanf(p + 1, "%4x", &code) != 1) break;
            p += 4;
            if (code >= 0x800) *out++ = 0xE0 | code >> 12, *out++ = 0x80 | (code >> 6 & 0x3F);
            else if (code >= 0x80) *out++ = 0xC0 | code >> 6;
            if (code >= 0x80) code = 0x80 | (code & 0x3F);
        } else if (p[-1] == '\\') {
            code = *p == 'n' ? '\n' : *p == 't' ? '\t' : (unsigned char)*p;
        }
        *out++ = (char)code;
    }
    *out = 0;
    return text;
}

static int whole(const char *p, double least, double most, long long *found) {
    char *end;
    double value = p ? strtod(p, &end) : NAN;
    if (!p || end == p || (*end && !strchr(",]} \t\r\n", *end))) return 0;
    if (!(value >= least && value <= most) || value != floor(value)) return 0;
    *found = (long long)value;
    return 1;
}

/* NumPy's legacy RandomState: MT19937, normals by Marsaglia's polar method, masked rejection. */

typedef struct {
    uint32_t key[624];
    int place, has_gauss;
    double gauss;
} Random;

static void seed_random(Random *r, uint32_t seed) {
    r->key[0] = seed;
    for (int i = 1; i < 624; i++)
        r->key[i] = 1812433253u * (r->key[i - 1] ^ r->key[i - 1] >> 30) + i;
    r->place = 624, r->has_gauss = 0;
}

static uint32_t word(Random *r) {
    if (r->place == 624) {
        for (int i = 0; i < 624; i++) {
            uint32_t y = (r->key[i] & 0x80000000u) | (r->key[(i + 1) % 624] & 0x7FFFFFFFu);
            r->key[i] = r->key[(i + 397) % 624] ^ y >> 1 ^ (y & 1 ? 0x9908B0DFu : 0);
        }
        r->place = 0;
    }
    uint32_t y = r->key[r->place++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680u;
    y ^= y << 15 & 0xEFC60000u;
    return y ^ y >> 18;
}

static double uniform(Random *r) {
    uint32_t high = word(r) >> 5, low = word(r) >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
}

static double normal(Random *r) {
    if (r->has_gauss) return r->has_gauss = 0, r->gauss;
    double x, y, square;
    do {
        x = 2.0 * uniform(r) - 1.0;
        y = 2.0 * uniform(r) - 1.0;
        square = x * x + y * y;
    } while (square >= 1.0 || square == 0.0);
    double scale = sqrt(-2.0 * log(square) / square);
    r->gauss = scale * x, r->has_gauss = 1;
    return scale * y;
}

static void shuffle(Random *r, uint32_t *order, uint32_t count) {
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t mask = i, draw;
        for (int s = 1; s < 32; s *= 2) mask |= mask >> s;
        while ((draw = word(r) & mask) > i) continue;
        uint32_t kept = order[i];
        order[i] = order[draw], order[draw] = kept;
    }
}

/* Files and checksums */

static uint32_t crc32(uint32_t crc, const void *data, size_t size) {
    static uint32_t table[256];
    if (!table[1])
        for (uint32_t i = 0; i < 256; i++) {
            table[i] = i;
            for (int bit = 0; bit < 8; bit++)
                table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xEDB88320u : 0);
        }
    crc = ~crc;
    for (const unsigned char *p = data, *end = p + size; p < end; p++)
        crc = table[(crc ^ *p) & 0xFF] ^ crc >> 8;
    return ~crc;
}

static FILE *open_in(const char *folder, const char *name, const char *mode) {
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s.npy", folder, name);
    FILE *file = n < (int)sizeof path ? fopen(path, mode) : NULL;
    if (!file) fail("a file cannot be opened");
    return file;
}

/* Reads rows x columns numbers of this type; the caller frees them. */
static void *read_npy(const char *folder, const char *name, long rows, long columns, int size) {
    FILE *file = open_in(folder, name, "rb");
    if (!file) return NULL;
    unsigned char start[10];
    char header[4096] = "", type[32], shape[64];
    size_t length = fread(start, 1, 10, file) == 10 ? start[8] | start[9] << 8 : 0;
    snprintf(type, sizeof type, "'descr': '<f%d'", size);
    snprintf(shape, sizeof shape, "'shape': (%ld, %ld)", rows, columns);
    int good = length && length < sizeof header && !memcmp(start, "\x93NUMPY\x01", 7) &&
               fread(header, 1, length, file) == length && strstr(header, type) &&
               strstr(header, "'fortran_order': False") && strstr(header, shape);
    void *data = good ? malloc((size_t)rows * columns * size) : NULL;
    if (!good) fail("a data file is not what the problem says");
    else if (!data || fread(data, size, (size_t)rows * columns, file) != (size_t)rows * columns)
        fail("a data file is too short"), free(data), data = NULL;
    fclose(file);
    return data;
}

/* Writes an array; columns -1: of one dimension, rows -1 too: a single number. */
static void write_npy(const char *folder, const char *name, long rows, long columns, int size,
                      const void *data) {
    FILE *file = open_in(folder, name, "wb");
    if (!file) return;
    char shape[64] = "()", header[256];
    if (columns >= 0) snprintf(shape, sizeof shape, "(%ld, %ld)", rows, columns);
    else if (rows >= 0) snprintf(shape, sizeof shape, "(%ld,)", rows);
    int n = snprintf(header, sizeof header,
                     "{'descr': '<f%d', 'fortran_order': False, 'shape': %s, }", size, shape);
    int padded = (10 + n + 1 + 63) / 64 * 64 - 10;
    fprintf(file, "%s%c%c%c%c%-*s\n", "\x93NUMPY", 1, 0, padded & 0xFF, padded >> 8, padded - 1,
            header);
    size_t count = (rows < 0 ? 1 : rows) * (columns < 0 ? 1 : columns);
    if (fwrite(data, size, count, file) != count) fail("a file cannot be written");
    if (fclose(file)) fail("a file cannot be written");
}

/* What prepare leaves behind */

typedef struct {
    long sizes[MOST_LAYERS + 1], layers, batch, rows;
    int bytes; /* of a number */
    uint32_t seed;
} Problem;

static Problem problem;
static int prepared;
static uint32_t checksum;
static Random stream;
static uint32_t *order; /* of the rows */
static double *losses;  /* of an epoch that is timed */
static void *owned[8 * MOST_LAYERS + 16];
static int owns;

static void *keep(void *memory) { /* until the next prepare */
    if (!memory) return fail("there is not enough memory"), NULL;
    return owned[owns++] = memory;
}

static void drop_all(void) {
    while (owns) free(owned[--owns]);
    prepared = 0;
}

/* The empty crossing: a pointer that the compiler must read each time. */
static void nothing(const void *array) { (void)array; }
static void (*volatile crossing)(const void *) = nothing;

#define STEP __asm__ volatile("" ::: "memory") /* no repetition may be left out */
#define JOIN(name, type) name##_##type
#define NAMED(name, type) JOIN(name, type)
#define OF(name) NAMED(name, REAL)

#define REAL double
#include "mlp.c"
#undef REAL
#define REAL float
#include "mlp.c"
#undef REAL

#define BY_TYPE(call) (problem.bytes == 8 ? call(double) : call(float))

static int read_problem(const char *request) {
    const char *p = member(request, "problem"), *size = member(p, "layer_sizes");
    long long number = 0;
    char *data = text_of(member(request, "data"));
    drop_all();
    problem.layers = -1;
    if (size && *size == '[')
        do {
            size = blank(size + 1);
            if (problem.layers == MOST_LAYERS || !whole(size, 1, 1 << 24, &number)) break;
            problem.sizes[++problem.layers] = number;
            size = blank(end_of(size, 0));
        } while (*size == ',');
    if (!size || *size != ']' || problem.layers < 1) fail("layer_sizes: two to 65 sizes");
    if (!whole(member(p, "batch_size"), 1, 1 << 30, &number)) fail("batch_size is no number");
    problem.batch = number;
    if (!whole(member(p, "rows"), problem.batch, 1 << 30, &number)) fail("rows below batch_size");
    problem.rows = number;
    problem.bytes = is_text(member(p, "dtype"), "float64") ? 8 : 4;
    if (problem.bytes == 4 && !is_text(member(p, "dtype"), "float32")) fail("no such dtype");
    if (!whole(member(request, "seed"), 0, 4294967295.0, &number)) fail("seed is no number");
    problem.seed = number;
    if (!data) fail("data names no folder");
#define PREPARE(type) NAMED(prepare, type)(data)
    if (!trouble) BY_TYPE(PREPARE);
    free(data);
    if (trouble) drop_all();
    return prepared = !trouble;
}

static long long peak_memory(void) {
    FILE *status = fopen("/proc/self/status", "r");
    long long found = 0;
    for (char line[256]; status && fgets(line, sizeof line, status);)
        sscanf(line, "VmHWM: %lld", &found);
    if (status) fclose(status);
    return found * 1024;
}

static int threads(void) { /* as the system counts them */
    DIR *folder = opendir("/proc/self/task");
    int count = 0;
    for (struct dirent *entry; folder && (entry = readdir(folder));) count += *entry->d_name != '.';
    if (folder) closedir(folder);
    return count ? count : 1;
}

static FILE *replies;

static void answer(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(replies, format, arguments);
    va_end(arguments);
    putc('\n', replies);
    fflush(replies);
}

static void serve(const char *request) {
    const char *op = member(request, "op");
    int phase = 0;
    char *folder = text_of(member(request, "folder"));
    long long loops = 0, epochs = 0, rouse_ns = 0;
#define REPEAT(type) NAMED(repeat, type)(phase, loops)
#define ROUSE(type) NAMED(repeat, type)(phase < CALL ? FORWARD : phase, 1)
#define RESET(type) NAMED(reset, type)()
#define TENSORS(type) NAMED(tensors, type)(folder, epochs)
#define TRAIN(type) NAMED(train, type)(folder, epochs)
    trouble = NULL;
    if (is_text(op, "describe")) {
        volatile double tiny = 4.9406564584124654e-324;
        answer("{\"ok\": true, \"protocol\": 1, \"implementation\": \"c\", \"language\": \"C\", "
               "\"versions\": {\"compiler\": \"%s\"}, \"threads\": %d, \"denormals\": \"%s\", "
               "\"rounding\": \"%s\", \"facts\": {\"allocation\": \"all by prepare\"}, "
               "\"phases\": [\"forward\", \"backprop\", \"epoch\", \"call\", \"timer\"]}",
               __VERSION__, threads(), tiny * 1.0 > 0 ? "kept" : "flushed",
               fegetround() == FE_TONEAREST ? "to nearest" : "not to nearest");
    } else if (is_text(op, "prepare")) {
        if (read_problem(request)) answer("{\"ok\": true}");
    } else if (!op || !strchr("tsrc", op[1])) {
        fail("there is no such operation");
    } else if (!prepared) {
        fail("nothing is prepared; send prepare first");
    } else if (is_text(op, "reset")) {
        BY_TYPE(RESET);
        answer("{\"ok\": true}");
    } else if (is_text(op, "sample")) {
        whole(member(request, "rouse_ns"), 0, 1e12, &rouse_ns);
        while (phase < PHASES && !is_text(member(request, "phase"), PHASE[phase])) phase++;
        if (phase == PHASES) fail("there is no such phase");
        if (!whole(member(request, "loops"), 1, 1e15, &loops)) fail("loops: at least 1");
        if (!trouble) {
            long long until_ns = now_ns(CLOCK_MONOTONIC) + rouse_ns;
            while (now_ns(CLOCK_MONOTONIC) < until_ns) BY_TYPE(ROUSE);
            struct rusage before, after;
            getrusage(RUSAGE_SELF, &before);
            long long cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID), wall_ns = now_ns(CLOCK_MONOTONIC);
            long long elapsed_ns = BY_TYPE(REPEAT);
            wall_ns = now_ns(CLOCK_MONOTONIC) - wall_ns;
            cpu_ns = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
            getrusage(RUSAGE_SELF, &after);
            answer("{\"ok\": true, \"elapsed_ns\": %lld, \"wall_ns\": %lld, \"cpu_ns\": %lld, "
                   "\"preempted\": %ld, \"page_faults\": %ld}",
                   elapsed_ns, wall_ns, cpu_ns, after.ru_nivcsw - before.ru_nivcsw,
                   after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt);
        }
    } else if (is_text(op, "tensors") || is_text(op, "train")) {
        if (!folder) fail("folder names no folder");
        if (!whole(member(request, "epochs"), op[2] == 'r', 1e7, &epochs)) fail("no epochs");
        if (!trouble && op[2] == 'e') BY_TYPE(TENSORS);
        else if (!trouble) BY_TYPE(TRAIN);
        if (!trouble && op[2] == 'e')
            answer("{\"ok\": true, \"inputs\": \"%08x\", \"layout\": \"dense, C order\"}", checksum);
        else if (!trouble) answer("{\"ok\": true}");
    } else if (is_text(op, "costs")) {
        struct rusage usage;
        loops = 1;
        long long first_ns = BY_TYPE(REPEAT), second_ns = BY_TYPE(REPEAT);
        getrusage(RUSAGE_SELF, &usage);
        answer("{\"ok\": true, \"first call\": %lld, \"second call\": %lld, \"peak memory\": %lld, "
               "\"page faults\": %ld}",
               first_ns, second_ns, peak_memory(), usage.ru_minflt + usage.ru_majflt);
    } else {
        fail("there is no such operation");
    }
    if (trouble) answer("{\"ok\": false, \"error\": \"ValueError\", \"message\": \"%s\"}", trouble);
    free(folder);
}

int main(void) {
    const char *descriptor = getenv("BENCH_REPLY_FD");
    char *line = NULL;
    size_t room = 0;
    replies = descriptor ? fdopen(atoi(descriptor), "w") : NULL;
    if (!replies) return fputs("BENCH_REPLY_FD must name an open file\n", stderr), 2;
    while (getline(&line, &room, stdin) > 0) {
        const char *request = blank(line), *end = end_of(request, 0);
        if (*request != '{' || !end || *blank(end))
            answer("{\"ok\": false, \"error\": \"ValueError\", \"message\": \"no JSON object\"}");
        else if (is_text(member(request, "op"), "quit")) break;
        else serve(request);
    }
    drop_all();
    free(line);
    return 0;
}

#else /* the network, for one type of numbers */

typedef struct {
    REAL *W[MOST_LAYERS], *b[MOST_LAYERS], *grad_W[MOST_LAYERS], *grad_b[MOST_LAYERS];
    REAL *z[MOST_LAYERS], *a[MOST_LAYERS + 1]; /* a[0] is the input, not ours */
    REAL *delta, *below, *turned, *X, *y, *X_val, *y_val, *X_batch, *y_batch;
} OF(Net);
static OF(Net) OF(net);
#define N OF(net)

static void OF(reset)(void) {
    seed_random(&stream, problem.seed);
    for (long k = 0; k < problem.layers; k++) {
        long in = problem.sizes[k], out = problem.sizes[k + 1];
        double scale = sqrt(4.0 / (in + out));
        for (long i = 0; i < in * out; i++) N.W[k][i] = (REAL)(normal(&stream) * scale);
        memset(N.b[k], 0, out * sizeof(REAL));
    }
}

/* out = a W, with a (n, in) and W (in, width); the last three are in C order. */
static void OF(product)(REAL *restrict out, const REAL *a, const REAL *restrict W, long n, long in,
                        long width) {
    for (long r = 0; r < n; r++) {
        REAL *row = out + r * width;
        for (long j = 0; j < width; j++) row[j] = 0;
        for (long i = 0; i < in; i++) {
            REAL factor = a[r * in + i];
            for (long j = 0; j < width; j++) row[j] += factor * W[i * width + j];
        }
    }
}

static REAL *OF(forward)(REAL *X, long n) {
    N.a[0] = X;
    for (long k = 0; k < problem.layers; k++) {
        long in = problem.sizes[k], out = problem.sizes[k + 1];
        REAL *z = N.z[k], *a = N.a[k + 1];
        OF(product)(z, N.a[k], N.W[k], n, in, out);
        for (long r = 0; r < n; r++)
            for (long j = 0; j < out; j++) {
                REAL v = z[r * out + j] += N.b[k][j];
                /* NaN goes through, as in numpy.maximum; the last layer has no ReLU. */
                a[r * out + j] = k == problem.layers - 1 ? v : v <= 0 ? 0 : v;
            }
    }
    return N.a[problem.layers];
}

static void OF(backprop)(const REAL *y, long n) {
    long k = problem.layers - 1, out = problem.sizes[k + 1];
    for (long i = 0; i < n * out; i++) N.delta[i] = N.a[k + 1][i] - y[i];
    for (;; k--) {
        long in = problem.sizes[k];
        out = problem.sizes[k + 1];
        memset(N.grad_W[k], 0, in * out * sizeof(REAL));
        memset(N.grad_b[k], 0, out * sizeof(REAL));
        for (long r = 0; r < n; r++) {
            const REAL *delta = N.delta + r * out;
            for (long i = 0; i < in; i++) {
                REAL factor = N.a[k][r * in + i], *restrict grad = N.grad_W[k] + i * out;
                for (long j = 0; j < out; j++) grad[j] += factor * delta[j];
            }
            for (long j = 0; j < out; j++) N.grad_b[k][j] += delta[j];
        }
        if (!k) return;
        for (long i = 0; i < in; i++)
            for (long j = 0; j < out; j++) N.turned[j * in + i] = N.W[k][i * out + j];
        OF(product)(N.below, N.delta, N.turned, n, out, in);
        for (long i = 0; i < n * in; i++) N.below[i] *= (REAL)(N.z[k - 1][i] > 0);
        REAL *kept = N.delta;
        N.delta = N.below, N.below = kept;
    }
}

static void OF(step)(void) {
    REAL rate = (REAL)(RATE / problem.batch);
    for (long k = 0; k < problem.layers; k++) {
        long out = problem.sizes[k + 1], count = problem.sizes[k] * out;
        for (long i = 0; i < count; i++) N.W[k][i] -= rate * N.grad_W[k][i];
        for (long i = 0; i < out; i++) N.b[k][i] -= rate * N.grad_b[k][i];
    }
}

static double OF(loss)(const REAL *y, const REAL *y_hat, long count) {
    double sum = 0;
    for (long i = 0; i < count; i++) {
        REAL apart = y_hat[i] - y[i];
        sum += apart * apart;
    }
    return sum / count;
}

/* Trains an epoch; validation may be NULL, losses are one a batch. */
static void OF(epoch)(double *training, double *validation) {
    long n = problem.batch, in = problem.sizes[0], out = problem.sizes[problem.layers];
    for (long i = 0; i < problem.rows; i++) order[i] = i;
    shuffle(&stream, order, problem.rows);
    for (long k = 0; k < problem.rows / n; k++) {
        for (long r = 0; r < n; r++) {
            memcpy(N.X_batch + r * in, N.X + order[k * n + r] * in, in * sizeof(REAL));
            memcpy(N.y_batch + r * out, N.y + order[k * n + r] * out, out * sizeof(REAL));
        }
        training[k] = OF(loss)(N.y_batch, OF(forward)(N.X_batch, n), n * out);
        OF(backprop)(N.y_batch, n);
        OF(step)();
        if (validation)
            validation[k] =
                OF(loss)(N.y_val + k * n * out, OF(forward)(N.X_val + k * n * in, n), n * out);
    }
}

static void OF(prepare)(const char *data) {
    long in = problem.sizes[0], out = problem.sizes[problem.layers], widest = 0, largest = 0;
    long rows = problem.rows, room = problem.batch > 3 ? problem.batch : 3;
    struct { REAL **to; const char *name; long columns; } files[] = {
        {&N.X, "X", in}, {&N.y, "y", out}, {&N.X_val, "X_val", in}, {&N.y_val, "y_val", out}};
    checksum = 0;
    for (int i = 0; i < 4 && !trouble; i++) {
        *files[i].to = read_npy(data, files[i].name, rows, files[i].columns, sizeof(REAL));
        if (!trouble && keep(*files[i].to))
            checksum = crc32(checksum, *files[i].to, rows * files[i].columns * sizeof(REAL));
    }
#define MAKE(count) keep(calloc(count, sizeof(REAL)))
    for (long k = 0; k < problem.layers && !trouble; k++) {
        long from = problem.sizes[k], to = problem.sizes[k + 1];
        N.W[k] = MAKE(from * to), N.grad_W[k] = MAKE(from * to);
        N.b[k] = MAKE(to), N.grad_b[k] = MAKE(to);
        N.z[k] = MAKE(room * to), N.a[k + 1] = MAKE(room * to);
        widest = to > widest ? to : widest;
        largest = from * to > largest ? from * to : largest;
    }
    if (trouble) return;
    N.delta = MAKE(room * widest), N.below = MAKE(room * widest), N.turned = MAKE(largest);
    N.X_batch = MAKE(room * in), N.y_batch = MAKE(room * out);
    order = keep(malloc(rows * sizeof *order));
    losses = keep(malloc(rows * sizeof *losses));
    if (!trouble) OF(reset)();
}

/* Repeats a phase and returns the nanoseconds of all repetitions together. */
static long long OF(repeat)(int phase, long long loops) {
    long n = problem.batch;
    if (phase == BACKPROP) OF(forward)(N.X, n);
    long long start_ns = now_ns(CLOCK_MONOTONIC);
    for (long long i = 0; i < loops; i++) {
        if (phase == FORWARD) OF(forward)(N.X, n);
        else if (phase == BACKPROP) OF(backprop)(N.y, n);
        else if (phase == EPOCH) OF(epoch)(losses, NULL);
        else if (phase == CALL) crossing(N.X);
        else now_ns(CLOCK_MONOTONIC), now_ns(CLOCK_MONOTONIC);
        STEP;
    }
    return now_ns(CLOCK_MONOTONIC) - start_ns;
}

static void OF(save)(const char *folder, const char *name, REAL **arrays, int weights) {
    for (long k = 0; k < problem.layers; k++) {
        char file[64];
        snprintf(file, sizeof file, "%s-%ld", name, k);
        write_npy(folder, file, weights ? problem.sizes[k] : 1, problem.sizes[k + 1],
                  sizeof(REAL), arrays[k]);
    }
}

/* Trains from the weights that are there, and writes the losses. */
static void OF(fit)(const char *folder, long epochs) {
    long batches = problem.rows / problem.batch, all = epochs * batches;
    double *both = calloc(2 * all + 1, sizeof *both);
    if (!both) { fail("there is not enough memory"); return; }
    for (long k = 0; k < epochs; k++) OF(epoch)(both + k * batches, both + all + k * batches);
    write_npy(folder, "training_loss", all, -1, sizeof(double), both);
    write_npy(folder, "validation_loss", all, -1, sizeof(double), both + all);
    free(both);
}

/* What is neither ordinary in nor ordinary out: NaN, infinity, and numbers below the smallest. */
static void OF(extremes)(const char *folder) {
    long in = problem.sizes[0], out = problem.sizes[problem.layers];
    long n = problem.rows < 3 ? problem.rows : 3;
    REAL *X = malloc(n * in * sizeof(REAL)), *tiny = malloc(n * in * sizeof(REAL));
    if (X && tiny) {
        REAL least = sizeof(REAL) == 8 ? (REAL)DBL_MIN : (REAL)FLT_MIN;
        for (long i = 0; i < n * in; i++) {
            X[i] = N.X[i];
            tiny[i] = X[i] * least * (REAL)(sizeof(REAL) == 8 ? 0x1p-12 : 0x1p-4);
        }
        X[0] = NAN;
        if (n > 1) X[in] = INFINITY;
        write_npy(folder, "extreme-y_hat-of-nan-and-infinity", n, out, sizeof(REAL),
                  OF(forward)(X, n));
        for (long k = 0; k < problem.layers; k++)
            memset(N.b[k], 0, problem.sizes[k + 1] * sizeof(REAL));
        OF(forward)(tiny, n);
        write_npy(folder, "extreme-activations-1-of-subnormal-x", n, problem.sizes[1],
                  sizeof(REAL), N.a[1]);
    } else fail("there is not enough memory");
    free(X), free(tiny);
}

static void OF(tensors)(const char *folder, long epochs) {
    long n = problem.batch, out = problem.sizes[problem.layers];
    OF(reset)();
    OF(save)(folder, "initial-weights", N.W, 1);
    OF(save)(folder, "initial-biases", N.b, 0);
    const REAL *y_hat = OF(forward)(N.X, n);
    for (long k = 0; k <= problem.layers; k++) {
        char file[64];
        snprintf(file, sizeof file, "activations-%ld", k);
        write_npy(folder, file, n, problem.sizes[k], sizeof(REAL), N.a[k]);
    }
    write_npy(folder, "y_hat", n, out, sizeof(REAL), y_hat);
    double loss = OF(loss)(N.y, y_hat, n * out);
    write_npy(folder, "loss", -1, -1, sizeof(double), &loss);
    OF(backprop)(N.y, n);
    OF(save)(folder, "grads_w", N.grad_W, 1);
    OF(save)(folder, "grads_b", N.grad_b, 0);
    OF(step)();
    OF(save)(folder, "stepped-weights", N.W, 1);
    OF(save)(folder, "stepped-biases", N.b, 0);
    OF(reset)();
    if (!epochs) return;
    OF(fit)(folder, epochs);
    OF(reset)();
    OF(repeat)(FORWARD, 2);
    write_npy(folder, "timed-y_hat", n, out, sizeof(REAL), N.a[problem.layers]);
    OF(repeat)(BACKPROP, 2);
    OF(save)(folder, "timed-grads_w", N.grad_W, 1);
    OF(save)(folder, "timed-grads_b", N.grad_b, 0);
    OF(repeat)(EPOCH, 2);
    OF(save)(folder, "timed-weights", N.W, 1);
    OF(save)(folder, "timed-biases", N.b, 0);
    OF(reset)();
    OF(extremes)(folder);
    OF(reset)();
}

static void OF(train)(const char *folder, long epochs) {
    OF(reset)();
    OF(fit)(folder, epochs);
    if (problem.sizes[0] == 1) { /* the curve, a point at a time */
        long out = problem.sizes[problem.layers];
        REAL grid[GRID], *curve = malloc(GRID * out * sizeof(REAL));
        if (!curve) { fail("there is not enough memory"); return; }
        for (long i = 0; i < GRID; i++) {
            grid[i] = (REAL)(i == GRID - 1 ? 6.0 : -6.0 + i * (12.0 / (GRID - 1)));
            memcpy(curve + i * out, OF(forward)(grid + i, 1), out * sizeof(REAL));
        }
        write_npy(folder, "grid", GRID, 1, sizeof(REAL), grid);
        write_npy(folder, "curve", GRID, out, sizeof(REAL), curve);
        free(curve);
    }
    OF(reset)();
}
#undef N
#endif
