/*
 * Reads many streamed answers at once and says how long each event was under way.
 *
 *   streams --port N --path P --body FILE --header 'name: value' ... --streams S --seconds T --events E --spread-us U
 *
 * Each of S connections asks for one stream after the other for T seconds and reads the last one to its end, so that
 * every call that was made is also finished, and counts are exact. They begin spread over U microseconds, so that their
 * events do not all fall due at once. The provider writes into each event when it wrote it
 * ("@" and 19 digits of CLOCK_MONOTONIC nanoseconds); what is measured is the time from there to the recv() that
 * returned the event. Events that came out of one recv() together are `merged`. The result is one line of JSON,
 * `rig {...}`, times in microseconds as [value, count].
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <signal.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, LINE_LIMIT = 64 * 1024, BATCH = 256, STAMP_DIGITS = 19, STREAM_LIMIT = 4096 };
enum { GRACE_SECONDS = 30 };

typedef struct {
    uint32_t *values;
    size_t length, capacity;
} Samples;

typedef enum { STATUS_LINE, HEADERS, PLAIN, UNTIL_CLOSE, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER } Phase;

typedef struct {
    int fd;
    bool asked, keep_alive, chunked, has_length;
    int status;
    Phase phase;
    uint64_t left, began;
    char line[LINE_LIMIT]; /* of the framing: head, chunk sizes */
    size_t line_length;
    char text[LINE_LIMIT]; /* of the events */
    size_t text_length;
    int events;
    bool done, usage, error;
} Stream;

typedef enum { CONNECT, STATUS, FRAMING, CUT_OFF, ERROR_EVENT, EVENTS, NO_USAGE, NO_DONE, LATE, FAULTS } Fault;
static const char *const FAULT_NAMES[FAULTS] = {
    "failed connects",         "answers that are no success", "broken framing",         "streams cut off",
    "streams with an error",   "streams with other events",   "streams without usage",  "streams without [DONE]",
    "streams that never ended"};

static struct {
    int port, streams, seconds, events, spread_us;
    const char *path, *body;
} options = {0, 32, 5, 64, 5000, "/", NULL};

static char *request;
static size_t request_length;
static int epoll, open_streams;
static uint64_t begun, last_finish, completed, events, merged, faults[FAULTS];
static Samples transit, first_event;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static uint64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void add(Samples *samples, uint64_t nanoseconds) {
    if (samples->length == samples->capacity) {
        samples->capacity = samples->capacity ? samples->capacity * 2 : 65536;
        samples->values = realloc(samples->values, samples->capacity * sizeof *samples->values);
        if (!samples->values) fail("realloc");
    }
    samples->values[samples->length++] = (uint32_t)(nanoseconds / 1000);
}

/* -- one stream --------------------------------------------------------------------------------------------------- */

static void leave(Stream *s) {
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}

static void ask(Stream *s);

static bool time_is_up(void) {
    return now() - begun >= (uint64_t)options.seconds * 1000000000u;
}

/* The call is over, well or badly: the next one, or the end of this connection. */
static void finish(Stream *s, Fault fault, bool bad) {
    last_finish = now();
    if (bad) faults[fault]++;
    else completed++;
    if (bad || !s->keep_alive) leave(s);
    if (time_is_up()) {
        leave(s);
        open_streams--;
        return;
    }
    ask(s);
}

static void conclude(Stream *s) {
    if (s->error) finish(s, ERROR_EVENT, true);
    else if (s->events != options.events) finish(s, EVENTS, true);
    else if (!s->usage) finish(s, NO_USAGE, true);
    else finish(s, NO_DONE, !s->done);
}

static void open_connection(Stream *s) {
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)options.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s->fd < 0) fail("socket");
    setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    /* Blocking until connected: on loopback that is at once or never. */
    if (connect(s->fd, (struct sockaddr *)&address, sizeof address)) {
        leave(s);
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = s};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, s->fd, &event)) fail("epoll_ctl");
}

static void ask(Stream *s) {
    if (s->fd < 0) open_connection(s);
    if (s->fd < 0) {
        faults[CONNECT]++;
        open_streams--;
        return;
    }
    s->asked = s->keep_alive = true;
    s->chunked = s->has_length = s->done = s->usage = s->error = false;
    s->phase = STATUS_LINE;
    s->line_length = s->text_length = 0;
    s->events = s->status = 0;
    s->left = 0;
    s->began = now();
    for (size_t sent = 0; sent < request_length;) {
        ssize_t part = send(s->fd, request + sent, request_length - sent, MSG_NOSIGNAL);
        if (part < 0 && errno == EINTR) continue;
        if (part < 0) return; /* the end of the connection is read, and told as what it is */
        sent += (size_t)part;
    }
}

/* -- events ------------------------------------------------------------------------------------------------------- */

static bool has(const char *text, size_t length, const char *what) {
    return memmem(text, length, what, strlen(what)) != NULL;
}

static void read_event_line(Stream *s, const char *line, size_t length, uint64_t at, int *in_this_read) {
    if (length && line[length - 1] == '\r') length--;
    if (length >= 12 && !memcmp(line, "event: error", 12)) s->error = true;
    if (length < 5 || memcmp(line, "data:", 5)) return;
    const char *stamp = memchr(line, '@', length);
    if (stamp && (size_t)(line + length - stamp) > STAMP_DIGITS) {
        uint64_t written = 0;
        int digits = 0;
        for (stamp++; digits < STAMP_DIGITS && *stamp >= '0' && *stamp <= '9'; digits++, stamp++)
            written = written * 10 + (uint64_t)(*stamp - '0');
        if (digits == STAMP_DIGITS && written <= at) {
            if (!s->events++) add(&first_event, at - s->began);
            if ((*in_this_read)++) merged++;
            events++;
            add(&transit, at - written);
            return;
        }
    }
    if (has(line, length, "[DONE]")) s->done = true;
    if (has(line, length, "\"usage\":{")) s->usage = true;
    if (has(line, length, "\"error\":{")) s->error = true;
}

static bool read_text(Stream *s, const char *text, size_t length, uint64_t at, int *in_this_read) {
    while (length) {
        const char *end = memchr(text, '\n', length);
        size_t part = end ? (size_t)(end - text) : length;
        if (s->text_length + part > LINE_LIMIT) return false;
        memcpy(s->text + s->text_length, text, part);
        s->text_length += part;
        if (!end) return true;
        read_event_line(s, s->text, s->text_length, at, in_this_read);
        s->text_length = 0;
        text += part + 1;
        length -= part + 1;
    }
    return true;
}

/* -- framing (RFC 9112) ------------------------------------------------------------------------------------------- */

static bool is_header(const char *line, const char *name, const char **value) {
    size_t length = strlen(name);
    if (strncasecmp(line, name, length) || line[length] != ':') return false;
    for (*value = line + length + 1; **value == ' ' || **value == '\t'; (*value)++) {}
    return true;
}

/* A whole line of the framing, ended by a NUL. False where it makes no sense. */
static bool read_framing_line(Stream *s, const char *line) {
    const char *value;
    char *end;
    switch (s->phase) {
    case STATUS_LINE:
        if (strncmp(line, "HTTP/1.1 ", 9)) return false;
        s->status = atoi(line + 9);
        s->phase = HEADERS;
        return true;
    case HEADERS:
        if (is_header(line, "transfer-encoding", &value)) s->chunked = !strcasecmp(value, "chunked");
        if (is_header(line, "content-length", &value)) s->has_length = true, s->left = strtoull(value, NULL, 10);
        if (is_header(line, "connection", &value) && !strcasecmp(value, "close")) s->keep_alive = false;
        if (*line) return true;
        if (s->status == 100) s->phase = STATUS_LINE;
        else s->phase = s->chunked ? CHUNK_SIZE : s->has_length ? PLAIN : UNTIL_CLOSE;
        return true;
    case CHUNK_SIZE:
        s->left = strtoull(line, &end, 16);
        if (end == line) return false;
        s->phase = s->left ? CHUNK_DATA : TRAILER;
        return true;
    case CHUNK_END:
        s->phase = CHUNK_SIZE;
        return !*line;
    default:
        return true;
    }
}

/* Everything that one recv() returned, which may be the end of one answer but never the start of the next. */
static void read_bytes(Stream *s, const char *bytes, size_t length, uint64_t at) {
    int in_this_read = 0;
    while (length) {
        if (s->phase == PLAIN || s->phase == CHUNK_DATA || s->phase == UNTIL_CLOSE) {
            size_t part = s->phase == UNTIL_CLOSE || length < s->left ? length : (size_t)s->left;
            if (!read_text(s, bytes, part, at, &in_this_read)) {
                finish(s, FRAMING, true);
                return;
            }
            bytes += part;
            length -= part;
            if (s->phase == UNTIL_CLOSE) return;
            s->left -= part;
            if (s->left) return;
            if (s->phase == CHUNK_DATA) s->phase = CHUNK_END;
            else goto whole;
            continue;
        }
        const char *end = memchr(bytes, '\n', length);
        size_t part = end ? (size_t)(end - bytes) : length;
        if (s->line_length + part + 1 > LINE_LIMIT) {
            finish(s, FRAMING, true);
            return;
        }
        memcpy(s->line + s->line_length, bytes, part);
        s->line_length += part;
        if (!end) return;
        bytes += part + 1;
        length -= part + 1;
        if (s->line_length && s->line[s->line_length - 1] == '\r') s->line_length--;
        s->line[s->line_length] = 0;
        bool is_end = s->phase == TRAILER && !s->line_length;
        if (!read_framing_line(s, s->line)) {
            finish(s, FRAMING, true);
            return;
        }
        s->line_length = 0;
        if (s->phase > HEADERS && s->status != 200) {
            finish(s, STATUS, true);
            return;
        }
        if (is_end || (s->phase == PLAIN && !s->left)) goto whole;
    }
    return;
whole:
    if (length) finish(s, FRAMING, true);
    else conclude(s);
}

static void receive(Stream *s) {
    static char bytes[READ_SIZE];
    if (s->fd < 0) return;
    ssize_t got = recv(s->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    uint64_t at = now();
    if (got > 0) {
        read_bytes(s, bytes, (size_t)got, at);
    } else if (!got || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)) {
        s->keep_alive = false;
        if (s->phase == UNTIL_CLOSE) conclude(s);
        else finish(s, CUT_OFF, true);
    }
}

/* -- the process -------------------------------------------------------------------------------------------------- */

static int compare(const void *left, const void *right) {
    uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static void print_histogram(const char *name, Samples *samples) {
    printf(",\"%s\":[", name);
    if (samples->length) qsort(samples->values, samples->length, sizeof *samples->values, compare);
    for (size_t i = 0, next; i < samples->length; i = next) {
        for (next = i; next < samples->length && samples->values[next] == samples->values[i]; next++) {}
        printf("%s[%u,%zu]", i ? "," : "", samples->values[i], next - i);
    }
    printf("]");
}

static void print_result(void) {
    printf("rig {\"microseconds\":%llu,\"completed\":%llu,\"events\":%llu,\"merged\":%llu,\"faults\":{",
           (unsigned long long)((last_finish - begun) / 1000), (unsigned long long)completed,
           (unsigned long long)events, (unsigned long long)merged);
    const char *comma = "";
    for (int i = 0; i < FAULTS; i++) {
        if (!faults[i]) continue;
        printf("%s\"%s\":%llu", comma, FAULT_NAMES[i], (unsigned long long)faults[i]);
        comma = ",";
    }
    printf("}");
    print_histogram("transit", &transit);
    print_histogram("first_event", &first_event);
    printf("}\n");
}

static char *read_file(const char *path, size_t *length) {
    FILE *file = fopen(path, "rb");
    if (!file) fail(path);
    char *bytes = malloc(1 << 20);
    if (!bytes) fail("malloc");
    *length = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

static void read_options(int argc, char **argv) {
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},    {"path", required_argument, NULL, 'a'},
        {"body", required_argument, NULL, 'b'},    {"header", required_argument, NULL, 'h'},
        {"streams", required_argument, NULL, 's'}, {"seconds", required_argument, NULL, 't'},
        {"events", required_argument, NULL, 'e'},  {"spread-us", required_argument, NULL, 'u'},
        {NULL, 0, NULL, 0},
    };
    char headers[8192] = "";
    size_t used = 0;
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'p': options.port = atoi(optarg); break;
        case 'a': options.path = optarg; break;
        case 'b': options.body = optarg; break;
        case 's': options.streams = atoi(optarg); break;
        case 't': options.seconds = atoi(optarg); break;
        case 'e': options.events = atoi(optarg); break;
        case 'u': options.spread_us = atoi(optarg); break;
        case 'h':
            used += (size_t)snprintf(headers + used, sizeof headers - used, "%s\r\n", optarg);
            if (used >= sizeof headers) exit(2);
            break;
        default: exit(2);
        }
    }
    if (optind < argc || !options.body || options.port < 1 || options.port > 65535 || options.streams < 1 ||
        options.streams > STREAM_LIMIT || options.seconds < 1 || options.seconds > 3600 || options.events < 1 ||
        options.spread_us < 0 || options.spread_us > 1000000) {
        fprintf(stderr, "usage: streams --port N --path P --body FILE [--header H]... [--streams 1..%d]"
                        " [--seconds 1..3600] [--events N] [--spread-us 0..1000000]\n", STREAM_LIMIT);
        exit(2);
    }
    size_t body_length;
    char *body = read_file(options.body, &body_length);
    request = malloc(sizeof headers + 1024 + strlen(options.path) + body_length);
    if (!request) fail("malloc");
    request_length = (size_t)sprintf(request, "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n%sContent-Length: %zu\r\n\r\n",
                                     options.path, options.port, headers, body_length);
    memcpy(request + request_length, body, body_length);
    request_length += body_length;
    free(body);
}

int main(int argc, char **argv) {
    read_options(argc, argv);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0) fail("epoll");
    Stream *streams = calloc((size_t)options.streams, sizeof *streams);
    if (!streams) fail("calloc");
    begun = last_finish = now();
    open_streams = options.streams;
    for (int i = 0; i < options.streams; i++) {
        streams[i].fd = -1;
        ask(&streams[i]);
        usleep((useconds_t)(options.spread_us / options.streams));
    }
    uint64_t deadline = begun + (uint64_t)(options.seconds + GRACE_SECONDS) * 1000000000u;
    while (open_streams > 0 && now() < deadline) {
        struct epoll_event batch[BATCH];
        int ready = epoll_wait(epoll, batch, BATCH, 100);
        if (ready < 0 && errno != EINTR) fail("epoll_wait");
        for (int i = 0; i < ready; i++) receive(batch[i].data.ptr);
    }
    faults[LATE] += (uint64_t)open_streams;
    print_result();
    return 0;
}
