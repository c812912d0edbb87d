package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// buildInfo says what this binary is.
type buildInfo struct {
	Version  string `json:"version"`
	Commit   string `json:"commit"`
	Modified bool   `json:"modified"` // built from a tree with changes
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func build() buildInfo {
	b := buildInfo{Version: "devel", Commit: "unknown", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		b.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.Commit = setting.Value
		case "vcs.modified":
			b.Modified = setting.Value == "true"
		}
	}
	return b
}

func newVersion(p Process) *cobra.Command {
	cmd := &cobra.Command{Use: "version", Short: "Print what this binary is", Args: usageArgs(cobra.NoArgs)}
	output := addOutput(cmd, asTable, asJSON)
	cmd.RunE = func(*cobra.Command, []string) error {
		form, err := output()
		if err != nil {
			return err
		}
		b := build()
		if form == asJSON {
			return printJSON(p.Stdout, b)
		}
		modified := ""
		if b.Modified {
			modified = " (modified)"
		}
		_, err = fmt.Fprintf(p.Stdout, "exposuregraph %s\ncommit %s%s\n%s %s\n", b.Version, b.Commit, modified, b.Go, b.Platform)
		return err
	}
	return cmd
}
