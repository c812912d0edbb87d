// Package owners reads the mapping file in which people write down who answers
// for which workload, and where the workload itself answers, because manifests do
// not say it.
//
// The file is YAML or JSON; docs/formats/owners.md describes it. It is read in
// two steps, since a pattern means something only once the workloads are known:
// [Read] takes the file by itself and refuses it as a whole if anything in it
// is wrong, and [File.Emit] applies it to the workloads of an import. A file that comes
// without them is a source of its own: [File.EmitAlone].
//
// An entry that names a workload beats the entries whose patterns match it, and
// of those the first in the file holds alone; entries do not add up. An entry
// with an empty list of owners says that someone looked and found none, which
// is knowledge too. A workload that no entry names stays unknown, unless the
// file says that it is complete.
package owners
