package nmap

// What is read of the elements of a file. What is not named here is passed over
// and not kept.
type (
	hostElement struct {
		Timedout string `xml:"timedout,attr"`
		Status   struct {
			State  string `xml:"state,attr"`
			Reason string `xml:"reason,attr"`
		} `xml:"status"`
		Addresses []struct {
			Text   string `xml:"addr,attr"`
			Type   string `xml:"addrtype,attr"`
			Vendor string `xml:"vendor,attr"`
		} `xml:"address"`
		Names []struct {
			Text string `xml:"name,attr"`
			Type string `xml:"type,attr"`
		} `xml:"hostnames>hostname"`
		Ports []portElement `xml:"ports>port"`
		Extra []struct {
			State string `xml:"state,attr"`
		} `xml:"ports>extraports"`
		Systems []struct {
			Name     string `xml:"name,attr"`
			Accuracy string `xml:"accuracy,attr"`
		} `xml:"os>osmatch"`
	}
	portElement struct {
		Protocol string `xml:"protocol,attr"`
		Number   string `xml:"portid,attr"`
		State    struct {
			State string `xml:"state,attr"`
		} `xml:"state"`
		Service *serviceElement `xml:"service"`
		Scripts []scriptElement `xml:"script"`
	}
	serviceElement struct {
		Name       string   `xml:"name,attr"`
		Product    string   `xml:"product,attr"`
		Version    string   `xml:"version,attr"`
		More       string   `xml:"extrainfo,attr"`
		Tunnel     string   `xml:"tunnel,attr"`
		Method     string   `xml:"method,attr"`
		Confidence string   `xml:"conf,attr"`
		CPE        []string `xml:"cpe"`
	}
	scriptElement struct {
		ID     string `xml:"id,attr"`
		Output string `xml:"output,attr"`
		tableElement
	}
	tableElement struct {
		Key    string         `xml:"key,attr"`
		Values []valueElement `xml:"elem"`
		Tables []tableElement `xml:"table"`
	}
	valueElement struct {
		Key  string `xml:"key,attr"`
		Text string `xml:",chardata"`
	}
)

// value is the text under a key, empty if it is not there.
func (t tableElement) value(key string) string {
	for _, v := range t.Values {
		if v.Key == key {
			return v.Text
		}
	}
	return ""
}

// table is the table under a key, an empty one if it is not there.
func (t tableElement) table(key string) tableElement {
	for _, inner := range t.Tables {
		if inner.Key == key {
			return inner
		}
	}
	return tableElement{}
}
