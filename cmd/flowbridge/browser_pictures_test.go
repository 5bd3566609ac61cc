package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	databases "flowbridge/router/store/storetest"
	"github.com/chromedp/chromedp"
)

// mostPicture bounds a picture in the README.
const mostPicture = 80 << 10

// TestThePicturesOfTheConsole draws the list and an incident of the demo, light and dark. With -update they are
// those of the README; without it they are only drawn, since their times are those of today.
func TestThePicturesOfTheConsole(t *testing.T) {
	t.Parallel()
	databases.Long(t)
	demo := openDemoPage(t)
	c := startChromium(t)
	for _, scheme := range []string{"light", "dark"} {
		for name, at := range map[string]string{"list": "/", "incident": "/incidents/9"} {
			b := c.tab(t)
			b.look(scheme, 1000)
			b.do(chromedp.EmulateViewport(1000, 620))
			if got := b.open(demo.admin + at); got != 200 {
				t.Fatalf("%s: %d", at, got)
			}
			drawn := smaller(t, b.picture())
			if len(drawn) > mostPicture {
				t.Errorf("the picture of %s has %d bytes, want at most %d", at, len(drawn), mostPicture)
			}
			path := filepath.Join("../../.github", fmt.Sprintf("console-%s-%s.png", name, scheme))
			if *update {
				must(t, os.WriteFile(path, drawn, 0o644))
			}
			kept, err := os.ReadFile(path)
			must(t, err)
			if cfg, err := png.DecodeConfig(bytes.NewReader(kept)); err != nil || cfg.Width != 1000 || len(kept) > mostPicture {
				t.Errorf("%s: %d px wide, %d bytes (%v); want 1000 and at most %d", path, cfg.Width, len(kept), err, mostPicture)
			}
		}
	}
}

// smaller draws a picture in the 256 colours that most of it has, which is enough for text.
func smaller(t *testing.T, data []byte) []byte {
	t.Helper()
	whole, err := png.Decode(bytes.NewReader(data))
	must(t, err)
	area, count := whole.Bounds(), map[color.RGBA]int{}
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			count[color.RGBAModel.Convert(whole.At(x, y)).(color.RGBA)]++
		}
	}
	colours := make([]color.RGBA, 0, len(count))
	for one := range count {
		colours = append(colours, one)
	}
	slices.SortFunc(colours, func(a, b color.RGBA) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return bytes.Compare([]byte{a.R, a.G, a.B}, []byte{b.R, b.G, b.B})
	})
	var palette color.Palette
	for _, one := range colours[:min(256, len(colours))] {
		palette = append(palette, one)
	}
	cut := image.NewPaletted(area, palette)
	draw.Draw(cut, area, whole, area.Min, draw.Src)
	var small bytes.Buffer
	must(t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, cut))
	return small.Bytes()
}
