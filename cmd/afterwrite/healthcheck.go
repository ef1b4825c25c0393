package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/afterwrite/afterwrite/internal/config"
)

// healthTimeout bounds one look.
const healthTimeout = 3 * time.Second

func (a *app) healthcheckCommand() *cobra.Command {
	var live bool
	c := &cobra.Command{
		Use:   "healthcheck [api|worker|dashboard]",
		Short: "Ask a process of this machine whether it is ready",
		Long: "Asks /readyz of the api (or of the worker or dashboard) at the address that the configuration\n" +
			"gives it, and exits 0 if the answer is 200, 1 if not. For containers, whose images have no curl.\n" +
			"With --live it asks /healthz: that the process runs, whatever it can reach.",
		Example:   "  afterwrite healthcheck\n  afterwrite healthcheck worker --live",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"api", "worker", "dashboard"},
		RunE:      func(c *cobra.Command, args []string) error { return a.healthcheck(c.Context(), args, live) },
	}
	c.Flags().BoolVar(&live, "live", false, "ask /healthz, not /readyz")
	return c
}

func (a *app) healthcheck(ctx context.Context, args []string, live bool) error {
	c, err := a.Settings()
	if err != nil {
		return err
	}
	path := "/readyz"
	if live {
		path = "/healthz"
	}
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+nearby(addrOf(c, args))+path, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(answer.Body, 4096)) // what it says is for people
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d: %s", r.URL, answer.StatusCode, strings.TrimSpace(string(text)))
	}
	return nil
}

// addrOf is where the process that the arguments name listens, the API for none.
func addrOf(c *config.Config, args []string) string {
	if len(args) == 0 {
		return c.API.Addr
	}
	return map[string]string{"api": c.API.Addr, "worker": c.Worker.Addr, "dashboard": c.Dashboard.Addr}[args[0]]
}

// nearby is an address at which this machine reaches a process that listens at addr.
func nearby(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	switch ip := net.ParseIP(host); {
	case host == "", ip != nil && ip.IsUnspecified() && ip.To4() != nil:
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
