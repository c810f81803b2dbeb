package bakery

// CompareWhole makes links be compared as a whole, also where little has changed.
func CompareWhole(o *Options) { o.whole = true }

// CompareAtMost makes links be compared as a whole where more than n handles are to be compared.
func CompareAtMost(n int) func(*Options) { return func(o *Options) { o.few = n } }

// RememberFew lets what plays a log remember n texts, commands, lines and leaves, none of more bytes than that, until it is undone.
func RememberFew(n, bytes int) (undo func()) {
	was := usualMemory
	usualMemory = remembering{texts: n, commands: n, lines: n, leaves: n, textBytes: bytes, knownBytes: bytes, leafBytes: bytes}
	return func() { usualMemory = was }
}

// HoldsPayload tells whether the record of a submission of one command is kept.
func (t *Ticket) HoldsPayload() bool { return t.one.payload[0] != nil }

// FoldSidesOf makes batches of n members and more be folded on two processors, until it is undone.
func FoldSidesOf(n int) (undo func()) {
	was := fewMembers
	fewMembers = n
	return func() { fewMembers = was }
}

// SizesOf are the bytes that a member takes in a record: as they are computed, and as they are written.
func SizesOf(m Member) (computed, written int) { return memberSize(m), len(appendMember(nil, m)) }

// CommitSorted is Commit, with the members sorted whether they came in order or not.
func (b *Batch) CommitSorted() Command {
	b.astray = true
	return b.Commit()
}
