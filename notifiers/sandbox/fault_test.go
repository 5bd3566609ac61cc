package sandbox_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/slack-go/slack"

	"flowbridge/notifiers/sandbox"
)

func TestSlackFailsAsItIsTold(t *testing.T) {
	tests := []struct {
		name   string
		fault  sandbox.Fault
		check  func(error) bool
		posted int // of two posts, of which only the first meets the fault
	}{
		{"429 with a time", sandbox.Fault{Status: 429, RetryAfter: 2500 * time.Millisecond}, func(err error) bool {
			limited, ok := errors.AsType[*slack.RateLimitedError](err)
			return ok && limited.RetryAfter == 3*time.Second
		}, 1},
		{"429 without one", sandbox.Fault{Status: 429}, func(err error) bool { return code(err) == "Too Many Requests" }, 1},
		{"500", sandbox.Fault{Status: 500}, func(err error) bool { return code(err) == "Internal Server Error" }, 1},
		{"500 after posting", sandbox.Fault{Status: 500, AfterAccept: true},
			func(err error) bool { return code(err) == "Internal Server Error" }, 2},
		{"ok:false", sandbox.Fault{OKFalse: "internal_error"},
			func(err error) bool { return code(err) == "internal_error" }, 1},
		{"a body that is not JSON", sandbox.Fault{Body: "not json"}, func(err error) bool { return err != nil }, 1},
		{"an empty object, which the library takes for a success", sandbox.Fault{Body: "{}"},
			func(err error) bool { return err == nil }, 1},
		{"the connection is cut before", sandbox.Fault{EOF: true}, func(err error) bool { return errors.Is(err, io.EOF) }, 1},
		{"the connection is cut after", sandbox.Fault{EOF: true, AfterAccept: true},
			func(err error) bool { return errors.Is(err, io.EOF) }, 2},
		{"another method", sandbox.Fault{Method: "chat.update", Status: 500}, func(err error) bool { return err == nil }, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}})
			test.fault.Times = 1
			s.Fail(test.fault)
			for i := range 2 {
				_, _, err := api.PostMessageContext(t.Context(), "#ops", slack.MsgOptionText("x", false))
				if i == 0 && !test.check(err) {
					t.Errorf("the first post: %v", err)
				}
				if i == 1 && err != nil {
					t.Errorf("the second post: %v", err)
				}
			}
			if got := len(s.Messages("#ops")); got != test.posted {
				t.Errorf("%d messages, want %d", got, test.posted)
			}
		})
	}
}

func TestFaultsSkipAndRepeatInTurn(t *testing.T) {
	s, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}, NoLimits: true})
	s.Fail(sandbox.Fault{Method: "chat.postMessage", Skip: 1, Times: 2, OKFalse: "internal_error"})
	s.Fail(sandbox.Fault{OKFalse: "fatal_error", Times: 2})
	var got []string
	for range 6 {
		_, _, err := api.PostMessageContext(t.Context(), "#ops", slack.MsgOptionText("x", false))
		got = append(got, code(err))
	}
	want := []string{"fatal_error", "internal_error", "internal_error", "fatal_error", "", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	s.Fail(sandbox.Fault{Status: 500})
	s.ClearFaults()
	if _, _, err := api.PostMessageContext(t.Context(), "#ops", slack.MsgOptionText("x", false)); err != nil {
		t.Errorf("after the faults were cleared: %v", err)
	}
}

func TestACallThatHangsGoesOnWhenItIsReleased(t *testing.T) {
	s, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}})
	s.Fail(sandbox.Fault{Hang: true})
	done := make(chan error, 1)
	go func() {
		_, _, err := api.PostMessageContext(t.Context(), "#ops", slack.MsgOptionText("x", false))
		done <- err
	}()
	if err := s.Wait(t.Context(), func() bool { return len(s.Calls()) == 1 }); err != nil {
		t.Fatal(err)
	}
	if got := s.Calls()[0]; got.Status != 0 || len(s.Messages("#ops")) != 0 {
		t.Errorf("while it hangs: %+v, and %d messages", got, len(s.Messages("#ops")))
	}
	s.ClearFaults()
	if err := <-done; err != nil || len(s.Messages("#ops")) != 1 {
		t.Errorf("once released: %v, and %d messages", err, len(s.Messages("#ops")))
	}
}

func TestACallThatHangsEndsWithItsClient(t *testing.T) {
	for _, after := range []bool{false, true} {
		s, api := startSlack(t, sandbox.SlackConfig{Channels: []string{"#ops"}})
		s.Fail(sandbox.Fault{Hang: true, AfterAccept: after})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, _, err := api.PostMessageContext(ctx, "#ops", slack.MsgOptionText("x", false))
			done <- err
		}()
		if err := s.Wait(t.Context(), func() bool { return len(s.Calls()) == 1 }); err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want the client's own end", err)
		}
		if posted := len(s.Messages("#ops")) == 1; posted != after {
			t.Errorf("posted is %v, want %v", posted, after)
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	s := sandbox.NewSlack(sandbox.SlackConfig{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Wait(ctx, func() bool { return false }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
