package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/process"
)

func (a *app) dashboardCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "dashboard",
		Short:   "Serve the pages on which operators see, mend and tune",
		Example: "  afterwrite dashboard --config afterwrite.yaml\n  afterwrite dashboard hash < password.txt",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.dashboard(c.Context()) },
	}
	c.AddCommand(&cobra.Command{
		Use:     "hash",
		Short:   "Print the hash of a password for dashboard.users",
		Long:    "Reads a password from a line of standard input, unseen where that is a terminal, and prints\nits Argon2id hash for the configuration.",
		Example: "  afterwrite dashboard hash",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.dashboardHash(c.Context()) },
	})
	return c
}

func (a *app) dashboardHash(ctx context.Context) error {
	password, err := a.password(ctx)
	if err != nil {
		return fmt.Errorf("read the password: %w", err)
	}
	hash, err := dashboard.HashPassword(password)
	if err != nil {
		return usagef("%v", err)
	}
	fmt.Fprintln(a.out, hash)
	return nil
}

// password reads one line, which a terminal does not show.
func (a *app) password(ctx context.Context) (string, error) {
	if f, ok := a.in.(*os.File); ok && isTerminal(f) {
		fmt.Fprint(a.err, "Password: ")
		defer fmt.Fprintln(a.err)
		return unseen(ctx, int(f.Fd()))
	}
	line, err := bufio.NewReader(io.LimitReader(newStoppable(ctx, a.in), 4096)).ReadString('\n')
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return strings.TrimRight(line, "\r\n"), err
}

// unseen reads a line of a terminal that does not show it, and leaves the terminal as it
// was where ctx ends first.
func unseen(ctx context.Context, terminal int) (string, error) {
	before, err := term.GetState(terminal)
	if err != nil {
		return "", err
	}
	type answer struct {
		line []byte
		err  error
	}
	read := make(chan answer, 1)
	go func() {
		line, err := term.ReadPassword(terminal)
		read <- answer{line, err}
	}()
	select {
	case got := <-read:
		return string(got.line), got.err
	case <-ctx.Done():
		return "", errors.Join(ctx.Err(), term.Restore(terminal, before))
	}
}

func (a *app) dashboard(ctx context.Context) error {
	c, err := a.settings()
	if err != nil {
		return err
	}
	if err := process.ErrDashboardExposed(c); err != nil {
		return err
	}
	p, err := a.join(c)
	if err != nil {
		return err
	}
	defer p.Close()
	return p.ServeDashboard(ctx)
}
