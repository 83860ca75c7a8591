/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* From the frame to the fields that decide. */
#ifndef EK_PARSE_H
#define EK_PARSE_H

#include "addr.h"
#include "maps.h"
#include "sctp_state.h"

/* packet points into the frame. The fixed headers of IP and of TCP, UDP or SCTP lie
 * inside the frame, and so does all that the lengths in them promise. v6 is a
 * constant wherever a packet is read, so each family's program has only its own
 * half of every choice by it.
 */
struct packet {
	struct xdp_md *ctx;
	struct xdp_md *volatile *kept; /* clients' fast way, which has no ctx: where that is */
	const struct port *port;
	void *end;
	struct ethhdr *eth;
	struct iphdr *ip;    /* holds if not v6 */
	struct ipv6hdr *ip6; /* holds if v6 */
	struct tcphdr *tcp; /* holds if is_tcp: the verifier takes no packet pointer for non-zero */
	struct udphdr *udp; /* holds if not; SCTP's ports lie there as well */
	__u32 len;	    /* of the IP packet */
	__u32 header;	    /* bytes of it before TCP, UDP or SCTP */
	__be16 sport;
	__be16 dport;
	__u8 proto;
	__u8 event;   /* TCP's flags; enum sctp_event; of UDP anything */
	__u64 is_tcp; /* a whole word: the verifier forgets the value of a byte on the stack */
	__u64 v6;
};

static __always_inline void mac_copy(__u8 *to, const __u8 *from)
{
	__u16 *x = (__u16 *)to;
	const __u16 *y = (const __u16 *)from;

	x[0] = y[0];
	x[1] = y[1];
	x[2] = y[2];
}

/* frame_type reads both bytes at once. */
static __always_inline __be16 frame_type(const struct ethhdr *eth)
{
	return *(const __be16 *)((const void *)eth + 2 * ETH_ALEN);
}

/* port_is says whether a port is enabled and a frame is addressed to it: all that is before the port's
 * device is one word, which the frame's first eight bytes are made like.
 */
static __always_inline bool port_is(const struct port *port, const struct ethhdr *eth)
{
	_Static_assert(__builtin_offsetof(struct port, enabled) == 0 &&
			       __builtin_offsetof(struct port, mac) == 2 &&
			       __builtin_offsetof(struct port, device) == 8,
		       "whether it is enabled and its address are the port's first word");
	if (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)
		return read8(port) == (read8(eth) << 16 | 1);
	return read8(port) == (read8(eth) >> 16 | 1ULL << 56);
}

/* port_accepts finds the port, and says whether the frame is addressed to it. Without the
 * test two balancers on a flooding switch would forward each other's frames.
 */
static __always_inline bool port_accepts(struct packet *p, __u32 in)
{
	p->port = bpf_map_lookup_elem(&ek_ports, &in);
	return p->port && port_is(p->port, p->eth);
}

/* parse_ethernet reads a frame whose type is known already, and whose tag is away, that
 * came in by a port.
 */
static __always_inline __u32 parse_ethernet(struct packet *p, __u32 in)
{
	struct ethhdr *eth = (void *)(long)p->ctx->data;

	p->end = (void *)(long)p->ctx->data_end;
	p->eth = eth;
	if ((void *)(eth + 1) > p->end)
		return REASON_TRUNCATED;
	return port_accepts(p, in) ? 0 : REASON_NOT_OUR_MAC;
}

/* parse_ipv4 leaves the header checksum alone, as forwarding hardware does: an
 * incremental change keeps a wrong sum wrong, and the server drops it.
 */
static __always_inline __u32 parse_ipv4(struct packet *p)
{
	struct iphdr *ip = (void *)(p->eth + 1);
	__u32 words;

	p->ip = ip;
	if ((void *)(ip + 1) > p->end)
		return REASON_TRUNCATED;
	words = ip->ihl_version & 0x0f;
	p->len = ntohs(ip->tot_len);
	if (ip->ihl_version >> 4 != 4 || words < 5 || p->len < words * 4)
		return REASON_BAD_HEADER;
	if ((void *)ip + p->len > p->end)
		return REASON_TRUNCATED;
	if (ip->frag_off & htons(IP_MF | IP_OFFSET))
		return REASON_FRAGMENT;
	if (words > 5)
		return REASON_IP_OPTIONS;
	p->header = sizeof(*ip);
	p->proto = ip->protocol;
	return 0;
}

/* How many extension headers, and bytes of them, the program reads. */
#define IPV6_EXTS 4
#define IPV6_EXT_BYTES 504

/* ipv6_skip walks over the extension headers that only the ends care for. It
 * starts from the IPv6 header at some bytes into the frame, below 512. quoted is for
 * one that an error quotes: the first fragment of a packet has what matters. It
 * returns the bytes from the IPv6 header to the transport's in the low half and the
 * transport's number in the high half, or a negative reason. Like all that loops it
 * stands alone for the verifier.
 */
__noinline int ipv6_skip(struct xdp_md *ctx, __u32 from, __u32 quoted)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ipv6hdr *ip6 = data + (from & 511);
	__u32 at = sizeof(*ip6), type, i;

	if ((void *)(ip6 + 1) > end)
		return -REASON_TRUNCATED;
	type = ip6->nexthdr;
	for (i = 0; i < IPV6_EXTS; i++) {
		bool fragment = type == IPPROTO_FRAGMENT;
		struct ipv6_frag *ext;

		if (fragment && !quoted)
			return -REASON_FRAGMENT;
		if (type == IPPROTO_ROUTING || type == IPPROTO_AH)
			return -REASON_IP_OPTIONS;
		if (!fragment && type != IPPROTO_HOPOPTS && type != IPPROTO_DSTOPTS)
			return (int)(type << 16 | at);
		if (at > IPV6_EXT_BYTES)
			return -REASON_IP_OPTIONS;
		ext = (void *)ip6 + at;
		if ((void *)(ext + 1) > end)
			return -REASON_TRUNCATED;
		if (fragment && ext->offset & htons(IPV6_OFFSET))
			return -REASON_FRAGMENT;
		type = ext->nexthdr;
		at += fragment ? sizeof(*ext) : ((__u32)ext->len + 1) * 8;
	}
	return -REASON_IP_OPTIONS;
}

static __always_inline __u32 parse_ipv6(struct packet *p)
{
	struct ipv6hdr *ip6 = (void *)(p->eth + 1);
	int found;

	p->ip6 = ip6;
	if ((void *)(ip6 + 1) > p->end)
		return REASON_TRUNCATED;
	p->len = ntohs(ip6->payload_len) + sizeof(*ip6);
	if (ip6->version_class >> 4 != 6)
		return REASON_BAD_HEADER;
	if ((void *)ip6 + p->len > p->end)
		return REASON_TRUNCATED;
	p->header = sizeof(*ip6);
	p->proto = ip6->nexthdr;
	if (likely(p->proto == IPPROTO_TCP || p->proto == IPPROTO_UDP))
		return 0;
	found = ipv6_skip(p->ctx, sizeof(struct ethhdr), false);
	if (found < 0)
		return -found;
	p->header = found & 0xffff;
	p->proto = found >> 16;
	return p->header > p->len || p->header > IPV6_EXT_BYTES ? REASON_IP_OPTIONS : 0;
}

/* transport is where TCP, UDP or SCTP begins. The compiler must not see how it comes about:
 * what is computed a second time is another pointer to the verifier, not yet checked.
 */
static __always_inline void *transport(const struct packet *p)
{
	__u32 at = p->header;
	void *begins;

	if (!p->v6)
		return p->ip + 1;
	/* The mask belongs where the offset is used, and the compiler, which knows that it
	 * changes nothing, must not leave it out.
	 */
	__asm__ volatile("%0 &= 511" : "+r"(at));
	begins = (void *)p->ip6 + at;
	__asm__ volatile("" : "+r"(begins));
	return begins;
}

/* plain hides from the compiler where a value comes from. Without it is_tcp would be kept
 * as the comparison that it follows from, of which kernel 6.1 knows nothing any more.
 */
static __always_inline __u64 plain(__u64 value)
{
	__asm__ volatile("" : "+r"(value));
	return value;
}

/* tcp_refused and udp_refused return what is wrong with a header, or 0. One that is in the frame, though the
 * packet ends before it does, has a length below the least or above the payload: that is asked anyway, so
 * the payload is held against the least only where there is no header.
 */
static __always_inline __u32 tcp_refused(const struct packet *p, const struct tcphdr *tcp)
{
	__u32 payload = p->len - p->header;

	if ((const void *)(tcp + 1) > p->end)
		return payload < sizeof(*tcp) ? REASON_BAD_HEADER : REASON_TRUNCATED;
	if ((tcp->doff >> 4) < 5 || (__u32)(tcp->doff >> 4) * 4 > payload)
		return REASON_BAD_HEADER;
	return 0;
}

static __always_inline __u32 udp_refused(const struct packet *p, const struct udphdr *udp)
{
	__u32 payload = p->len - p->header;

	if ((const void *)(udp + 1) > p->end)
		return payload < sizeof(*udp) ? REASON_BAD_HEADER : REASON_TRUNCATED;
	if (ntohs(udp->len) < sizeof(*udp) || ntohs(udp->len) > payload)
		return REASON_BAD_HEADER;
	return 0;
}

static __always_inline __u32 parse_tcp(struct packet *p)
{
	struct tcphdr *tcp = transport(p);
	__u32 reason = tcp_refused(p, tcp);

	if (reason)
		return reason;
	p->tcp = tcp;
	p->is_tcp = plain(true);
	p->sport = tcp->source;
	p->dport = tcp->dest;
	p->event = tcp->flags;
	return 0;
}

static __always_inline __u32 parse_udp(struct packet *p)
{
	struct udphdr *udp = transport(p);
	__u32 reason = udp_refused(p, udp);

	if (reason)
		return reason;
	p->udp = udp;
	p->is_tcp = plain(false);
	p->sport = udp->source;
	p->dport = udp->dest;
	p->event = udp->source; /* unknown to the verifier, as SCTP's is */
	return 0;
}

/* sctp_read returns the enum sctp_event of the packet whose SCTP begins at some bytes
 * into the frame, below 1024, and ends at others. It stands alone so that the verifier
 * follows it once.
 */
__noinline int sctp_read(struct xdp_md *ctx, __u32 from, __u32 to)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 at = (from & 1023) + sizeof(struct sctphdr), type;
	struct sctp_chunk *chunk = data + at;

	if ((void *)(chunk + 1) > end)
		return SCTP_DATA;
	type = chunk->type;
	if ((type == CHUNK_COOKIE_ECHO || type == CHUNK_COOKIE_ACK) &&
	    ntohs(chunk->length) >= sizeof(*chunk)) {
		at += (ntohs(chunk->length) + 3) & 0x7ffc;
		chunk = data + at;
		if (at + sizeof(*chunk) <= to && (void *)(chunk + 1) <= end &&
		    chunk->type == CHUNK_ABORT)
			type = CHUNK_ABORT;
	}
	if (type >= sizeof(sctp_events))
		return SCTP_DATA;
	__asm__ volatile("%0 &= 15" : "+r"(type)); /* 6.1 does not see that it is below */
	return sctp_events[type];
}

/* parse_sctp reads no port but through udp, so that the verifier takes it for the
 * same.
 */
static __always_inline __u32 parse_sctp(struct packet *p)
{
	struct udphdr *ports = transport(p);

	if (p->len - p->header < sizeof(struct sctphdr) + sizeof(struct sctp_chunk))
		return REASON_BAD_HEADER;
	if ((void *)(ports + 1) > p->end)
		return REASON_TRUNCATED;
	p->udp = ports;
	p->is_tcp = plain(false);
	p->sport = ports->source;
	p->dport = ports->dest;
	p->event = sctp_read(p->ctx, sizeof(struct ethhdr) + p->header,
			     sizeof(struct ethhdr) + p->len);
	return 0;
}

/* network_parse fills in p what comes before the transport. */
static __always_inline __u32 network_parse(struct xdp_md *ctx, __u32 in, struct packet *p)
{
	__u32 reason;

	p->ctx = ctx;
	reason = parse_ethernet(p, in);
	if (reason)
		return reason;
	return p->v6 ? parse_ipv6(p) : parse_ipv4(p);
}

/* proto_is compares without telling the verifier, so that it takes what differs in the
 * protocol alone for the same.
 */
static __always_inline bool proto_is(const struct packet *p, __u32 proto)
{
	__u64 differs = p->proto;

	__asm__ volatile("%0 ^= %1" : "+r"(differs) : "i"(proto));
	return !differs;
}

/* packet_parse fills p and returns 0, or the reason why the kernel should
 * look at the frame.
 */
static __always_inline __u32 packet_parse(struct xdp_md *ctx, __u32 in, struct packet *p)
{
	__u32 reason = network_parse(ctx, in, p);

	if (reason)
		return reason;
	if (proto_is(p, IPPROTO_TCP))
		return parse_tcp(p);
	if (proto_is(p, IPPROTO_UDP))
		return parse_udp(p);
	if (proto_is(p, IPPROTO_SCTP))
		return parse_sctp(p);
	return REASON_OTHER_PROTOCOL;
}

/* packet_client and packet_virtual are the addresses as IPVS hashes them: IPv4 as
 * a number, IPv6 as the XOR of its words.
 */
static __always_inline __u32 packet_client(const struct packet *p)
{
	return ntohl(p->v6 ? addr6_mix(p->ip6->saddr) : p->ip->saddr);
}

static __always_inline __u32 packet_virtual(const struct packet *p)
{
	return ntohl(p->v6 ? addr6_mix(p->ip6->daddr) : p->ip->daddr);
}

static __always_inline __u8 packet_ttl(const struct packet *p)
{
	return p->v6 ? p->ip6->hop_limit : p->ip->ttl;
}

#endif
