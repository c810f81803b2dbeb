package xdp

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The features of a link, which ethtool(8) shows and sets with -k and -K: words of 32 bits, of which the kernel tells the
// names. Layouts of linux/ethtool.h.

// featureNames is the string set ETH_SS_FEATURES, and nameBytes its ETH_GSTRING_LEN.
const (
	featureNames = 4
	nameBytes    = 32
)

// featureWord is struct ethtool_get_features_block.
type featureWord struct{ available, requested, active, neverChanged uint32 }

// wantedWord is struct ethtool_set_features_block.
type wantedWord struct{ valid, requested uint32 }

// linkFeatures are those of a link that are asked for by name.
type linkFeatures struct {
	fd    int
	link  string
	index map[string]int // bits, by name
	words int
}

// openFeatures learns the names.
func openFeatures(link string) (f *linkFeatures, err error) {
	// The kernel takes these requests on sockets of any family (sock_ioctl in net/socket.c), and this one nobody denies us.
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("asking for features of link %s: %w", link, err)
	}
	f = &linkFeatures{fd: fd, link: link, index: map[string]int{}}
	if err := f.learn(); err != nil {
		return nil, errors.Join(fmt.Errorf("asking for features of link %s: %w", link, err), f.Close())
	}
	return f, nil
}

func (f *linkFeatures) Close() error { return unix.Close(f.fd) }

// call is an ioctl of ethtool: request begins with its command.
func (f *linkFeatures) call(request unsafe.Pointer) error {
	ifreq := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // struct ifreq is longer
	}{data: request}
	copy(ifreq.name[:unix.IFNAMSIZ-1], f.link)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(f.fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifreq)))
	runtime.KeepAlive(request)
	if errno != 0 {
		return errno
	}
	return nil
}

func (f *linkFeatures) learn() error {
	count := struct { // struct ethtool_sset_info
		command, _ uint32
		sets       uint64
		sizes      [1]uint32
	}{command: unix.ETHTOOL_GSSET_INFO, sets: 1 << featureNames}
	if err := f.call(unsafe.Pointer(&count)); err != nil {
		return err
	}
	n := int(count.sizes[0])
	const header = 3 // words of struct ethtool_gstrings
	names := make([]uint32, header+n*nameBytes/4)
	names[0], names[1], names[2] = unix.ETHTOOL_GSTRINGS, featureNames, uint32(n)
	if err := f.call(unsafe.Pointer(&names[0])); err != nil {
		return err
	}
	n = min(n, int(names[2]))
	for i := range n {
		name := unsafe.Slice((*byte)(unsafe.Pointer(&names[header+i*nameBytes/4])), nameBytes)
		f.index[unix.ByteSliceToString(name)] = i
	}
	f.words = (n + 31) / 32
	return nil
}

// active are those of some that are on.
func (f *linkFeatures) active(names []string) ([]string, error) {
	const header = 2 // words of struct ethtool_gfeatures
	b := make([]uint32, header+f.words*4)
	b[0], b[1] = unix.ETHTOOL_GFEATURES, uint32(f.words)
	if err := f.call(unsafe.Pointer(&b[0])); err != nil {
		return nil, fmt.Errorf("reading features of link %s: %w", f.link, err)
	}
	words := unsafe.Slice((*featureWord)(unsafe.Pointer(&b[header])), f.words)
	var on []string
	for _, name := range names {
		if i, known := f.index[name]; known && words[i/32].active>>(i%32)&1 == 1 {
			on = append(on, name)
		}
	}
	return on, nil
}

// set switches some on or off, as far as the driver does that.
func (f *linkFeatures) set(names []string, on bool) error {
	const header = 2 // words of struct ethtool_sfeatures
	b := make([]uint32, header+f.words*2)
	b[0], b[1] = unix.ETHTOOL_SFEATURES, uint32(f.words)
	words := unsafe.Slice((*wantedWord)(unsafe.Pointer(&b[header])), f.words)
	for _, name := range names {
		i, known := f.index[name]
		if !known {
			continue
		}
		words[i/32].valid |= 1 << (i % 32)
		if on {
			words[i/32].requested |= 1 << (i % 32)
		}
	}
	if err := f.call(unsafe.Pointer(&b[0])); err != nil {
		return fmt.Errorf("switching features of link %s: %w", f.link, err)
	}
	return nil
}
