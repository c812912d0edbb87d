package demo

import "time"

// When somebody looked from outside, in days before (so negative) the base date.
const (
	perimeterScanned   = -9 // the first look
	perimeterRescanned = -1 // and the second, with one at the pages
)

// outsideSystem is what the scanners look at.
const outsideSystem = "internet"

// The addresses that are Contoso's.
var perimeter = []string{"192.0.2.0/28", "198.51.100.32/28"}

// Who stands there.
var (
	website  = place{"192.0.2.10", "www.contoso.example"}
	exchange = place{"192.0.2.12", "vendors.contoso.example"} // of files with vendors
	remote   = place{"192.0.2.13", "vpn.contoso.example"}
	webhooks = place{"198.51.100.40", "hooks.contoso.example"} // which the bank calls
	beta     = place{"198.51.100.41", "beta.contoso.example"}
)

// scans are the looks from outside.
var scans = []delivered{
	{perimeterScanned, 3, 0, portScan},
	{perimeterRescanned, 3, 0, portScan},
	{perimeterRescanned, 3, 30, pageScan},
}

// portScan is a look at the ports of the perimeter.
func portScan(base time.Time, day int) Delivery {
	s := sweep{at: on(base, day, 3), targets: perimeter, ports: []int{22, 80, 443, 8443}}
	again := day >= perimeterRescanned

	nginx := product{"http", "nginx", "1.24.0"}
	if again {
		nginx.version = "1.26.2"
	}
	www := s.up(website)
	www.open(80, nginx)
	www.secure(443, nginx, certificateOf(base, website, -70))
	if again {
		www.secure(8443, product{"http", "Jetty", "10.0.18"}, certificateOf(base, website, -70))
	}

	files := s.up(exchange)
	if again {
		files.closed(22)
	} else {
		files.open(22, product{"ssh", "OpenSSH", "8.9p1"})
	}
	s.up(remote).secure(443, product{service: "http"}, certificateOf(base, remote, -85))
	if day >= reconciled {
		s.up(webhooks).secure(443, kestrel, certificateOf(base, webhooks, reconciled))
	}
	if again {
		s.down(beta)
	} else {
		s.up(beta).open(80, nginx)
	}
	return Delivery{Source: "perimeter-scan", System: outsideSystem, Scan: &s}
}

// kestrel serves what runs as a function.
var kestrel = product{"http", "Microsoft Kestrel httpd", ""}

// pageScan is a look at the pages behind the names.
func pageScan(base time.Time, day int) Delivery {
	s := crawl{at: on(base, day, 3).Add(30 * time.Minute)}
	s.answers(website, "https://www.contoso.example/", 200, "Contoso", certificateOf(base, website, -70), "Nginx:1.26.2")
	s.answers(website, "https://www.contoso.example:8443/login", 200, "Sign in [Jenkins]", certificateOf(base, website, -70), "Jetty:10.0.18", "Jenkins:2.440.1")
	s.answers(webhooks, "https://hooks.contoso.example/bank/events", 401, "", certificateOf(base, webhooks, reconciled), "Microsoft Kestrel httpd")
	return Delivery{Source: "page-scan", System: outsideSystem, Scan: &s}
}
