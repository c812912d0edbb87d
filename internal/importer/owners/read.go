package owners

import (
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
	"github.com/exposuregraph/exposuregraph/internal/importer/yamldoc"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// File is a mapping file that was read.
type File struct {
	name        string
	owners      []owner
	assignments []assignment
	complete    bool
	maxAge      time.Duration
	line        int
}

// owner is a person or a group.
type owner struct {
	id, name, title string
	kind            record.OwnerType
	status          record.Status
	lastActiveAt    time.Time
	line            int
}

// assignment is what the file says about one workload or the workloads of a
// pattern.
type assignment struct {
	workload                             string
	owned                                bool // owners are said, if only that there are none
	owners                               []string
	environment, ownerTeam, businessTier string
	assets                               []asset
	line                                 int
}

// asset is where a workload answers: an address or a name, and a port or 0.
type asset struct {
	place string
	port  int
}

// limits of a mapping file. One of a hundred thousand workloads has 10 MB.
var limits = yamldoc.Limits{Document: 32 << 20, Total: 32 << 20, Documents: 2}

// maxText bounds every text of the file.
const maxText = 1024

// Read reads a mapping file; the name stands in errors. An error is a
// *problem.Error with the line at fault, or what reading returned: a mapping
// that is wrong in one place is not applied in the others, since the place may
// be a key that changes what they mean.
func Read(name string, r io.Reader) (*File, error) {
	documents := yamldoc.NewReader(r, name, "OWNERS", yamldoc.NewBudget(limits))
	node, err := documents.Next()
	if errors.Is(err, io.EOF) {
		return nil, fault("OWNERS_EMPTY", "The file is empty.").At(name, 0)
	}
	if err != nil {
		return nil, err
	}
	switch next, err := documents.Next(); {
	case err == nil:
		return nil, fault("OWNERS_INVALID", "An owners file is one document; here begins another.").At(name, next.Line)
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	file, err := read(name, node)
	if err != nil {
		return nil, err
	}
	return file, file.check()
}

func read(name string, node *yaml.Node) (*File, error) {
	shape := yamldoc.Sound(node, nil)
	var file *File
	if shape == nil {
		root, check := yamldoc.Open(node)
		file = readFile(root)
		shape = check.Err()
	}
	if shape != nil {
		text := shape.Error()
		return nil, fault("OWNERS_INVALID", "%s.", strings.ToUpper(text[:1])+text[1:]).At(name, shape.Line).Because(shape)
	}
	file.name = name
	return file, nil
}

func readFile(root yamldoc.Value) *File {
	root.Known("owners", "workloads", "complete", "maxAgeDays")
	file := &File{line: root.Line()}
	for _, item := range root.Get("owners").Items() {
		file.owners = append(file.owners, readOwner(item))
	}
	for _, item := range root.Get("workloads").Items() {
		file.assignments = append(file.assignments, readAssignment(item))
	}
	if complete := root.Get("complete").Bool(); complete != nil {
		file.complete = *complete
	}
	if days := root.Get("maxAgeDays").Int(); days != nil {
		if *days < 1 || *days > 36500 {
			root.Get("maxAgeDays").Fail("must be a number of days from 1 to 36500")
		}
		file.maxAge = time.Duration(*days) * 24 * time.Hour
	}
	if !root.Get("owners").Present() && !root.Get("workloads").Present() && !file.complete {
		root.Fail("names neither owners nor workloads")
	}
	return file
}

func readOwner(item yamldoc.Value) owner {
	if !item.Present() {
		item.Fail("is empty")
	}
	item.Known("id", "name", "type", "status", "role", "lastActiveAt")
	o := owner{id: text(item, "id"), name: text(item, "name"), title: text(item, "role"),
		kind: record.Individual, status: record.Active, line: item.Line()}
	if o.id == "" {
		item.Get("id").Fail("is missing")
	}
	if o.name == "" {
		o.name = o.id
	}
	switch kind := item.Get("type"); kind.Text() {
	case "", "individual":
	case "group":
		o.kind = record.Group
	default:
		kind.Fail("must be individual or group")
	}
	switch status := item.Get("status"); status.Text() {
	case "", "active":
	case "disabled", "inactive":
		o.status = record.Disabled
	default:
		status.Fail("must be active or disabled")
	}
	if at := item.Get("lastActiveAt"); at.Present() {
		o.lastActiveAt = moment(at)
	}
	return o
}

// moment is a time, or the beginning of a day.
func moment(at yamldoc.Value) time.Time {
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if parsed, err := time.Parse(layout, at.Text()); err == nil {
			// The range that every part of the product can store and show.
			if parsed.Year() < 1970 || parsed.Year() > 9998 {
				break
			}
			return parsed.UTC()
		}
	}
	at.Fail("must be a time such as 2026-01-02T15:04:05Z, or a day such as 2026-01-02")
	return time.Time{}
}

func readAssignment(item yamldoc.Value) assignment {
	if !item.Present() {
		item.Fail("is empty")
	}
	item.Known("workload", "owners", "environment", "ownerTeam", "businessTier", "assets")
	a := assignment{workload: text(item, "workload"), environment: text(item, "environment"),
		ownerTeam: text(item, "ownerTeam"), businessTier: text(item, "businessTier"), line: item.Line()}
	if a.workload == "" {
		item.Get("workload").Fail("is missing")
	}
	for _, one := range item.Get("assets").Items() {
		if where := readAsset(one); !slices.Contains(a.assets, where) {
			a.assets = append(a.assets, where)
		}
	}
	owners := item.Get("owners")
	a.owned = owners.Present()
	if !a.owned && len(a.assets) == 0 {
		owners.Fail("is missing; write [] if the workload has none")
	}
	for _, id := range owners.Texts() {
		if !slices.Contains(a.owners, id) {
			a.owners = append(a.owners, id)
		}
	}
	return a
}

func readAsset(item yamldoc.Value) asset {
	if item.Text() == "" {
		item.Fail("is empty; write an address or a name, such as 203.0.113.7:8443")
		return asset{}
	}
	place, port, err := surface.EndpointAt(item.Text())
	if err != nil {
		item.Fail("is no address and no name of a host: %s", strings.TrimSuffix(err.Error(), "."))
	}
	return asset{place, port}
}

func text(item yamldoc.Value, field string) string {
	v := item.Get(field)
	if len(v.Text()) > maxText {
		v.Fail("is longer than %d characters", maxText)
	}
	return strings.TrimSpace(v.Text())
}

// check holds the parts of the file against each other.
func (f *File) check() error {
	owners := make(map[string]int, len(f.owners))
	for _, o := range f.owners {
		if first, double := owners[o.id]; double {
			return fault("OWNER_DUPLICATE", "The owner %q stands there twice, in line %d and in line %d.", o.id, first, o.line).At(f.name, o.line)
		}
		owners[o.id] = o.line
	}
	workloads := make(map[string]int, len(f.assignments))
	for _, a := range f.assignments {
		if first, double := workloads[a.workload]; double {
			return fault("OWNER_WORKLOAD_DUPLICATE", "The workload %q stands there twice, in line %d and in line %d.", a.workload, first, a.line).At(f.name, a.line)
		}
		workloads[a.workload] = a.line
		for _, id := range a.owners {
			if _, known := owners[id]; !known {
				return fault("OWNER_UNKNOWN", "The workload %q has the owner %q, who is not among the owners of this file.", a.workload, id).At(f.name, a.line)
			}
		}
	}
	return nil
}

func fault(code, format string, args ...any) *problem.Error {
	return problem.New(problem.Invalid, code, format, args...)
}
