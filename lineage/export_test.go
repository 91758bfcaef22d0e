package lineage

// SetFaults makes a point of the write path fail: locked, before-commit, after-commit.
func SetFaults(c *Config, fn func(point string) error) { c.faults = fn }
