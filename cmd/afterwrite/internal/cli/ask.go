package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/afterwrite/afterwrite/internal/operate"
	"github.com/afterwrite/afterwrite/store/ledger"
)

// Confirm asks for confirmation of what is to be done with n things. The text of what counts and describes them, as in
// "3 dead letters". Where stdin is no terminal it is an error unless yes is set.
func (a *App) Confirm(ctx context.Context, verb string, n int, what string, yes bool) (bool, error) {
	question := fmt.Sprintf("%s %s?", strings.ToUpper(verb[:1])+verb[1:], what)
	switch {
	case n == 0:
		fmt.Fprintf(a.Err, "There are no %s.\n", strings.TrimPrefix(what, "0 "))
		if a.JSON {
			return false, a.PrintJSON(operate.Report{})
		}
		return false, nil
	case yes:
		return true, nil
	case !IsTerminal(a.In):
		return false, Usagef("%s Confirmation is needed, and stdin is not a terminal: rerun with --yes", question)
	}
	fmt.Fprintf(a.Err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(Stoppable(ctx, a.In)).ReadString('\n')
	if err != nil && answer == "" {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
		fmt.Fprintln(a.Err, "Nothing was done.")
		return false, ErrReported
	}
	return true, nil
}

// Actor is the name that the audit gets: the user of the system that runs the command.
func (a *App) Actor() ledger.Actor {
	name := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if name == "" {
		name = "uid " + strconv.Itoa(os.Getuid())
	}
	return ledger.Actor{Name: name, Origin: "cli"}
}
