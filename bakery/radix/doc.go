// Package radix has maps from numbers of 16 or 32 bits, such as tc's handles, that are copied in O(1): what a
// fold of a log does all day. docs/adr/0012 says why.
package radix
