package authority

import (
	_ "embed"
	"log/slog"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
)

//go:embed sync.sql
var syncSQL string

//go:embed queries.sql
var readSQL string

var (
	syncQueries = db.Parse("authority", syncSQL)
	readQueries = db.Parse("authority.read", readSQL)
)

// Service syncs and reads authority paths.
type Service struct {
	db  *db.DB
	now func() time.Time
	log *slog.Logger
}

// New makes the service. The clock is the caller's.
func New(database *db.DB, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: database, now: now, log: log}
}
