// Package testenv tells a test what this host can do, and gives it a network of its own.
//
// A test that needs more than the Go toolchain names it:
//
//	testenv.Need(t, testenv.Netns, testenv.TC)
//
// Where a capability is missing the test is skipped, and the skip names the capability and the reason. The environment
// variable LQOSD_REQUIRE (a comma-separated list, for example "netns,bpf") turns the skip into a failure, so that a build
// machine can't lose a tier of tests without anybody noticing. With -short all of these tests are left out, and those that
// call [Long]. No other package of this repository calls t.Skip:
// internal/tidy checks it.
//
// [InNetns] runs a test in a process with a fresh network namespace, [InVM] in a virtual machine with a kernel of its own (and, if
// [VMOptions] say so, under systemd),
// a [DiskVM] runs a program in one and loses its power,
// [NewLab] makes hosts on both sides of it that send real traffic, and [NoLeakedFDs] fails a test that leaves file descriptors open.
//
// How a test gets into a machine and its verdict out:
//
//	test binary on the host                      user-mode Linux, in a PID namespace of the host
//	  Need(VM): boots a machine with a shell
//	  writes the job to the shared folder
//	  boots a machine with the binary ---------> the binary as process 1: mounts, modprobe, lo
//	                                               starts itself again, to run the one test
//	  reads output and exit code  <------------- writes both to the shared folder, powers off
package testenv
