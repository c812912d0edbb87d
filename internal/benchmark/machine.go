package benchmark

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// now is the clock that measures. Everything else takes the world's.
func now() time.Time { return time.Now() } //nolint:forbidigo // measuring is what this package is for

// Machine is what the figures were measured on. What the operating system does
// not tell stays empty.
type Machine struct {
	Cores      int
	CPU        string
	Memory     int64 // bytes
	Kernel     string
	Go         string
	PostgreSQL string
	Load       string // of the minute before the run
}

func describeMachine(postgres string) Machine {
	load, _, _ := strings.Cut(firstLine("/proc/loadavg"), " ")
	return Machine{
		Cores: runtime.NumCPU(), CPU: valueOf("/proc/cpuinfo", "model name"), Memory: kilobytes("/proc/meminfo", "MemTotal"),
		Kernel: strings.TrimSpace(runtime.GOOS + " " + firstLine("/proc/sys/kernel/osrelease")),
		Go:     runtime.Version(), PostgreSQL: postgres, Load: load,
	}
}

// String is the description in a line.
func (m Machine) String() string {
	parts := []string{fmt.Sprintf("%d cores", m.Cores)}
	if m.CPU != "" {
		parts[0] += " (" + m.CPU + ")"
	}
	if m.Memory > 0 {
		parts = append(parts, fmt.Sprintf("%.0f GiB of memory", float64(m.Memory)/(1<<30)))
	}
	parts = append(parts, m.Kernel, m.Go+"/"+runtime.GOARCH, "PostgreSQL "+m.PostgreSQL)
	if m.Load != "" {
		parts = append(parts, "load "+m.Load+" before the run")
	}
	return strings.Join(parts, ", ")
}

// peakMemory is the greatest resident size of this process since it was last
// asked, where the operating system tells (Linux), else 0.
func peakMemory() int64 {
	peak := kilobytes("/proc/self/status", "VmHWM")
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // begins a new peak; without the right it stays the process's
	return peak
}

func firstLine(path string) string {
	content, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(content), "\n")
	return line
}

func valueOf(path, key string) string {
	file, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if name, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func kilobytes(path, key string) int64 {
	number, _, _ := strings.Cut(valueOf(path, key), " ")
	kilobytes, _ := strconv.ParseInt(number, 10, 64)
	return kilobytes << 10
}
