package bakery_test

import (
	"context"
	"time"

	"lqosd/bakery"
	"lqosd/bakery/tc"
)

// slowDataplane takes its time for reading.
type slowDataplane struct {
	bakery.Dataplane
	takes time.Duration
}

func (d *slowDataplane) on(o *bakery.Options) { d.Dataplane, o.Dataplane = o.Dataplane, d }

func (d *slowDataplane) Steers(ctx context.Context) ([]tc.Steer, error) {
	<-time.After(d.takes)
	return d.Dataplane.Steers(ctx)
}
