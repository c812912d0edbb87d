package authority

import (
	_ "embed"
	"log/slog"
	"time"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/change/outbox"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
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
	db       *db.DB
	assessor Assessor
	surface  Surface // null: scans are refused
	ledger   *book.Book
	feed     *outbox.Box
	now      func() time.Time
	log      *slog.Logger
	current  current
	small    int64 // see small; a test crosses it with fewer rows
}

// New makes the service. Every change goes to the assessor; the clock is the
// caller's.
func New(database *db.DB, assessor Assessor, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: database, assessor: assessor, ledger: book.New(now), feed: outbox.New(now, log), now: now, log: log, current: newCurrent(), small: small}
}

// Ledger is where what people decide is put on record, by the service's clock.
func (s *Service) Ledger() *book.Book { return s.ledger }

// Feed is where it is noted that something has changed, for whoever publishes it.
func (s *Service) Feed() *outbox.Box { return s.feed }
