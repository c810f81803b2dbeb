/*
 * Steers each packet to the class of its subscriber, in two steps.
 *
 * At ingress, XDP: the address gives the class and the CPU that works for the class's queue. The
 * class travels with the packet as metadata, and the packet is handed to that CPU, so that
 * the lock of each HTB stays on one CPU: by the programs enter_…, not by stay_….
 *
 * At egress, before the qdisc: skb->priority becomes the class (HTB takes it from there, htb_classify
 * in net/sched/sch_htb.c), and the tx queue that of the class. Where no metadata came
 * with the packet (cards may not keep it, VLAN tags may be hidden from XDP) the
 * address is looked up again: ingress is a help, egress is what counts.
 *
 * A packet with an address that nobody has is left as it is: HTB's default class takes it.
 */
#include "checksum.h"
#include "packet.h"

char _license[] SEC("license") = "Dual MIT/GPL";

#define NEXT_PROGRAM -1 /* TC_ACT_UNSPEC, and TCX_NEXT */
#define NEITHER -1      /* direction */

/*
 * What travels from ingress to egress in front of a packet: a multiple of 4 bytes, at most 32. A packet
 * starts at an odd multiple of 2 (NET_IP_ALIGN), and so does this; some kernels' verifiers insist on it.
 */
struct carried {
	__u32 magic; /* tells ours from what another program put there */
	__u32 direction;
	struct steer steer;
} __attribute__((packed, aligned(2)));

#define MAGIC 0x6c716f53

static __always_inline void count(int hook, int direction, enum verdict v, __u64 bytes)
{
	struct verdict_counts *counted = bpf_map_lookup_elem(&counts, &v);
	struct count *c;

	if (!counted)
		return;
	c = &counted->of[hook & 1][direction & 1];
	c->packets++;
	c->bytes += bytes;
}

static __always_inline struct control *control(void)
{
	__u32 only = 0;

	return bpf_map_lookup_elem(&settings, &only);
}

/* part is a prefix whose address is in two words of 64 bits; IPv4 is in the upper half of the first. */
struct part {
	__u32 length, space;
	__u64 address[2];
};

_Static_assert(sizeof(struct part) == sizeof(struct prefix), "two shapes of one key");

#define WORD 64 /* bits */

/* ones counts them: BPF has no instruction for it. */
static __always_inline __u32 ones(__u64 x)
{
	x -= x >> 1 & 0x5555555555555555;
	x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return x * 0x0101010101010101 >> 56;
}

/*
 * find_in looks for the longest prefix that ends in a word of the address, and has all that is before it. most is how long
 * a prefix is that has the whole word, and lengths has a bit for each that is so much shorter: the mask of a
 * prefix is its bit and those above.
 */
static __always_inline struct steer *find_in(struct part *key, int word, __u32 most, __u64 lengths)
{
	__u64 address = bpf_be64_to_cpu(key->address[word]);

	for (int i = 0; i < WORD && lengths; i++) {
		__u64 bit = lengths & -lengths;
		struct steer *s;

		key->length = most - ones(bit - 1);
		key->address[word] = bpf_cpu_to_be64(address & -bit);
		s = bpf_map_lookup_elem(&prefixes, key);
		if (s)
			return s;
		lengths ^= bit;
	}
	return NULL;
}

/* find_longest looks an address up in the prefixes: by each length that there may be, one after the other. */
static __always_inline struct steer *find_longest(const struct prefix *address, const struct control *c)
{
	const __u64 *lengths = c->lengths[address->space & (SPACES - 1)];
	struct part key;
	struct steer *s;

	__builtin_memcpy(&key, address, sizeof(key));
	s = find_in(&key, 1, 32 + 2 * WORD, lengths[0]);
	if (s)
		return s;
	key.address[1] = 0;
	s = find_in(&key, 0, 32 + WORD, lengths[1]);
	if (s || !lengths[2])
		return s;
	key.length = 32;
	key.address[0] = 0;
	return bpf_map_lookup_elem(&prefixes, &key);
}

/*
 * find looks an address up: in the cache, then in the prefixes. The epoch is read before all else: what is found
 * here may be of a later one, never of an earlier.
 */
static __always_inline enum verdict find(const struct prefix *key, const struct control *control, struct steer *steer)
{
	struct cached fresh = {.epoch = control->epoch};
	struct cached *c = bpf_map_lookup_elem(&cache, &key->space);
	struct steer *s;

	if (c && c->epoch == fresh.epoch) {
		*steer = c->steer;
		return VERDICT_CACHED;
	}
	s = find_longest(key, control);
	if (!s)
		return VERDICT_UNKNOWN;
	fresh.steer = *steer = *s;
	bpf_map_update_elem(&cache, &key->space, &fresh, BPF_ANY);
	return VERDICT_FOUND;
}

/* steer_packet gives what became of a packet and, if it is steered, where it goes. */
static __always_inline enum verdict steer_packet(const struct packet *p, int direction, const struct control *c, struct steer *steer)
{
	struct prefix key;

	if (p->kind == KIND_SHORT)
		return VERDICT_SHORT;
	if (p->kind == KIND_OTHER)
		return VERDICT_OTHER;
	subscriber(&key, p, direction);
	return find(&key, c, steer);
}

static __always_inline int is_steered(enum verdict v)
{
	return v == VERDICT_CACHED || v == VERDICT_FOUND || v == VERDICT_CARRIED;
}

/* vlan_direction is the direction of what a stick gets from a VLAN, and of what it doesn't send there. */
static __always_inline int vlan_direction(const struct control *c, __u16 vlan)
{
	if (vlan && vlan == c->internet_vlan)
		return DOWN;
	if (vlan && vlan == c->network_vlan)
		return UP;
	return NEITHER;
}

/* carry puts what was found in front of the packet, if the card keeps room for it. */
static __always_inline void carry(struct xdp_md *ctx, int direction, const struct steer *steer)
{
	struct carried *c;

	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(*c)))
		return;
	c = (void *)(long)ctx->data_meta;
	if ((void *)(c + 1) > (void *)(long)ctx->data)
		return;
	c->magic = MAGIC;
	c->direction = direction;
	c->steer = *steer;
}

/*
 * MAY_MOVE and STAYS say whether a program hands packets over. A packet that is has nothing but its bytes (struct xdp_frame
 * in net/xdp.h): it loses a VLAN tag and an unfinished checksum that a card, or the other end of a veth, keeps beside them. And
 * what generic XDP hands over gets broken: cpu_map_generic_redirect in kernel/bpf/cpumap.c leaves one Ethernet header too much.
 */
#define MAY_MOVE 1
#define STAYS 0

/* hand_over gives the packet to the CPU of its class. It stays on this one if there is no such CPU, or if it can't be moved. */
static __always_inline int hand_over(__u32 cpu, const struct control *c, int fixed)
{
	__u32 cpus_there = c->cpus;

	if (cpus_there && cpu >= cpus_there)
		cpu %= cpus_there;
	if (fixed || cpu == bpf_get_smp_processor_id())
		return XDP_PASS;
	return bpf_redirect_map(&cpus, cpu, XDP_PASS);
}

/*
 * first_bytes are those of the first buffer: asking for all needs Linux 5.18. They are a number from here on, for whose sake no
 * pointer into the packet is kept: the verifier follows the search in the prefixes once for each that there may be.
 */
static __always_inline __u64 first_bytes(const struct xdp_md *ctx)
{
	__u64 bytes = ctx->data_end - ctx->data;

	asm volatile("" : "+r"(bytes));
	return bytes;
}

static __always_inline int enter(struct xdp_md *ctx, const struct control *c, int direction, int may_move)
{
	__u64 bytes = first_bytes(ctx);
	struct packet p = parse((void *)(long)ctx->data, (void *)(long)ctx->data_end);
	int fixed = !may_move || (is_ip(&p) && is_unfinished(&p, (void *)(long)ctx->data_end));
	struct steer steer = {};
	enum verdict v = steer_packet(&p, direction, c, &steer);
	int action;

	count(INGRESS, direction, v, bytes);
	if (!is_steered(v))
		return XDP_PASS;
	carry(ctx, direction, &steer);
	action = hand_over(steer.cpu, c, fixed);
	if (action == XDP_REDIRECT)
		count(INGRESS, direction, VERDICT_REDIRECTED, bytes);
	return action;
}

/* One link for both: the VLAN tells. */
static __always_inline int enter_by_vlan(struct xdp_md *ctx, int may_move)
{
	struct control *c = control();

	if (!c)
		return XDP_PASS;
	switch (vlan_direction(c, outer_vlan((void *)(long)ctx->data, (void *)(long)ctx->data_end))) {
	case DOWN:
		return enter(ctx, c, DOWN, may_move);
	case UP:
		return enter(ctx, c, UP, may_move);
	}
	count(INGRESS, DOWN, VERDICT_ASIDE, ctx->data_end - ctx->data);
	return XDP_PASS;
}

/* From the internet. */
SEC("xdp.frags")
int enter_internet(struct xdp_md *ctx)
{
	struct control *c = control();

	return c ? enter(ctx, c, DOWN, MAY_MOVE) : XDP_PASS;
}

SEC("xdp.frags")
int stay_internet(struct xdp_md *ctx)
{
	struct control *c = control();

	return c ? enter(ctx, c, DOWN, STAYS) : XDP_PASS;
}

/* From the subscribers. */
SEC("xdp.frags")
int enter_network(struct xdp_md *ctx)
{
	struct control *c = control();

	return c ? enter(ctx, c, UP, MAY_MOVE) : XDP_PASS;
}

SEC("xdp.frags")
int stay_network(struct xdp_md *ctx)
{
	struct control *c = control();

	return c ? enter(ctx, c, UP, STAYS) : XDP_PASS;
}

SEC("xdp.frags")
int enter_stick(struct xdp_md *ctx)
{
	return enter_by_vlan(ctx, MAY_MOVE);
}

SEC("xdp.frags")
int stay_stick(struct xdp_md *ctx)
{
	return enter_by_vlan(ctx, STAYS);
}

static __always_inline void add(__u64 circuit, int direction, __u64 packets, __u64 bytes)
{
	struct traffic *t = bpf_map_lookup_elem(&circuits, &circuit);
	struct flow *f;

	if (!t) {
		struct traffic none = {};

		bpf_map_update_elem(&circuits, &circuit, &none, BPF_NOEXIST);
		t = bpf_map_lookup_elem(&circuits, &circuit);
		if (!t)
			return;
	}
	f = &t->direction[direction & 1];
	__sync_fetch_and_add(&f->packets, packets);
	__sync_fetch_and_add(&f->bytes, bytes);
	f->seen = bpf_ktime_get_coarse_ns();
}

/*
 * is_carried takes what ingress found, unless it is of the other direction: a packet from subscriber to
 * subscriber came in as an upload and leaves as a download.
 */
static __always_inline int is_carried(const struct __sk_buff *skb, int direction, struct steer *steer)
{
	struct carried *c = (void *)(long)skb->data_meta;

	if ((void *)(c + 1) > (void *)(long)skb->data || c->magic != MAGIC || c->direction != (__u32)direction)
		return 0;
	*steer = c->steer;
	return 1;
}

/* pull makes the first bytes of the packet be in its linear part, or all of a shorter packet. */
static __always_inline void pull(struct __sk_buff *skb, __u32 bytes)
{
	if (bytes > skb->len)
		bytes = skb->len;
	if ((void *)(long)skb->data + bytes > (void *)(long)skb->data_end)
		bpf_skb_pull_data(skb, bytes);
}

/* look looks the address up. Headers that aren't in the linear part are rare, and costly to pull. */
static __always_inline enum verdict look(struct __sk_buff *skb, const struct control *c, int direction, struct steer *steer)
{
	struct packet p = parse((void *)(long)skb->data, (void *)(long)skb->data_end);

	if (p.kind == KIND_SHORT) {
		pull(skb, HEADERS);
		p = parse((void *)(long)skb->data, (void *)(long)skb->data_end);
	}
	return steer_packet(&p, direction, c, steer);
}

static __always_inline int leave(struct __sk_buff *skb, const struct control *c, int direction)
{
	enum verdict v = VERDICT_CARRIED;
	struct steer steer = {};

	if (!is_carried(skb, direction, &steer))
		v = look(skb, c, direction, &steer);
	count(EGRESS, direction, v, skb->wire_len);
	if (!is_steered(v))
		return NEXT_PROGRAM;
	skb->priority = steer.class;
	skb->queue_mapping = steer.class >> 16; /* counts from 1: skb_get_rx_queue in linux/skbuff.h */
	add(steer.circuit, direction, skb->gso_segs ? skb->gso_segs : 1, skb->wire_len);
	return NEXT_PROGRAM;
}

/* To the internet. */
SEC("tc")
int leave_internet(struct __sk_buff *skb)
{
	struct control *c = control();

	return c ? leave(skb, c, UP) : NEXT_PROGRAM;
}

/* To the subscribers. */
SEC("tc")
int leave_network(struct __sk_buff *skb)
{
	struct control *c = control();

	return c ? leave(skb, c, DOWN) : NEXT_PROGRAM;
}

/* One link for both. The card may be the one to insert the outermost tag; then it isn't in the data. */
SEC("tc")
int leave_stick(struct __sk_buff *skb)
{
	struct control *c = control();
	__u16 vlan = skb->vlan_tci & VLAN_ID;

	if (!c)
		return NEXT_PROGRAM;
	if (!skb->vlan_present) {
		pull(skb, sizeof(struct ethernet) + sizeof(struct tag));
		vlan = outer_vlan((void *)(long)skb->data, (void *)(long)skb->data_end);
	}
	switch (vlan_direction(c, vlan)) {
	case DOWN:
		return leave(skb, c, UP);
	case UP:
		return leave(skb, c, DOWN);
	}
	count(EGRESS, DOWN, VERDICT_ASIDE, skb->wire_len);
	return NEXT_PROGRAM;
}
