package importer

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/importer/httpx"
	"github.com/exposuregraph/exposuregraph/internal/importer/masscan"
	"github.com/exposuregraph/exposuregraph/internal/importer/naabu"
	"github.com/exposuregraph/exposuregraph/internal/importer/nmap"
	"github.com/exposuregraph/exposuregraph/internal/importer/sslyze"
	"github.com/exposuregraph/exposuregraph/internal/importer/subfinder"
	"github.com/exposuregraph/exposuregraph/internal/importer/testssl"
	"github.com/exposuregraph/exposuregraph/internal/importer/zap"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// Auto is the name that stands for the format of the first file.
const Auto = "auto"

// format is one way to read files.
type format struct {
	options map[string]bool // what it takes besides files
	endings []string        // of the files that are taken from a folder; nil: those of manifests
	run     func(context.Context, *Service, Request) (*authority.SyncReport, error)
}

var formats = map[string]format{
	"aws-iam":          {options: map[string]bool{"owners": true, "policy": true}, run: runAWSIAM},
	"cloudtrail":       {run: runCloudTrail},
	"httpx":            scan(httpx.Parse),
	"kubernetes":       {options: map[string]bool{"namespace": true, "owners": true, "policy": true}, run: runKubernetes},
	"kubernetes-audit": {run: runKubeAudit},
	"masscan":          scan(masscan.Parse),
	"naabu":            scan(naabu.Parse),
	"nmap":             scan(nmap.Parse),
	"owners":           {run: runOwners},
	"snapshot":         {run: runSnapshot},
	"sslyze":           scan(sslyze.Parse),
	"subfinder":        scan(subfinder.Parse),
	"testssl":          scan(testssl.Parse),
	"zap":              scan(zap.Parse),
}

// manifestEndings are the names of the files that all formats but scans have.
var manifestEndings = []string{".yaml", ".yml", ".json"}

// Formats are the names of the formats that this version reads, sorted.
func Formats() []string { return slices.Sorted(maps.Keys(formats)) }

// Endings are how the files of a format are called, which are taken from a folder.
func Endings(name string) []string {
	if endings := formats[name].endings; endings != nil {
		return endings
	}
	return manifestEndings
}

func unknownFormat(name string) error {
	return problem.New(problem.Invalid, "FORMAT_UNKNOWN",
		"there is no format %.40q; known are %s, and auto to detect one of them", name, strings.Join(Formats(), ", ")).On("format")
}
