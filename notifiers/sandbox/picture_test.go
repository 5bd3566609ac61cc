package sandbox_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"flowbridge/notifiers/sandbox"
)

// The picture of a card in the README is made from the golden file by this, which needs Debian's
// chromium-headless-shell and fonts-noto-color-emoji:
//
//	go test ./notifiers/sandbox -run TestThePictureOfACardIsDrawnFromItsJSON -update -picture
var picture = flag.Bool("picture", false, "draw the picture of a card anew, with chromium-headless-shell")

const picturePath, pictureMost = "../../.github/card.png", 60 << 10

func TestThePictureOfACardIsDrawnFromItsJSON(t *testing.T) {
	data, err := os.ReadFile("../slack/testdata/escalated.json")
	if err != nil {
		t.Fatal(err)
	}
	var card struct {
		Text                string
		Blocks, Attachments json.RawMessage
	}
	if err := json.Unmarshal(data, &card); err != nil {
		t.Fatal(err)
	}
	posted := time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)
	drawn, err := sandbox.HTML{}.Message("#payments-alerts", sandbox.Message{
		TS: "1773457200.000100", Posted: posted, Edited: 1, Text: card.Text, Blocks: card.Blocks,
		Attachments: card.Attachments,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	page := "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><style>\n" + sandbox.Style +
		"body{margin:12px 20px;width:600px;background:#fff;color:#1d1c1d}\n</style>\n" + string(drawn) + "</html>\n"
	golden(t, "card.html", page)
	if *picture {
		drawPicture(t)
	}
	shown, err := os.ReadFile(picturePath)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := png.DecodeConfig(bytes.NewReader(shown))
	if err != nil || cfg.Width < 600 || cfg.Height < 300 || len(shown) > pictureMost {
		t.Errorf("%s: %d x %d, %d bytes (%v); want at most %d bytes", picturePath, cfg.Width, cfg.Height, len(shown), err,
			pictureMost)
	}
}

// drawPicture makes the picture from the golden file, without what is empty below the card.
func drawPicture(t *testing.T) {
	t.Helper()
	from, err := filepath.Abs("testdata/card.html")
	if err != nil {
		t.Fatal(err)
	}
	shot := filepath.Join(t.TempDir(), "card.png")
	out, err := exec.CommandContext(t.Context(), "chromium-headless-shell", "--no-sandbox", "--hide-scrollbars",
		"--window-size=640,900",
		"--force-device-scale-factor=1.5", "--screenshot="+shot, "file://"+from).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	data, err := os.ReadFile(shot)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	area := image.Rect(0, 0, whole.Bounds().Dx(), lastRow(whole)+20)
	cut := image.NewPaletted(area, commonest(whole, area))
	draw.Draw(cut, cut.Bounds(), whole, image.Point{}, draw.Src)
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, cut); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(picturePath, small.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// commonest are the 255 colours that most of a picture has, and white: enough for text, and a third of the bytes.
func commonest(img image.Image, area image.Rectangle) color.Palette {
	count := map[color.Color]int{}
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			r, g, b, _ := img.At(x, y).RGBA()
			count[color.RGBA{uint8(r>>8) | 7, uint8(g>>8) | 7, uint8(b>>8) | 7, 255}]++
		}
	}
	all := slices.SortedFunc(maps.Keys(count), func(a, b color.Color) int {
		return cmp.Or(count[b]-count[a], cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)))
	})
	return append(color.Palette{color.White}, all[:min(len(all), 255)]...)
}

// lastRow is the lowest row that is not all like the corner.
func lastRow(img image.Image) int {
	b := img.Bounds()
	for y := b.Max.Y - 1; y > b.Min.Y; y-- {
		for x := b.Min.X; x < b.Max.X; x++ {
			if img.At(x, y) != img.At(b.Max.X-1, b.Max.Y-1) {
				return y
			}
		}
	}
	return b.Max.Y
}
