package cli

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// envPrefix begins the environment variable of every flag.
const envPrefix = "EXPOSUREGRAPH_"

// otherEnv are variables that are read as well, after our own.
var otherEnv = map[string]string{"database-url": "DATABASE_URL"}

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// applySettings fills the flags that the command line leaves open: from the
// environment, and then from the configuration file.
func applySettings(cmd *cobra.Command, lookup func(string) (string, bool)) error {
	flags := cmd.Flags()
	if err := fromEnv(flags.Lookup("config"), flags, lookup); err != nil {
		return err
	}
	path := flags.Lookup("config").Value.String()
	file, err := readConfig(cmd.Root(), path)
	if err != nil {
		return err
	}
	var failed error
	flags.VisitAll(func(flag *pflag.Flag) {
		if failed != nil || flag.Name == "help" || flag.Name == "config" {
			return
		}
		if failed = fromEnv(flag, flags, lookup); failed != nil || flag.Changed {
			return
		}
		if value, given := file[flag.Name]; given {
			if err := setFlag(flags, flag, value); err != nil {
				failed = usagef("%s in %s: %w", flag.Name, path, err)
			}
		}
	})
	return failed
}

func fromEnv(flag *pflag.Flag, flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	if flag.Changed {
		return nil
	}
	for _, name := range []string{envName(flag.Name), otherEnv[flag.Name]} {
		value, given := lookup(name)
		if name == "" || !given || value == "" {
			continue
		}
		if err := flags.Set(flag.Name, value); err != nil {
			return usagef("%s: %w", name, err)
		}
		return nil
	}
	return nil
}

// setFlag gives a flag the value of the file: a list to a flag that may be
// repeated, the text of a scalar to any other.
func setFlag(flags *pflag.FlagSet, flag *pflag.Flag, value yaml.Node) error {
	switch value.Kind {
	case yaml.ScalarNode:
		return flags.Set(flag.Name, value.Value)
	case yaml.SequenceNode:
		var list []string
		target, repeated := flag.Value.(pflag.SliceValue)
		if !repeated {
			return fmt.Errorf("one value is expected, not a list (line %d)", value.Line)
		}
		if err := value.Decode(&list); err != nil {
			return err
		}
		flag.Changed = true
		return target.Replace(list)
	}
	return fmt.Errorf("a value is expected (line %d)", value.Line)
}

// readConfig reads the file. A key that is no flag of any command is a mistake;
// one of another command is not, as one file serves all of them.
func readConfig(root *cobra.Command, path string) (map[string]yaml.Node, error) {
	if path == "" {
		return nil, nil
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("read --config: %w", err)
	}
	var file map[string]yaml.Node
	if err := yaml.Unmarshal(content, &file); err != nil {
		return nil, usagef("%s is no YAML mapping of settings: %w", path, err)
	}
	known := flagNames(root)
	for key, value := range file {
		if !slices.Contains(known, key) {
			return nil, usagef("%s:%d: there is no setting %q; settings are named like flags", path, value.Line, key)
		}
	}
	return file, nil
}

func flagNames(cmd *cobra.Command) (names []string) {
	cmd.Flags().VisitAll(func(flag *pflag.Flag) { names = append(names, flag.Name) })
	for _, child := range cmd.Commands() {
		names = append(names, flagNames(child)...)
	}
	return names
}
