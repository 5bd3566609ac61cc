package router_test

import (
	"strings"
	"testing"

	"flowbridge/router"
)

func TestTextOfOthersFitsALine(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"lines become one", "first\r\n\tsecond  third\u2029 ", "first second third"},
		{"nothing that a terminal would act on", "a\x1b[31mb\u2028c", "a [31mb c"},
		{"broken UTF-8 is marked", "a\xff\xfeb", "a\uFFFDb"},
		{"nothing but spaces", " \n\t", ""},
		{"what fits stays", "déjà vu!", "déjà vu!"},
		{"what is too long ends in an ellipsis", "déjà vus!", "déjà vu…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := router.OneLine(tt.in)
			if strings.HasPrefix(tt.want, "déjà") {
				got = router.Shorten(got, 8)
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
