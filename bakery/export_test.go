package bakery

// CompareWhole makes links be compared as a whole, also where little has changed.
func CompareWhole(o *Options) { o.whole = true }
