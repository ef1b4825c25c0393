package testkit

import (
	"fmt"
	"net"
	neturl "net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Balancer is a reverse proxy process of a test: HAProxy or nginx as Debian builds it. It
// ends with the test.
type Balancer struct {
	URL string // http://127.0.0.1:PORT

	t       testing.TB
	kind    string
	file    string // its configuration
	log     string
	process *process
}

// Nginx starts an nginx that listens on a port of its own. The text is what stands in the
// http block; $LISTEN in it is the address for "listen".
func Nginx(t testing.TB, http string) *Balancer {
	t.Helper()
	return startBalancer(t, "nginx", `
daemon off;
worker_processes 1;
pid $DIR/nginx.pid;
error_log stderr info;
`+asRoot("user root;")+`
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path $DIR/body;
	proxy_temp_path $DIR/proxy;
	fastcgi_temp_path $DIR/fastcgi;
	uwsgi_temp_path $DIR/uwsgi;
	scgi_temp_path $DIR/scgi;
`+http+"\n}\n", func(file string) []string { return []string{"-p", filepath.Dir(file), "-c", file, "-e", "stderr"} })
}

// HAProxy starts an HAProxy that listens on a port of its own. The text is the sections
// after "global"; $LISTEN in it is the address for "bind".
func HAProxy(t testing.TB, sections string) *Balancer {
	t.Helper()
	return startBalancer(t, "haproxy", "global\n\tmaxconn 2000\n"+sections+"\n",
		func(file string) []string { return []string{"-db", "-f", file} })
}

// PgBouncer starts a PgBouncer in transaction mode before the PostgreSQL of a URL, with lines
// added to its settings, and returns the URL of the same database behind it.
func PgBouncer(t testing.TB, url string, settings ...string) string {
	t.Helper()
	u, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	b := startBalancer(t, "pgbouncer", "[databases]\n* = host="+u.Hostname()+" port="+u.Port()+" user="+u.User.Username()+`
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = $PORT
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 8
`+strings.Join(settings, "\n")+"\n", func(file string) []string {
		if a, err := unprivileged(); err == nil && a != nil { // it refuses root
			return []string{"-u", "nobody", file}
		}
		return []string{file}
	})
	u.Host = strings.TrimPrefix(b.URL, "http://")
	return u.String()
}

// asRoot returns a line that only a server started by root may have.
func asRoot(line string) string {
	if os.Getuid() == 0 {
		return line
	}
	return ""
}

func startBalancer(t testing.TB, kind, config string, arguments func(file string) []string) *Balancer {
	t.Helper()
	binary, err := exec.LookPath(kind)
	if err != nil {
		binary = "/usr/sbin/" + kind // which is not in every user's PATH
		if _, err := os.Stat(binary); err != nil {
			t.Fatalf("%s is not installed: apt-get install %s, or make deps", kind, kind)
		}
	}
	dir, err := scratchDir(kind)
	if err != nil {
		t.Fatal(err)
	}
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	file := filepath.Join(dir, kind+".conf")
	text := strings.NewReplacer("$LISTEN", address, "$PORT", strconv.Itoa(port), "$DIR", dir).Replace(config)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	b := &Balancer{URL: "http://" + address, t: t, kind: kind, file: file, log: filepath.Join(dir, "log")}
	b.process, err = spawn(exec.Command(binary, arguments(file)...), b.log, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.process.end(syscall.SIGTERM) })
	err = b.process.answers(func() error {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err
	})
	if err != nil {
		t.Fatal(fmt.Errorf("%s: %w\n%s", kind, err, tail(b.log)))
	}
	return b
}

// Reload has the process read its configuration again, in which old has become new. What is
// under way ends with the old configuration.
func (b *Balancer) Reload(old, new string) {
	b.t.Helper()
	text, err := os.ReadFile(b.file)
	if err != nil || !strings.Contains(string(text), old) {
		b.t.Fatalf("the configuration of %s does not contain %q: %v", b.kind, old, err)
	}
	if err := os.WriteFile(b.file, []byte(strings.Replace(string(text), old, new, 1)), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := b.process.signal(syscall.SIGHUP); err != nil {
		b.t.Fatal(err)
	}
}
