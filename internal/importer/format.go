package importer

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Auto is the name that stands for the format of the first file.
const Auto = "auto"

// format is one way to read files.
type format struct {
	options map[string]bool // what it takes besides files
	run     func(context.Context, *Service, Request) (*authority.SyncReport, error)
}

var formats = map[string]format{
	"aws-iam":          {options: map[string]bool{"owners": true, "policy": true}, run: runAWSIAM},
	"cloudtrail":       {run: runCloudTrail},
	"kubernetes":       {options: map[string]bool{"namespace": true, "owners": true, "policy": true}, run: runKubernetes},
	"kubernetes-audit": {run: runKubeAudit},
	"owners":           {run: runOwners},
	"snapshot":         {run: runSnapshot},
}

// Formats are the names of the formats that this version reads, sorted.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

func unknownFormat(name string) error {
	return problem.New(problem.Invalid, "FORMAT_UNKNOWN",
		"there is no format %.40q; known are %s, and auto to detect one of them", name, strings.Join(Formats(), ", ")).On("format")
}
