// Package plan foresees what a daemon would do if commands were sent to it, in its order, and what traffic
// would notice of each step.
package plan
