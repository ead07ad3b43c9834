/* RTP from and to many call legs, with frames that carry their number as audio.
 *
 * Usage: rtpload SETTLE WINDOW [DROP] < legs
 *
 * Each line of stdin is a leg: "LOCAL_IP LOCAL_PORT REMOTE_IP REMOTE_PORT PEER". It sends to REMOTE from LOCAL, and what it
 * hears there was sent by the leg of line PEER (counted from 0). Legs may share a local port when their remote ports differ.
 * Every leg sends one G.711 frame each 20 ms; the legs are spread evenly over the 20 ms. The frames sent in the WINDOW seconds
 * after the first SETTLE seconds are judged. With DROP, each leg keeps back every DROP-th frame, to check the meter itself.
 *
 * A frame is 32 groups of 5 equal samples, +A or -A: 16 bits frame number, 9 bits leg, 7 bits of a sum over both. So a far end
 * may decode, mix, re-frame and renumber the packets as it likes: which frames arrive is read from the sound alone.
 *
 * Prints one JSON object: what was sent and heard, delays (send call to arrival in the kernel) in microseconds, and whether
 * this program was late or overrun itself. One thread: a turn each millisecond sends what is due; every fourth one reads.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

enum {
    LEGS = 512, SOCKETS = 512, FRAME = 160, HEADER = 12, PACKET = HEADER + FRAME, GROUP = 5, BITS = 32,
    NUMBERS = 65536, BATCH = 64, READ_EVERY = 4, BIN_NS = 10000, BINS = 50000, LATE_US = 2000,
};
static const int64_t FRAME_NS = 20000000, TURN_NS = 1000000, SECOND_NS = 1000000000;
/* keeps the bits of neighbouring frames from looking alike when read a few groups off */
static const uint32_t MASK = 0x9ca535b1;
static const uint8_t PLUS = 0x8f, MINUS = 0x0f; /* mu-law +-16764 */

struct leg {
    int socket, peer;
    struct sockaddr_in remote;
    uint32_t ssrc;
    int64_t *sent_at;  /* by frame number; 0: not sent, -1: kept back on purpose */
    int32_t *late_us;  /* by frame number: how long after its time it was sent */
    uint8_t *heard;    /* by the peer's frame number */
    uint8_t sound[2 * FRAME]; /* of the last two packets heard */
    int start;         /* where in it the last frame began: a far end may shift the sound by any number of samples */
    int sequence;      /* last heard from the far end; -1 before */
    int last;          /* last frame number heard; -1 before */
};

struct port {
    int fd;
    in_addr_t address;
    uint16_t number;
    uint32_t overruns;
    int16_t *leg_of;   /* by remote port */
};

static struct leg legs[LEGS];
static struct port ports[SOCKETS];
static int leg_count, port_count;
static int16_t linear[256];
static uint32_t histogram[BINS + 1], lateness[BINS + 1], shifts[FRAME];
static struct {
    long sent, kept_back, not_sent, heard, repeated, disordered, damaged, silent, foreign, strangers, packets_lost;
    int64_t late_most, delay_most;
} total;
static int64_t judged_from, judged_until; /* when the judged frames are sent */

static void fail(const char *what) {
    fprintf(stderr, "rtpload: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * SECOND_NS + t.tv_nsec;
}

/* --- sound --- */

static void make_table(void) {
    for (int i = 0; i < 256; ++i) {
        int u = ~i & 0xff, magnitude = (((u & 15) << 3) + 132) << (u >> 4 & 7);
        linear[i] = (int16_t)(u & 0x80 ? 132 - magnitude : magnitude - 132);
    }
}

static uint32_t sum_of(uint32_t word25) { return word25 * 2654435761u >> 25; }

static void speak(uint8_t *audio, int number, int leg) {
    uint32_t word = (uint32_t)number << 9 | (uint32_t)leg;
    word = (word << 7 | sum_of(word)) ^ MASK;
    for (int bit = 0; bit < BITS; ++bit)
        memset(audio + bit * GROUP, word >> (BITS - 1 - bit) & 1 ? PLUS : MINUS, GROUP);
}

/* Whether a whole frame stands here; its number and leg. */
static int understand(const uint8_t *audio, int *number, int *leg) {
    const int full = linear[PLUS];
    uint32_t word = 0;
    for (int bit = 0; bit < BITS; ++bit, audio += GROUP) {
        int sign = linear[audio[0]] > 0 ? 1 : -1;
        for (int i = 0; i < GROUP; ++i)
            if (linear[audio[i]] * sign < full / 2 || linear[audio[i]] * sign > full * 3 / 2) return 0;
        word = word << 1 | (sign > 0);
    }
    word ^= MASK;
    *number = (int)(word >> 16);
    *leg = (int)(word >> 7 & 511);
    return (word & 127) == sum_of(word >> 7);
}

static int is_silent(const uint8_t *audio) {
    for (int i = 0; i < FRAME; ++i)
        if (abs(linear[audio[i]]) > linear[PLUS] / 64) return 0;
    return 1;
}

/* --- legs --- */

static int port_of(const char *ip, int number) {
    in_addr_t address = inet_addr(ip);
    for (int i = 0; i < port_count; ++i)
        if (ports[i].number == number && ports[i].address == address) return i;
    if (port_count == SOCKETS) { errno = EMFILE; fail("too many local ports"); }
    struct port *port = &ports[port_count];
    struct sockaddr_in local = {.sin_family = AF_INET, .sin_port = htons((uint16_t)number), .sin_addr.s_addr = address};
    int on = 1, bytes = 4 << 20;
    port->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    if (port->fd < 0 || bind(port->fd, (struct sockaddr *)&local, sizeof local)) fail("bind");
    if (setsockopt(port->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes))
        setsockopt(port->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (setsockopt(port->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on)) fail("SO_TIMESTAMPNS");
    if (setsockopt(port->fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on)) fail("SO_RXQ_OVFL");
    port->number = (uint16_t)number;
    port->address = address;
    port->leg_of = malloc(NUMBERS * sizeof *port->leg_of);
    if (!port->leg_of) fail("memory");
    memset(port->leg_of, 0xff, NUMBERS * sizeof *port->leg_of);
    return port_count++;
}

static void read_legs(void) {
    char local[64], remote[64];
    int local_port, remote_port, peer, fields;
    while ((fields = scanf("%63s %d %63s %d %d", local, &local_port, remote, &remote_port, &peer)) == 5) {
        if (leg_count == LEGS) { errno = E2BIG; fail("legs"); }
        struct leg *leg = &legs[leg_count];
        leg->socket = port_of(local, local_port);
        leg->peer = peer;
        leg->remote = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)remote_port)};
        leg->remote.sin_addr.s_addr = inet_addr(remote);
        leg->ssrc = 0x10000u + (uint32_t)leg_count;
        leg->sent_at = calloc(NUMBERS, sizeof *leg->sent_at);
        leg->late_us = calloc(NUMBERS, sizeof *leg->late_us);
        leg->heard = calloc(NUMBERS, 1);
        if (!leg->sent_at || !leg->late_us || !leg->heard) fail("memory");
        leg->sequence = leg->last = -1;
        leg->start = FRAME;
        ports[leg->socket].leg_of[remote_port & 0xffff] = (int16_t)leg_count++;
    }
    if (fields != EOF || !leg_count) { errno = EINVAL; fail("legs"); }
    for (int i = 0; i < leg_count; ++i)
        if (legs[i].peer < 0 || legs[i].peer >= leg_count) { errno = EINVAL; fail("peer"); }
}

/* --- sending --- */

static struct mmsghdr out[BATCH];
static struct iovec out_data[BATCH];
static uint8_t out_packet[BATCH][PACKET];
static int batch_size, batch_leg[BATCH], batch_number[BATCH];

static void flush(void) {
    int done = 0;
    int64_t at = now(CLOCK_REALTIME);
    while (done < batch_size) {
        int count = sendmmsg(ports[legs[batch_leg[0]].socket].fd, out + done, (unsigned)(batch_size - done), 0);
        if (count <= 0) {
            if (count < 0 && errno == EINTR) continue;
            ++total.not_sent;
            count = 1;
        } else {
            for (int i = done; i < done + count; ++i) legs[batch_leg[i]].sent_at[batch_number[i]] = at;
            total.sent += count;
        }
        done += count;
    }
    batch_size = 0;
}

/* Sends the k-th packet of all: legs take turns. */
static void send_packet(int64_t k, int64_t late, int64_t drop) {
    int leg = (int)(k % leg_count), number = (int)(k / leg_count);
    legs[leg].late_us[number] = (int32_t)(late / 1000);
    if (drop && (number + leg) % drop == 0) {
        legs[leg].sent_at[number] = -1;
        ++total.kept_back;
        return;
    }
    if (batch_size && (batch_size == BATCH || legs[leg].socket != legs[batch_leg[0]].socket)) flush();
    uint8_t *packet = out_packet[batch_size];
    uint16_t sequence = htons((uint16_t)number);
    uint32_t stamp = htonl((uint32_t)number * FRAME), ssrc = htonl(legs[leg].ssrc);
    packet[0] = 0x80;
    packet[1] = number ? 0 : 0x80;
    memcpy(packet + 2, &sequence, 2);
    memcpy(packet + 4, &stamp, 4);
    memcpy(packet + 8, &ssrc, 4);
    speak(packet + HEADER, number, leg);
    out_data[batch_size] = (struct iovec){packet, PACKET};
    out[batch_size].msg_hdr = (struct msghdr){
        .msg_name = &legs[leg].remote, .msg_namelen = sizeof legs[leg].remote,
        .msg_iov = &out_data[batch_size], .msg_iovlen = 1};
    batch_leg[batch_size] = leg;
    batch_number[batch_size++] = number;
}

/* --- hearing --- */

static void count(uint32_t *bins, int64_t *most, int64_t ns) {
    int64_t bin = ns < 0 ? 0 : ns / BIN_NS;
    ++bins[bin < BINS ? bin : BINS];
    if (ns > *most) *most = ns;
}

/* Whether this leg sent this frame a short while ago: what looks like a frame by chance is none that was sent. */
static int sent_lately(int speaker, int number, int64_t at) {
    int64_t sent = speaker < leg_count ? legs[speaker].sent_at[number] : 0;
    return sent > at - 2 * SECOND_NS && sent <= at;
}

/* Looks for the frame that ends in the newest packet; where it begins, or -1. In the usual place other legs' count too. */
static int find(const struct leg *leg, int *number, int *speaker, int64_t at) {
    if (understand(leg->sound + leg->start, number, speaker) && sent_lately(*speaker, *number, at)) return leg->start;
    for (int start = 1; start <= FRAME; ++start)
        if (understand(leg->sound + start, number, speaker) && *speaker == leg->peer && sent_lately(*speaker, *number, at))
            return start;
    return -1;
}

static void hear(struct leg *leg, const uint8_t *packet, size_t length, int64_t at) {
    int sequence = packet[2] << 8 | packet[3], number, speaker;
    int judged = at >= judged_from && at < judged_until;
    if ((packet[1] & 0x7f) != 0 || length != PACKET) return;
    if (leg->sequence >= 0 && judged) {
        int gap = (sequence - leg->sequence - 1) & 0xffff;
        if (gap < 0x8000) total.packets_lost += gap;
    }
    leg->sequence = sequence;
    memcpy(leg->sound, leg->sound + FRAME, FRAME);
    memcpy(leg->sound + FRAME, packet + HEADER, FRAME);
    int start = find(leg, &number, &speaker, at);
    if (start < 0) {
        if (is_silent(packet + HEADER)) total.silent += judged;
        else total.damaged += judged;
        return;
    }
    if (speaker != leg->peer) { total.foreign += judged; return; }
    leg->start = start;
    int64_t sent = legs[leg->peer].sent_at[number];
    judged = sent >= judged_from && sent < judged_until;
    if (leg->heard[number]) { total.repeated += judged; return; }
    leg->heard[number] = 1;
    if (number < leg->last) total.disordered += judged;
    leg->last = number;
    if (!judged) return;
    ++total.heard;
    ++shifts[start % FRAME];
    /* a frame that began in the packet before began that much earlier, too */
    count(histogram, &total.delay_most, at - sent - (FRAME - start) * FRAME_NS / FRAME);
}

static void drain(struct port *port) {
    static uint8_t data[BATCH][2048], control[BATCH][128];
    static struct sockaddr_in from[BATCH];
    static struct mmsghdr in[BATCH];
    static struct iovec into[BATCH];
    for (int rounds = 0; rounds < 64; ++rounds) {
        for (int i = 0; i < BATCH; ++i) {
            into[i] = (struct iovec){data[i], sizeof data[i]};
            in[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &into[i],
                .msg_iovlen = 1, .msg_control = control[i], .msg_controllen = sizeof control[i]};
        }
        int got = recvmmsg(port->fd, in, BATCH, MSG_DONTWAIT, NULL);
        for (int i = 0; i < got; ++i) {
            int64_t at = 0;
            for (struct cmsghdr *c = CMSG_FIRSTHDR(&in[i].msg_hdr); c; c = CMSG_NXTHDR(&in[i].msg_hdr, c)) {
                if (c->cmsg_type == SCM_TIMESTAMPNS) {
                    struct timespec t;
                    memcpy(&t, CMSG_DATA(c), sizeof t);
                    at = t.tv_sec * SECOND_NS + t.tv_nsec;
                } else if (c->cmsg_type == SO_RXQ_OVFL) {
                    memcpy(&port->overruns, CMSG_DATA(c), sizeof port->overruns);
                }
            }
            int leg = port->leg_of[ntohs(from[i].sin_port)];
            if (leg < 0 || in[i].msg_len < HEADER) ++total.strangers;
            else hear(&legs[leg], data[i], in[i].msg_len, at);
        }
        if (got < BATCH) return;
    }
}

/* --- the report --- */

static double part_of(const uint32_t *bins, double part) {
    uint64_t all = 0, seen = 0;
    for (int i = 0; i <= BINS; ++i) all += bins[i];
    for (int i = 0; i <= BINS; ++i)
        if ((double)(seen += bins[i]) >= part * (double)all && all) return (i + 0.5) * BIN_NS / 1000.0;
    return 0;
}

/* Whether this frame is missing for our own fault: it, or one just before it, left so late that a jitter buffer ran empty. */
static int sent_late(const struct leg *sender, int number) {
    for (int i = number; i >= 0 && i > number - 3; --i)
        if (sender->late_us[i] > LATE_US) return 1;
    return 0;
}

static void report(void) {
    long wanted = 0, missing = 0, missing_late = 0;
    uint64_t overruns = 0;
    for (int i = 0; i < leg_count; ++i) {
        const struct leg *sender = &legs[legs[i].peer];
        for (int number = 0; number < NUMBERS; ++number) {
            int64_t sent = sender->sent_at[number];
            /* a frame kept back on purpose has no time: it is judged when its neighbour is */
            if (sent == -1) sent = number ? sender->sent_at[number - 1] : 0;
            if (sent < judged_from || sent >= judged_until) continue;
            ++wanted;
            if (legs[i].heard[number]) continue;
            ++missing;
            missing_late += sent_late(sender, number);
        }
    }
    for (int i = 0; i < port_count; ++i) overruns += ports[i].overruns;
    printf("{\"legs\": %d, \"wanted\": %ld, \"heard\": %ld, \"missing\": %ld, \"missing_late\": %ld, \"repeated\": %ld, "
           "\"disordered\": %ld, \"damaged\": %ld, \"silent\": %ld, \"foreign\": %ld, \"strangers\": %ld, "
           "\"packets_lost\": %ld,\n",
           leg_count, wanted, total.heard, missing, missing_late, total.repeated, total.disordered, total.damaged, total.silent,
           total.foreign, total.strangers, total.packets_lost);
    int shift = 0;
    for (int i = 1; i < FRAME; ++i)
        if (shifts[i] > shifts[shift]) shift = i;
    printf(" \"shift\": %d, \"sent\": %ld, \"kept_back\": %ld, \"not_sent\": %ld, \"overruns\": %lu,\n", shift,
           total.sent, total.kept_back, total.not_sent, (unsigned long)overruns);
    printf(" \"delay\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f},\n", part_of(histogram, 0.5), part_of(histogram, 0.99),
           (double)total.delay_most / 1000);
    printf(" \"late\": {\"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f},\n", part_of(lateness, 0.5), part_of(lateness, 0.99),
           (double)total.late_most / 1000);
    printf(" \"cpu\": %.3f}\n", (double)clock() / CLOCKS_PER_SEC);
}

int main(int argc, char **argv) {
    if (argc < 3) { fprintf(stderr, "usage: rtpload SETTLE WINDOW [DROP] < legs\n"); return 2; }
    double settle = atof(argv[1]), window = atof(argv[2]);
    int64_t drop = argc > 3 ? atol(argv[3]) : 0;
    int64_t frames = (int64_t)((settle + window + 0.5) * 50); /* half a second more, so that the last judged ones arrive */
    if (frames <= 0 || frames >= NUMBERS) { errno = ERANGE; fail("the run's length"); }
    make_table();
    read_legs();
    prctl(PR_SET_TIMERSLACK, 1000);
    /* A late sender looks like a bad network: be first where that is allowed. */
    struct sched_param first = {.sched_priority = 40};
    sched_setscheduler(0, SCHED_RR, &first);
    mlockall(MCL_CURRENT | MCL_FUTURE);
    int epoll = epoll_create1(0);
    for (int i = 0; i < port_count; ++i) {
        struct epoll_event wish = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, ports[i].fd, &wish)) fail("epoll");
    }
    int64_t start = now(CLOCK_MONOTONIC) + 10 * TURN_NS, turn = start, k = 0, all = frames * leg_count;
    judged_from = now(CLOCK_REALTIME) + (int64_t)(settle * (double)SECOND_NS);
    judged_until = judged_from + (int64_t)(window * (double)SECOND_NS);
    for (long turns = 0; k < all || now(CLOCK_REALTIME) < judged_until + SECOND_NS / 2; ++turns) {
        struct timespec until = {turn / SECOND_NS, turn % SECOND_NS};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
        int64_t at = now(CLOCK_MONOTONIC);
        for (; k < all; ++k) {
            int64_t due = start + k * FRAME_NS / leg_count;
            if (due > at) break;
            count(lateness, &total.late_most, at - due);
            send_packet(k, at - due, drop);
        }
        if (batch_size) flush();
        if (turns % READ_EVERY == 0) {
            struct epoll_event ready[SOCKETS];
            int many = epoll_wait(epoll, ready, SOCKETS, 0);
            for (int i = 0; i < many; ++i) drain(&ports[ready[i].data.u32]);
        }
        turn += TURN_NS;
        if (turn < at) turn = at; /* never a burst of empty turns after a stall */
    }
    report();
    return 0;
}
