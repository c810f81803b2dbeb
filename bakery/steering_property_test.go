package bakery_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"lqosd/bakery"
	"lqosd/bakery/kerneltest"
	"lqosd/bakery/tc"
)

// happening is something that happens to a steerRig, drawn before it does.
type happening struct {
	text string
	do   func(r *steerRig)
}

func (h happening) String() string { return h.text }

var (
	genSteered = rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.2", "10.0.0.0/24", "fd00::/56"})
	genClass   = rapid.SampledFrom([]string{"1:3", "1:4", "1:5", "1:6", "2:5"})
	genEither  = rapid.SampledFrom([]string{"eth1", "eth1", "eth0"})
	genPause   = rapid.SampledFrom([]time.Duration{0, 10 * time.Millisecond, 300 * time.Millisecond, time.Second, 4 * time.Second})
)

func genHappening(t *rapid.T) happening {
	switch rapid.IntRange(0, 15).Draw(t, "happening") {
	case 0, 1, 2, 3, 4, 5:
		return genSubmission(t)
	case 6, 7, 8:
		d := genPause.Draw(t, "pause")
		return happening{fmt.Sprintf("quiet for %v", d), func(r *steerRig) { r.quiet(d) }}
	case 9:
		line := genMeddling(t)
		return happening{"somebody: " + line, func(r *steerRig) { _ = r.k.Meddle(line) }}
	case 10:
		n, line := rapid.IntRange(1, 4).Draw(t, "ahead of op"), genMeddling(t)
		return happening{fmt.Sprintf("somebody ahead of op %d: %s", n, line), func(r *steerRig) { r.aheadOf(n, func() { _ = r.k.Meddle(line) }) }}
	case 11:
		s := genSteer(t)
		return happening{"somebody sets " + s.String(), func(r *steerRig) { r.d.Meddle([]tc.Steer{s}, nil) }}
	case 12:
		s := genSteer(t)
		return happening{"somebody drops " + s.String(), func(r *steerRig) { r.d.Meddle(nil, []tc.Steer{s}) }}
	case 13:
		return genFault(t)
	case 14:
		n := rapid.IntRange(1, 6).Draw(t, "killed ahead of write")
		return happening{fmt.Sprintf("killed ahead of write %d", n), func(r *steerRig) {
			r.killAheadOf(n, bakery.AddStructuralHTBClass{Link: "eth1", Parent: "1:4", ClassID: "3", RateMbps: 50, CeilMbps: 50, SiteHash: 7, R2Q: 10})
			r.start()
		}}
	}
	link := genEither.Draw(t, "link")
	return happening{"link " + link + " goes and comes", func(r *steerRig) {
		r.k.RemoveLink(link)
		r.quiet(200 * time.Millisecond)
		r.k.AddLink(kerneltest.Link{Name: link})
	}}
}

func genSubmission(t *rapid.T) happening {
	commands := rapid.SliceOfN(rapid.Custom(genSteeredCommand), 1, 5).Draw(t, "commands")
	return happening{"commands " + commandsText(commands), func(r *steerRig) { r.submit(commands...) }}
}

// commandsText shows the members of batches, too.
func commandsText(commands []bakery.Command) string {
	var text []string
	for _, c := range commands {
		text = append(text, fmt.Sprintf("%T %+v", c, c))
		if c, ok := c.(bakery.Commit); ok {
			b, _ := json.Marshal(c.Members)
			text = append(text, string(b))
		}
	}
	return strings.Join(text, ", ")
}

func genSteeredCommand(t *rapid.T) bakery.Command {
	link, class := genEither.Draw(t, "link"), genClass.Draw(t, "class")
	switch rapid.IntRange(0, 16).Draw(t, "command") {
	case 0:
		return bakery.ClearPriorSettings{}
	case 1:
		return bakery.MqSetup{}
	case 2, 3, 4, 5:
		parent := rapid.SampledFrom([]string{class[:1] + ":1", class[:1] + ":1", "1:3", "1:4"}).Draw(t, "parent")
		return circuit(link, parent, class[2:], int64(class[2]), rapid.Float64Range(1, 3).Draw(t, "ceil"))
	case 6:
		return bakery.ExecuteTCCommands{Force: true, Lines: []string{"class del dev " + link + " classid " + class}}
	case 7:
		return bakery.ExecuteTCCommands{Force: true, Lines: []string{"qdisc del dev " + link + " parent 7fff:1", "qdisc add dev " + link + " parent 7fff:1 handle 1: htb default 2"}}
	case 8:
		return bakery.ClearIPFlow{}
	case 9:
		return bakery.DelIPFlow{Address: genSteered.Draw(t, "prefix"), Upload: rapid.Bool().Draw(t, "upload")}
	case 10, 11:
		return genSteeredCommit(t)
	case 12:
		return speed(71, 1, rapid.Float32Range(1, 3).Draw(t, "ceil"), 1, 2)
	}
	m := forCircuit(mapTo(genSteered.Draw(t, "prefix"), class), rapid.Uint64Range(1, 3).Draw(t, "circuit"))
	m.Upload = rapid.IntRange(0, 3).Draw(t, "upload") == 0
	return m
}

// genSteeredCommit has the classes of genClass, some of them, with the addresses of genSteered.
func genSteeredCommit(t *rapid.T) bakery.Command {
	b := bakery.NewBatch()
	site := rapid.SampledFrom([]uint16{0, 3, 4}).Draw(t, "site")
	if site != 0 {
		_ = b.Add(stateSite(71, "1:", site, 100))
	}
	for _, minor := range rapid.SliceOfNDistinct(rapid.Uint16Range(3, 6), 0, 3, rapid.ID).Draw(t, "minors") {
		parent := "1:"
		if site != 0 && rapid.Bool().Draw(t, "below the site") {
			parent = fmt.Sprintf("1:%d", site)
		}
		up := func(c *bakery.AddCircuit) {}
		if rapid.IntRange(0, 3).Draw(t, "upload elsewhere") == 0 {
			up = func(c *bakery.AddCircuit) { c.UpParent, c.UpMajor = handle("2:"), 2 }
		}
		addresses := rapid.SliceOfN(genSteered, 0, 2).Draw(t, "addresses")
		_ = b.Add(stateCircuit(rapid.Int64Range(1, 4).Draw(t, "circuit"), parent, minor, 2, at(addresses...), up)) // or the batch is refused
	}
	return b.Commit()
}

func genMeddling(t *rapid.T) string {
	link, class := genEither.Draw(t, "link"), genClass.Draw(t, "class")
	switch rapid.IntRange(0, 4).Draw(t, "meddling") {
	case 0:
		return "class add dev " + link + " parent 1:1 classid " + class + " htb rate 1mbit"
	case 1:
		return "qdisc del dev " + link + " root"
	case 2:
		return "qdisc del dev " + link + " parent 7fff:1"
	}
	return "class del dev " + link + " classid " + class
}

func genSteer(t *rapid.T) tc.Steer {
	p := rapid.SampledFrom([]string{"10.0.0.1", "10.0.0.2", "10.0.0.9"}).Draw(t, "prefix")
	return steerOf(p, rapid.OneOf(genClass, rapid.Just("9:9")).Draw(t, "class"), rapid.Bool().Draw(t, "upload"))
}

func genFault(t *rapid.T) happening {
	n, times := rapid.IntRange(0, 3).Draw(t, "n"), rapid.IntRange(1, 4).Draw(t, "times")
	verb := rapid.SampledFrom([]tc.Verb{tc.Add, tc.Delete, tc.Change}).Draw(t, "verb")
	match := func(op tc.Op) bool { return op.Verb == verb }
	switch rapid.IntRange(0, 4).Draw(t, "fault") {
	case 0:
		return happening{fmt.Sprintf("Steer %d fails after %d", times, n), func(r *steerRig) { r.d.FailSteer(times, n, errPlane) }}
	case 1:
		return happening{fmt.Sprintf("Steers fails %d times", times), func(r *steerRig) { r.d.FailSteers(errPlane, times) }}
	case 2:
		return happening{fmt.Sprintf("%v fails %d times", verb, times), func(r *steerRig) { r.k.FailWhen(match, outOfLuck, times) }}
	case 3:
		return happening{fmt.Sprintf("%v is done %d times and nobody knows", verb, times), func(r *steerRig) { r.k.LoseAcks(match, times) }}
	}
	return happening{fmt.Sprintf("Observe fails %d times", times), func(r *steerRig) { r.k.FailObserve(outOfLuck, times); r.k.Overrun() }}
}

// aheadOf does something ahead of the nth op from now.
func (r *steerRig) aheadOf(n int, do func()) {
	r.k.Before(func(tc.Op) {
		if n--; n == 0 {
			do()
		}
	})
}

// TestSteeringAlways: whatever happens, no entry points to a class that isn't there; when it
// is over the dataplane has what the mappings ask for, and the same mappings again write
// nothing.
func TestSteeringAlways(t *testing.T) {
	for name, edit := range map[string]func(*bakery.Options){"repairing": func(*bakery.Options) {}, "reporting": reporting} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(rt *rapid.T) {
				happenings := rapid.SliceOfN(rapid.Custom(genHappening), 1, 25).Draw(rt, "happenings")
				for _, fault := range steerThrough(t, happenings, edit) {
					rt.Error(fault)
				}
			})
		})
	}
}

// steerThrough lets things happen in a bubble, and gives what was wrong.
func steerThrough(t *testing.T, happenings []happening, edit func(*bakery.Options)) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	synctest.Test(t, func(t *testing.T) {
		r := newSteerRig(t, twoLinks, edit)
		defer r.stop()
		r.must(smallNetwork()...)
		for i, h := range happenings {
			h.do(r)
			if broken := r.d.Broken(); len(broken) > 0 {
				fault("%d, %s: %q", i+1, h, broken)
				return
			}
		}
		r.k.Before(nil)
		r.k.Heal()
		r.d.Heal()
		s := r.quiet(2 * time.Minute)
		for _, b := range r.d.Broken() {
			fault("%s", b)
		}
		if r.o.Drift == bakery.DriftReport && s.DriftTotal > 0 {
			return // what drifted may stay so
		}
		if d := r.unsteered(); d != "" {
			fault("the dataplane differs from the mappings:\n%s", d)
		}
		if s.Applied != r.tree().Seq {
			fault("records up to %d are applied, of %d: %+v", s.Applied, r.tree().Seq, s)
		}
		r.d.Reset()
		r.k.Reset()
		commands := []bakery.Command{bakery.ClearIPFlow{}}
		for m := range r.tree().Mappings {
			id := m.Circuit
			commands = append(commands, bakery.MapIPToFlow{Address: m.Prefix.String(), Handle: uint32(m.Handle), CPU: m.CPU, Upload: m.Upload, CircuitID: &id})
		}
		for _, o := range r.submit(commands...) {
			if o.Err != nil {
				return // a class has gone since: it isn't the same
			}
		}
		r.quiet(time.Minute)
		r.restart()
		r.quiet(time.Minute)
		if n, ops := len(r.d.Writes()), r.k.Counts().Ops; n+ops > 0 {
			fault("the same again wrote %q and %q", r.d.Writes(), r.k.Writes())
		}
	})
	return faults
}
