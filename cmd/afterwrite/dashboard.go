package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/afterwrite/afterwrite/cmd/afterwrite/internal/cli"
	"github.com/afterwrite/afterwrite/dashboard"
	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/process"
)

func (a *app) dashboardCommand() *cobra.Command {
	first := ""
	c := &cobra.Command{
		Use:   "dashboard",
		Short: "Serve the pages on which operators look, repair and tune",
		Long: "Serves the dashboard. Where other machines reach dashboard.addr, people log in as one of\n" +
			"dashboard.users. With --first-login FILE and no users configured there is the user admin,\n" +
			"whose hash is in FILE: if there is no such file, it is made with a random password, which is\n" +
			"printed this once.",
		Example: "  afterwrite dashboard --config afterwrite.yaml\n  afterwrite dashboard hash < password.txt",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.dashboard(c.Context(), first) },
	}
	c.Flags().StringVar(&first, "first-login", "",
		"`FILE` with the hash of the user admin, where no users are configured; made if absent")
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
		return cli.Usagef("%v", err)
	}
	fmt.Fprintln(a.Out, hash)
	return nil
}

// password reads one line, which a terminal does not show.
func (a *app) password(ctx context.Context) (string, error) {
	if f, ok := a.In.(*os.File); ok && cli.IsTerminal(f) {
		fmt.Fprint(a.Err, "Password: ")
		defer fmt.Fprintln(a.Err)
		return unseen(ctx, int(f.Fd()))
	}
	line, err := bufio.NewReader(io.LimitReader(cli.Stoppable(ctx, a.In), 4096)).ReadString('\n')
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

// firstLogin gives a dashboard without users the user admin, whose hash is in the file. It
// makes a file that is not there, and prints the password when the file is written.
func (a *app) firstLogin(c *config.Config, file string) error {
	if file == "" || len(c.Dashboard.Users) > 0 || c.Dashboard.ProxyHeader != "" {
		return nil
	}
	hash, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		hash, err = a.newLogin(file)
	}
	if err != nil {
		return fmt.Errorf("%w: --first-login: %w", process.ErrConfig, err)
	}
	c.Dashboard.Users = []config.User{{Name: "admin", Role: "admin", Hash: strings.TrimSpace(string(hash))}}
	return nil
}

func (a *app) newLogin(file string) ([]byte, error) {
	password := rand.Text()
	hash, err := dashboard.HashPassword(password)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(f, hash)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(file))
	}
	fmt.Fprintf(a.Out, "Log in to the dashboard as admin with the password %s\n"+
		"It is not shown again. Without %s another is made at the next start.\n", password, file)
	return []byte(hash), nil
}

func (a *app) dashboard(ctx context.Context, first string) error {
	c, err := a.Settings()
	if err != nil {
		return err
	}
	if err := a.firstLogin(c, first); err != nil {
		return err
	}
	if err := process.ErrDashboardExposed(c); err != nil {
		return err
	}
	p, err := a.Join(c)
	if err != nil {
		return err
	}
	defer p.Close()
	return p.ServeDashboard(ctx)
}
