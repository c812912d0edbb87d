package app

import (
	"context"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/graph/live"
	"github.com/exposuregraph/exposuregraph/internal/change"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/progress"
	"github.com/exposuregraph/exposuregraph/internal/server"
	"github.com/exposuregraph/exposuregraph/internal/server/guard"
	"github.com/exposuregraph/exposuregraph/internal/stream"
)

// openStream makes the live side of the feeds and of imports. It has connections of its
// own, so that what happened is published however busy the responses are, and the
// other way round.
func (a *App) openStream(ctx context.Context) (err error) {
	if a.streamDB, err = db.Open(ctx, a.database.RuntimeURL, db.Options{MaxConns: stream.Connections}); err != nil {
		return err
	}
	a.sequencer = change.NewSequencer(a.streamDB, a.config.Now, a.config.Logger)
	a.stream = stream.New(stream.Config{
		DB: a.streamDB, Readers: a.db, Sequencer: a.sequencer, Log: a.config.Logger, Now: a.config.Now,
	})
	if a.boardDB, err = db.Open(ctx, a.database.RuntimeURL, db.Options{MaxConns: progress.Connections}); err != nil {
		return err
	}
	a.board = progress.New(progress.Config{DB: a.boardDB, Readers: a.db, Log: a.config.Logger, Now: a.config.Now})
	a.authority.Feed().OnCommit(a.stream.Wake)
	a.streams = live.New(live.Config{
		Verify: a.verifier.Verify, Holds: a.verifier.Holds, Now: a.config.Now, Log: a.config.Logger,
		Check: func(message []byte) error { return guard.Check(message, guard.Limits{}) },
	})
	return nil
}

// show has an import looked at.
func (a *App) show(ctx context.Context, organization, delivery id.ID) (server.Shown, error) {
	return a.board.Begin(ctx, organization, delivery)
}

// publishDemo publishes what the demo told, so that the first query finds it.
func (a *App) publishDemo(ctx context.Context) error {
	for _, slug := range []string{demoOrganization, demoKubernetes} {
		head, err := a.sequencer.Drain(ctx, id.Organization(slug))
		if err != nil {
			return err
		}
		a.config.Logger.InfoContext(ctx, "demo", "organization", slug, "changes", head)
	}
	return nil
}
