// Package powercut tells what a disk may hold after the power failed under a program.
//
// A [Disk] is a file system in memory, mounted through FUSE, that keeps a journal of all that is done to it. The program
// under test must run in another process than the one that mounts: a process that waits for its own file system can
// wait for ever. A [Cutter] takes the journal, and makes an [Image] of what may be left when it ends after the n-th event.
//
//	program ──write, fsync, rename──▶ Disk ──journal──▶ Cutter.Image(n, dice) ──Save──▶ directory ──▶ the program's own recovery
//	        ──text to the file note──▶
//
// What a power cut leaves, by the letter of POSIX, which is less than what ext4 keeps:
//
//   - What was written to a file before the last fsync of it that came to an end is there: data, size and mode.
//   - Each write after that may be there, be absent, or be torn: sector by sector of 512 bytes either new or old. The size
//     may have grown without the data.
//   - An entry of a directory is as it was made only after an fsync of that directory: until then each creation,
//     link, renaming and removal may have happened or not, in any order. A renaming is done whole or not at all.
//
// What a program tells the world is written to the file "note" at the root of the disk: notes are events of the journal
// like others, so what was said before the cut is known to the byte.
package powercut
