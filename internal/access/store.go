package access

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

//go:embed queries.sql
var queriesSQL string

var (
	queries    = db.Parse("access", queriesSQL)
	publicKeys = queries.Get("public_keys")
	lockKeys   = queries.Get("lock_keys")
	newestKey  = queries.Get("newest_key")
	insertKey  = queries.Get("insert_key")
)

// Stored gives the public keys of the database.
func Stored(database *db.DB) PublicKeys {
	return func(ctx context.Context) (map[string]PublicKey, error) {
		snapshot := database.Snapshot()
		defer snapshot.Close(ctx)
		type row struct {
			ID        string
			PublicKey []byte
		}
		rows, err := db.Select[row](ctx, snapshot.Shared(), publicKeys, pgx.StrictNamedArgs{})
		if err != nil {
			return nil, err
		}
		keys := make(map[string]PublicKey, len(rows))
		for _, row := range rows {
			keys[row.ID] = PublicKey{Key: ed25519.PublicKey(row.PublicKey), Algorithm: ours[0]}
		}
		return keys, nil
	}
}

// EnsureKey gives the newest signing key and makes the first one. The URL is of
// the owner role: nobody else reads private keys.
func EnsureKey(ctx context.Context, ownerURL string, now time.Time) (Key, error) {
	conn, err := pgx.Connect(ctx, ownerURL)
	if err != nil {
		return Key{}, ownerUnreachable(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	var key Key
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
		key, err = ensureKey(ctx, tx, now)
		return err
	})
	return key, keyFault(err)
}

func ownerUnreachable(err error) error {
	return problem.New(problem.Unavailable, "DATABASE_UNREACHABLE",
		"the database does not answer to its owner role, which keeps the signing keys; see --owner-database-url").Because(err)
}

// newKey makes a key pair, named by the digest of its public half.
func newKey() (Key, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return Key{}, err
	}
	digest := sha256.Sum256(public)
	return Key{ID: hex.EncodeToString(digest[:8]), Private: private}, nil
}

// keyFault says what is wrong with the role or its database.
func keyFault(err error) error {
	var pgErr *pgconn.PgError
	var typed *problem.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &typed):
		return err
	case errors.As(err, &pgErr) && pgErr.Code == "42P01": // undefined_table
		return problem.New(problem.Unavailable, "SCHEMA_OUTDATED", "the database has no tables for this yet: run `exposuregraph migrate up`").Because(err)
	case errors.As(err, &pgErr) && pgErr.Code == "42501": // insufficient_privilege
		return problem.New(problem.Invalid, "OWNER_ROLE_NEEDED", "this role may not read the signing keys; give the owner role to --owner-database-url").Because(err)
	case errors.As(err, &pgErr) && pgErr.Code == "22021": // character_not_in_repertoire
		return problem.New(problem.Invalid, "INVALID_TEXT", "a text holds a character that the database cannot keep").Because(err)
	}
	return fmt.Errorf("tokens: %w", err)
}
