package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
)

var update = flag.Bool("update", false, "write docs/CLI.md instead of comparing it")

const reference = "../../docs/CLI.md"

// TestCommandReference holds docs/CLI.md to the commands. After a change of a command:
//
//	go test ./cmd/afterwrite -run TestCommandReference -update
func TestCommandReference(t *testing.T) {
	root := root(&cli.App{})
	root.InitDefaultHelpFlag()
	var b bytes.Buffer
	b.WriteString("# Commands\n\n")
	b.WriteString("One binary. Every command exits 0 on success, 1 on failure and 2 on wrong usage, logs to standard error,\n" +
		"and prints results to standard output. This page is made from the commands' own help.\n\n" +
		"Flags of every command:\n\n")
	flags(&b, root.PersistentFlags())
	commands(&b, root)
	if *update {
		require.NoError(t, os.WriteFile(reference, b.Bytes(), 0o644))
	}
	text, err := os.ReadFile(reference)
	require.NoError(t, err)
	want, got := strings.Split(b.String(), "\n"), strings.Split(string(text), "\n")
	for i := range min(len(want), len(got)) {
		require.Equal(t, want[i], got[i],
			"line %d of docs/CLI.md is not what the commands say: run this test with -update", i+1)
	}
	require.Len(t, got, len(want), "docs/CLI.md is not what the commands say: run this test with -update")
}

func commands(b *bytes.Buffer, parent *cobra.Command) {
	for _, c := range parent.Commands() {
		if c.Name() == "help" || c.Hidden {
			continue
		}
		fmt.Fprintf(b, "\n## %s\n\n", c.CommandPath())
		if c.Name() == "completion" {
			b.WriteString("Prints a completion script for bash, zsh, fish or powershell; its help says how to load it.\n")
			continue
		}
		fmt.Fprintf(b, "%s\n\n", strings.TrimSpace(first(c.Long, c.Short+".")))
		if c.Runnable() && !c.HasAvailableSubCommands() || c.HasLocalFlags() {
			fmt.Fprintf(b, "```\n%s\n```\n\n", c.UseLine())
		}
		flags(b, c.LocalNonPersistentFlags())
		if c.Example != "" {
			fmt.Fprintf(b, "```sh\n%s\n```\n", unindented(c.Example))
		}
		commands(b, c)
	}
}

func flags(b *bytes.Buffer, set *pflag.FlagSet) {
	var rows strings.Builder
	set.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Hidden {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		fmt.Fprintf(&rows, "| `%s` | %s |", strings.TrimSpace("--"+f.Name+" "+name),
			strings.ReplaceAll(usage, "|", `\|`))
		switch f.DefValue {
		case "", "false", "[]", "0s":
			rows.WriteString(" |\n")
		default:
			fmt.Fprintf(&rows, " `%s` |\n", f.DefValue)
		}
	})
	if rows.Len() > 0 {
		fmt.Fprintf(b, "| flag | meaning | default |\n|---|---|---|\n%s\n", &rows)
	}
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

func unindented(text string) string {
	lines := strings.Split(strings.Trim(text, "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, "  ")
	}
	return strings.Join(lines, "\n")
}
