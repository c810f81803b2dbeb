// Package history tells of the records of a log: who asked for what, what each of them changed, what became
// of one site or circuit, and what they come to over time.
//
//	records ─▶ Entries, Follower (one by one, for a Filter)
//	        ─▶ Of (one replay.Target)   NewTimeline (events)   NewStatistics (sums)
package history
