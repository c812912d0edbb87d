package zap

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/exposuregraph/exposuregraph/internal/importer/record"
	"github.com/exposuregraph/exposuregraph/internal/importer/surface"
)

// readXML reads one instance at a time, however many an alert has.
func (r *report) readXML(in io.Reader) error {
	document, err := surface.XML(in, codePrefix, "OWASPZAPReport")
	if err != nil {
		return err
	}
	r.made(surface.Attribute(document.Root, "generated"))
	for {
		start, path, err := document.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		at := record.Position{File: r.file, Line: document.Line()}
		switch {
		case len(path) == 1 && start.Name.Local == "site":
			err = r.begin(at, siteOf(start))
		case len(path) > 1 && start.Name.Local == "instance" && path[len(path)-1] == "instances" && path[1] == "site":
			var instance struct {
				URI    string `xml:"uri"`
				Method string `xml:"method"`
			}
			if err := document.Decode(&instance); err != nil {
				return err
			}
			err = r.instance(at, strings.TrimSpace(instance.URI), strings.TrimSpace(instance.Method))
		}
		if err != nil {
			return err
		}
	}
}

func siteOf(start xml.StartElement) siteText {
	return siteText{surface.Attribute(start, "name"), surface.Attribute(start, "host"), surface.Attribute(start, "port"), surface.Attribute(start, "ssl")}
}
