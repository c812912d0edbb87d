package devpg

// PostgreSQL keeps the pages that it works on in shared_buffers. An import writes to
// every index in places that lie far apart: where they do not fit, each row costs
// pages that are written out and read in again.
const (
	leastBuffers = 256 << 20
	mostBuffers  = 4 << 30
	perBuffer    = 8 // bytes of memory for each byte of buffers: others use the machine, too
)

// sharedBuffers are the bytes of shared_buffers on a machine with so much memory, or
// with 0 on one that does not say.
func sharedBuffers(memory int64) int64 {
	return min(max(memory/perBuffer, leastBuffers), mostBuffers)
}
