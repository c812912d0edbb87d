package object

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
)

// A page has at most 1,000 objects.
const maxListing = 4 << 20

// listing is a page of ListObjectsV2.
type listing struct {
	XMLName     struct{} `xml:"ListBucketResult"`
	IsTruncated bool
	Next        string `xml:"NextContinuationToken"`
	Contents    []struct {
		Key          string
		Size         int64
		LastModified time.Time
	}
}

// List asks for a page at a time.
func (b *Bucket) List(ctx context.Context, organization uuid.UUID) iter.Seq2[Info, error] {
	return b.list(ctx, b.prefix+organization.String()+"/")
}

// ListAll asks for a page at a time.
func (b *Bucket) ListAll(ctx context.Context) iter.Seq2[Info, error] { return b.list(ctx, b.prefix) }

func (b *Bucket) list(ctx context.Context, prefix string) iter.Seq2[Info, error] {
	return func(yield func(Info, error) bool) {
		for token := ""; ; {
			page, err := b.page(ctx, prefix, token)
			if err != nil {
				yield(Info{}, b.problem(Address{}, err))
				return
			}
			for _, found := range page.Contents {
				address, ours := parseAddress(strings.TrimPrefix(found.Key, b.prefix))
				if ours && !yield(Info{Address: address, Size: found.Size, Modified: found.LastModified}, nil) {
					return
				}
			}
			if !page.IsTruncated {
				return
			}
			token = page.Next
		}
	}
}

// page asks for what comes after a token. A store that gives no way to go on, or what
// was not asked for, would have us take a part for the whole or go round for ever.
func (b *Bucket) page(ctx context.Context, prefix, token string) (*listing, error) {
	query := url.Values{"list-type": {"2"}, "max-keys": {"1000"}, "prefix": {prefix}}
	if token != "" {
		query.Set("continuation-token", token)
	}
	var page listing
	err := b.call(ctx, request{method: http.MethodGet, query: query}, func(response *http.Response) error {
		page = listing{}
		return decodeXML(response.Body, maxListing, &page)
	})
	if err != nil {
		return nil, err
	}
	if page.IsTruncated && (page.Next == "" || page.Next == token) {
		return nil, malformed("a list that is cut off does not say how to go on")
	}
	for _, found := range page.Contents {
		if !strings.HasPrefix(found.Key, prefix) || found.Size < 0 || found.LastModified.IsZero() {
			return nil, malformed("a list has an object that was not asked for, or without a size or a time")
		}
	}
	return &page, nil
}
