package oidc

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

const (
	// maxAnswer bounds a document of the issuer.
	maxAnswer = 1 << 20

	// maxKeys bounds what one issuer can have.
	maxKeys = 100

	// answerTime is for one document.
	answerTime = 2 * time.Second
)

// Issuer is one whose keys are read.
type Issuer struct {
	name   string
	client *http.Client
}

// New checks the address of an issuer. Nothing is read yet: to start, the issuer is
// not needed.
func New(name string) (*Issuer, error) {
	if err := Check("oidc-issuer", name); err != nil {
		return nil, err
	}
	return &Issuer{name: name, client: &http.Client{
		Timeout:       answerTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Check refuses an address that cannot be that of an issuer; the field says what it
// is the value of.
func Check(field, name string) error {
	if err := checkAddress(name); err != nil {
		return problem.New(problem.Invalid, "OIDC_ISSUER_INVALID", "the issuer %q cannot be used: %s", name, err).On(field)
	}
	return nil
}

// checkAddress refuses what others could answer to.
func checkAddress(text string) error {
	address, err := url.Parse(text)
	switch {
	case err != nil || address.Host == "":
		return fmt.Errorf("it is no address such as https://login.example.com")
	case address.User != nil || address.RawQuery != "" || address.Fragment != "":
		return fmt.Errorf("an issuer's address has no user, query or fragment")
	case address.Scheme == "https", address.Scheme == "http" && isLocal(address.Hostname()):
		return nil
	}
	return fmt.Errorf("it must begin with https:// (http:// is for this machine alone)")
}

func isLocal(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Keys reads the issuer's keys now.
func (i *Issuer) Keys(ctx context.Context) (map[string]access.PublicKey, error) {
	keys, err := i.keys(ctx)
	if err != nil {
		return nil, problem.New(problem.Unavailable, "TOKEN_ISSUER_UNAVAILABLE",
			"the access token cannot be verified now: its issuer does not give its keys; try again").Because(fmt.Errorf("keys of %s: %w", i.name, err))
	}
	return keys, nil
}

func (i *Issuer) keys(ctx context.Context) (map[string]access.PublicKey, error) {
	var metadata struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	document, err := i.get(ctx, strings.TrimSuffix(i.name, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(document, &metadata); err != nil {
		return nil, fmt.Errorf("its configuration is no JSON: %w", err)
	}
	if metadata.Issuer != i.name {
		return nil, fmt.Errorf("it calls itself %q", metadata.Issuer)
	}
	if err := checkAddress(metadata.Keys); err != nil {
		return nil, fmt.Errorf("its jwks_uri %q: %w", metadata.Keys, err)
	}
	if document, err = i.get(ctx, metadata.Keys); err != nil {
		return nil, err
	}
	return parseKeys(document)
}

func (i *Issuer) get(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := i.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }() // it was read
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", address, response.Status)
	}
	document, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err == nil && len(document) > maxAnswer {
		err = fmt.Errorf("%s answers more than %d bytes", address, maxAnswer)
	}
	return document, err
}

// parseKeys takes the keys of a set that verify signatures and passes over the others:
// a set may have keys of kinds to come, and one that cannot be read must not take the
// others along. A secret one among them is never taken.
func parseKeys(document []byte) (map[string]access.PublicKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, fmt.Errorf("its keys cannot be read: %w", err)
	}
	if len(set.Keys) == 0 || len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("it has %d keys; it can have 1 to %d", len(set.Keys), maxKeys)
	}
	keys := map[string]access.PublicKey{}
	for n, raw := range set.Keys {
		key, err := jwk.ParseKey(raw)
		if err != nil {
			continue
		}
		if use, given := key.KeyUsage(); given && use != "sig" {
			continue
		}
		public, ok := export(key)
		if !ok {
			continue
		}
		algorithm := ""
		if named, given := key.Algorithm(); given {
			algorithm = named.String()
		}
		kid, given := key.KeyID()
		if !given {
			kid = fmt.Sprintf("\x00%d", n) // found only by being the one that suits
		}
		keys[kid] = access.PublicKey{Key: public, Algorithm: algorithm}
	}
	return keys, nil
}

func export(key jwk.Key) (crypto.PublicKey, bool) {
	if private, err := jwk.IsPrivateKey(key); err != nil || private {
		return nil, false
	}
	var raw any
	if err := jwk.Export(key, &raw); err != nil {
		return nil, false
	}
	switch raw.(type) {
	case ed25519.PublicKey, *ecdsa.PublicKey, *rsa.PublicKey:
		return raw, true
	}
	return nil, false
}
