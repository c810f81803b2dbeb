package main

import (
	"errors"
	"io/fs"
	"log/slog"
	"path/filepath"

	"lqosd/bakery"
	"lqosd/internal/cli"
	"lqosd/internal/lqosconf"
)

const defaultConfig = "/etc/lqos.conf"

// settings is the configuration with the flags applied.
type settings struct {
	lqosconf.Config
	configPath string // "" for the built-in defaults
	tcPath     string
}

// loadSettings reads the configuration that the flags name. Warnings are logged.
func loadSettings(f serveFlags, log *slog.Logger) (settings, error) {
	s, warnings, err := readConfig(f.config)
	if err != nil {
		return settings{}, err
	}
	for _, w := range warnings {
		log.Warn("configuration", "file", s.configPath, "warning", w)
	}
	if s.configPath == "" && f.stateDir != "" { // everything of the defaults moves along
		s.LqosDirectory, s.Bakery.Socket = f.stateDir, filepath.Join(f.stateDir, "bus")
	}
	override(&s.Bakery.Mode, f.mode)
	override(&s.Bakery.StateDirectory, f.stateDir)
	override(&s.Bakery.Socket, f.socket)
	if s.Bakery.Mode == lqosconf.ModeFile {
		s.tcPath = filepath.Join(s.LqosDirectory, "tc-rust.txt")
		override(&s.tcPath, f.tcFile)
	}
	if s.Bakery.Mode != lqosconf.ModeFile && s.Bakery.Mode != lqosconf.ModeApply {
		return settings{}, cli.Usagef("--mode %q: must be apply or file", s.Bakery.Mode)
	}
	if s.configPath == "" {
		log.Info("no configuration file: built-in defaults, "+s.Bakery.Mode+" mode", "state_dir", s.Bakery.StateDirectory)
	}
	return s, nil
}

// absolute is a path as somebody in another directory has to write it.
func absolute(path string) string {
	if path == "" {
		return ""
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}

func override(v *string, flag string) {
	if flag != "" {
		*v = flag
	}
}

func readConfig(path string) (settings, []lqosconf.Warning, error) {
	optional := path == ""
	if optional {
		path = defaultConfig
	}
	c, warnings, err := lqosconf.Load(path, checkLeaf)
	if optional && errors.Is(err, fs.ErrNotExist) {
		return settings{Config: lqosconf.Default()}, nil, nil
	}
	return settings{Config: c, configPath: path}, warnings, err
}

func checkLeaf(words string) error { return bakery.CheckLeaf([]string{words}) }

// reread reads the configuration file again, for MqSetup.
func (s settings) reread() (lqosconf.Config, error) {
	if s.configPath == "" {
		return s.Config, nil
	}
	c, _, err := lqosconf.Load(s.configPath, checkLeaf)
	return c, err
}
