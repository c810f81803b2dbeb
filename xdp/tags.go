package xdp

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// A card may take VLAN tags off and keep them beside the packet. XDP doesn't see them there, and a packet that it hands to
// another CPU loses them (struct xdp_frame in net/xdp.h has no room for one). So cards of the layout leave tags where they are.

// tagFeatures are the features by which cards take tags off: of 802.1Q and of 802.1ad (netdev_features_strings in
// net/ethtool/common.c).
var tagFeatures = []string{"rx-vlan-hw-parse", "rx-vlan-stag-hw-parse"}

// showTags makes the card of a link leave tags in the packets, and notes what it did before.
func (p *Plane) showTags(a *attached) {
	if a.index == 0 || a.kind != "" || p.options.Redirect == RedirectNever || p.options.Mode == Generic {
		return
	}
	was := a.tags
	a.tags, a.shown = "", true
	if err := p.switchTagsOff(a); err != nil {
		a.tags = "the card may keep VLAN tags beside the packet: " + err.Error()
	}
	if a.tags != was && a.tags != "" {
		p.options.Logger.Warn("packets stay on the CPU that they come in by", "link", a.link, "reason", a.tags)
	}
}

func (p *Plane) switchTagsOff(a *attached) (err error) {
	f, err := openFeatures(a.link)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	on, err := f.active(tagFeatures)
	if err != nil || len(on) == 0 {
		return err
	}
	note := p.directory.in(tagNotes + strconv.Itoa(a.index))
	known, err := readNote(note)
	if err != nil {
		return err
	}
	all := strings.Fields(known)
	for _, name := range on {
		if !slices.Contains(all, name) {
			all = append(all, name)
		}
	}
	if err := writeNote(note, strings.Join(all, " ")); err != nil {
		return err
	}
	if err := f.set(on, false); err != nil {
		return err
	}
	if on, err = f.active(tagFeatures); err == nil && len(on) > 0 {
		return fmt.Errorf("%s of link %s can't be switched off", strings.Join(on, " and "), a.link)
	}
	p.options.Logger.Info("the card leaves VLAN tags in the packets now", "link", a.link, "features", strings.Join(all, " "))
	return err
}

// restoreTags gives features back that were on before us, but for those of some links, and forgets them.
func (d *directory) restoreTags(but []int) (restored []string, err error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), tagNotes)
		index, err := strconv.Atoi(number)
		if !ok || err != nil || slices.Contains(but, index) {
			continue
		}
		text, err := restoreTagsOf(index, d.in(e.Name()))
		if text != "" {
			restored = append(restored, text)
		}
		if err == nil {
			err = os.Remove(d.in(e.Name()))
		}
		errs = append(errs, err)
	}
	return restored, errors.Join(errs...)
}

// restoreTagsOf switches on again what a note has. A link that is gone has no more need of it.
func restoreTagsOf(index int, note string) (did string, err error) {
	text, err := readNote(note)
	if err != nil {
		return "", err
	}
	name, err := nameOf(index)
	if err != nil || name == "" {
		return "", err
	}
	f, err := openFeatures(name)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.set(strings.Fields(text), true); err != nil {
		return "", err
	}
	return fmt.Sprintf("the VLAN tags on %s: %s is on again", name, text), nil
}
