package surface

import (
	"strconv"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
)

// ports are those that a URL means where it names none.
var ports = map[string]int{"http": 80, "https": 443}

// address is a URL in its parts.
type address struct {
	scheme      string
	on          record.AssetRef
	port        int
	path, query string // byte for byte as sent; the query with its question mark
	secret      bool   // there was user info
}

// URL reads a URL: as an asset of kind url, as one of kind url_path (without its
// query), and its origin, which is no asset but the subject of a cover.
//
// Scheme and host are in lower case and the port is always written. The path and
// the query stay byte for byte as sent, for two spellings are two addresses to a
// server; only a blank, which cannot be sent, becomes %20. The fragment, which
// never reaches a server, and user info, which is a secret, are dropped: see
// [Credentials].
func URL(raw string) (url, path, origin record.AssetRef, err error) {
	a, err := split(raw)
	if err != nil {
		return url, path, origin, err
	}
	url, path, origin = a.refs()
	if err := unfit(url.Value); err != nil {
		return record.AssetRef{}, record.AssetRef{}, record.AssetRef{}, err
	}
	return url, path, origin, nil
}

// Credentials says whether a URL has user info, which URL drops.
func Credentials(raw string) bool {
	a, err := split(raw)
	return err == nil && a.secret
}

// Location is where a url, a url path or an origin is served: on which host or
// domain, at which port, and whether over TLS. If the host is known by its
// address, [Service] of both is the parent; else the domain is.
func Location(of record.AssetRef) (on record.AssetRef, port int, tls bool, err error) {
	a, err := split(of.Value)
	return a.on, a.port, a.scheme == "https", err
}

// refs are the three names of a URL.
func (a address) refs() (url, path, origin record.AssetRef) {
	host := a.on.Value
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	base := a.scheme + "://" + host + ":" + strconv.Itoa(a.port)
	page := a.path
	if page == "" {
		page = "/"
	}
	return record.AssetRef{Kind: record.URLAsset, Value: base + a.path + a.query},
		record.AssetRef{Kind: record.URLPathAsset, Value: base + page},
		record.AssetRef{Kind: record.URLAsset, Value: base}
}

// split does not use package net/url, which refuses or mends what scanners send
// on purpose.
func split(raw string) (address, error) {
	var a address
	raw = strings.Trim(raw, " ")
	if raw == "" {
		return a, fault(ErrMissing.Code, "A URL is missing.")
	}
	if err := unfit(raw); err != nil {
		return a, err
	}
	scheme, rest, ok := strings.Cut(raw, ":")
	if !ok || !isScheme(scheme) {
		return a, fault(ErrURL.Code, "%s is no URL.", quoteURL(raw))
	}
	a.scheme = lower(scheme)
	if _, known := ports[a.scheme]; !known {
		return a, fault(ErrUnsupported.Code, "%s is a URL of %s; only those of http and https are read.", quoteURL(raw), a.scheme)
	}
	if rest, ok = strings.CutPrefix(rest, "//"); !ok {
		return a, fault(ErrURL.Code, "%s is no URL.", quoteURL(raw))
	}
	rest, _, _ = strings.Cut(rest, "#")
	authority := rest
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, a.path = rest[:i], strings.ReplaceAll(rest[i:], " ", "%20")
	}
	if i := strings.IndexByte(a.path, '?'); i >= 0 {
		a.path, a.query = a.path[:i], a.path[i:]
	}
	return a, a.authority(raw, authority)
}

// authority reads what stands between the slashes.
func (a *address) authority(raw, text string) error {
	if i := strings.LastIndexByte(text, '@'); i >= 0 {
		text, a.secret = text[i+1:], true
	}
	host, port := text, ""
	if i := strings.LastIndexByte(text, ':'); i > strings.LastIndexByte(text, ']') {
		host, port = text[:i], text[i+1:]
	}
	a.port = ports[a.scheme]
	if port != "" {
		var err error
		if a.port, err = Port(port); err != nil {
			return err
		}
	}
	var err error
	if a.on, err = Place(host); err != nil || a.on.Kind == record.HostAsset && strings.Contains(host, ":") != strings.HasPrefix(host, "[") {
		return fault(ErrURL.Code, "%s is no URL: %s is neither an address nor a name.", quoteURL(raw), Quote(host))
	}
	return nil
}

// isScheme says whether a text may stand before the colon of a URL.
func isScheme(text string) bool {
	for i, c := range lower(text) {
		if ('a' > c || c > 'z') && (i == 0 || !strings.ContainsRune("0123456789+-.", c)) {
			return false
		}
	}
	return text != ""
}

// quoteURL shows a URL without what may be a secret in it.
func quoteURL(raw string) string {
	if i := strings.LastIndexByte(raw, '@'); i >= 0 {
		raw = "…" + raw[i:]
	}
	return Quote(raw)
}
