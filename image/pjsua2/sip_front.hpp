/* What stock pjsua2 lacks for a PBX, as one small header that is compiled into its SWIG module:
 *
 *  SipFront    a PJSIP module between the transaction and the dialog layer: Python sees every REGISTER, SUBSCRIBE,
 *              PUBLISH, MESSAGE, OPTIONS, REFER and initial INVITE before PJSUA does and answers it, or lets it pass.
 *              It also sends any request out of or beside a dialog (NOTIFY), and drops banned sources before
 *              Python is asked at all.
 *  SipReactor  PJSIP's epoll descriptor and next timer, so that an event loop can sleep on them instead of polling.
 *  SipCensus   how many PJSIP objects are alive: the leak tests count them.
 *
 * All methods are for the one thread that runs PJSIP.
 */
#ifndef CLINICPBX_SIP_FRONT_HPP
#define CLINICPBX_SIP_FRONT_HPP

#ifndef SWIG
#include <pjsua2.hpp>
#include <pjsip.h>
#include <pjsip_ua.h>
#include <pjsua-lib/pjsua.h>
#include <pjsua-lib/pjsua_internal.h>
#include <pjmedia.h>
#include <set>
#include <string>
#ifndef THIS_FILE
#  define THIS_FILE "sip_front.hpp"
#endif
#endif

namespace pj {

class SipFront {
public:
    SipFront();
    virtual ~SipFront();

    /** Starts to look at requests of these methods. Throws when one is started already. */
    void start(const std::vector<std::string> &methods) PJSUA2_THROW(Error);
    void stop();

    /** Called for each new request. True: consumed (respond() was called, or it is to be dropped). False: PJSUA's turn.
     *  source is "address:port"; transport "UDP", "TCP" or "TLS"; message the whole text as received. */
    virtual bool onRequest(SipRxData &rdata, const std::string &method, bool inDialog, const std::string &source,
                           int localPort, const std::string &transport, const std::string &message) {
        PJ_UNUSED_ARG(rdata); PJ_UNUSED_ARG(method); PJ_UNUSED_ARG(inDialog); PJ_UNUSED_ARG(source);
        PJ_UNUSED_ARG(localPort); PJ_UNUSED_ARG(transport); PJ_UNUSED_ARG(message);
        return false;
    }
    /** The final answer to a sendRequest(): code 408 or 503 and an empty message when none came. */
    virtual void onResponse(int token, int code, const std::string &message) {
        PJ_UNUSED_ARG(token); PJ_UNUSED_ARG(code); PJ_UNUSED_ARG(message);
    }

    /** Only inside onRequest(). Returns the To tag of the answer. */
    std::string respond(SipRxData &rdata, int code, const std::string &reason, const SipHeaderVector &headers,
                        const std::string &contentType, const std::string &body, const std::string &toTag,
                        bool stateful) PJSUA2_THROW(Error);

    void sendRequest(int token, const std::string &method, const std::string &target, const std::string &from,
                     const std::string &to, const std::string &contact, const std::string &callId, int cseq,
                     const std::string &fromTag, const std::string &toTag, const SipHeaderVector &headers,
                     const std::string &contentType, const std::string &body) PJSUA2_THROW(Error);

    /** Requests from this address (no port) are dropped unseen, until pardoned. */
    void ban(const std::string &address);
    void pardon(const std::string &address);
    /** Requests dropped because their source was banned. */
    unsigned bannedRequests() const { return banned_requests_; }

#ifndef SWIG
private:
    static SipFront *instance_;
    static pjsip_module module_;
    std::set<std::string> methods_;
    std::set<std::string> banned_;
    unsigned banned_requests_;
    bool started_;
    static pj_bool_t onRx(pjsip_rx_data *rdata);
    static void onSent(void *token, pjsip_event *event);
#endif
};

class SipReactor {
public:
    /** The epoll descriptor PJSIP waits on: readable when there is something to do. -1 when this build has no epoll. */
    static int descriptor();
    /** Does all that is due, without waiting; returns the milliseconds until PJSIP's next timer (at most limit). */
    static int turn(int limit);
    /** Takes back the callbacks nobody here listens to: for each, pjsua2 writes messages and SDP into strings and calls Python
     *  several times a call. Between libInit() and libStart(). */
    static void deafen();
    /** Sets PJSIP's own log level (0: fatal only); the one call allowed before libCreate(). */
    static void quiet(int level) { pj_log_set_level(level); }
};

/** Live objects of the engine. */
struct SipCensus {
    unsigned calls;
    unsigned conferencePorts;
    unsigned transactions;
    unsigned dialogs;
    unsigned pools;
    unsigned poolBytes;
    static SipCensus take();
};

/** The last provisional or final status the far side has sent to our INVITE, 100 included; 0: none yet, or no such call. */
int callStatus(int callId);

/** A call's dialog in one string without the cost of CallInfo: "call-id local-tag remote-tag". Empty: no such call. */
std::string callDialog(int callId);

#ifndef SWIG

SipFront *SipFront::instance_ = NULL;
pjsip_module SipFront::module_;

static pj_str_t frontStr(const std::string &s) {
    pj_str_t r; r.ptr = (char *)s.data(); r.slen = (pj_ssize_t)s.size(); return r;
}
static std::string frontCopy(const pj_str_t &s) { return s.slen > 0 ? std::string(s.ptr, s.slen) : std::string(); }

SipFront::SipFront() : banned_requests_(0), started_(false) {}
SipFront::~SipFront() { stop(); }

pj_bool_t SipFront::onRx(pjsip_rx_data *rdata) {
    SipFront *self = instance_;
    if (!self) return PJ_FALSE;
    if (!self->banned_.empty() && self->banned_.count(rdata->pkt_info.src_name)) {
        ++self->banned_requests_;
        return PJ_TRUE;
    }
    std::string method = frontCopy(rdata->msg_info.msg->line.req.method.name);
    if (!self->methods_.count(method)) return PJ_FALSE;
    bool inDialog = rdata->msg_info.to && rdata->msg_info.to->tag.slen > 0;
    if (inDialog && method == "INVITE") return PJ_FALSE;
    SipRxData data;
    data.pjRxData = rdata;
    char source[PJ_INET6_ADDRSTRLEN + 10];
    pj_ansi_snprintf(source, sizeof(source), "%s:%d", rdata->pkt_info.src_name, rdata->pkt_info.src_port);
    std::string message(rdata->msg_info.msg_buf, rdata->msg_info.len);
    pjsip_transport *tp = rdata->tp_info.transport;
    return self->onRequest(data, method, inDialog, source, tp->local_name.port, tp->type_name, message)
        ? PJ_TRUE : PJ_FALSE;
}

void SipFront::start(const std::vector<std::string> &methods) PJSUA2_THROW(Error) {
    if (started_ || instance_) PJSUA2_RAISE_ERROR(PJ_EEXISTS);
    methods_.clear();
    methods_.insert(methods.begin(), methods.end());
    pj_bzero(&module_, sizeof(module_));
    module_.name = pj_str((char *)"mod-clinicpbx-front");
    module_.id = -1;
    /* After the transaction layer (retransmissions are answered there), before the dialog layer. */
    module_.priority = PJSIP_MOD_PRIORITY_TSX_LAYER + 4;
    module_.on_rx_request = &SipFront::onRx;
    instance_ = this;
    pj_status_t status = pjsip_endpt_register_module(pjsua_get_pjsip_endpt(), &module_);
    if (status != PJ_SUCCESS) { instance_ = NULL; PJSUA2_RAISE_ERROR(status); }
    started_ = true;
}

void SipFront::stop() {
    if (started_ && pjsua_get_pjsip_endpt()) pjsip_endpt_unregister_module(pjsua_get_pjsip_endpt(), &module_);
    if (instance_ == this) instance_ = NULL;
    started_ = false;
}

void SipFront::ban(const std::string &address) { banned_.insert(address); }
void SipFront::pardon(const std::string &address) { banned_.erase(address); }

static void frontFill(pjsip_tx_data *tdata, const SipHeaderVector &headers, const std::string &contentType,
                      const std::string &body) {
    for (size_t i = 0; i < headers.size(); ++i) {
        pj_str_t name = frontStr(headers[i].hName), value = frontStr(headers[i].hValue);
        pjsip_msg_add_hdr(tdata->msg, (pjsip_hdr *)pjsip_generic_string_hdr_create(tdata->pool, &name, &value));
    }
    if (body.empty()) return;
    size_t slash = contentType.find('/');
    std::string type = contentType.substr(0, slash);
    std::string subtype = slash == std::string::npos ? "" : contentType.substr(slash + 1);
    pj_str_t t = frontStr(type), s = frontStr(subtype), b = frontStr(body);
    tdata->msg->body = pjsip_msg_body_create(tdata->pool, &t, &s, &b);
}

std::string SipFront::respond(SipRxData &data, int code, const std::string &reason, const SipHeaderVector &headers,
                              const std::string &contentType, const std::string &body, const std::string &toTag,
                              bool stateful) PJSUA2_THROW(Error) {
    pjsip_rx_data *rdata = (pjsip_rx_data *)data.pjRxData;
    pjsip_endpoint *endpoint = pjsua_get_pjsip_endpt();
    pjsip_tx_data *tdata;
    pj_str_t text = frontStr(reason);
    PJSUA2_CHECK_EXPR(pjsip_endpt_create_response(endpoint, rdata, code, reason.empty() ? NULL : &text, &tdata));
    pjsip_to_hdr *to = PJSIP_MSG_TO_HDR(tdata->msg);
    if (!toTag.empty()) { pj_str_t tag = frontStr(toTag); pj_strdup(tdata->pool, &to->tag, &tag); }
    std::string used = frontCopy(to->tag);
    frontFill(tdata, headers, contentType, body);
    pj_status_t status;
    if (stateful) {
        pjsip_transaction *tsx;
        status = pjsip_tsx_create_uas2(NULL, rdata, NULL, &tsx);
        if (status == PJ_SUCCESS) { pjsip_tsx_recv_msg(tsx, rdata); status = pjsip_tsx_send_msg(tsx, tdata); }
    } else {
        pjsip_response_addr address;
        status = pjsip_get_response_addr(tdata->pool, rdata, &address);
        if (status == PJ_SUCCESS) status = pjsip_endpt_send_response(endpoint, &address, tdata, NULL, NULL);
    }
    if (status != PJ_SUCCESS) { pjsip_tx_data_dec_ref(tdata); PJSUA2_RAISE_ERROR(status); }
    return used;
}

void SipFront::onSent(void *token, pjsip_event *event) {
    SipFront *self = instance_;
    if (!self || event->type != PJSIP_EVENT_TSX_STATE) return;
    std::string message;
    if (event->body.tsx_state.type == PJSIP_EVENT_RX_MSG) {
        pjsip_rx_data *rdata = event->body.tsx_state.src.rdata;
        message.assign(rdata->msg_info.msg_buf, rdata->msg_info.len);
    }
    self->onResponse((int)(pj_ssize_t)token, event->body.tsx_state.tsx->status_code, message);
}

void SipFront::sendRequest(int token, const std::string &method, const std::string &target, const std::string &from,
                           const std::string &to, const std::string &contact, const std::string &callId, int cseq,
                           const std::string &fromTag, const std::string &toTag, const SipHeaderVector &headers,
                           const std::string &contentType, const std::string &body) PJSUA2_THROW(Error) {
    pjsip_method m;
    pj_str_t name = frontStr(method);
    pjsip_method_init_np(&m, &name);
    pj_str_t ta = frontStr(target), fr = frontStr(from), t = frontStr(to), co = frontStr(contact), id = frontStr(callId);
    pjsip_tx_data *tdata;
    pjsip_endpoint *endpoint = pjsua_get_pjsip_endpt();
    PJSUA2_CHECK_EXPR(pjsip_endpt_create_request(endpoint, &m, &ta, &fr, &t, contact.empty() ? NULL : &co,
                                                 callId.empty() ? NULL : &id, cseq, NULL, &tdata));
    pj_str_t tag;
    if (!fromTag.empty()) {
        tag = frontStr(fromTag); pj_strdup(tdata->pool, &PJSIP_MSG_FROM_HDR(tdata->msg)->tag, &tag);
    }
    if (!toTag.empty()) {
        tag = frontStr(toTag); pj_strdup(tdata->pool, &PJSIP_MSG_TO_HDR(tdata->msg)->tag, &tag);
    }
    frontFill(tdata, headers, contentType, body);
    PJSUA2_CHECK_EXPR(pjsip_endpt_send_request(endpoint, tdata, -1, (void *)(pj_ssize_t)token, &SipFront::onSent));
}

int SipReactor::descriptor() {
    pj_ioqueue_t *queue = pjsip_endpt_get_ioqueue(pjsua_get_pjsip_endpt());
    int *fd = (int *)pj_ioqueue_get_os_handle(queue);
    return fd ? *fd : -1;
}

int SipReactor::turn(int limit) {
    /* Bounded: a flood must not keep the event loop away from its other work. */
    for (int i = 0; i < 8; ++i)
        if (Endpoint::instance().libHandleEvents(0) <= 0) break;
    pj_time_val next, now;
    pj_timer_heap_t *heap = pjsip_endpt_get_timer_heap(pjsua_get_pjsip_endpt());
    if (!heap || pj_timer_heap_earliest_time(heap, &next) != PJ_SUCCESS) return limit;
    pj_gettickcount(&now);
    PJ_TIME_VAL_SUB(next, now);
    long wait = PJ_TIME_VAL_MSEC(next);
    return wait < 0 ? 0 : wait > limit ? limit : (int)wait;
}

void SipReactor::deafen() {
    pjsua_callback &cb = pjsua_var.ua_cfg.cb;
    cb.on_call_tsx_state = NULL;
    cb.on_call_sdp_created = NULL;
    cb.on_call_media_transport_state = NULL;
    cb.on_call_media_event = NULL;
    cb.on_create_media_transport = NULL;
    cb.on_stream_precreate = NULL;
    cb.on_stream_created2 = NULL;
    cb.on_stream_destroyed = NULL;
    cb.on_conf_op_completed = NULL;
    cb.on_transport_state = NULL;
}

SipCensus SipCensus::take() {
    SipCensus c;
    c.calls = pjsua_call_get_count();
    c.conferencePorts = pjsua_conf_get_active_ports();
    c.transactions = pjsip_tsx_layer_get_tsx_count();
    c.dialogs = pjsip_ua_get_dlg_set_count();
    c.pools = (unsigned)pjsua_var.cp.used_count;
    c.poolBytes = (unsigned)pjsua_var.cp.used_size;
    return c;
}

int callStatus(int callId) {
    if (callId < 0 || callId >= PJSUA_MAX_CALLS) return 0;
    pjsip_inv_session *inv = pjsua_var.calls[callId].inv;
    return inv && inv->invite_tsx ? inv->invite_tsx->status_code : 0;
}

std::string callDialog(int callId) {
    if (callId < 0 || callId >= PJSUA_MAX_CALLS) return "";
    pjsip_inv_session *inv = pjsua_var.calls[callId].inv;
    if (!inv || !inv->dlg || !inv->dlg->call_id) return "";
    return frontCopy(inv->dlg->call_id->id) + " " + frontCopy(inv->dlg->local.info->tag) + " " +
        frontCopy(inv->dlg->remote.info->tag);
}

#endif
} // namespace pj
#endif
