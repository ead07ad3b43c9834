/* The switchboard's limits and choices for pjproject 2.17. `clinicpbx doctor` proves the limits on the built module. */
#define PJ_LOG_MAX_LEVEL              5
#define PJ_IOQUEUE_MAX_HANDLES        4096
#define PJ_IOQUEUE_MAX_EVENTS_IN_SINGLE_POLL 64
#define PJ_HAS_SSL_SOCK               1
#define PJ_HAS_IPV6                   1
#define PJ_LOG_USE_STACK_BUFFER       1
#define PJ_ENABLE_EXTRA_CHECK         1
#define PJ_SCANNER_USE_BITWISE        0
#define PJ_MAX_HOSTNAME               256
#define PJ_POOL_DEBUG                 0
#define PJ_TIMER_DEBUG                0
#define PJ_IP_HELPER_IGNORE_LOOPBACK_IF 0

#define PJSIP_MAX_PKT_LEN             16000
#define PJSIP_MAX_URL_SIZE            1024
#define PJSIP_MAX_TSX_COUNT           (8192-1)
#define PJSIP_MAX_DIALOG_COUNT        (4096-1)
#define PJSIP_MAX_TRANSPORTS          1024
/* A connection on which nothing was said makes room for one that speaks. */
#define PJSIP_TRANSPORT_SERVER_IDLE_TIME_FIRST 10
#define PJSIP_MAX_MODULE              64
#define PJSIP_MAX_NET_EVENTS          16
#define PJSIP_MAX_TIMED_OUT_ENTRIES   64
#define PJSIP_UDP_SO_RCVBUF_SIZE      4000000
#define PJSIP_UDP_SO_SNDBUF_SIZE      1000000
#define PJSIP_DONT_SWITCH_TO_TCP      1

#define PJSUA_MAX_CALLS               512
#define PJSUA_MAX_ACC                 512
#define PJSUA_MAX_BUDDIES             512
#define PJSUA_MAX_PLAYERS             512
#define PJSUA_MAX_RECORDERS           512
#define PJSUA_MAX_CONF_PORTS          2048

#define PJMEDIA_CONF_BACKEND          PJMEDIA_CONF_PARALLEL_BRIDGE_BACKEND
#define PJMEDIA_CONF_USE_AGC          0
/* Concealment holds every frame back by this much, lost or not. 2 ms instead of 5: what is made up for a lost frame gets
   0.6 dB further from the original (speech, 2 and 10 % loss), every call gets 3 ms nearer. */
#define PJMEDIA_WSOLA_DELAY_MSEC      2
/* Debian strips libresample for its licence: the Speex resampler comes from libspeexdsp. */
#define PJMEDIA_RESAMPLE_IMP          PJMEDIA_RESAMPLE_SPEEX
#define PJMEDIA_HAS_VIDEO             0
#define PJMEDIA_HAS_WEBRTC_AEC        0
#define PJMEDIA_HAS_SPEEX_AEC         0
#define PJMEDIA_HAS_L16_CODEC         0
#define PJMEDIA_HAS_ILBC_CODEC        0
#define PJMEDIA_HAS_G7221_CODEC       0
#define PJMEDIA_HAS_OPUS_CODEC        1
#define PJMEDIA_SRTP_HAS_DTLS         1
#define PJMEDIA_SRTP_HAS_AES_GCM_256  1
#define PJMEDIA_SRTP_HAS_AES_GCM_128  1
#define PJMEDIA_MAX_SDP_MEDIA         8
#define PJMEDIA_CODEC_MAX_SILENCE_PERIOD 0

/* Debian's libsrtp2 (NSS back-end) exports the GCM ciphers without the _openssl suffix */
#define srtp_aes_gcm_256_openssl      srtp_aes_gcm_256
#define srtp_aes_gcm_128_openssl      srtp_aes_gcm_128
