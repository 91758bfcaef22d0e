package server

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"affidavit/lineage"
)

// Metrics is what /metrics shows, on a registry of its own. Labels are routes,
// methods, statuses and codes: never ids, names or addresses from outside.
type Metrics struct {
	registry    *prometheus.Registry
	handler     http.Handler
	requests    *prometheus.CounterVec
	durations   *prometheus.HistogramVec
	submissions *prometheus.CounterVec
	groups      prometheus.Histogram
	commits     prometheus.Histogram
	head        prometheus.Gauge
	sealed      *prometheus.CounterVec
	queue       prometheus.Gauge
}

// NewMetrics makes an empty set.
func NewMetrics() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "affidavit_http_requests_total",
			Help: "HTTP requests by route, method and status."}, []string{"route", "method", "status"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "affidavit_http_request_seconds",
			Help: "Time to answer, by route.", Buckets: prometheus.ExponentialBuckets(0.0005, 2.5, 12)}, []string{"route"}),
		submissions: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "affidavit_submissions_total",
			Help: "Statements submitted over HTTP, by result: logged, duplicate, or the code of the refusal."}, []string{"result"}),
		groups: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "affidavit_group_entries",
			Help: "Entries in one group commit.", Buckets: []float64{1, 2, 5, 10, 20, 50, 100, 200, 500}}),
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "affidavit_group_seconds",
			Help: "Time of one group commit.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 12)}),
		head: prometheus.NewGauge(prometheus.GaugeOpts{Name: "affidavit_log_size",
			Help: "Entries in the log, as of the last commit of this process."}),
		sealed: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "affidavit_entries_total",
			Help: "Statements that the sequencer judged, by kind and result (logged or the code of the refusal)."}, []string{"kind", "result"}),
		queue: prometheus.NewGauge(prometheus.GaugeOpts{Name: "affidavit_queue_length",
			Help: "Statements submitted over HTTP that wait for their receipt."}),
	}
	m.registry.MustRegister(m.requests, m.durations, m.submissions, m.groups, m.commits, m.head, m.sealed, m.queue,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	m.handler = promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
	return m
}

// Registry lets other packages of the server add their own collectors.
func (m *Metrics) Registry() prometheus.Registerer { return m.registry }

func (m *Metrics) request(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, methodLabel(method), strconv.Itoa(status)).Inc()
	m.durations.WithLabelValues(route).Observe(took.Seconds())
}

// Group implements lineage.Observer.
func (m *Metrics) Group(size int, took time.Duration) {
	m.groups.Observe(float64(size))
	m.commits.Observe(took.Seconds())
}

// Sealed implements lineage.Observer.
func (m *Metrics) Sealed(kind string, code lineage.Code) {
	result := "logged"
	if code != "" {
		result = string(code)
	}
	m.sealed.WithLabelValues(kind, result).Inc()
}

// Head implements lineage.Observer.
func (m *Metrics) Head(size int64) { m.head.Set(float64(size)) }

// Waiting says that one more submission waits for its receipt; the function
// that it returns says that it no longer does, and with what result.
func (m *Metrics) Waiting() func(duplicate bool, err error) {
	m.queue.Inc()
	return func(duplicate bool, err error) {
		m.queue.Dec()
		m.submission(duplicate, err)
	}
}

func (m *Metrics) submission(duplicate bool, err error) {
	result := "logged"
	switch {
	case err != nil:
		result = string(lineage.CodeOf(err))
	case duplicate:
		result = "duplicate"
	}
	m.submissions.WithLabelValues(result).Inc()
}
