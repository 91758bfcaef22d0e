package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"affidavit": func() { os.Exit(Main(context.Background(), os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "start": start, "stop": stop, "field": field, "poke": poke,
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("AFFIDAVIT_SIGNER_PASSWORD", "correct horse battery staple")
			e.Setenv("AFFIDAVIT_KEY_PASSWORD", "another good passphrase")
			return nil
		},
	})
}

// exits CODE CMD…: run and compare the exit code; output goes to "output".
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	cmd := exec.Command(args[1], args[2:]...)
	cmd.Dir, cmd.Env = ts.Getenv("PWD"), environ(ts)
	if cmd.Dir == "" {
		cmd.Dir = ts.MkAbs(".")
	}
	out, err := cmd.CombinedOutput()
	code := 0
	if err != nil {
		if cmd.ProcessState == nil {
			ts.Fatalf("%v", err)
		}
		code = cmd.ProcessState.ExitCode()
	}
	ts.Check(os.WriteFile(ts.MkAbs("output"), out, 0o600))
	ts.Logf("%s", out)
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("exit %d, want %s", code, args[0])
	}
}

func environ(ts *testscript.TestScript) []string {
	env := os.Environ()
	for _, k := range []string{"AFFIDAVIT_SIGNER_PASSWORD", "AFFIDAVIT_KEY_PASSWORD", "AFFIDAVIT_DATA_DIR", "AFFIDAVIT_LISTEN", "PATH", "HOME", "TMPDIR"} {
		env = append(env, k+"="+ts.Getenv(k))
	}
	return env
}

// start ARGS…: a server on a free port; its address goes to the variable BASE.
func start(ts *testscript.TestScript, neg bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	addr := ln.Addr().String()
	ts.Check(ln.Close())
	cmd := exec.Command("affidavit", append([]string{"serve", "--listen", addr}, args...)...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environ(ts)
	var log bytes.Buffer
	cmd.Stderr = &log
	ts.Check(cmd.Start())
	ts.Defer(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	ts.Setenv("BASE", "http://"+addr)
	ts.Setenv("SERVER_PID", fmt.Sprint(cmd.Process.Pid))
	for range 200 {
		if res, err := http.Get("http://" + addr + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	ts.Fatalf("the server did not come up:\n%s", log.String())
}

// stop asks the server to end, and waits until its port is free.
func stop(ts *testscript.TestScript, neg bool, args []string) {
	var pid int
	_, err := fmt.Sscan(ts.Getenv("SERVER_PID"), &pid)
	ts.Check(err)
	ts.Check(syscall.Kill(pid, syscall.SIGTERM))
	addr := strings.TrimPrefix(ts.Getenv("BASE"), "http://")
	for range 200 {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		c.Close()
		time.Sleep(25 * time.Millisecond)
	}
	ts.Fatalf("the server did not stop")
}

// field FILE NAME VAR: a top-level member of a JSON file into a variable.
func field(ts *testscript.TestScript, neg bool, args []string) {
	var v map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &v))
	ts.Setenv(args[2], fmt.Sprint(v[args[1]]))
}

// poke FILE REGEXP TEXT: replace in a file.
func poke(ts *testscript.TestScript, neg bool, args []string) {
	re, err := regexp.Compile(args[1])
	ts.Check(err)
	path := ts.MkAbs(args[0])
	old, err := os.ReadFile(path)
	ts.Check(err)
	fresh := re.ReplaceAll(old, []byte(args[2]))
	if bytes.Equal(old, fresh) {
		ts.Fatalf("%s does not match %s", filepath.Base(path), args[1])
	}
	ts.Check(os.WriteFile(path, fresh, 0o600))
}
