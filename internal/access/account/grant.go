package account

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// CodeCredentials is that of credentials which nobody has, CodeAttempts that of too
// many of them.
const (
	CodeCredentials = "CLIENT_CREDENTIALS"
	CodeAttempts    = "LIMIT_CLIENT_ATTEMPTS"
)

// Desk lets accounts in and says what they may get. It is safe for concurrent use.
type Desk struct {
	nobody   []hash // compared with where there is no account, to take the same time
	attempts *attempts
	turn     chan struct{} // for comparing, which takes a core
	salt     [32]byte      // of this process

	serving sync.RWMutex // held while a token is made, so that none is by what is not in force any more

	mu       sync.Mutex
	accounts map[string]*Account
	right    map[string][32]byte // by account, a digest of the secret that it came with last
}

// NewDesk makes one for the accounts.
func NewDesk(accounts []*Account, now func() time.Time) *Desk {
	d := &Desk{
		accounts: byID(accounts), attempts: newAttempts(now), turn: make(chan struct{}, 1),
		nobody: []hash{{rounds: rounds, salt: make([]byte, saltBytes)}}, right: map[string][32]byte{},
	}
	_, _ = rand.Read(d.salt[:]) // it never fails
	return d
}

func byID(accounts []*Account) map[string]*Account {
	all := make(map[string]*Account, len(accounts))
	for _, a := range accounts {
		all[a.ID] = a
	}
	return all
}

// Account gives the account of an id; null if there is none.
func (d *Desk) Account(id string) *Account {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.accounts[id]
}

// Len is how many accounts are in force.
func (d *Desk) Len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.accounts)
}

// Authenticate gives the account of credentials. Where they come from, such as an
// address, bounds how often somebody may be wrong about an account.
func (d *Desk) Authenticate(ctx context.Context, id, secret, from string) (*Account, error) {
	if len(id) > maxSecret || len(secret) > maxSecret { // nobody has such
		return nil, credentials()
	}
	digest := d.digest(id, secret)
	account, right := d.wasRight(id, digest)
	if right {
		return account, nil
	}
	attempt := id + "\x00" + from
	if !d.attempts.take(attempt) {
		return nil, problem.New(problem.Limit, CodeAttempts, "too many wrong credentials; try again in %s", refill)
	}
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-d.turn }()
	secrets := d.nobody
	if account != nil {
		secrets = account.secrets
	}
	for _, h := range secrets {
		right = h.matches(secret) || right
	}
	if account == nil || !right {
		return nil, credentials()
	}
	d.attempts.giveBack(attempt)
	return account, d.remember(account, digest)
}

// remember keeps that a secret was right, of an account that is in force still.
func (d *Desk) remember(account *Account, digest [32]byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.accounts[account.ID] != account {
		return changed()
	}
	d.right[account.ID] = digest
	return nil
}

// Serve does something for an account that was let in, if it is in force still. While
// it does, no accounts are replaced.
func (d *Desk) Serve(account *Account, do func() error) error {
	d.serving.RLock()
	defer d.serving.RUnlock()
	if d.Account(account.ID) != account {
		return changed()
	}
	return do()
}

func changed() error {
	return problem.New(problem.Unavailable, "SERVICE_ACCOUNT_CHANGED", "the service account is being changed; try again")
}

// digest is remembered of a secret, so that the same again costs nothing.
func (d *Desk) digest(id, secret string) (digest [32]byte) {
	mac := hmac.New(sha256.New, d.salt[:])
	mac.Write([]byte(id + "\x00" + secret))
	return [32]byte(mac.Sum(digest[:0]))
}

// wasRight gives the account of an id, and whether it came with this secret last.
func (d *Desk) wasRight(id string, digest [32]byte) (*Account, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	last, known := d.right[id]
	return d.accounts[id], known && hmac.Equal(last[:], digest[:])
}

func credentials() error {
	return problem.New(problem.Unauthentic, CodeCredentials, "there is no service account with this id and this secret")
}

// Request is what a client asks for. What it does not ask for it gets as far as the
// account has it.
type Request struct {
	Scopes     []string
	Attributes map[string][]string // by access.AttributeNames
	Delegates  []string            // who acts on behalf of the account: who asks first, then the one before it
}

// Grant is the token that the account gets for a request.
func (a *Account) Grant(request Request) (access.Order, error) {
	order := access.Order{ServiceAccount: a.ID, TTL: a.TTL, Actor: access.Actor{
		Subject: a.ID, Role: a.Role, Scopes: a.Scopes, Organizations: a.Organizations, AllOrganizations: len(a.Organizations) == 0,
	}}
	if len(request.Scopes) > 0 {
		order.Actor.Scopes = nil
	}
	for _, text := range request.Scopes {
		scope := access.Scope(text)
		if !slices.Contains(a.Scopes, scope) {
			return order, problem.New(problem.Denied, "SCOPE_NOT_ALLOWED", "the account does not have the scope %.80q; it has %v", text, a.Scopes).On("scope")
		}
		if !order.Actor.May(scope) {
			order.Actor.Scopes = append(order.Actor.Scopes, scope)
		}
	}
	for _, name := range access.AttributeNames {
		values, err := a.resolve(name, request.Attributes[name])
		if err != nil {
			return order, err
		}
		*order.Actor.Attributes.Of(name) = values
	}
	for _, delegate := range request.Delegates {
		if !slices.Contains(a.Delegates, delegate) {
			return order, problem.New(problem.Denied, "DELEGATE_NOT_ALLOWED", "%.80q is none of the account's delegates", delegate).On("delegation_actor")
		}
		order.Actor.Delegates = append(order.Actor.Delegates, delegate)
	}
	return order, nil
}

// resolve gives the values that limit the token: those asked for, which are among the
// account's, or all of the account's. An account without values is not limited, and
// may limit its tokens itself.
func (a *Account) resolve(name string, asked []string) (values []string, err error) {
	allowed := *a.Attributes.Of(name)
	if len(asked) == 0 {
		return allowed, nil
	}
	for _, value := range asked {
		if err := access.CheckAttribute(name, value); err != nil {
			return nil, err
		}
		if len(allowed) > 0 && !slices.Contains(allowed, value) {
			return nil, problem.New(problem.Denied, "ATTRIBUTE_NOT_ALLOWED", "the account does not have the value %q of vuln_%s; it has %s", value, name, strings.Join(allowed, " ")).On("vuln_" + name)
		}
		if !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	return values, nil
}
