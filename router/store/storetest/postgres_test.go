package storetest_test

import (
	"os"
	"testing"

	"flowbridge/router/store/storetest"
)

func TestAServerKeepsItsDataOverAPowerCutAndGoesWithTheTest(t *testing.T) {
	var socket string
	t.Run("lives", func(t *testing.T) {
		s := storetest.Start(t, "fsync=on")
		socket = s.Socket()
		dsn := s.Database(t)
		s.Exec(t, dsn, "CREATE TABLE kept (x INT)")
		s.Stop()
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
		s.Exec(t, dsn, "INSERT INTO kept VALUES (1)")
	})
	if socket == "" {
		t.Skip("no PostgreSQL")
	}
	if _, err := os.Stat(socket); !os.IsNotExist(err) {
		t.Errorf("%s is still there: %v", socket, err)
	}
}
