package dashboard

import (
	"context"
	"net/http"
	"slices"

	"github.com/afterwrite/afterwrite/dashboard/internal/format"
	"github.com/afterwrite/afterwrite/internal/queue"
	"github.com/afterwrite/afterwrite/schema"
)

// tasks is what the pages read of single sync tasks, and the pause of their queues. A
// queue.Inspector is one.
type tasks interface {
	Processes() ([]queue.Process, error)
	Tasks(queue, state string, limit int) ([]queue.Waiting, error)
	Pause(ctx context.Context, queue string) error
	Resume(ctx context.Context, queue string) error
}

// queuesBody is the page of the queues and of who takes their tasks.
type queuesBody struct {
	Queues     []queue.Size
	Err        error
	Detailed   bool
	Servers    []queue.Process
	ServersErr error
}

func (d *dashboard) queuesPage(w http.ResponseWriter, r *http.Request) {
	s := d.snapshot(r.Context())
	body := queuesBody{Queues: s.Queues, Err: s.QueuesErr, Detailed: d.tasks != nil}
	if d.tasks != nil {
		body.Servers, body.ServersErr = d.tasks.Processes()
	}
	d.render(w, r, http.StatusOK, "queues", page{Title: "Queues", Refresh: d.refresh(r), At: s.At, Body: body})
}

// maxTasks bounds the tasks of one page.
const maxTasks = 200

// queueBody is a list of one queue's tasks in one state.
type queueBody struct {
	Queue  queue.Size
	State  string
	States []string
	Tasks  []queue.Waiting
	Full   bool // there may be more
	Tunes  bool
	Serves []string // entities whose tasks are here
}

func (d *dashboard) queuePage(w http.ResponseWriter, r *http.Request) {
	s := d.snapshot(r.Context())
	i := slices.IndexFunc(s.Queues, func(q queue.Size) bool { return q.Queue == r.PathValue("queue") })
	if i < 0 {
		d.notFound(w, r)
		return
	}
	body := queueBody{Queue: s.Queues[i], State: r.URL.Query().Get("state"), States: queue.States,
		Tunes: who(r).May(Admin)}
	if body.State == "" {
		body.State = queue.States[0]
	}
	if !slices.Contains(queue.States, body.State) {
		d.fail(w, r, http.StatusBadRequest, format.Brief(schema.Invalid("state", "is none of %v", queue.States)))
		return
	}
	var err error
	if body.Tasks, err = d.tasks.Tasks(body.Queue.Queue, body.State, maxTasks); err != nil {
		d.broken(w, r, "list tasks", err)
		return
	}
	body.Full = len(body.Tasks) == maxTasks
	for _, e := range d.Entities {
		if e.Flush.Queue == body.Queue.Queue {
			body.Serves = append(body.Serves, e.Name)
		}
	}
	d.render(w, r, http.StatusOK, "queue", page{Title: "Queue " + body.Queue.Queue, Refresh: d.refresh(r), At: s.At,
		Body: body})
}

// pauseQueue stops or resumes the taking of a queue's tasks. Writes are accepted all the
// while; the overview says that the queue is paused.
func (d *dashboard) pauseQueue(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("queue")
	known := slices.ContainsFunc(d.Entities, func(e *schema.Entity) bool { return e.Flush.Queue == name })
	if !known {
		d.notFound(w, r)
		return
	}
	action, said, do := "queue.pause", "paused", d.tasks.Pause
	if r.PostFormValue("do") == "resume" {
		action, said, do = "queue.resume", "resumed", d.tasks.Resume
	}
	if action == "queue.pause" && d.production() && r.PostFormValue("typed") != name {
		d.fail(w, r, http.StatusUnprocessableEntity, "Nothing was changed: type the queue's name to confirm.")
		return
	}
	if err := do(r.Context(), name); err != nil {
		d.broken(w, r, action, err)
		return
	}
	d.reading.forget()
	audited := d.tell(r, action, &schema.Entity{}, "", map[string]any{"queue": name})
	redirect(w, r, "queues/"+name+"?said="+said+audited)
}
