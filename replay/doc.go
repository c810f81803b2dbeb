// Package replay folds any prefix of an event log, offline: it goes to moments of a log, looks for one
// that a Condition tells, renders what is there as tc lines, exports and imports records, and verifies that a
// log is whole.
//
//	LOG directory ──▶ Source ──▶ bakery.Fold ──▶ Tree at a moment
//	                    │                          │
//	           history: records and      diff, tree, plan: what differs, what is
//	           what they changed         there, what would happen
//
// What tells about records and trees lies in packages below, which import this one; it imports none of
// them. It reads; it has no way to reach a kernel or to change a log. The command bakery-replay is its user.
package replay
