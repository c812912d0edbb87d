package triage

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/authority"
	"github.com/exposuregraph/exposuregraph/internal/id"
	"github.com/exposuregraph/exposuregraph/internal/ledger"
	"github.com/exposuregraph/exposuregraph/internal/ledger/book"
	"github.com/exposuregraph/exposuregraph/internal/problem"
	"github.com/exposuregraph/exposuregraph/internal/sign"
)

// maxSubject is how many characters the name of somebody can have.
const maxSubject = 200

type keyRow struct {
	ID        string
	Subject   string
	PublicKey []byte
	FromAt    time.Time
	ToAt      *time.Time
	AddedBy   string
	EndedBy   *string
}

func (r *keyRow) key() *Key {
	k := &Key{ID: r.ID, Subject: r.Subject, PublicKey: r.PublicKey, From: r.FromAt.UTC(), To: r.ToAt, AddedBy: r.AddedBy, EndedBy: r.EndedBy}
	if k.To != nil {
		to := k.To.UTC()
		k.To = &to
	}
	return k
}

// keyPayload is what an entry says of a key.
type keyPayload struct {
	PublicKey string `json:"publicKey,omitempty"` // base64
	Subject   string `json:"subject"`
}

// RegisterKey makes a public key one with which the subject signs from now on; an
// empty subject is the caller. Only an administrator registers keys for others. A
// key that is registered already stays as it is. One with which others could sign,
// too, is refused.
func (s *Service) RegisterKey(ctx context.Context, organization id.ID, subject string, pem []byte) (*Key, error) {
	actor, subject, err := onBehalf(ctx, organization, subject)
	if err != nil {
		return nil, err
	}
	public, err := sign.ReadPublicKey(pem)
	if err != nil {
		return nil, unfit(err)
	}
	registered := &Key{ID: sign.KeyID(public), Subject: subject, PublicKey: public, AddedBy: actor}
	err = s.paths.Decide(ctx, organization, nil, func(tx *db.Tx, d *authority.Decision) error {
		there, err := findKey(ctx, tx, registered.ID)
		switch {
		case err != nil:
			return err
		case there != nil && there.ToAt != nil:
			return problem.New(problem.Conflict, "KEY_REVOKED", "the key %s was revoked at %s; make a new one", there.ID, instant(*there.ToAt)).On("publicKey")
		case there != nil && there.Subject != subject:
			return problem.New(problem.Conflict, "KEY_OF_ANOTHER", "the key %s is registered for somebody else; a key is one person's", there.ID).On("publicKey")
		case there != nil:
			registered = there.key()
			return nil
		}
		registered.From = d.At
		if _, err := db.Exec(ctx, tx, decideQueries.Get("add_key"), pgx.StrictNamedArgs{
			"id": registered.ID, "subject": subject, "public_key": []byte(public), "at": d.At, "actor": actor}); err != nil {
			return err
		}
		return s.tell(ctx, tx, d, ledger.SigningKeyRegistered, registered, keyPayload{PublicKey: base64.StdEncoding.EncodeToString(public), Subject: subject})
	})
	if err != nil {
		return nil, err
	}
	return registered, nil
}

// RevokeKey ends a key: nothing that it signs from now on is taken. What it signed
// before stays. Only an administrator revokes the keys of others.
func (s *Service) RevokeKey(ctx context.Context, organization id.ID, key string) (*Key, error) {
	if err := access.Require(ctx, organization, access.Investigate); err != nil {
		return nil, err
	}
	actor, _ := access.From(ctx)
	var revoked *Key
	err := s.paths.Decide(ctx, organization, nil, func(tx *db.Tx, d *authority.Decision) error {
		there, err := findKey(ctx, tx, key)
		if err != nil {
			return err
		}
		if there == nil || there.Subject != actor.Subject && actor.Role != access.Admin {
			return problem.New(problem.NotFound, "KEY_NOT_FOUND", "there is no such key in this organization that the caller could revoke").On("key")
		}
		if there.ToAt != nil {
			return problem.New(problem.Conflict, "KEY_REVOKED", "the key %s was revoked at %s already", there.ID, instant(*there.ToAt)).On("key")
		}
		there.ToAt, there.EndedBy = &d.At, &actor.Subject
		revoked = there.key()
		if _, err := db.Exec(ctx, tx, decideQueries.Get("end_key"), pgx.StrictNamedArgs{"id": key, "at": d.At, "actor": actor.Subject}); err != nil {
			return err
		}
		return s.tell(ctx, tx, d, ledger.SigningKeyRevoked, revoked, keyPayload{Subject: revoked.Subject})
	})
	if err != nil {
		return nil, err
	}
	return revoked, nil
}

// onBehalf says who acts for whom.
func onBehalf(ctx context.Context, organization id.ID, subject string) (actor, whose string, err error) {
	if err := access.Require(ctx, organization, access.Investigate); err != nil {
		return "", "", err
	}
	caller, _ := access.From(ctx)
	if subject == "" || subject == caller.Subject {
		return caller.Subject, caller.Subject, nil
	}
	if err := access.RequireAdmin(ctx); err != nil {
		return "", "", err
	}
	if !utf8.ValidString(subject) || utf8.RuneCountInString(subject) > maxSubject || strings.ContainsRune(subject, 0) {
		return "", "", problem.New(problem.Invalid, "INVALID_TEXT", "the subject takes up to %d characters of UTF-8", maxSubject).On("subject")
	}
	return caller.Subject, subject, nil
}

// unfit says which argument an error about a key is about.
func unfit(err error) error {
	var typed *problem.Error
	if errors.As(err, &typed) {
		return typed.On("publicKey")
	}
	return err
}

func findKey(ctx context.Context, tx *db.Tx, key string) (*keyRow, error) {
	if !utf8.ValidString(key) || strings.ContainsRune(key, 0) {
		return nil, nil
	}
	return db.First[keyRow](ctx, tx, decideQueries.Get("key"), pgx.StrictNamedArgs{"id": key})
}

func (s *Service) tell(ctx context.Context, tx *db.Tx, d *authority.Decision, kind ledger.Kind, key *Key, payload keyPayload) error {
	_, err := s.paths.Ledger().Append(ctx, tx, book.Draft{
		Kind: kind, OccurredAt: d.At, Payload: payload, Subject: ledger.Subject{Kind: ledger.SubjectKey, Name: key.ID}})
	return err
}
