package masscan

import (
	"testing"

	"github.com/exposuregraph/exposuregraph/internal/importer/surface/surfacetest"
)

// FuzzParse holds what every parser of scans holds; its corpus is in testdata.
func FuzzParse(f *testing.F) { surfacetest.Fuzz(f, Parse, "MASSCAN", "masscan") }
