package demo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// Scan is what a scanner writes of a look from outside, in its own format.
type Scan interface {
	Format() string
	write() ([]byte, error)
}

// place is an address and the name that leads to it.
type place struct{ address, name string }

// product is what answers on a port: what it speaks, and what it is if it says so.
type product struct{ service, name, version string }

// certificate is what a service presents.
type certificate struct {
	name, digest      string
	notBefore, expiry time.Time
}

// certificateOf is a certificate that was issued for a name on a day, for 90 days.
func certificateOf(base time.Time, of place, issued int) *certificate {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", of.name, issued))
	return &certificate{of.name, hex.EncodeToString(sum[:]), on(base, issued, 0), on(base, issued+90, 0)}
}

// sweep is a look of nmap at the ports of some addresses.
type sweep struct {
	at      time.Time
	targets []string
	ports   []int
	hosts   []*nmapHost
}

// The elements of nmap's report that are written.
type (
	nmapRun struct {
		XMLName  xml.Name    `xml:"nmaprun"`
		Scanner  string      `xml:"scanner,attr"`
		Args     string      `xml:"args,attr"`
		Start    int64       `xml:"start,attr"`
		Version  string      `xml:"version,attr"`
		Output   string      `xml:"xmloutputversion,attr"`
		Info     nmapInfo    `xml:"scaninfo"`
		Hosts    []*nmapHost `xml:"host"`
		Finished nmapEnd     `xml:"runstats>finished"`
		Count    nmapCount   `xml:"runstats>hosts"`
	}
	nmapInfo struct {
		Type     string `xml:"type,attr"`
		Protocol string `xml:"protocol,attr"`
		Number   int    `xml:"numservices,attr"`
		Services string `xml:"services,attr"`
	}
	nmapHost struct {
		Status  nmapState   `xml:"status"`
		Address nmapAddress `xml:"address"`
		Names   []nmapName  `xml:"hostnames>hostname,omitempty"`
		Ports   []nmapPort  `xml:"ports>port,omitempty"`
	}
	nmapState struct {
		State  string `xml:"state,attr"`
		Reason string `xml:"reason,attr"`
	}
	nmapAddress struct {
		Text string `xml:"addr,attr"`
		Type string `xml:"addrtype,attr"`
	}
	nmapName struct {
		Text string `xml:"name,attr"`
		Type string `xml:"type,attr"`
	}
	nmapPort struct {
		Protocol string       `xml:"protocol,attr"`
		Number   int          `xml:"portid,attr"`
		State    nmapState    `xml:"state"`
		Service  *nmapService `xml:"service"`
		Script   *nmapScript  `xml:"script"`
	}
	nmapService struct {
		Name       string `xml:"name,attr"`
		Product    string `xml:"product,attr,omitempty"`
		Version    string `xml:"version,attr,omitempty"`
		Tunnel     string `xml:"tunnel,attr,omitempty"`
		Method     string `xml:"method,attr"`
		Confidence int    `xml:"conf,attr"`
	}
	nmapScript struct {
		ID     string      `xml:"id,attr"`
		Output string      `xml:"output,attr"`
		Tables []nmapTable `xml:"table"`
		Values []nmapValue `xml:"elem"`
	}
	nmapTable struct {
		Key    string      `xml:"key,attr"`
		Values []nmapValue `xml:"elem"`
	}
	nmapValue struct {
		Key  string `xml:"key,attr"`
		Text string `xml:",chardata"`
	}
	nmapEnd struct {
		Time    int64  `xml:"time,attr"`
		Elapsed int    `xml:"elapsed,attr"`
		Exit    string `xml:"exit,attr"`
	}
	nmapCount struct {
		Up    int `xml:"up,attr"`
		Down  int `xml:"down,attr"`
		Total int `xml:"total,attr"`
	}
)

// up is a host that answers.
func (s *sweep) up(at place) *nmapHost { return s.host(at, nmapState{"up", "echo-reply"}) }

// down is one that does not.
func (s *sweep) down(at place) { s.host(at, nmapState{"down", "no-response"}) }

func (s *sweep) host(at place, status nmapState) *nmapHost {
	h := &nmapHost{Status: status, Address: nmapAddress{at.address, "ipv4"}, Names: []nmapName{{at.name, "PTR"}}}
	s.hosts = append(s.hosts, h)
	return h
}

func (h *nmapHost) open(port int, runs product) { h.answers(port, runs, "", nil) }

// secure is an open port behind TLS.
func (h *nmapHost) secure(port int, runs product, presents *certificate) {
	h.answers(port, runs, "ssl", presents.script())
}

func (h *nmapHost) answers(port int, runs product, tunnel string, script *nmapScript) {
	h.Ports = append(h.Ports, nmapPort{
		Protocol: "tcp", Number: port, State: nmapState{"open", "syn-ack"}, Script: script,
		Service: &nmapService{Name: runs.service, Product: runs.name, Version: runs.version, Tunnel: tunnel, Method: "probed", Confidence: 10},
	})
}

func (h *nmapHost) closed(port int) {
	h.Ports = append(h.Ports, nmapPort{Protocol: "tcp", Number: port, State: nmapState{"closed", "reset"}})
}

// script is what ssl-cert says of the certificate.
func (c *certificate) script() *nmapScript {
	return &nmapScript{
		ID: "ssl-cert", Output: "Subject: commonName=" + c.name,
		Tables: []nmapTable{
			{"subject", []nmapValue{{"commonName", c.name}}},
			{"issuer", []nmapValue{{"commonName", issuer}}},
			{"pubkey", []nmapValue{{"type", "ec"}, {"bits", "256"}}},
			{"validity", []nmapValue{{"notBefore", c.notBefore.Format("2006-01-02T15:04:05")}, {"notAfter", c.expiry.Format("2006-01-02T15:04:05")}}},
		},
		Values: []nmapValue{{"sig_algo", "ecdsa-with-SHA256"}, {"sha256", c.digest}},
	}
}

// issuer issues the certificates.
const issuer = "Example Public CA R3"

// Format is that of nmap.
func (*sweep) Format() string { return "nmap" }

func (s *sweep) write() ([]byte, error) {
	const minutes = 4
	ports := strings.Trim(strings.ReplaceAll(fmt.Sprint(s.ports), " ", ","), "[]")
	start := s.at.Add(-minutes * time.Minute)
	run := nmapRun{
		Scanner: "nmap", Version: "7.95", Output: "1.05", Start: start.Unix(),
		Args:  "nmap -sS -sV --script ssl-cert -p " + ports + " -oX perimeter.xml " + strings.Join(s.targets, " "),
		Info:  nmapInfo{"syn", "tcp", len(s.ports), ports},
		Hosts: s.hosts, Finished: nmapEnd{s.at.Unix(), minutes * 60, "success"},
	}
	for _, h := range s.hosts {
		run.Count.Total++
		if h.Status.State == "up" {
			run.Count.Up++
		} else {
			run.Count.Down++
		}
	}
	body, err := xml.MarshalIndent(run, "", " ")
	return append([]byte(xml.Header), body...), err
}

// crawl is a look of httpx at pages.
type crawl struct {
	at    time.Time
	pages []httpxPage
}

// httpxPage is a line of httpx, as far as it is written.
type httpxPage struct {
	Timestamp  time.Time `json:"timestamp"`
	URL        string    `json:"url"`
	Input      string    `json:"input"`
	Host       string    `json:"host"`
	A          []string  `json:"a"`
	Port       string    `json:"port"`
	Scheme     string    `json:"scheme"`
	Path       string    `json:"path"`
	Method     string    `json:"method"`
	StatusCode int       `json:"status_code"`
	Title      string    `json:"title,omitempty"`
	Tech       []string  `json:"tech"`
	TLS        httpxTLS  `json:"tls"`
	Failed     bool      `json:"failed"`
}

type httpxTLS struct {
	Subject   string            `json:"subject_dn"`
	Issuer    string            `json:"issuer_dn"`
	Names     []string          `json:"subject_an"`
	NotBefore time.Time         `json:"not_before"`
	NotAfter  time.Time         `json:"not_after"`
	Digests   map[string]string `json:"fingerprint_hash"`
}

// answers is a page behind TLS that answers.
func (s *crawl) answers(at place, address string, status int, title string, c *certificate, technologies ...string) {
	page := httpxPage{
		Timestamp: s.at.Add(-time.Minute), URL: address, Input: at.name, Host: at.address, A: []string{at.address}, Port: "443", Scheme: "https",
		Method: "GET", StatusCode: status, Title: title, Tech: technologies,
		TLS: httpxTLS{"CN=" + c.name, "CN=" + issuer, []string{c.name}, c.notBefore, c.expiry, map[string]string{"sha256": c.digest}},
	}
	if parsed, err := url.Parse(address); err == nil {
		page.Path = parsed.Path
		if parsed.Port() != "" {
			page.Port = parsed.Port()
		}
	}
	s.pages = append(s.pages, page)
}

// Format is that of httpx.
func (*crawl) Format() string { return "httpx" }

func (s *crawl) write() ([]byte, error) {
	var file bytes.Buffer
	lines := json.NewEncoder(&file)
	for _, page := range s.pages {
		if err := lines.Encode(page); err != nil {
			return nil, err
		}
	}
	return file.Bytes(), nil
}
