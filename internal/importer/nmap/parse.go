package nmap

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// codePrefix begins the codes of faults of a file.
const codePrefix = "NMAP"

// Parse reads scans, each file as one.
func Parse(files iter.Seq2[surface.File, error], o surface.Options, out record.Emitter) (surface.Summary, error) {
	var summary surface.Summary
	for file, err := range files {
		if err != nil {
			return summary, err
		}
		name := surface.BaseName(file.Name)
		s := &scan{file: name, options: o, out: out, warnings: surface.Warnings{File: name}, protocols: map[record.Protocol][]record.PortRange{}}
		if err := s.read(file.Content); err != nil {
			return summary, surface.In(name, err)
		}
		summary.Records += s.records
		summary.Ran(s.started, s.finished)
	}
	return summary, nil
}

// scan is one file while it is read.
type scan struct {
	file     string
	options  surface.Options
	out      record.Emitter
	warnings surface.Warnings

	arguments         string
	started, finished time.Time
	ended, succeeded  bool
	statedUp          string // how many hosts the file says were up
	up                int    // how many it lists

	protocols map[record.Protocol][]record.PortRange
	probed    surface.Ranges
	answered  surface.Ranges
	silent    surface.Ranges // up by somebody's word only

	last    *record.Record // held back: the covers stand in the last one
	records int
}

func (s *scan) read(content io.Reader) error {
	document, err := surface.XML(content, codePrefix, "nmaprun")
	if err != nil {
		return err
	}
	root := record.Position{File: s.file, Line: document.Line()}
	s.arguments = surface.Attribute(document.Root, "args")
	s.started = s.time(surface.Attribute(document.Root, "start"))
	for {
		start, in, err := document.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if err := s.element(document, start, in); err != nil {
			return err
		}
	}
	if err := s.end(root); err != nil {
		return err
	}
	return s.warnings.Emit(s.out)
}

// element reads one element below the root. A hosthint repeats or comes before a
// host, and what stands in it is deeper than a host.
func (s *scan) element(document *surface.Document, start xml.StartElement, in []string) error {
	switch name := start.Name.Local; {
	case len(in) == 1 && name == "host":
		at := record.Position{File: s.file, Line: document.Line()}
		var host hostElement
		if err := document.Decode(&host); err != nil {
			return err
		}
		return s.host(at, &host)
	case len(in) == 1 && name == "scaninfo":
		s.info(start)
	case len(in) == 2 && in[1] == "runstats" && name == "finished":
		exit := surface.Attribute(start, "exit") // versions before 5 do not write it
		s.ended, s.succeeded = true, exit == "" || exit == "success"
		s.finished = s.time(surface.Attribute(start, "time"))
	case len(in) == 2 && in[1] == "runstats" && name == "hosts":
		s.statedUp = surface.Attribute(start, "up")
	}
	return nil
}

// info reads which ports of a protocol were probed.
func (s *scan) info(start xml.StartElement) {
	protocol, err := surface.Protocol(surface.Attribute(start, "protocol"))
	if err != nil {
		s.warnings.Add("SCANINFO_UNREADABLE", "list of probed ports cannot be read", "lists of probed ports cannot be read")
		return
	}
	ports, err := surface.Ports(surface.Attribute(start, "services"))
	if err != nil {
		s.warnings.Add("SCANINFO_UNREADABLE", "list of probed ports cannot be read", "lists of probed ports cannot be read")
		return
	}
	s.protocols[protocol] = surface.MergePorts(append(s.protocols[protocol], ports...))
}

// time reads a time of the scan itself, in seconds since 1970. It decides
// nothing, so one that cannot be is left out.
func (s *scan) time(text string) time.Time {
	if text == "" {
		return time.Time{}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seconds < 0 || seconds > maxSeconds {
		s.warnings.Add("BAD_TIME", "time cannot be read", "times cannot be read")
		return time.Time{}
	}
	at := time.Unix(seconds, 0).UTC()
	if s.options.Future(at) {
		s.warnings.Add("TIME_IN_FUTURE", "time of the scan is in the future and was not used", "times of the scan are in the future and were not used")
		return time.Time{}
	}
	return at
}

// maxSeconds is the last second that every part of the product can show.
const maxSeconds = 253402300799 // 9999-12-31T23:59:59Z

// emit passes the record on that was held back, and holds this one back.
func (s *scan) emit(r record.Record) error {
	s.records++
	last := s.last
	s.last = &r
	if last == nil {
		return nil
	}
	return s.out.Record(*last)
}

func (s *scan) reject(at record.Position, about *record.AssetRef, err error) error {
	rejection, ok := surface.Reject(at, about, err)
	if !ok {
		return err
	}
	return s.out.Reject(rejection)
}

// end says what the scan covered, in the record of its last host or, if it lists
// none, in one of its own.
func (s *scan) end(root record.Position) error {
	var covers []record.Cover
	if s.ended && s.succeeded {
		covers = s.covers()
	} else {
		s.warnings.Say("SCAN_UNFINISHED", "The scan did not end well, so that nothing is gone because the file does not show it.")
	}
	switch {
	case s.last == nil && len(covers) == 0:
		return nil
	case s.last == nil:
		return s.out.Record(record.Record{Position: root, Fact: record.Sighting{Covers: covers}})
	}
	sighting, ok := s.last.Fact.(record.Sighting)
	if !ok {
		return fmt.Errorf("a record of a scan is a %T", s.last.Fact)
	}
	sighting.Covers = append(sighting.Covers, covers...)
	s.last.Fact = sighting
	return s.out.Record(*s.last)
}
