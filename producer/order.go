package producer

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/afterwrite/afterwrite/schema"
)

// Enqueuer enqueues sync tasks: the queue's client.
type Enqueuer interface {
	Enqueue(ctx context.Context, o schema.Order) error
}

// closeTimeout bounds the wait for enqueues at Close.
const closeTimeout = 5 * time.Second

// orders enqueues sync tasks in the background: a write is accepted once its script has run, and no writer should wait
// for the queue. If an order is lost, by a full buffer, a failed enqueue or a crash, the workers' sweeper repeats it.
type orders struct {
	queue   Enqueuer
	log     *slog.Logger
	metrics *metrics
	given   chan schema.Order
	wg      sync.WaitGroup
	cancel  context.CancelFunc

	mu     sync.RWMutex // guards closed, so that nothing is sent on the closed channel
	closed bool
}

func newOrders(queue Enqueuer, log *slog.Logger, m *metrics) *orders {
	ctx, cancel := context.WithCancel(context.Background())
	o := &orders{queue: queue, log: log, metrics: m, given: make(chan schema.Order, 1024), cancel: cancel}
	if queue == nil {
		return o
	}
	for range 2 {
		o.wg.Go(func() { o.run(ctx) })
	}
	return o
}

// give passes an order on without waiting. After close the order is dropped.
func (o *orders) give(order schema.Order) {
	if order.None() || o.queue == nil {
		return
	}
	o.mu.RLock()
	defer o.mu.RUnlock()
	if !o.closed {
		select {
		case o.given <- order:
			return
		default:
		}
	}
	o.metrics.orders.WithLabelValues("dropped").Inc()
}

func (o *orders) run(ctx context.Context) {
	for order := range o.given {
		err := o.queue.Enqueue(ctx, order)
		if err == nil {
			o.metrics.orders.WithLabelValues("enqueued").Inc()
			continue
		}
		o.metrics.orders.WithLabelValues("failed").Inc()
		o.log.WarnContext(ctx, "sync task not enqueued; the sweeper will enqueue it",
			"entity", order.Entity.Name, "partition", order.Partition, "error", err)
	}
}

// close waits until all orders given before are enqueued. It can be called any number of times.
func (o *orders) close() {
	o.mu.Lock()
	if !o.closed {
		o.closed = true
		close(o.given)
	}
	o.mu.Unlock()
	timer := time.AfterFunc(closeTimeout, o.cancel)
	o.wg.Wait()
	timer.Stop()
	o.cancel()
}
