package eventlog

import "io"

func textSnapshot(mark uint64, state string) Snapshot {
	return Snapshot{Mark: mark, Write: func(w io.Writer) error {
		_, err := io.WriteString(w, state)
		return err
	}}
}
