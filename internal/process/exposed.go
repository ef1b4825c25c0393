package process

import (
	"fmt"

	"github.com/afterwrite/afterwrite/internal/config"
	"github.com/afterwrite/afterwrite/internal/peer"
)

// ErrDashboardExposed refuses to show the pages to other machines without a login.
func ErrDashboardExposed(c *config.Config) error {
	if c.API.Insecure || peer.Loopback(c.Dashboard.Addr) || asksWho(c.Dashboard) {
		return nil
	}
	return fmt.Errorf("%w: dashboard.addr %s can be reached from other machines and asks for no log-in; "+
		"set it to 127.0.0.1, name dashboard.users (`afterwrite dashboard hash` makes their hashes), "+
		"or set api.insecure: true (AFTERWRITE_API_INSECURE=true) where something in front of it asks",
		ErrConfig, c.Dashboard.Addr)
}

// asksWho reports whether the dashboard lets in only people whom it knows.
func asksWho(d config.Dashboard) bool { return len(d.Users) > 0 || d.ProxyHeader != "" }
