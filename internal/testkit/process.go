package testkit

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// install tells how to get the servers that the tests need.
const install = "apt-get install redis-server postgresql mariadb-server, or make deps"

// startTimeout bounds how long a server may take to answer, and to end, on a machine
// that is busy with other tests.
const startTimeout = 60 * time.Second

// process is a server process that dies with its parent.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended and was reaped
}

// spawn starts cmd with its output appended to logFile. The kernel sends it signal
// when this process dies.
func spawn(cmd *exec.Cmd, logFile string, signal syscall.Signal) (*process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = signal
	cmd.SysProcAttr.Setpgid = true
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go p.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// run starts the process and reaps it. The signal of a dead parent comes from the
// death of the thread that started the child, so the thread is kept for its life.
func (p *process) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := p.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	_ = p.cmd.Wait() // it was stopped or killed: the state says which
	close(p.done)
}

func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

func (p *process) signal(s syscall.Signal) error {
	if !p.running() {
		return os.ErrProcessDone
	}
	return p.cmd.Process.Signal(s)
}

// end sends a signal and waits until the process is gone, killing it if it does not go.
func (p *process) end(s syscall.Signal) error {
	if err := p.signal(s); err != nil {
		if errors.Is(err, os.ErrProcessDone) {
			<-p.done
			return nil
		}
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(startTimeout):
		_ = p.signal(syscall.SIGKILL)
		<-p.done
		return fmt.Errorf("%s did not end within %s of %s", filepath.Base(p.cmd.Path), startTimeout, s)
	}
}

// Goroutines is the option for goleak that leaves out the goroutines of servers that
// are shared by a test binary and therefore outlive a test.
func Goroutines() goleak.Option {
	return goleak.IgnoreAnyFunction("github.com/afterwrite/afterwrite/internal/testkit.(*process).run")
}

// FreeAddr returns a free loopback address, for a process that a test
// starts. No other test is given it, of this binary or of one that runs beside it.
func FreeAddr(t testing.TB) string {
	t.Helper()
	port, err := freePort()
	require.NoError(t, err)
	return loopback(port)
}

// claim finds a port for the first start of a server. Another test binary may take a free port
// before it does, so it tries a few.
func claim(port *int, launch func() error) error {
	var err error
	for range 5 {
		if *port, err = freePort(); err != nil {
			return err
		}
		if err = launch(); err == nil {
			return nil
		}
	}
	return err
}

// freePort returns a free loopback port. It is below the range
// from which the kernel draws ports of its own, so that it is still free when a
// stopped server comes back to it. Until this test binary ends the UDP port of the same
// number is held: it claims the port among the test binaries that run at once, and no
// server of the tests speaks UDP.
func freePort() (int, error) {
	for range 100 {
		port := 10_000 + rand.IntN(22_000)
		claim, err := net.ListenPacket("udp", loopback(port))
		if err != nil {
			continue
		}
		l, err := net.Listen("tcp", loopback(port))
		if err != nil {
			_ = claim.Close()
			continue
		}
		claimed.Lock()
		claimed.ports = append(claimed.ports, claim)
		claimed.Unlock()
		return port, l.Close()
	}
	return 0, errors.New("no free port on 127.0.0.1")
}

// claimed keeps the claims reachable, since a connection that is collected is closed.
var claimed struct {
	sync.Mutex
	ports []net.PacketConn
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// answers calls ask until it succeeds, the process has ended, or time is up.
func (p *process) answers(ask func() error) error {
	deadline := time.After(startTimeout)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("it ended: %s", p.cmd.ProcessState)
		case <-deadline:
			return fmt.Errorf("no answer within %s: %w", startTimeout, err)
		case <-tick.C:
		}
	}
}

// tail returns the last part of a log file for a failure's message.
func tail(logFile string) string {
	b, err := os.ReadFile(logFile)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-4000):])
}

// logged counts the lines of a log file that have a text.
func logged(logFile, text string) (n int) {
	b, _ := os.ReadFile(logFile) // none yet
	for line := range bytes.Lines(b) {
		if bytes.Contains(line, []byte(text)) {
			n++
		}
	}
	return n
}
