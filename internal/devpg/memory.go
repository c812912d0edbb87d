package devpg

// PostgreSQL keeps the pages that it works on in shared_buffers. An import writes to
// every index in places that lie far apart: where they do not fit, each row costs
// pages that are written out and read in again.
const (
	leastBuffers = 256 << 20
	mostBuffers  = 4 << 30
	part         = 8 // of the machine, which others use, too
)

// sharedBuffers are the bytes of shared_buffers on a machine with so much memory, or
// with 0 on one that does not say.
func sharedBuffers(memory int64) int64 {
	return min(max(memory/part, leastBuffers), mostBuffers)
}
