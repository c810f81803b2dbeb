package powercut

import (
	"fmt"
	"os"
	"path/filepath"
)

// Image is what a disk holds when the power comes back.
type Image struct {
	tree  tree
	files map[int]*fileState
}

// Save writes the image into the directory dir, which must exist and be empty.
func (im *Image) Save(dir string) error {
	if err := im.save(dir, rootID, map[int]string{}); err != nil {
		return fmt.Errorf("writing an image: %w", err)
	}
	return nil
}

// save writes the entries of a directory; at has where files were written before, under another name.
func (im *Image) save(dir string, id int, at map[int]string) error {
	for name, child := range im.tree[id] {
		path := filepath.Join(dir, name)
		if _, isDir := im.tree[child]; isDir {
			if err := os.Mkdir(path, 0o755); err != nil {
				return err
			}
			if err := im.save(path, child, at); err != nil {
				return err
			}
			continue
		}
		if old, ok := at[child]; ok {
			if err := os.Link(old, path); err != nil {
				return err
			}
			continue
		}
		if err := im.files[child].save(path); err != nil {
			return err
		}
		at[child] = path
	}
	return nil
}

func (f *fileState) save(path string) error {
	out, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = f.content.save(out)
	if cerr := out.Chmod(os.FileMode(f.mode)); err == nil {
		err = cerr
	}
	if cerr := out.Close(); err == nil {
		err = cerr
	}
	return err
}
