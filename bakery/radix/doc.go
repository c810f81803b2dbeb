// Package radix has an ordered map from numbers of 16 or 32 bits, such as tc's handles, that is copied in O(1): what a
// fold of a log does all day. docs/adr/0011 says why.
package radix
