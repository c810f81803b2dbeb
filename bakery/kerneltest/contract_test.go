package kerneltest

import "testing"

func TestFakeKeepsTheContract(t *testing.T) {
	Contract(t, func(_ *testing.T, links ...Link) Subject { return New(links...) })
}
