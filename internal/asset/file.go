package asset

import (
	_ "embed"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

//go:embed file.sql
var fileSQL string

var fileQueries = db.Parse("asset.file", fileSQL)

// File is what an asset says of a collected file.
type File struct {
	SHA256    string `json:"sha256"`
	Name      string `json:"name"`
	Size      int64  `json:"size"`
	MediaType string `json:"mediaType"`
	Artifact  string `json:"artifact,omitempty"` // the image that it was collected of
}

// FileID is the id of a file: that of its content, in each organization another one.
func FileID(organization id.ID, sha256 string) id.ID {
	return id.Asset(organization, string(record.FileAsset), sha256)
}

// AddFile has the pipeline make a file an asset, and tie it to the workloads that are
// made of its image. Whoever does it holds the judgement of the organization, and has
// seen that the file is not there.
func AddFile(p *db.Pipeline, organization id.ID, at time.Time, f File) error {
	attributes, err := json.Marshal(f)
	if err != nil {
		return err
	}
	asset := FileID(organization, f.SHA256)
	var artifact *string
	if f.Artifact != "" {
		artifact = &f.Artifact
		p.Exec(fileQueries.Get("add_file_classes"), pgx.StrictNamedArgs{"artifact": artifact})
	}
	p.Exec(fileQueries.Get("add_file"), pgx.StrictNamedArgs{
		"asset": asset, "value": f.SHA256, "attributes": attributes, "artifact": artifact, "at": at})
	if artifact != nil {
		p.Exec(fileQueries.Get("add_file_links"), pgx.StrictNamedArgs{"asset": asset, "artifact": artifact, "at": at})
	}
	return nil
}
