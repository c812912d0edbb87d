package zap

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// codePrefix begins the codes of faults of a file.
const codePrefix = "ZAP"

// Parse reads reports, each file as one.
func Parse(files iter.Seq2[surface.File, error], o surface.Options, out record.Emitter) (surface.Summary, error) {
	var summary surface.Summary
	for file, err := range files {
		if err != nil {
			return summary, err
		}
		name := surface.BaseName(file.Name)
		r := &report{file: name, options: o, out: out, warnings: surface.Warnings{File: name}}
		if err := r.read(file.Content); err != nil {
			return summary, surface.In(name, err)
		}
		summary.Records += r.records
		summary.Ran(time.Time{}, r.generated)
	}
	return summary, nil
}

// report is one file while it is read.
type report struct {
	file     string
	options  surface.Options
	out      record.Emitter
	warnings surface.Warnings

	generated time.Time
	site      *record.Record // it waits for its first instance
	records   int
}

// headSize is how much of a file is looked at to tell JSON from XML.
const headSize = 4 << 10

func (r *report) read(content io.Reader) error {
	in := bufio.NewReaderSize(content, headSize)
	head, err := in.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("read %s: %w", r.file, err)
	}
	head = bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\ufeff")), " \t\r\n")
	if bytes.HasPrefix(head, []byte("{")) || bytes.HasPrefix(head, []byte("[")) {
		err = r.readJSON(in)
	} else {
		err = r.readXML(in)
	}
	if err != nil {
		return err
	}
	if err := r.flush(); err != nil {
		return err
	}
	return r.warnings.Emit(r.out)
}

// siteText is a site as a report names it.
type siteText struct{ name, host, port, ssl string }

// url is the origin of a site.
func (s siteText) url() string {
	if s.host == "" {
		return s.name
	}
	scheme, host := "http", s.host
	if s.ssl == "true" {
		scheme = "https"
	}
	if strings.Contains(host, ":") && !strings.HasPrefix(host, "[") {
		host = "[" + host + "]"
	}
	if s.port != "" {
		host += ":" + s.port
	}
	return scheme + "://" + host
}

// begin notes a site, which is told with its first instance.
func (r *report) begin(at record.Position, site siteText) error {
	if err := r.flush(); err != nil {
		return err
	}
	_, _, origin, err := surface.URL(site.url())
	if err != nil {
		return r.reject(at, err)
	}
	sighting := &record.Sighting{}
	if _, err := place(sighting, origin); err != nil {
		return r.reject(at, err)
	}
	sighting.Covers = []record.Cover{{Of: record.URLAsset, Subject: origin}}
	r.site = &record.Record{Position: at, Fact: *sighting}
	return nil
}

// flush tells a site that had no instance.
func (r *report) flush() error {
	if r.site == nil {
		return nil
	}
	site := *r.site
	r.site = nil
	return r.out.Record(site)
}

// place adds where a url is served and gives the parent of its pages.
func place(to *record.Sighting, url record.AssetRef) (parent record.AssetRef, err error) {
	on, port, tls, err := surface.Location(url)
	if err != nil {
		return parent, err
	}
	add(to, record.Asset{AssetRef: on})
	if on.Kind == record.DomainAsset {
		return on, nil
	}
	service, err := surface.Service(on, record.TCP, port)
	if err != nil {
		return parent, err
	}
	detail := &record.ServiceDetail{Name: "http"}
	if tls {
		detail.Tunnel = "ssl"
	}
	add(to, record.Asset{AssetRef: service, Parent: on, State: record.PortOpen, Service: detail})
	return service, nil
}

// add adds an asset once.
func add(to *record.Sighting, asset record.Asset) {
	for _, known := range to.Assets {
		if known.AssetRef == asset.AssetRef {
			return
		}
	}
	to.Assets = append(to.Assets, asset)
}

// instance tells a page, and the site with it if that was not told yet.
func (r *report) instance(at record.Position, uri, method string) error {
	url, path, _, err := surface.URL(uri)
	if err != nil {
		return r.reject(at, err)
	}
	if surface.Credentials(uri) {
		r.warnings.Add("CREDENTIALS_DROPPED", "URL has user info, which was left out", "URLs have user info, which was left out")
	}
	var sighting record.Sighting
	if r.site != nil {
		sighting, _ = r.site.Fact.(record.Sighting) // begin made it
		r.site = nil
	}
	parent, err := place(&sighting, url)
	if err != nil {
		return r.reject(at, err)
	}
	add(&sighting, record.Asset{AssetRef: url, Parent: parent, URL: &record.URLDetail{Method: r.warnings.Text(method)}})
	add(&sighting, record.Asset{AssetRef: path, Parent: parent})
	r.records++
	return r.out.Record(record.Record{Position: at, Fact: sighting})
}

// reject rejects an instance or a site whose place cannot be read.
func (r *report) reject(at record.Position, err error) error {
	rejection, ok := surface.Reject(at, nil, err)
	if !ok {
		return err
	}
	return r.out.Reject(rejection)
}

// layouts are how reports wrote when they were made; without a zone, nobody knows
// which, and UTC is as good as any.
var layouts = []string{"Mon, 2 Jan 2006 15:04:05", "Mon, 2 Jan 2006 15:04:05 MST", time.RFC1123Z, time.RFC3339, "2006-01-02T15:04:05"}

// made reads when a report was made. It decides nothing, so one that cannot be is
// left out.
func (r *report) made(text string) {
	if text = strings.TrimSpace(text); text == "" {
		return
	}
	for _, layout := range layouts {
		at, err := time.Parse(layout, text)
		if at = at.UTC(); err != nil || at.Year() < 1970 || at.Year() > 9998 {
			continue
		}
		if r.options.Future(at) {
			r.warnings.Say("TIME_IN_FUTURE", "The report says that it was made in the future; its time was not used.")
			return
		}
		r.generated = at.Truncate(time.Microsecond)
		return
	}
	r.warnings.Say("BAD_TIME", "When the report was made cannot be read.")
}
