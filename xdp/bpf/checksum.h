/*
 * Checksums that are still to be made. A host leaves those of TCP and UDP to its card, and puts only the sum of the
 * pseudo header (RFC 9293, 3.1) in their place; the kernel notes beside the packet where the rest begins. Between the two ends
 * of a veth, or from a virtual machine by tap, packets come in like that. What XDP hands to another CPU loses the
 * note, and would leave with a wrong checksum.
 */
#pragma once

#include "packet.h"

#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

struct tcp {
	__u8 rest[16];
	__u16 checksum;
};

struct udp {
	__u8 rest[6];
	__u16 checksum;
};

/* fold adds the four words of 16 bits with their carries: RFC 1071 is indifferent to byte order. */
static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

static __always_inline int has_checksum(void *transport, void *end, __u8 protocol, __u16 checksum)
{
	struct tcp *tcp = transport;
	struct udp *udp = transport;

	switch (protocol) {
	case PROTOCOL_TCP:
		return (void *)(tcp + 1) <= end && tcp->checksum == checksum;
	case PROTOCOL_UDP:
		return (void *)(udp + 1) <= end && udp->checksum == checksum;
	}
	return 0;
}

/*
 * is_unfinished reports a packet whose checksum is the sum of its pseudo header. Of the finished ones, and of
 * later fragments, one in 65,536 looks like that, too: it only misses its CPU.
 */
static __always_inline int is_unfinished(const struct packet *p, void *end)
{
	struct ipv4 *v4 = p->ip;
	struct ipv6 *v6 = p->ip;
	__u64 sum;

	if (p->kind == KIND_IPV4) {
		__u32 header = (v4->version_length & 0xf) * 4;

		sum = (__u64)v4->from + v4->to + bpf_htons(v4->protocol) + bpf_htons(bpf_ntohs(v4->length) - header);
		return has_checksum(p->ip + header, end, v4->protocol, fold(sum));
	}
	sum = (__u64)v6->from[0] + v6->from[1] + v6->from[2] + v6->from[3];
	sum += (__u64)v6->to[0] + v6->to[1] + v6->to[2] + v6->to[3];
	sum += (__u64)v6->length + bpf_htons(v6->next);
	return has_checksum(v6 + 1, end, v6->next, fold(sum));
}
