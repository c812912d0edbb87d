package authority

// Phase is how far a delivery has come.
type Phase string

// The phases, in the order of the work. A sync goes through those from receiving to
// committing, and leaves out what it has no work for; whoever has it run knows when it
// waits and how it ended.
const (
	PhaseWaiting    Phase = "waiting"    // for its turn on the server
	PhaseReceiving  Phase = "receiving"  // its records are read and checked
	PhaseMerging    Phase = "merging"    // they are held against what the source said before, once other deliveries are through
	PhaseDeriving   Phase = "deriving"   // what follows from them: entities, owners, paths
	PhaseJudging    Phase = "judging"    // what is wrong with the paths, and which risk clusters they are in
	PhaseWriting    Phase = "writing"    // the paths that differ
	PhaseCounting   Phase = "counting"   // what the organization comes to
	PhaseCommitting Phase = "committing" // it becomes what everybody sees
	PhaseDone       Phase = "done"
	PhaseFailed     Phase = "failed"
)

// Phases are all of them, in their order.
var Phases = []Phase{
	PhaseWaiting, PhaseReceiving, PhaseMerging, PhaseDeriving, PhaseJudging, PhaseWriting, PhaseCounting, PhaseCommitting, PhaseDone, PhaseFailed,
}

// Progress is told how far a sync has come. The sync waits for it, so it takes no
// time and never fails.
type Progress interface {
	// Phase is called when one begins.
	Phase(phase Phase)

	// Records is called with the number of records that were read so far.
	Records(read int)
}

// unwatched is the progress of a sync that nobody looks at.
type unwatched struct{}

func (unwatched) Phase(Phase) {}

func (unwatched) Records(int) {}
