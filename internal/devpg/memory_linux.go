package devpg

import (
	"bufio"
	"bytes"
	"math"
	"os"
	"strconv"
	"strings"
)

// memory is how many bytes this process and its children may have: those of the
// machine, or of the container that it runs in.
func memory() int64 {
	least := int64(math.MaxInt64)
	for _, known := range []int64{
		installed("/proc/meminfo"),
		limit("/sys/fs/cgroup/memory.max"),                   // cgroup v2
		limit("/sys/fs/cgroup/memory/memory.limit_in_bytes"), // v1
	} {
		if known > 0 {
			least = min(least, known)
		}
	}
	if least == math.MaxInt64 {
		return 0
	}
	return least
}

// installed reads MemTotal, in bytes.
func installed(meminfo string) int64 {
	text, err := os.ReadFile(meminfo)
	if err != nil {
		return 0
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		if total, found := strings.CutPrefix(lines.Text(), "MemTotal:"); found {
			kilobytes, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(total, "kB")), 10, 64)
			if err != nil {
				return 0
			}
			return kilobytes << 10
		}
	}
	return 0
}

// limit reads the limit of a cgroup; one that sets none says so with a word, or
// with a number that no machine has.
func limit(file string) int64 {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	bytes, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0
	}
	return bytes
}
