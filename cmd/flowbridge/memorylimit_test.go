package main

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestALimitThatIsChangedWhileABridgeRunsIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			log   bytes.Buffer
			heaps []int64
			limit atomic.Int64
		)
		k := memoryKeeper{limit: limit.Load, set: func(heap int64) { heaps = append(heaps, heap) },
			logger: slog.New(slog.NewTextHandler(&log, nil))}
		ctx, cancel := context.WithCancel(t.Context())
		go k.run(ctx)
		for _, mebibytes := range []int64{0, 256, 64, 0, 256} {
			limit.Store(mebibytes << 20)
			time.Sleep(2 * limitEvery)
			synctest.Wait()
		}
		cancel()
		want := []int64{208 << 20, 64 << 20 * 2 / 5, 208 << 20}
		if diff := cmp.Diff(want, heaps); diff != "" {
			t.Errorf("bytes that the heap may have (-want +got):\n%s", diff)
		}
		if n := strings.Count(log.String(), "leaves little memory"); n != 1 {
			t.Errorf("warned %d times, want once:\n%s", n, &log)
		}
	})
}

func TestTheLimitOfItsControlGroupsIsKnown(t *testing.T) {
	t.Parallel()
	const none = "9223372036854771712"
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"another system", nil, 0},
		{"a container with a group of its own", map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "134217728\n",
			"sys/fs/cgroup/memory.high": "max\n"}, 128 << 20},
		{"no limit", map[string]string{
			"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		{"a unit of systemd", map[string]string{
			"proc/self/cgroup":                                         "0::/system.slice/flowbridge.service\n",
			"sys/fs/cgroup/system.slice/memory.max":                    "max\n",
			"sys/fs/cgroup/system.slice/flowbridge.service/memory.max": "536870912\n"}, 512 << 20},
		{"less is left by the group above", map[string]string{
			"proc/self/cgroup": "0::/pod/container\n", "sys/fs/cgroup/pod/memory.max": "104857600\n",
			"sys/fs/cgroup/pod/container/memory.max": "max\n"}, 100 << 20},
		{"it is slowed down before it is killed", map[string]string{
			"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "134217728\n",
			"sys/fs/cgroup/a/memory.high": "104857600\n"}, 100 << 20},
		{"version 1", map[string]string{
			"proc/self/cgroup": "9:cpu:/fb\n5:memory:/fb\n1:name=systemd:/\n0::/\n",
			"sys/fs/cgroup/memory/fb/memory.limit_in_bytes": "104857600\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":    none + "\n"}, 100 << 20},
		{"version 1 in a container, which sees its group as the root", map[string]string{
			"proc/self/cgroup":                           "5:memory:/docker/0123\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "134217728\n"}, 128 << 20},
		{"version 1 without a limit", map[string]string{
			"proc/self/cgroup": "5:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": none + "\n"}, 0},
		{"nonsense", map[string]string{
			"proc/self/cgroup": "x\n0::/../..\n", "sys/fs/cgroup/memory.max": "-1\n"}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files := fstest.MapFS{}
			for name, text := range tt.files {
				files[name] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := groupLimit(files); got != tt.want {
				t.Errorf("%d bytes, want %d", got, tt.want)
			}
		})
	}
}
