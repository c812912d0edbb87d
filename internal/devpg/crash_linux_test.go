package devpg

import "testing"

// Only Linux tells a child of its parent's death; elsewhere the next Start
// shuts the orphan down, which TestKilledParentLeavesNoPostgres covers.
func TestPostgresEndsWithItsParent(t *testing.T) {
	t.Parallel()
	dir := seededDir(t)
	h := startHelper(t, dir, "", nil)
	h.kill9(t)
	requireGone(t, h.postmaster, dir)
}
