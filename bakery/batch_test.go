package bakery_test

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"lqosd/bakery"
	"lqosd/eventlog"
)

// refusedMember is a member that a batch refuses after those of smallBatch.
type refusedMember struct {
	name   string
	member bakery.Member
	want   string // in the reason
}

func refusedMembers() []refusedMember {
	circuit := func(edit ...func(*bakery.AddCircuit)) bakery.Member { return stateCircuit(99, "1:3", 9, 1, edit...) }
	rates := func(b bakery.Bandwidths) bakery.Member {
		return circuit(func(c *bakery.AddCircuit) { c.Bandwidths = b })
	}
	long, control := strings.Repeat("x", 4097), "C\n9"
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	return []refusedMember{
		{"minor 0", stateCircuit(99, "1:3", 0, 1), "class_minor 0"},
		{"minor 1", stateSite(99, "1:3", 1, 1), "class_minor 1"},
		{"minor 2", stateCircuit(99, "1:3", 2, 1), "class_minor 2"},
		{"parent 0", stateSite(99, "0:", 9, 1), "parent none: neither"},
		{"parent root", stateSite(99, "ffff:ffff", 9, 1), "neither"},
		{"parent that is the default class", stateCircuit(99, "1:2", 9, 1), "parent 1:2: neither"},
		{"upload parent 0", stateSite(99, "1:", 9, 1, func(s *bakery.AddSite) { s.UpParent = 0 }), "(upload): neither"},
		{"another major than the parent's", circuit(func(c *bakery.AddCircuit) { c.Major = 2 }), "class 2:9: its parent 1:3 is in another queue"},
		{"another major than the parent's for the upload", circuit(func(c *bakery.AddCircuit) { c.UpMajor = 2 }), "class 2:9 (upload): its parent 1:3"},
		{"site below itself", stateSite(99, "1:9", 9, 1), "the class itself"},
		{"circuit below itself", stateCircuit(99, "1:9", 9, 1), "the class itself"},
		{"class of another", stateCircuit(99, "1:3", 5, 1), `class 1:5 belongs to circuit "C81"`},
		{"class of a site", stateCircuit(99, "1:3", 4, 1), "class 1:4 belongs to site 72"},
		{"upload class of another", circuit(func(c *bakery.AddCircuit) { c.Major, c.Parent, c.Minor = 2, handle("2:"), 6 }),
			`class 1:6 (upload) belongs to circuit "C82"`},
		{"address of another", circuit(at("10.9.0.1", "10.0.0.5/32")), `10.0.0.5/32 belongs to circuit "C81"`},
		{"prefix of another", circuit(at("fd00:6:0:0:1::/56")), `fd00:6::/56 belongs to circuit "C82"`},
		{"no address", circuit(at("10.9.0.1", "10.9.0.300")), `ip_addresses: "10.9.0.300" is no IP address`},
		{"no prefix", circuit(at("10.9.0.1/33")), `"10.9.0.1/33" is no IP prefix`},
		{"no number", rates(bakery.Bandwidths{DownMin: nan}), "NaN"},
		{"negative", rates(bakery.Bandwidths{UpMin: -1}), "-1 Mbit/s: negative"},
		{"infinite", rates(bakery.Bandwidths{DownMax: inf}), "Inf"},
		{"over 64 bits", rates(bakery.Bandwidths{UpMax: 1e30}), "1e+30"},
		{"site with a negative rate", stateSite(99, "1:", 9, -1), "negative"},
		{"long name", circuit(func(c *bakery.AddCircuit) { c.Name = &long }), "a name has 4097 bytes"},
		{"long name of the site", circuit(func(c *bakery.AddCircuit) { c.SiteName = &long }), "a name has 4097 bytes"},
		{"control character in the name", circuit(func(c *bakery.AddCircuit) { c.Name = &control }), "control character"},
		{"control character in the site's name", circuit(func(c *bakery.AddCircuit) { c.SiteName = &control }), "control character"},
		{"unknown leaf", circuit(sqm("sourdough")), "sqm_override"},
		{"unknown leaf of the upload", circuit(sqm("cake/sourdough")), "sqm_override"},
		{"leaf with an unknown option", circuit(sqm("cake raisins")), "raisins"},
		{"leaf that holds classes", circuit(sqm("htb")), "htb can't be the leaf"},
		{"three leaves", circuit(sqm("cake/cake/cake")), "sqm_override"},
		{"leaf with a control character", circuit(sqm("cake \x00")), "control character"},
	}
}

// TestBatchRefusals: what a batch can't take is refused at once, refuses the whole batch with
// the number and name of the item, and changes nothing.
func TestBatchRefusals(t *testing.T) {
	r := newRig(t, twoLinks)
	r.must(commitOf(t, smallBatch()...))
	before := r.tree().Hash()
	everything := batchOf(t, smallBatch()...)
	for _, tt := range refusedMembers() {
		t.Run(tt.name, func(t *testing.T) {
			b := batchOf(t, smallBatch()...)
			err := b.Add(tt.member)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("reason %v doesn't name %q", err, tt.want)
			}
			if err := b.Add(stateSite(100, "1:", 10, 1)); err != nil {
				t.Errorf("the next item: %v", err)
			}
			out := r.submit(b.Commit())[0]
			want := "the batch is refused, 1 of its 6 items can't be: item 5, " + err.Error()
			if out.Err == nil || out.Err.Error() != want {
				t.Errorf("the commit's answer is %v\nwant %s", out.Err, want)
			}
			if r.tree().Hash() != before {
				t.Error("the tree changed")
			}
			_ = everything.Add(tt.member)
		})
	}
	err := r.submit(everything.Commit())[0].Err
	for i, tt := range refusedMembers() {
		if n := fmt.Sprintf("item %d, ", i+5); err == nil || !strings.Contains(err.Error(), n) || !strings.Contains(err.Error(), tt.want) {
			t.Fatalf("%s isn't named, or not as %s", tt.name, n)
		}
	}
	if n := len(refusedMembers()); !strings.Contains(err.Error(), fmt.Sprintf("%d of its %d items", n, n+4)) {
		t.Errorf("the refusal begins %.100s", err)
	}
	r.must(commitOf(t, smallBatch()...))
	r.restart()
	if seq := r.tree().Seq; seq != 2 {
		t.Errorf("%d records were logged", seq)
	}
}

// TestBatchOfCircles: sites that are below each other are all named, however they were sent.
func TestBatchOfCircles(t *testing.T) {
	r := newRig(t, twoLinks)
	b := batchOf(t, stateSite(1, "1:4", 3, 1), stateCircuit(9, "1:3", 9, 1), stateSite(2, "1:5", 4, 1), stateSite(3, "1:3", 5, 1),
		stateSite(4, "2:4", 3, 1), stateSite(5, "2:3", 4, 1), stateSite(6, "1:", 6, 1))
	err := r.submit(b.Commit())[0].Err
	want := "the batch is refused, 2 of its 7 items can't be: item 1, site 1: it is below itself\nitem 5, site 4: it is below itself"
	if err == nil || err.Error() != want {
		t.Errorf("the answer is %v\nwant %s", err, want)
	}
	if seq := r.tree().Seq; seq != 0 {
		t.Errorf("%d records were logged", seq)
	}
}

// TestParentsFirst: a site that comes after what is below it is moved in front of that, and
// nothing else is.
func TestParentsFirst(t *testing.T) {
	b := batchOf(t, stateCircuit(81, "1:5", 8, 1), stateSite(74, "2:", 3, 1), stateSite(73, "1:4", 5, 1), stateCircuit(82, "1:3", 9, 1),
		stateSite(72, "1:3", 4, 1), stateSite(71, "1:", 3, 1), stateCircuit(83, "2:3", 8, 1))
	c, ok := b.Commit().(bakery.Commit)
	if !ok {
		t.Fatalf("%T", b.Commit())
	}
	var got []int64
	for _, m := range c.Members {
		if m.Site != nil {
			got = append(got, m.Site.SiteHash)
		} else {
			got = append(got, m.Circuit.CircuitHash)
		}
	}
	if want := []int64{71, 72, 73, 81, 74, 82, 83}; !slices.Equal(got, want) {
		t.Errorf("order %v, want %v", got, want)
	}
	newRig(t, twoLinks).must(c)
}

// TestParentsOfEitherDirection: a site counts as a parent though only the upload is below it.
func TestParentsOfEitherDirection(t *testing.T) {
	below := stateCircuit(81, "1:", 8, 1, func(c *bakery.AddCircuit) { c.UpParent = handle("1:3") })
	newRig(t, twoLinks).must(commitOf(t, below, stateSite(71, "1:", 3, 1)))
}

// TestBatchSetUp: queues are stated once, or twice alike.
func TestBatchSetUp(t *testing.T) {
	for name, tt := range map[string]struct {
		setups []bakery.MqSetup
		want   string
	}{
		"none":              {nil, ""},
		"once":              {[]bakery.MqSetup{queuesOf(2, 0)}, ""},
		"twice":             {[]bakery.MqSetup{queuesOf(2, 0), queuesOf(2, 0)}, ""},
		"other queues":      {[]bakery.MqSetup{queuesOf(2, 0), queuesOf(3, 0)}, "item 2, BakeryMqSetup: the batch has one with other values"},
		"another offset":    {[]bakery.MqSetup{queuesOf(2, 0), queuesOf(2, 2)}, "item 2, BakeryMqSetup: the batch has one with other values"},
		"no queues":         {[]bakery.MqSetup{queuesOf(0, 0)}, "item 1, BakeryMqSetup: 0 queues: must be 1 to 16383"},
		"negative queues":   {[]bakery.MqSetup{queuesOf(-1, 0)}, "item 1, BakeryMqSetup: -1 queues"},
		"too many queues":   {[]bakery.MqSetup{queuesOf(16384, 0)}, "item 1, BakeryMqSetup: 16384 queues"},
		"a stick's offset":  {[]bakery.MqSetup{queuesOf(2, 2)}, "stick_offset 2: must be 0"},
		"too few for a use": {[]bakery.MqSetup{queuesOf(1, 0)}, "majors of that direction are 1 to 1"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, twoLinks)
			b := bakery.NewBatch()
			for _, m := range tt.setups {
				_ = b.SetUp(m) // the commit has to say it
			}
			if err := b.Add(stateSite(1, "2:", 3, 1)); err != nil {
				t.Fatal(err)
			}
			err := r.submit(b.Commit())[0].Err
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("the answer is %v, want %s", err, tt.want)
			}
		})
	}
}

// TestRefusedForTheCaller: what nobody could read refuses the batch as an item of it.
func TestRefusedForTheCaller(t *testing.T) {
	r := newRig(t, twoLinks)
	b := batchOf(t, smallBatch()...)
	b.Refuse(errors.New("BakeryAddSite: no site_hash"))
	err := r.submit(b.Commit())[0].Err
	if want := "the batch is refused, 1 of its 5 items can't be: item 5, BakeryAddSite: no site_hash"; err == nil || err.Error() != want {
		t.Errorf("the answer is %v", err)
	}
}

// TestOversizeBatch: a batch that no record of the log can hold is refused.
func TestOversizeBatch(t *testing.T) {
	blanks := strings.Repeat(" ", eventlog.MaxRecord/2)
	b := batchOf(t, stateCircuit(81, "1:", 8, 1, at(blanks)))
	if err := b.Add(stateCircuit(82, "1:", 9, 1, at(blanks))); err == nil || !strings.Contains(err.Error(), "the batch is over 66060288 bytes") {
		t.Fatalf("a batch of 64 MiB: %v", err)
	}
	if err := newRig(t, twoLinks).submit(b.Commit())[0].Err; err == nil || !strings.Contains(err.Error(), "item 2, ") {
		t.Errorf("the answer is %.200v", err)
	}
}

// TestDroppedBatch: a batch that is dropped keeps nothing, whatever is added, and is refused.
func TestDroppedBatch(t *testing.T) {
	b := batchOf(t, smallBatch()...)
	if b.Memory() == 0 {
		t.Error("a batch takes no memory")
	}
	b.Drop(errors.New("it was there too long"))
	for range 1000 {
		if err := b.Add(stateCircuit(83, "1:3", 7, 1)); err == nil || !strings.Contains(err.Error(), "too long") {
			t.Fatalf("added: %v", err)
		}
	}
	if n := b.Memory(); n != 0 {
		t.Errorf("it takes %d bytes", n)
	}
	err := newRig(t, twoLinks).submit(b.Commit())[0].Err
	if want := "the batch is refused, 1001 of its 1004 items can't be: item 4, it was there too long\nand 1000 more"; err == nil || err.Error() != want {
		t.Errorf("the answer is %v", err)
	}
}

// TestTrialRefusedForEver: items that are all refused take no more memory than a batch may.
func TestTrialRefusedForEver(t *testing.T) {
	b := bakery.NewBatch()
	n, most := 0, 0
	for ; n < 3<<20; n++ {
		err := b.Add(stateCircuit(int64(n), "1:3", uint16(n), -1))
		if most = max(most, b.Memory()); err == nil {
			t.Fatal("it was taken")
		} else if strings.Contains(err.Error(), "the batch is over") {
			break
		}
	}
	if n == 3<<20 || most > 256<<20 {
		t.Errorf("%d items were remembered, in %d bytes", n, most)
	}
}

// TestLongName: of a long name a refusal has the beginning.
func TestLongName(t *testing.T) {
	long := strings.Repeat("x", 4096)
	b := bakery.NewBatch()
	_ = b.Add(stateCircuit(81, "1:", 9, -1, func(c *bakery.AddCircuit) { c.Name = &long }))
	err := newRig(t, twoLinks).submit(b.Commit())[0].Err
	if err == nil || len(err.Error()) > 500 || !strings.Contains(err.Error(), "xxx…") {
		t.Errorf("the answer has %d bytes", len(err.Error()))
	}
}

// TestLongRefusal names a bounded number of items, and says how many there are besides.
func TestLongRefusal(t *testing.T) {
	b := bakery.NewBatch()
	long := strings.Repeat("x", 4096)
	for range 5000 {
		b.Refuse(errors.New(long))
	}
	err := newRig(t, twoLinks).submit(b.Commit())[0].Err
	if err == nil || len(err.Error()) > 9<<20 || !strings.Contains(err.Error(), "5000 of its 5000 items") || !strings.HasSuffix(err.Error(), " more") {
		t.Errorf("the answer has %d bytes and ends %s", len(err.Error()), err.Error()[len(err.Error())-20:])
	}
}

// TestEverythingRefusedIsNamed: what is wrong by itself, by its place and by its queue; what is below a refused
// site isn't wrong for that.
func TestEverythingRefusedIsNamed(t *testing.T) {
	b := bakery.NewBatch()
	for _, m := range []bakery.Member{stateSite(72, "9:", 3, 1), stateSite(73, "1:", 2, 1), stateSite(74, "1:", 4, 1), stateCircuit(81, "1:9", 5, 1),
		stateSite(75, "1:", 6, -1), stateCircuit(82, "1:6", 7, 1), stateCircuit(83, "1:4", 8, 1)} {
		_ = b.Add(m)
	}
	r := newRig(t, twoLinks)
	err := r.submit(b.Commit())[0].Err
	want := "the batch is refused, 4 of its 7 items can't be: item 2, site 73: class_minor 2: 0, 1 and 2 are the queue's own\n" +
		"item 5, site 75: rate -1 Mbit/s: negative\n" +
		"item 4, circuit \"C81\": parent 1:9: there is no such site\n" +
		"item 1, site 72: class 9:3: eth1 has no such queue: the majors of that direction are 1 to 2"
	if err == nil || err.Error() != want {
		t.Errorf("the answer is %v\nwant %s", err, want)
	}
}

// TestFoldNamesItems: what only the tree shows is named with the number that it had, though sites come before what is below them.
func TestFoldNamesItems(t *testing.T) {
	b := batchOf(t, stateCircuit(81, "9:3", 5, 1), stateSite(71, "1:", 4, 1), stateSite(72, "9:", 3, 1))
	err := newRig(t, twoLinks).submit(b.Commit())[0].Err
	want := "item 3, site 72: class 9:3: eth1 has no such queue: the majors of that direction are 1 to 2\n" +
		"item 1, circuit \"C81\": class 9:5: eth1 has no such queue: the majors of that direction are 1 to 2"
	if err == nil || err.Error() != want {
		t.Errorf("the answer is %v\nwant %s", err, want)
	}
}
