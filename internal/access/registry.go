package access

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/exposuregraph/exposuregraph/db"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// registryConns of the owner role: making a token takes one for a moment.
const registryConns = 2

// maxTokensListed bounds a list of tokens.
const maxTokensListed = 1000

var (
	revokedTokens = queries.Get("revoked")
	recordToken   = queries.Get("record_token")
	listTokens    = queries.Get("tokens")
	findToken     = queries.Get("find_token")
	revokeToken   = queries.Get("revoke_token")
	accountTokens = queries.Get("tokens_of_accounts")
)

// StoredRevocations gives the tokens of the database that were revoked.
func StoredRevocations(database *db.DB, now func() time.Time) Revocations {
	return func(ctx context.Context) (map[string]struct{}, error) {
		snapshot := database.Snapshot()
		defer snapshot.Close(ctx)
		// The clocks of those who ask may differ: rather one too many.
		ids, err := db.Column[string](ctx, snapshot.Shared(), revokedTokens, pgx.StrictNamedArgs{"now": now().Add(-time.Minute)})
		if err != nil {
			return nil, err
		}
		revoked := make(map[string]struct{}, len(ids))
		for _, id := range ids {
			revoked[id] = struct{}{}
		}
		return revoked, nil
	}
}

// RegistryConfig is what a registry stands on.
type RegistryConfig struct {
	OwnerURL string // of the role that owns the tables
	Mint     Mint
	Hook     Hook // null: nobody is told
	Now      func() time.Time
}

// Registry makes tokens, keeps what was made, and revokes. It works as the owner role,
// so holding one is the right to all of that: who asks is checked before.
type Registry struct {
	config RegistryConfig
	pool   *pgxpool.Pool
}

// OpenRegistry makes a registry and looks whether the role may be one. Whoever opens
// it closes it.
func OpenRegistry(ctx context.Context, config RegistryConfig) (*Registry, error) {
	parsed, err := pgxpool.ParseConfig(config.OwnerURL)
	if err != nil {
		return nil, problem.New(problem.Invalid, "DATABASE_URL_INVALID", "the URL of the owner role cannot be read; expected postgres://user@host/database").Because(err)
	}
	parsed.MaxConns = registryConns
	parsed.ConnConfig.RuntimeParams["application_name"] = "exposuregraph tokens"
	pool, err := pgxpool.NewWithConfig(ctx, parsed)
	if err != nil {
		return nil, err
	}
	r := &Registry{config: config, pool: pool}
	if err := r.transaction(ctx, func(tx pgx.Tx) error {
		_, err := ensureKey(ctx, tx, config.Now())
		return err
	}); err != nil {
		pool.Close()
		return nil, err
	}
	return r, nil
}

// Close closes the connections.
func (r *Registry) Close() { r.pool.Close() }

func (r *Registry) transaction(ctx context.Context, fn func(pgx.Tx) error) error {
	conn, err := r.pool.Acquire(ctx)
	if err != nil {
		return ownerUnreachable(err)
	}
	defer conn.Release()
	return keyFault(pgx.BeginFunc(ctx, conn, fn))
}

// Order is a token to be made.
type Order struct {
	Actor          Actor
	TTL            time.Duration
	ServiceAccount string // whose credentials asked; empty: the owner of the installation
}

// Issue makes a token. It is handed out once it is on record.
func (r *Registry) Issue(ctx context.Context, order Order) (token Token, err error) {
	err = r.transaction(ctx, func(tx pgx.Tx) error {
		key, err := ensureKey(ctx, tx, r.config.Now())
		if err != nil {
			return err
		}
		if token, err = r.config.Mint.Issue(key, order.Actor, order.TTL, r.config.Now()); err != nil {
			return err
		}
		a, hash := order.Actor, sha256.Sum256([]byte(token.Text))
		if a.AllOrganizations {
			a.Organizations = nil
		}
		record := Record{
			ID: token.ID, Subject: a.Subject, ServiceAccount: order.ServiceAccount, Delegates: some(a.Delegates), Role: a.Role, Scopes: some(a.Scopes),
			Organizations: some(a.Organizations), AllOrganizations: a.AllOrganizations, Environment: some(a.Attributes.Environment),
			Owner: some(a.Attributes.Owner), BusinessTier: some(a.Attributes.BusinessTier), IssuedAt: token.IssuedAt, ExpiresAt: token.ExpiresAt,
		}
		var account *string
		if order.ServiceAccount != "" {
			account = &order.ServiceAccount
		}
		if _, err := tx.Exec(ctx, recordToken.SQL, pgx.StrictNamedArgs{
			"id": record.ID, "hash": hash[:], "subject": record.Subject, "service_account": account, "delegates": record.Delegates,
			"role": record.Role, "scopes": record.Scopes, "organizations": record.Organizations, "all_organizations": record.AllOrganizations,
			"environment": record.Environment, "owner": record.Owner, "business_tier": record.BusinessTier,
			"issued_at": record.IssuedAt, "expires_at": record.ExpiresAt,
		}); err != nil {
			return err
		}
		return r.tell(ctx, Issued{Event: TokenIssued, At: record.IssuedAt, By: a.Subject, Token: record})
	})
	if err != nil {
		return Token{}, err
	}
	return token, nil
}

func (r *Registry) tell(ctx context.Context, event Issued) error {
	if r.config.Hook == nil {
		return nil
	}
	return r.config.Hook(ctx, event)
}

// some is the list, which is not null in the database.
func some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// TokenFilter narrows a list of tokens.
type TokenFilter struct {
	All     bool // also those that do not work any more
	Subject string
	Limit   int // 1 to 1000
}

// List gives tokens, the newest first.
func (r *Registry) List(ctx context.Context, filter TokenFilter) (list []*Record, err error) {
	if filter.Limit < 1 || filter.Limit > maxTokensListed {
		return nil, problem.New(problem.Invalid, "LIMIT_INVALID", "between 1 and %d tokens are listed, not %d", maxTokensListed, filter.Limit).On("limit")
	}
	err = r.transaction(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, listTokens.SQL, pgx.StrictNamedArgs{
			"all": filter.All, "subject": filter.Subject, "limit": filter.Limit, "now": r.config.Now(),
		})
		if err != nil {
			return err
		}
		list, err = pgx.CollectRows(rows, pgx.RowToAddrOfStructByName[Record])
		return err
	})
	return list, err
}

// Find gives what is kept of a token, by the token or by its id; null for one that
// was not made here.
func (r *Registry) Find(ctx context.Context, token string) (record *Record, err error) {
	err = r.transaction(ctx, func(tx pgx.Tx) error {
		record, err = find(ctx, tx, token)
		return err
	})
	return record, err
}

func find(ctx context.Context, tx pgx.Tx, token string) (*Record, error) {
	hash := sha256.Sum256([]byte(token))
	id, err := uuid.Parse(token)
	if err != nil { // then it is no id
		id = uuid.Nil
	}
	rows, err := tx.Query(ctx, findToken.SQL, pgx.StrictNamedArgs{"id": id.String(), "hash": hash[:]})
	if err != nil {
		return nil, err
	}
	record, err := pgx.CollectExactlyOneRow(rows, pgx.RowToAddrOfStructByName[Record])
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	return record, err
}

// Revoke has a token not work any more, within seconds on each replica. The token is
// given as it was issued, or by its id. Once more changes nothing.
func (r *Registry) Revoke(ctx context.Context, token, by string) (record *Record, err error) {
	err = r.transaction(ctx, func(tx pgx.Tx) error {
		if record, err = find(ctx, tx, token); err != nil {
			return err
		}
		if record == nil {
			return problem.New(problem.NotFound, "TOKEN_NOT_FOUND", "no such token was made here; `exposuregraph token list` shows the ids").On("token")
		}
		if record.RevokedAt != nil {
			return nil
		}
		return r.revoke(ctx, tx, record, by)
	})
	if err != nil {
		return nil, err
	}
	return record, nil
}

// RevokeAccounts has all tokens of service accounts not work any more, as Revoke does
// with one, and says how many those were.
func (r *Registry) RevokeAccounts(ctx context.Context, accounts []string, by string) (revoked int, err error) {
	err = r.transaction(ctx, func(tx pgx.Tx) error {
		// The clocks of those who let in may differ: rather one too many.
		rows, err := tx.Query(ctx, accountTokens.SQL, pgx.StrictNamedArgs{"accounts": accounts, "now": r.config.Now().Add(-time.Minute)})
		if err != nil {
			return err
		}
		records, err := pgx.CollectRows(rows, pgx.RowToAddrOfStructByName[Record])
		if err != nil {
			return err
		}
		for _, record := range records {
			if err := r.revoke(ctx, tx, record, by); err != nil {
				return err
			}
		}
		revoked = len(records)
		return nil
	})
	if err != nil {
		return 0, err
	}
	return revoked, nil
}

func (r *Registry) revoke(ctx context.Context, tx pgx.Tx, record *Record, by string) error {
	now := r.config.Now().UTC().Truncate(time.Microsecond)
	record.RevokedAt, record.RevokedBy = &now, by
	if _, err := tx.Exec(ctx, revokeToken.SQL, pgx.StrictNamedArgs{"id": record.ID, "now": now, "by": by}); err != nil {
		return err
	}
	return r.tell(ctx, Issued{Event: TokenRevoked, At: now, By: by, Token: *record})
}

// ensureKey gives the newest signing key and makes the first one.
func ensureKey(ctx context.Context, tx pgx.Tx, now time.Time) (key Key, err error) {
	for _, locked := range []bool{false, true} {
		if locked {
			if _, err := tx.Exec(ctx, lockKeys.SQL); err != nil {
				return key, err
			}
		}
		err = tx.QueryRow(ctx, newestKey.SQL).Scan(&key.ID, (*[]byte)(&key.Private))
		if !errors.Is(err, pgx.ErrNoRows) {
			break
		}
	}
	if errors.Is(err, pgx.ErrNoRows) {
		if key, err = newKey(); err != nil {
			return key, err
		}
		_, err = tx.Exec(ctx, insertKey.SQL, pgx.StrictNamedArgs{
			"id": key.ID, "public_key": []byte(key.Private.Public().(ed25519.PublicKey)), "private_key": []byte(key.Private), "now": now,
		})
	}
	if err == nil && len(key.Private) != ed25519.PrivateKeySize {
		err = problem.New(problem.Internal, "TOKEN_KEY_INVALID", "the signing key %s has %d bytes", key.ID, len(key.Private))
	}
	return key, err
}
