package xdp

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// pinned is a map, a program or a bpf_link.
type pinned interface {
	Pin(path string) error
	Unpin() error
}

// keepPins pins again what somebody unpinned: without a pin it would end with this process.
func (p *Plane) keepPins() {
	err := p.directory.keep()
	var made []string
	if err == nil {
		made, err = p.pinAgain()
	}
	if len(made) > 0 {
		p.options.Logger.Warn("somebody removed pins; they are made again", "pins", made)
	}
	if err == nil {
		p.unpinned = ""
	} else if text := err.Error(); text != p.unpinned {
		p.options.Logger.Error("pins can't be made again: what they should keep ends with this process", "error", text)
		p.unpinned = text
	}
}

// pinAgain makes the pins that are missing.
func (p *Plane) pinAgain() (made []string, err error) {
	all := map[string]pinned{}
	for name, m := range p.objects.maps {
		all[p.directory.in(p.folder, name)] = m
	}
	for name, program := range p.objects.programs {
		all[p.directory.in(p.folder, p.programsFolder, name)] = program
	}
	for name, l := range p.links {
		all[p.directory.in(linksFolder, name)] = l
	}
	var errs []error
	for path, object := range all {
		if _, err := os.Lstat(path); err == nil {
			continue
		} else if !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
			continue
		}
		err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), object.Unpin()) // else it thinks that it is pinned
		if err == nil {
			err = object.Pin(path)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("pin %s: %w", filepath.Base(path), err))
			continue
		}
		made = append(made, filepath.Base(path))
	}
	if text, err := readNote(p.directory.in(layoutNote)); err == nil && text == "" {
		errs = append(errs, p.noteLayout(p.layout))
	}
	return made, errors.Join(errs...)
}

// noteLayout notes l for those who look at the pins.
func (p *Plane) noteLayout(l Layout) error {
	text, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return writeNote(p.directory.in(layoutNote), string(text))
}

// keep makes a directory again that somebody removed, and locks the new one.
func (d *directory) keep() error {
	mine, err := d.lock.Stat()
	if err != nil {
		return err
	}
	if there, err := os.Stat(d.path); err == nil && os.SameFile(mine, there) {
		return nil
	}
	if is, err := isBPFFS(d.fs.path); err != nil || !is {
		return errors.Join(err, fmt.Errorf("there is no bpffs at %s any more", d.fs.shown))
	}
	if err := os.MkdirAll(d.in(linksFolder), 0o700); err != nil {
		return err
	}
	locked, err := lock(d.path)
	if err != nil {
		return err
	}
	err = d.lock.Close()
	d.lock = locked
	return err
}
