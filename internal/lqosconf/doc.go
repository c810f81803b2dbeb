// Package lqosconf reads lqos.conf, the TOML file that LibreQoS and lqosd share.
//
// It takes the keys that lqosd uses, and lqosd's own in [bakery]; docs/config.md lists them. All other keys are
// LibreQoS's business: one [Warning] names them. What is missing or wrong is reported in one go, as an errors.Join of
// [Problem]s, each with the key, its place in the file and what is allowed there.
//
// The package reads one file and nothing else: whether the links exist, say, is for package host to tell.
//
//	lqos.conf ─ document (values, places) ─ keys (types, ranges) ─ checks (keys against each other) ─ Config
package lqosconf
