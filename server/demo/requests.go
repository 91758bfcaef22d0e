package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"affidavit/pipeline/dataset"
	"affidavit/serving/gateway"
)

// asked is a row of the table that was sent, and what came back.
type asked struct {
	row   int // of the table
	id    string
	label int64
	score float64
}

type tensor struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
	Data     []any  `json:"data"`
}

// body is an Open Inference request for one applicant.
func body(t *dataset.Table, columns []string, row int, id string, params map[string]any) ([]byte, error) {
	in := make([]tensor, len(columns))
	for i, name := range columns {
		in[i] = tensor{Name: name, Shape: []int{1, 1}}
		if numbers, ok := t.Numeric(name); ok {
			in[i].Datatype, in[i].Data = "FP64", []any{numbers[row]}
		} else {
			texts, _ := t.Text(name)
			in[i].Datatype, in[i].Data = "BYTES", []any{texts[row]}
		}
	}
	return json.Marshal(map[string]any{"id": id, "parameters": params, "inputs": in})
}

// infer sends one applicant over HTTP.
func (d *demo) infer(ctx context.Context, c *http.Client, row int, id string, params map[string]any) (asked, error) {
	b, err := body(d.table, d.def.InputColumns(), row, id, params)
	if err != nil {
		return asked{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.base+"/v2/models/"+modelName+"/infer", bytes.NewReader(b))
	if err != nil {
		return asked{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		return asked{}, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return asked{}, err
	}
	if res.StatusCode != http.StatusOK {
		return asked{}, fmt.Errorf("inference answered %s: %s", res.Status, answer)
	}
	return parseAnswer(row, answer)
}

func parseAnswer(row int, answer []byte) (asked, error) {
	var a struct {
		Parameters map[string]any `json:"parameters"`
		Outputs    []struct {
			Name string    `json:"name"`
			Data []float64 `json:"data"`
		} `json:"outputs"`
	}
	if err := json.Unmarshal(answer, &a); err != nil {
		return asked{}, err
	}
	out := asked{row: row}
	out.id, _ = a.Parameters[gateway.ParamPrediction].(string)
	for _, o := range a.Outputs {
		switch {
		case o.Name == "label" && len(o.Data) == 1:
			out.label = int64(o.Data[0])
		case o.Name == "probabilities" && len(o.Data) == 2:
			out.score = o.Data[1]
		}
	}
	if out.id == "" {
		return out, fmt.Errorf("the answer names no prediction: %s", answer)
	}
	return out, nil
}

// inferAll sends rows from a few connections at once; answers keep the order.
func (d *demo) inferAll(ctx context.Context, what string, rows []int, params func(i int) map[string]any) ([]asked, error) {
	const connections = 8
	out := make([]asked, len(rows))
	bar := d.bar(len(rows), what)
	defer bar.Finish()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	work := make(chan int)
	var wg sync.WaitGroup
	// The plain HTTP client of an application that uses the model.
	transport := &http.Transport{MaxIdleConnsPerHost: connections}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	for range connections {
		wg.Go(func() {
			for i := range work {
				a, err := d.infer(ctx, c, rows[i], fmt.Sprintf("%s-%d", what, i), params(i))
				if err != nil {
					cancel(err)
					continue
				}
				out[i] = a
				bar.Add(1)
			}
		})
	}
	for i := range rows {
		if ctx.Err() != nil {
			break
		}
		work <- i
	}
	close(work)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	return out, nil
}

// truth is the recorded decision on an applicant: 1 for denied.
func (d *demo) truth(row int) int64 {
	texts, _ := d.table.Text("deny")
	if texts[row] == "yes" {
		return 1
	}
	return 0
}
