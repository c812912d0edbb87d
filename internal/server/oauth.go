package server

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/access"
	"github.com/exposuregraph/exposuregraph/internal/access/account"
	"github.com/exposuregraph/exposuregraph/internal/audit"
	"github.com/exposuregraph/exposuregraph/internal/problem"
)

// maxForm bounds the body of a request for a token.
const maxForm = 32 << 10

// Tokens is what an issuer of tokens stands on.
type Tokens struct {
	Desk     *account.Desk
	Registry *access.Registry
	Refusals Refusals // nil: nothing is kept of what is refused
	Keys     access.PublicKeys
	Issuer   string // the claim iss
	Address  string // what the addresses of the metadata begin with
}

// Refusals keeps what was refused.
type Refusals interface {
	// Note must not take longer for some accounts than for others.
	Note(refusal audit.Refusal)
}

// The errors of RFC 6749, section 5.2, and one of section 4.1.2.1.
const (
	oauthRequest     = "invalid_request"
	oauthClient      = "invalid_client"
	oauthScope       = "invalid_scope"
	oauthGrantType   = "unsupported_grant_type"
	oauthDenied      = "access_denied"
	oauthUnavailable = "temporarily_unavailable"
	oauthFault       = "server_error"
)

const codeGrantType = "GRANT_TYPE_UNSUPPORTED"

// oauthError is an error as RFC 6749 has it, with our code.
type oauthError struct {
	Error       string `json:"error"`
	Description string `json:"error_description"`
	Code        string `json:"code"`
	Field       string `json:"field,omitempty"`
	RequestID   string `json:"requestId,omitempty"`
}

// issuing lets a request pass where this server makes tokens.
func (s *Server) issuing(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.Tokens == nil {
			refuse(w, r, s.Logger, problem.New(problem.NotFound, "ISSUER_OFF",
				"this server makes no tokens: start it with --service-accounts and the owner role of the database"))
			return
		}
		next(w, r)
	}
}

// token answers a request for an access token (RFC 6749, section 4.4).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	token, order, err := s.grant(w, r)
	if err != nil {
		s.noteRefusal(r, "token", err)
		s.refuseOAuth(w, r, err)
		return
	}
	body := map[string]any{
		"access_token": token.Text, "token_type": "Bearer", "expires_in": int64(order.TTL.Seconds()), "token_id": token.ID,
		"scope": words(order.Actor.Scopes),
	}
	for _, name := range access.AttributeNames {
		if values := *order.Actor.Attributes.Of(name); len(values) > 0 {
			body["vuln_"+name] = words(values)
		}
	}
	w.Header().Set("Pragma", "no-cache")
	answer(w, http.StatusOK, body)
}

func words[T ~string](list []T) string {
	texts := make([]string, len(list))
	for i, one := range list {
		texts[i] = string(one)
	}
	return strings.Join(texts, " ")
}

func (s *Server) grant(w http.ResponseWriter, r *http.Request) (token access.Token, order access.Order, err error) {
	form, err := formOf(w, r)
	if err != nil {
		return token, order, err
	}
	if kind := form.Get("grant_type"); kind != "client_credentials" {
		return token, order, problem.New(problem.Invalid, codeGrantType, "the grant_type is client_credentials and no other").On("grant_type")
	}
	client, err := s.enter(r, form)
	if err != nil {
		return token, order, err
	}
	request, err := requestOfForm(form)
	if err != nil {
		return token, order, err
	}
	err = s.Tokens.Desk.Serve(client, func() (err error) {
		if order, err = client.Grant(request); err != nil {
			return err
		}
		token, err = s.Tokens.Registry.Issue(r.Context(), order)
		return err
	})
	return token, order, err
}

// noteRefusal keeps that a client was refused, which is told to who watches for
// guessing. Faults of ours are in the server's log, and who went away in time was not
// told anything.
func (s *Server) noteRefusal(r *http.Request, endpoint string, err error) {
	var typed *problem.Error
	if s.Tokens.Refusals == nil || !errors.As(err, &typed) || typed.Kind == problem.Internal || typed.Kind == problem.Unavailable {
		return
	}
	refusal := audit.Refusal{Code: typed.Code, Endpoint: endpoint, RequestID: RequestID(r.Context())}
	if named := s.Tokens.Desk.Account(claimedID(r)); named != nil {
		refusal.Account, refusal.Organizations = named.ID, named.Organizations
	}
	s.Tokens.Refusals.Note(refusal)
}

// claimedID is who a request says that it is from, as far as its form was read.
func claimedID(r *http.Request) string {
	if name, _, ok := r.BasicAuth(); ok {
		if id, err := url.QueryUnescape(name); err == nil {
			return id
		}
	}
	return r.PostForm.Get("client_id")
}

// formOf reads the parameters of the body. Those of RFC 6749 come once, as it demands.
func formOf(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	invalid := func(format string, args ...any) *problem.Error {
		return problem.New(problem.Invalid, "OAUTH_REQUEST", format, args...)
	}
	if media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || media != "application/x-www-form-urlencoded" {
		return nil, invalid("the body must be application/x-www-form-urlencoded")
	}
	if r.URL.RawQuery != "" {
		return nil, invalid("parameters belong into the body: addresses end in logs")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return nil, invalid("the body has more than %d bytes", maxForm)
		}
		return nil, invalid("the body cannot be read as a form").Because(err)
	}
	for name, values := range r.PostForm {
		if len(values) > 1 && !repeatable(name) {
			return nil, invalid("the parameter %.40q is given more than once", name)
		}
	}
	return r.PostForm, nil
}

// repeatable are our own parameters.
func repeatable(name string) bool {
	return name == "delegation_actor" || strings.HasPrefix(name, "vuln_")
}

// requestOfForm reads what is asked for. An attribute that is misspelt or empty is
// refused: to leave it out would ask for more than was meant.
func requestOfForm(form url.Values) (account.Request, error) {
	request := account.Request{Scopes: strings.Fields(form.Get("scope")), Attributes: map[string][]string{}}
	for name, values := range form {
		attribute, ours := strings.CutPrefix(name, "vuln_")
		if !ours {
			continue
		}
		list := strings.Fields(strings.Join(values, " "))
		switch {
		case !slices.Contains(access.AttributeNames, attribute):
			return request, problem.New(problem.Invalid, "ATTRIBUTE_UNKNOWN", "there is no parameter %.40q; there are vuln_env, vuln_owner and vuln_business_tier", name).On(name)
		case len(list) == 0:
			return request, problem.New(problem.Invalid, "ATTRIBUTE_INVALID", "the parameter %s has no value; leave it out to get all values of the account", name).On(name)
		}
		request.Attributes[attribute] = list
	}
	request.Delegates = strings.Fields(strings.Join(form["delegation_actor"], " "))
	return request, nil
}

// enter finds whose credentials these are: in the header or in the body, and not in
// both.
func (s *Server) enter(r *http.Request, form url.Values) (*account.Account, error) {
	id, secret := form.Get("client_id"), form.Get("client_secret")
	headers := r.Header.Values("Authorization")
	if len(headers) > 0 {
		name, password, ok := r.BasicAuth()
		if !ok || len(headers) > 1 {
			return nil, problem.New(problem.Unauthentic, account.CodeCredentials, "the Authorization header must be `Basic …`, once")
		}
		if secret != "" {
			return nil, problem.New(problem.Invalid, "OAUTH_REQUEST", "the credentials are in the header and in the body; give them once")
		}
		decodedID, idErr := url.QueryUnescape(name) // RFC 6749, section 2.3.1
		decoded, secretErr := url.QueryUnescape(password)
		if idErr != nil || secretErr != nil || id != "" && id != decodedID {
			return nil, problem.New(problem.Unauthentic, account.CodeCredentials, "the credentials in the header are not form-encoded, or not of the client_id in the body")
		}
		id, secret = decodedID, decoded
	}
	if id == "" || secret == "" {
		return nil, problem.New(problem.Unauthentic, account.CodeCredentials, "the credentials are missing: send client_id and client_secret, in a Basic header or in the body")
	}
	client, err := s.Tokens.Desk.Authenticate(r.Context(), id, secret, network(r.RemoteAddr))
	if err != nil {
		return nil, err
	}
	requestOf(r.Context()).subject = client.ID
	return client, nil
}

// network is where a request comes from, as far as it is somebody's: of IPv6 the half
// that a provider gives away.
func network(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	address, err := netip.ParseAddr(host)
	if err != nil || address.Unmap().Is4() {
		return host
	}
	prefix, err := address.WithZone("").Prefix(64)
	if err != nil {
		return host
	}
	return prefix.String()
}

// revoke ends a token (RFC 7009): a service account one of its own, a bearer the one
// it comes with, and an admin each of the organizations it sees.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request) {
	form, err := formOf(w, r)
	if err == nil && form.Get("token") == "" {
		err = problem.New(problem.Invalid, "OAUTH_REQUEST", "the parameter token is missing").On("token")
	}
	if err != nil {
		s.refuseOAuth(w, r, err)
		return
	}
	may, by, err := s.revoker(r, form)
	if err != nil {
		s.refuseOAuth(w, r, err)
		return
	}
	// What is no token of ours is not valid already, which is all that is asked for. An
	// id is not taken for one: whoever has it need not have the token.
	record, err := s.known(r.Context(), form.Get("token"))
	if err == nil && record != nil {
		if !may(record) {
			err = problem.New(problem.Denied, "TOKEN_OF_ANOTHER", "this token was made for another; its service account, its bearer or an admin of its organizations may revoke it").On("token")
		} else {
			_, err = s.Tokens.Registry.Revoke(r.Context(), form.Get("token"), by)
		}
	}
	if err != nil {
		s.refuseOAuth(w, r, err)
		return
	}
	answer(w, http.StatusOK, struct{}{})
}

func (s *Server) known(ctx context.Context, token string) (*access.Record, error) {
	if strings.Count(token, ".") != 2 {
		return nil, nil
	}
	return s.Tokens.Registry.Find(ctx, token)
}

// revoker says which tokens the caller may revoke, and who it is.
func (s *Server) revoker(r *http.Request, form url.Values) (may func(*access.Record) bool, by string, err error) {
	scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		client, err := s.enter(r, form)
		if err != nil {
			s.noteRefusal(r, "revoke", err)
			return nil, "", err
		}
		return func(record *access.Record) bool { return record.ServiceAccount == client.ID }, client.ID, nil
	}
	actor, err := s.Verifier.Verify(r.Context(), strings.TrimSpace(token))
	if err != nil {
		return nil, "", err
	}
	requestOf(r.Context()).subject = actor.Subject
	return func(record *access.Record) bool {
		if record.ID == actor.TokenID {
			return true
		}
		seen := func(slug string) bool { return actor.AllOrganizations || slices.Contains(actor.Organizations, slug) }
		unseen := slices.ContainsFunc(record.Organizations, func(slug string) bool { return !seen(slug) })
		return actor.Role == access.Admin && !unseen && (!record.AllOrganizations || actor.AllOrganizations)
	}, actor.Subject, nil
}

// refuseOAuth answers as RFC 6749 says, and what it does not know as near to it as can
// be.
func (s *Server) refuseOAuth(w http.ResponseWriter, r *http.Request, err error) {
	var typed *problem.Error
	if !errors.As(err, &typed) || typed.Kind == problem.Internal {
		if r.Context().Err() == nil {
			s.Logger.ErrorContext(r.Context(), "internal error", "request_id", RequestID(r.Context()), "error", err)
		}
		typed = problem.New(problem.Internal, "INTERNAL", "internal error; the server's log has it under this request id")
	}
	status, name := http.StatusBadRequest, oauthRequest
	switch {
	case typed.Code == codeGrantType:
		name = oauthGrantType
	case typed.Code == "SCOPE_NOT_ALLOWED":
		name = oauthScope
	case typed.Code == "TOKEN_OF_ANOTHER":
		status, name = http.StatusForbidden, oauthDenied
	case typed.Kind == problem.Unauthentic:
		status, name = http.StatusUnauthorized, oauthClient
		w.Header().Set("WWW-Authenticate", `Basic realm="exposuregraph"`)
		s.Logger.WarnContext(r.Context(), "credentials refused", "request_id", RequestID(r.Context()), "code", typed.Code, "from", network(r.RemoteAddr))
	case typed.Kind == problem.Limit:
		status, name = http.StatusTooManyRequests, oauthUnavailable
		w.Header().Set("Retry-After", "10")
		s.Logger.WarnContext(r.Context(), "credentials refused", "request_id", RequestID(r.Context()), "code", typed.Code, "from", network(r.RemoteAddr))
	case typed.Kind == problem.Unavailable:
		status, name = http.StatusServiceUnavailable, oauthUnavailable
		w.Header().Set("Retry-After", "5")
		s.Logger.WarnContext(r.Context(), "unavailable", "request_id", RequestID(r.Context()), "code", typed.Code, "cause", errors.Unwrap(typed))
	case typed.Kind == problem.Internal:
		status, name = http.StatusInternalServerError, oauthFault
	}
	answer(w, status, oauthError{Error: name, Description: plain(typed.Message), Code: typed.Code, Field: typed.Field, RequestID: RequestID(r.Context())})
}

// plain writes a message in the characters that RFC 6749 lets a description have.
func plain(message string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '"' || r == '`':
			return '\''
		case r == '\\' || r < ' ' || r > '~':
			return '?'
		}
		return r
	}, message)
}

// keys are the public halves of those that sign our tokens (RFC 7517).
func (s *Server) keys(w http.ResponseWriter, r *http.Request) {
	keys, err := s.Tokens.Keys(r.Context())
	if err != nil {
		refuse(w, r, s.Logger, err)
		return
	}
	set := []map[string]string{}
	for id, key := range keys {
		public, ok := key.Key.(ed25519.PublicKey)
		if !ok {
			refuse(w, r, s.Logger, fmt.Errorf("the key %s is of type %T", id, key.Key))
			return
		}
		set = append(set, map[string]string{
			"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": key.Algorithm, "kid": id, "x": base64.RawURLEncoding.EncodeToString(public),
		})
	}
	slices.SortFunc(set, func(a, b map[string]string) int { return strings.Compare(a["kid"], b["kid"]) })
	answer(w, http.StatusOK, map[string]any{"keys": set})
}

// metadata says where all of this is (RFC 8414, and what OpenID Connect Discovery asks
// for besides). There are no ID tokens, and nobody signs in.
func (s *Server) metadata(w http.ResponseWriter, _ *http.Request) {
	methods := []string{"client_secret_basic", "client_secret_post"}
	answer(w, http.StatusOK, map[string]any{
		"issuer":                                     s.Tokens.Issuer,
		"token_endpoint":                             s.Tokens.Address + "/oauth/token",
		"revocation_endpoint":                        s.Tokens.Address + "/oauth/revoke",
		"jwks_uri":                                   s.Tokens.Address + "/oauth/jwks",
		"grant_types_supported":                      []string{"client_credentials"},
		"response_types_supported":                   []string{},
		"scopes_supported":                           access.Scopes,
		"token_endpoint_auth_methods_supported":      methods,
		"revocation_endpoint_auth_methods_supported": methods,
		"id_token_signing_alg_values_supported":      []string{"EdDSA"},
		"subject_types_supported":                    []string{"public"},
	})
}
